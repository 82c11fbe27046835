"""The contract of the store port: deletions, and the reconciliation of each key's own answer."""

from __future__ import annotations

import pytest

from bucket_brigade.errors import NotFound, TransferError
from bucket_brigade.s3.store import DeleteKey, Store
from tests.contract.actions import list_all, whole
from tests.contract.quirks import Quirk, Quirks

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_deleted_object_is_gone(store: Store, bucket: str) -> None:
    await store.put_object(bucket, "key", b"content")

    await store.delete_object(bucket, "key")

    with pytest.raises(NotFound):
        await store.head_object(bucket, "key")


async def test_deleting_a_missing_key_is_no_error(store: Store, bucket: str) -> None:
    await store.delete_object(bucket, "missing")

    assert await store.delete_objects(bucket, whole("missing", "missing too")) == {}


async def test_delete_objects_removes_those_and_no_others(store: Store, bucket: str) -> None:
    for key in ("a", "b", "c", "d"):
        await store.put_object(bucket, key, b"content")

    assert await store.delete_objects(bucket, whole("a", "missing", "c")) == {}

    assert [entry.key for entry in await list_all(store, bucket)] == ["b", "d"]


async def test_a_thousand_keys_go_in_one_request(store: Store, bucket: str) -> None:
    await store.put_object(bucket, "key-0500", b"content")

    assert await store.delete_objects(bucket, whole(*(f"key-{number:04}" for number in range(1000)))) == {}

    assert await list_all(store, bucket) == []


async def test_key_named_twice_is_answered_twice(store: Store, bucket: str) -> None:
    await store.put_object(bucket, "key", b"content")

    assert await store.delete_objects(bucket, whole("key", "key")) == {}


async def test_keys_of_a_missing_bucket_are_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.delete_objects("no-such-bucket-here", whole("a"))


async def test_conditional_delete_keeps_a_changed_object(store: Store, bucket: str, quirks: Quirks) -> None:
    before = await store.put_object(bucket, "key", b"content")
    await store.put_object(bucket, "key", b"another")

    with quirks.refused(TransferError, unless=Quirk.DELETES_REGARDLESS_OF_ETAG):
        await store.delete_object(bucket, "key", if_match=before.etag)

    if Quirk.DELETES_REGARDLESS_OF_ETAG not in quirks:
        assert (await store.head_object(bucket, "key")).size == 7


async def test_conditional_delete_removes_an_unchanged_object(store: Store, bucket: str) -> None:
    written = await store.put_object(bucket, "key", b"content")

    await store.delete_object(bucket, "key", if_match=written.etag)

    with pytest.raises(NotFound):
        await store.head_object(bucket, "key")


async def test_delete_objects_names_the_key_whose_etag_changed(store: Store, bucket: str, quirks: Quirks) -> None:
    before = await store.put_object(bucket, "changed", b"content")
    await store.put_object(bucket, "changed", b"another")
    same = await store.put_object(bucket, "same", b"content")
    keys = [DeleteKey("same", None, same.etag), DeleteKey("changed", None, before.etag)]

    errors = await store.delete_objects(bucket, keys)

    left = [entry.key for entry in await list_all(store, bucket)]
    if Quirk.DELETES_MANY_REGARDLESS_OF_ETAG in quirks:
        assert (errors, left) == ({}, [])
    else:
        assert {index: error.code for index, error in errors.items()} == {1: "PreconditionFailed"}
        assert left == ["changed"]
