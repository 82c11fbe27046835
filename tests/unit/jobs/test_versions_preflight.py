"""Buckets that do not keep what a job relies on are refused before anything is changed."""

from __future__ import annotations

from typing import Any

import pytest

from bucket_brigade.errors import AccessDenied, ConfigError
from bucket_brigade.jobs.build import build_job
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.jobs.versioning import check_versioning
from bucket_brigade.s3.bucket_values import Versioning
from bucket_brigade.settings.values import EndpointSettings, Settings

HERE, THERE = EndpointSettings(), EndpointSettings(name="mini", endpoint_url="https://mini.example")
SETTINGS = Settings(endpoints={"s3": HERE, "mini": THERE}, state_dir="/nowhere")
DENIED = AccessDenied("not for you")


class Control:
    """The control port of an endpoint whose buckets are all alike."""

    def __init__(self, answer: Versioning | Exception) -> None:
        self._answer = answer

    async def versioning(self, bucket: str) -> Versioning:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


async def check(of_source: Versioning | Exception, of_target: Versioning | Exception, /, **request: Any) -> None:
    async def control_of(endpoint: EndpointSettings) -> Any:
        return Control(of_source if endpoint == HERE else of_target)

    await check_versioning(build_job(JobRequest(**request), SETTINGS), HERE, THERE, control_of)


HISTORY = {"verb": "cp", "source": "s3://a/p/", "target": "mini://b/p/", "all_versions": True}
PAST = {"verb": "cp", "source": "s3://a/p/", "target": "mini://b/p/", "as_of": "2d"}
RESTORE = {"verb": "restore", "source": "s3://a/p/", "as_of": "2d"}


async def test_a_history_needs_a_target_that_surely_keeps_versions() -> None:
    for source in Versioning:
        await check(source, Versioning.ENABLED, **HISTORY)
    for target, says in (
        (Versioning.NEVER, "is off"),
        (Versioning.SUSPENDED, "is suspended"),
        (DENIED, "GetBucketVersioning"),
    ):
        with pytest.raises(ConfigError) as refused:
            await check(Versioning.ENABLED, target, **HISTORY)
        assert says in f"{refused.value} {refused.value.remedy}"


async def test_the_past_of_a_bucket_without_versions_is_not_made_up() -> None:
    with pytest.raises(ConfigError, match="keeps no versions"):
        await check(Versioning.NEVER, Versioning.ENABLED, **PAST)
    for source in (Versioning.ENABLED, Versioning.SUSPENDED, DENIED):  # who may read need not know
        await check(source, Versioning.NEVER, **PAST)


async def test_nothing_is_written_over_that_would_not_be_kept() -> None:
    await check(Versioning.ENABLED, Versioning.NEVER, **RESTORE)
    for source in (Versioning.NEVER, Versioning.SUSPENDED, DENIED):
        with pytest.raises(ConfigError):
            await check(source, Versioning.ENABLED, **RESTORE)


async def test_deletions_ask_for_nothing() -> None:
    for request in ({"all_versions": True}, {"noncurrent": True}):
        await check(DENIED, DENIED, verb="rm", source="s3://a/p/", **request)
    await check(DENIED, DENIED, verb="undelete", source="s3://a/p/")
