"""The contract of the store port: the history of a key comes in its order, however fast it was made."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from bucket_brigade.errors import TransferError
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.s3.store import DeleteKey, ListedVersion, Pin, Store
from tests.contract.quirks import Quirk, Quirks

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_versions_and_markers_of_one_second_keep_their_order(
    store: Store, versioned: str, quirks: Quirks
) -> None:
    for key in ("a", "b"):
        for body in (b"1", b"22"):
            await store.put_object(versioned, key, body)
            await store.delete_object(versioned, key)
            await store.delete_object(versioned, key)
        await store.put_object(versioned, key, b"333")

    for page_size in (1000, 3):
        found = await _all(store, versioned, page_size=page_size)
        expected = [
            (key, size, is_latest)
            for key in ("a", "b")
            for size, is_latest in [(3, True), *((size, False) for size in (None, None, 2, None, None, 1))]
        ]
        if Quirk.LISTS_MARKERS_APART in quirks:
            assert [_shown(one) for one in found] != expected
            assert sorted(map(str, map(_shown, found))) == sorted(map(str, expected))
        else:
            assert [_shown(one) for one in found] == expected


async def test_a_listing_tells_classes_and_ids(store: Store, versioned: str) -> None:
    written = await store.put_object(versioned, "key", b"1")
    await store.delete_object(versioned, "key")

    marker, version = await _all(store, versioned)

    assert (version.version_id, version.storage_class) == (written.version_id, "STANDARD")
    assert (marker.size, marker.etag, marker.storage_class) == (0, "", "")
    assert marker.version_id not in ("", "null", version.version_id)


async def test_a_listing_goes_on_behind_a_key(store: Store, versioned: str, quirks: Quirks) -> None:
    for key in ("a", "b", "b", "c"):
        await store.put_object(versioned, key, b"1")

    page = await store.list_object_versions(versioned, markers=("b", ""))

    assert [one.key for one in page.versions] == ["b", "c"][Quirk.REPEATS_MARKER_KEYS not in quirks :]


async def test_a_marker_that_is_gone_is_not_to_be_relied_on(store: Store, versioned: str, quirks: Quirks) -> None:
    """Nobody documents what follows it; these leave the key's older versions out, so planners keep it alive."""
    for key in ("a", "a", "a", "b"):
        await store.put_object(versioned, key, b"1")
    newest, middle, oldest, other = await _all(store, versioned)
    await store.delete_objects(versioned, [DeleteKey(one.key, one.version_id) for one in (newest, middle)])

    page = await store.list_object_versions(versioned, markers=("a", middle.version_id))

    lost = 2 if Quirk.ENDS_BEHIND_LOST_MARKERS in quirks else 1
    assert page.versions == [oldest, other][lost:]


async def test_a_range_of_an_old_version_can_be_read(store: Store, versioned: str, quirks: Quirks) -> None:
    old = await store.put_object(versioned, "key", b"0123456789")
    await store.put_object(versioned, "key", b"another")
    into = bytearray(3)

    with pytest.raises(TransferError) if Quirk.IGNORES_RANGES_OF_VERSIONS in quirks else nullcontext():
        await store.get_object(versioned, "key", memoryview(into), start=4, pin=Pin(old.etag, old.version_id))
        assert into == b"456"


async def test_an_old_version_can_be_copied_over_the_present_one(store: Store, versioned: str) -> None:
    kept = ObjectAttributes(content_type="x/y", metadata=(("a", "1"),))
    old = await store.put_object(versioned, "a key+ü", b"old", attributes=kept)
    await store.put_object(versioned, "a key+ü", b"present")
    await store.delete_object(versioned, "a key+ü")

    await store.copy_object(
        versioned, "a key+ü", source_bucket=versioned, source_key="a key+ü", pin=Pin(old.etag, old.version_id)
    )

    head = await store.head_object(versioned, "a key+ü")
    assert (head.etag, head.attributes.content_type, head.attributes.metadata) == (old.etag, "x/y", (("a", "1"),))
    assert len(await _all(store, versioned)) == 4


async def test_tags_of_a_version_outlive_a_marker(store: Store, versioned: str, quirks: Quirks) -> None:
    tags = (("a", "1"),)
    written = await store.put_object(versioned, "key", b"1", attributes=ObjectAttributes(tagging=tags))
    await store.delete_object(versioned, "key")

    with pytest.raises(TransferError) if Quirk.HIDES_TAGS_BEHIND_MARKERS in quirks else nullcontext():
        assert await store.get_object_tags(versioned, "key", version_id=written.version_id) == tags


async def _all(store: Store, bucket: str, *, page_size: int = 1000) -> list[ListedVersion]:
    page = await store.list_object_versions(bucket, page_size=page_size)
    found = list(page.versions)
    while page.next_markers is not None:
        page = await store.list_object_versions(bucket, markers=page.next_markers, page_size=page_size)
        found += page.versions
    return found


def _shown(one: ListedVersion) -> tuple[str, int | None, bool]:
    return one.key, None if one.is_delete_marker else one.size, one.is_latest
