"""``set``, ``unarchive``, ``--no-clobber``: the installed command against servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bucket_brigade.errors import TransferError
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.s3.store import Store
from tests.integration.buckets import put_all, read_all, store_of
from tests.integration.program import Program
from tests.samples import make_tree, read_tree
from tests.servers import RunningServer

OK, USAGE, SOME_FAILED = 0, 2, 3


@pytest.fixture
def brigade(program: Program, ministack: RunningServer, moto: RunningServer, rclone: RunningServer) -> Program:
    program.configure({"mini": ministack, "moto": moto, "other": rclone})
    return program


@pytest.fixture
async def archive(moto: RunningServer) -> AsyncIterator[Store]:
    """The server that has archive classes."""
    async with store_of(moto) as store:
        yield store


async def test_tags_and_headers_are_set_in_bulk(brigade: Program, bucket: str, mini: Store) -> None:
    await mini.create_bucket(bucket)
    await put_all(mini, bucket, "p/", {f"f{i}": b"content" for i in range(20)})
    ended = brigade("set", f"mini://{bucket}/p/", "--tags", "team=a b,stage=2", "--json")
    assert ended.document["counters"]["done"] == 20
    assert await mini.get_object_tags(bucket, "p/f3") == (("team", "a b"), ("stage", "2"))
    before = await mini.head_object(bucket, "p/f3")

    brigade("set", f"mini://{bucket}/p/", "--cache-control", "max-age=60", "--metadata", "a=1", "--exclude", "*f4")
    after = await mini.head_object(bucket, "p/f3")
    assert (after.attributes.cache_control, dict(after.attributes.metadata or ())) == ("max-age=60", {"a": "1"})
    assert (after.etag, after.attributes.content_type) == (before.etag, before.attributes.content_type)
    assert await mini.get_object_tags(bucket, "p/f3") == (("team", "a b"), ("stage", "2"))
    assert (await mini.head_object(bucket, "p/f4")).attributes.cache_control is None
    assert await read_all(mini, bucket, "p/") == {f"f{i}": b"content" for i in range(20)}

    brigade("set", f"mini://{bucket}/p/f3", "--tags", "")
    assert await mini.get_object_tags(bucket, "p/f3") == ()


async def test_setting_nothing_is_refused(brigade: Program, bucket: str, mini: Store) -> None:
    await mini.create_bucket(bucket)
    ended = brigade("set", f"mini://{bucket}/p/", code=USAGE)
    assert "nothing to set" in ended.err


async def test_archived_objects_are_restored_and_copied(
    brigade: Program, bucket: str, archive: Store, tmp_path: Path
) -> None:
    await archive.create_bucket(bucket)
    glacier = ObjectAttributes(storage_class="GLACIER")
    await archive.put_object(bucket, "cold", b"cold", attributes=glacier)
    await archive.put_object(bucket, "warm", b"warm")
    with pytest.raises(TransferError, match="InvalidObjectState"):
        await archive.get_object(bucket, "cold", memoryview(bytearray(4)))

    ended = brigade("cp", f"moto://{bucket}/", f"{tmp_path}/down/", "--json", code=SOME_FAILED)
    [failure] = ended.document["failures"]
    assert (failure["source"], failure["code"]) == ("cold", "InvalidObjectState")
    assert "unarchive" in failure["message"]

    ended = brigade("unarchive", f"moto://{bucket}/", "--days", "2", "--wait", "--json")
    assert (ended.document["counters"]["done"], ended.document["counters"]["skipped"]) == (1, 1)
    brigade("cp", f"moto://{bucket}/", f"{tmp_path}/down/")
    assert read_tree(tmp_path / "down") == {"cold": b"cold", "warm": b"warm"}

    await archive.put_object(bucket, "colder", b"colder", attributes=glacier)
    brigade("cp", f"moto://{bucket}/", f"{tmp_path}/again/", "--unarchive")
    assert read_tree(tmp_path / "again") == {"cold": b"cold", "colder": b"colder", "warm": b"warm"}


@pytest.mark.parametrize("endpoint", ["mini", "other"])
async def test_no_clobber_leaves_what_is_there(
    brigade: Program, bucket: str, mini: Store, other: Store, tmp_path: Path, endpoint: str
) -> None:
    store = mini if endpoint == "mini" else other
    await store.create_bucket(bucket)
    await put_all(store, bucket, "p/", {"a": b"old"})
    make_tree(tmp_path / "source", {"a": b"new", "b": b"new"})
    ended = brigade("cp", f"{tmp_path}/source/", f"{endpoint}://{bucket}/p/", "--no-clobber", "--json")
    assert (ended.document["counters"]["done"], ended.document["counters"]["skipped"]) == (1, 1)
    assert await read_all(store, bucket, "p/") == {"a": b"old", "b": b"new"}

    make_tree(tmp_path / "target", {"b": b"mine"})
    brigade("cp", f"{endpoint}://{bucket}/p/", f"{tmp_path}/target/", "--no-clobber")
    assert read_tree(tmp_path / "target") == {"a": b"old", "b": b"mine"}
