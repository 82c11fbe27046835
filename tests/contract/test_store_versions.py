"""The contract of the store port: a bucket that keeps versions."""

from __future__ import annotations

import pytest

from bucket_brigade.errors import NotFound, TransferError
from bucket_brigade.s3.store import DeleteKey, ListedVersion, Pin, Store
from tests.contract.actions import read
from tests.contract.quirks import Quirk, Quirks

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_pinned_version_outlives_its_successor(store: Store, versioned: str) -> None:
    first = await store.put_object(versioned, "key", b"first")
    await store.put_object(versioned, "key", b"second")

    assert first.version_id
    pin = Pin(first.etag, first.version_id)
    assert await read(store, versioned, "key", 5, pin=pin) == b"first"
    assert (await store.head_object(versioned, "key", pin=pin)).version_id == first.version_id
    assert await read(store, versioned, "key", 6) == b"second"


async def test_a_version_can_be_copied(store: Store, versioned: str) -> None:
    first = await store.put_object(versioned, "a key+ü", b"first")
    await store.put_object(versioned, "a key+ü", b"second")

    await store.copy_object(
        versioned,
        "copy",
        source_bucket=versioned,
        source_key="a key+ü",
        pin=Pin(first.etag, first.version_id),
    )

    assert await read(store, versioned, "copy", 5) == b"first"


async def test_delete_leaves_a_marker_and_the_versions(store: Store, versioned: str) -> None:
    written = await store.put_object(versioned, "key", b"content")

    await store.delete_object(versioned, "key")

    with pytest.raises(NotFound):
        await store.head_object(versioned, "key")
    marker, version = await _all_versions(store, versioned)
    assert (marker.key, marker.is_delete_marker, marker.is_latest) == ("key", True, True)
    assert (version.is_delete_marker, version.is_latest, version.version_id) == (False, False, written.version_id)
    assert (version.size, version.etag) == (7, written.etag)


async def test_deleting_the_marker_brings_the_object_back(store: Store, versioned: str) -> None:
    await store.put_object(versioned, "key", b"content")
    await store.delete_object(versioned, "key")
    [marker] = [one for one in await _all_versions(store, versioned) if one.is_delete_marker]

    await store.delete_object(versioned, "key", version_id=marker.version_id)

    assert await read(store, versioned, "key", 7) == b"content"


async def test_delete_objects_takes_versions(store: Store, versioned: str) -> None:
    for body in (b"1", b"22", b"333"):
        await store.put_object(versioned, "key", body)
    versions = await _all_versions(store, versioned)
    assert [one.size for one in versions] == [3, 2, 1]

    errors = await store.delete_objects(versioned, [DeleteKey("key", one.version_id) for one in versions[:2]])

    assert errors == {}
    assert await read(store, versioned, "key", 1) == b"1"


async def test_missing_version_is_not_found(store: Store, versioned: str, quirks: Quirks) -> None:
    written = await store.put_object(versioned, "key", b"content")
    await store.put_object(versioned, "key", b"another")
    assert written.version_id is not None
    await store.delete_object(versioned, "key", version_id=written.version_id)

    with pytest.raises(NotFound):
        await read(store, versioned, "key", 7, pin=Pin("", written.version_id))


async def test_versions_come_in_pages(store: Store, versioned: str) -> None:
    for key in ("a", "b b+", "c"):
        for body in (b"1", b"22"):
            await store.put_object(versioned, key, body)

    found = await _all_versions(store, versioned, page_size=2)

    assert [(one.key, one.size) for one in found] == [(key, size) for key in ("a", "b b+", "c") for size in (2, 1)]
    assert [one.key for one in await _all_versions(store, versioned, prefix="b")] == ["b b+", "b b+"]


async def test_bucket_without_versions_lists_its_objects(store: Store, bucket: str, quirks: Quirks) -> None:
    await store.put_object(bucket, "key", b"content")

    if Quirk.NO_VERSIONS in quirks:
        with pytest.raises(TransferError):
            await store.list_object_versions(bucket)
        return
    [one] = await _all_versions(store, bucket)

    assert (one.key, one.size, one.is_latest, one.is_delete_marker) == ("key", 7, True, False)


async def _all_versions(store: Store, bucket: str, *, prefix: str = "", page_size: int = 1000) -> list[ListedVersion]:
    page = await store.list_object_versions(bucket, prefix=prefix, page_size=page_size)
    found = list(page.versions)
    while page.next_markers is not None:
        page = await store.list_object_versions(bucket, prefix=prefix, page_size=page_size, markers=page.next_markers)
        assert len(page.versions) <= page_size
        found += page.versions
    return found
