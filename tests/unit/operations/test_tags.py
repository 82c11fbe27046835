from __future__ import annotations

import pytest
from tests.fakes.faulty_store import Fault, FaultyStore
from tests.fakes.memory_store import MemoryStore

from bucket_brigade.errors import AccessDenied, NotSupported
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.port import BucketSide
from bucket_brigade.operations.tags import TagReader
from bucket_brigade.s3.store import ObjectHead

TAGS = (("t", "1"),)
SILENT = ObjectHead(size=1, etag='"e"')
TELLING = ObjectHead(size=1, etag='"e"', tag_count=1)


async def tagged() -> MemoryStore:
    store = MemoryStore("b")
    await store.put_object("b", "k", b"x", attributes=ObjectAttributes(tagging=TAGS))
    return store


def transfer() -> Transfer:
    return Transfer("k", "k", 1)


async def test_tags_that_a_store_does_not_count_are_asked_for() -> None:
    store = await tagged()
    reader = TagReader(BucketSide(store, "e", "b"))
    assert await reader.read(transfer(), SILENT) == TAGS
    assert await reader.read(transfer(), SILENT) == TAGS


async def test_a_store_that_counted_once_is_relied_on() -> None:
    store = await tagged()
    reader = TagReader(BucketSide(store, "e", "b"))
    assert await reader.read(transfer(), TELLING) == TAGS
    assert await reader.read(transfer(), SILENT) == ()
    assert store.requests["get_object_tags"] == 1


async def test_a_store_without_tags_is_asked_once() -> None:
    store = await tagged()
    refusing = FaultyStore(store, [Fault(operation="get_object_tags", does=NotSupported("no"), times=None)])
    reader = TagReader(BucketSide(refusing.as_store, "e", "b"))
    assert [await reader.read(transfer(), SILENT) for _ in range(3)] == [(), (), ()]


async def test_tags_that_may_not_be_read_are_never_taken_for_none() -> None:
    store = await tagged()
    refusing = FaultyStore(store, [Fault(operation="get_object_tags", does=AccessDenied("no"), times=None)])
    reader = TagReader(BucketSide(refusing.as_store, "e", "b"))
    for _ in range(2):
        with pytest.raises(AccessDenied):
            await reader.read(transfer(), SILENT)


async def test_a_store_that_is_known_to_count_is_asked_once_whether_tags_may_be_read() -> None:
    store = await tagged()
    reader = TagReader(BucketSide(store, "e", "b", tells_tag_count=True))
    assert await reader.read(transfer(), SILENT) == TAGS
    assert [await reader.read(transfer(), SILENT) for _ in range(3)] == [(), (), ()]
    assert store.requests["get_object_tags"] == 1
