"""What the stores are asked before anything has changed, and how their refusals are told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.fakes.faulty_store import Fault, FaultyStore
from tests.fakes.memory_store import MemoryStore

from bucket_brigade.errors import AccessDenied, ConfigError, ConnectionLost, TransferError
from bucket_brigade.jobs.preflight import check_source, check_target, look_at
from bucket_brigade.model.job import Job, Operation
from bucket_brigade.model.location import LocalPath, Location, S3Location
from bucket_brigade.model.transfer import JobId
from bucket_brigade.planning.sources import SourceEntry

EVERYTHING = S3Location(endpoint="mini", bucket="b", key="p/", recursive=True)
ONE = S3Location(endpoint="mini", bucket="b", key="p/f")


def job(source: Location = EVERYTHING, target: Location = EVERYTHING) -> Job:
    return Job(id=JobId("j"), operation=Operation.COPY, source=source, target=target)


def refusing(operation: str, error: TransferError, *more: Fault) -> FaultyStore:
    return FaultyStore(MemoryStore("b"), [Fault(operation=operation, does=error, times=None), *more])


async def test_what_is_there_is_taken_without_a_word() -> None:
    store = MemoryStore("b")
    await check_source(job(), store)
    await check_target(job(), store)
    assert store.requests == {"list_objects": 1, "head_bucket": 1}


async def test_a_missing_bucket_is_named_with_the_command_that_makes_it() -> None:
    for check in (check_source, check_target):
        with pytest.raises(ConfigError, match="the bucket mini://b does not exist") as caught:
            await check(job(), MemoryStore())
        assert "brigade mb mini://b" in caught.value.remedy


async def test_a_missing_object_is_named_with_how_to_look_for_it() -> None:
    with pytest.raises(ConfigError, match="mini://b/p/f does not exist") as caught:
        await look_at(job(ONE), MemoryStore("b"))
    assert "brigade ls mini://b/" in caught.value.remedy
    with pytest.raises(ConfigError, match="the bucket mini://b does not exist"):
        await look_at(job(ONE), MemoryStore())


async def test_one_object_or_file_is_planned_as_it_was_seen(tmp_path: Path) -> None:
    store = MemoryStore("b")
    written = await store.put_object("b", "p/f", b"123")
    head = await store.head_object("b", "p/f")
    assert await look_at(job(ONE), store) == SourceEntry("f", "p/f", 3, written.etag, head.modified_ns)
    (tmp_path / "f").write_bytes(b"1234")
    status = os.stat(tmp_path / "f")
    assert await look_at(job(LocalPath(path=str(tmp_path / "f"))), None) == SourceEntry(
        "f", "f", 4, "", status.st_mtime_ns
    )


async def test_who_may_write_but_not_look_is_let_through() -> None:
    denied = AccessDenied("no", code="AccessDenied", status=403)
    store = refusing("head_bucket", denied, Fault(operation="list_objects", does=denied))
    await check_target(job(), store.as_store)


async def test_refused_credentials_are_told_apart_from_a_missing_permission() -> None:
    unknown = AccessDenied("the key is unknown", code="InvalidAccessKeyId", status=403)
    store = refusing("head_bucket", AccessDenied("no", status=403), Fault(operation="list_objects", does=unknown))
    with pytest.raises(ConfigError, match="the key is unknown") as caught:
        await check_target(job(), store.as_store)
    assert caught.value.remedy


async def test_an_endpoint_that_does_not_answer_is_told_with_a_remedy() -> None:
    lost = ConnectionLost("nobody listens there")
    for check, operation in ((check_source, "list_objects"), (check_target, "head_bucket")):
        with pytest.raises(ConfigError, match="nobody listens there") as caught:
            await check(job(), refusing(operation, lost).as_store)
        assert caught.value.remedy
