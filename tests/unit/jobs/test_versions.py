"""Which versions a request means, and what is refused before anything is asked or changed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bucket_brigade.errors import ConfigError
from bucket_brigade.jobs.build import build_job
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.jobs.versions import instant_ns
from bucket_brigade.model.job import (
    Filters,
    Job,
    LayoutName,
    Operation,
    Overwrite,
    TransferOptions,
    VersionSelection,
    VersionsOf,
)
from bucket_brigade.model.location import S3Location
from bucket_brigade.settings.values import EndpointSettings, Settings

NS_PER_DAY = 86_400 * 10**9
SETTINGS = Settings(
    endpoints={"s3": EndpointSettings(), "mini": EndpointSettings(name="mini", endpoint_url="https://mini.example")},
    state_dir="/nowhere",
)


def build(verb: str, source: str, target: str = "", **fields: Any) -> Job:
    return build_job(JobRequest(verb=verb, source=source, target=target, **fields), SETTINGS)


def test_what_is_said_becomes_a_selection() -> None:
    assert build("cp", "s3://a/p/", "s3://b/p/").versions == VersionSelection()
    assert build("cp", "s3://a/p/", "mini://b/p/", all_versions=True).versions.which is VersionsOf.ALL
    assert build("rm", "s3://a/key", all_versions=True).versions.which is VersionsOf.ALL
    job = build("undelete", "s3://a/p/")
    assert (job.operation, job.versions.which, job.target) == (Operation.DELETE, VersionsOf.MARKERS, None)


def test_the_age_of_noncurrent_versions_is_none_of_the_versions_own() -> None:
    job = build("rm", "s3://a/p/", noncurrent=True, keep_last=2, filters=Filters(modified_before_ns=7, min_size=3))
    assert job.versions == VersionSelection(which=VersionsOf.NONCURRENT, noncurrent_before_ns=7, keep_last=2)
    assert job.filters == Filters(min_size=3)
    assert build("rm", "s3://a/p/", keep_last=0).versions.which is VersionsOf.NONCURRENT


def test_an_instant_is_an_age_or_a_date_and_not_in_the_future() -> None:
    assert instant_ns("2026-01-31T12:00:00Z") == 1_769_860_800 * 10**9
    assert abs(time.time_ns() - 2 * NS_PER_DAY - instant_ns("2d")) < 10 * 10**9
    with pytest.raises(ConfigError, match="future"):
        instant_ns("2999-01-01")
    with pytest.raises(ConfigError, match="--as-of"):
        instant_ns("yesterday")


def test_the_past_goes_elsewhere_or_back_over_the_present() -> None:
    elsewhere = build("cp", "s3://a/p/", "s3://a/q/", as_of="2d")
    assert (elsewhere.versions.which, elsewhere.versions.in_place) == (VersionsOf.AS_OF, False)
    for job in (
        build("cp", "s3://a/p/", "s3://a/p/", as_of="2d"),
        build("restore", "s3://a/p/", as_of="2d"),
        build("restore", "s3://a/p/*.txt", as_of="2d"),
        build("restore", "mini://a/key", as_of="2d", delete_newer=True),
    ):
        assert (job.operation, job.versions.in_place) == (Operation.COPY, True)
        assert isinstance(job.target, S3Location)
        assert "storage-class" in job.options.preserve
    assert build("restore", "s3://a/p/", as_of="2d", delete_newer=True).versions.delete_newer
    target = build("restore", "s3://a/p/x*.txt", as_of="2d").target
    assert target == S3Location(bucket="a", key="p/", recursive=True)


def test_a_copy_onto_itself_without_an_instant_is_refused_as_ever() -> None:
    with pytest.raises(ConfigError, match="onto itself"):
        build("cp", "s3://a/p/", "s3://a/p/", all_versions=True)
    with pytest.raises(ConfigError, match="inside the source"):
        build("cp", "s3://a/p/", "s3://a/p/q/", as_of="2d")


@pytest.mark.parametrize(
    ("verb", "source", "target", "fields", "says"),
    [
        ("cp", "s3://a/p/", "s3://b/", {"all_versions": True, "as_of": "2d"}, "mean different versions"),
        ("cp", "s3://a/key", "s3://b/", {"all_versions": True, "version_id": "v"}, "mean different versions"),
        ("rm", "s3://a/p/", "", {"all_versions": True, "keep_last": 3}, "mean different versions"),
        ("rm", "s3://a/p/", "", {"as_of": "2d"}, "reads the past"),
        ("rm", "s3://a/p/", "", {"keep_last": -1}, "below zero"),
        ("rm", "s3://a/p/", "", {"all_versions": True, "filters": Filters(modified_before_ns=1)}, "by their age"),
        ("cp", "s3://a/p/", "s3://b/", {"noncurrent": True}, "belongs to rm"),
        ("cp", "s3://a/p/", "s3://b/", {"keep_last": 2}, "belongs to rm"),
        ("cp", "s3://a/p/", "s3://b/", {"as_of": "2d", "delete_newer": True}, "belongs to restore"),
        ("cp", "s3://a/p/", "s3://b/", {"all_versions": True, "filters": Filters(min_size=1)}, "no size"),
        ("cp", "s3://a/p/", "s3://b/", {"all_versions": True, "layout": LayoutName.HASHED}, "catalog"),
        (
            "cp",
            "s3://a/p/",
            "s3://b/",
            {"all_versions": True, "options": TransferOptions(overwrite=Overwrite.NEVER)},
            "continued",
        ),
        ("cp", "s3://a/p/", "/tmp/", {"all_versions": True}, "one version"),
        ("cp", "/tmp/", "s3://a/p/", {"as_of": "2d"}, "keeps no versions"),
        ("mv", "s3://a/p/", "s3://b/", {"all_versions": True}, "not moved"),
        ("mv", "s3://a/p/", "s3://b/", {"as_of": "2d"}, "not moved"),
        ("restore", "s3://a/p/", "", {}, "needs an instant"),
        ("undelete", "s3://a/p/", "", {"all_versions": True}, "no selection"),
        ("undelete", "/tmp/", "", {}, "not in a bucket"),
    ],
)
def test_what_makes_no_sense_is_refused(verb: str, source: str, target: str, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        build(verb, source, target, **fields)
    assert refused.value.remedy
