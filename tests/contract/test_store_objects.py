"""The contract of the store port: whole objects, ranges, pins."""

from __future__ import annotations

import base64
import hashlib

import pytest

from bucket_brigade.errors import (
    ChecksumMismatch,
    NotFound,
    NotSupported,
    PermanentError,
    SourceChanged,
    TransferError,
)
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.s3.store import Pin, Store
from tests.contract.actions import read, read_range
from tests.contract.quirks import Quirk, Quirks
from tests.fakes.memory_bucket import base64_of, crc64nvme_of
from tests.samples import patterned_bytes

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIB = 1 << 20
FULL = ObjectAttributes(
    content_type="text/x-brigade",
    content_encoding="gzip",
    content_disposition='attachment; filename="a b.txt"',
    content_language="de",
    cache_control="max-age=60",
    metadata=(("owner", "somebody"), ("purpose", "a test; with=signs")),
)


@pytest.mark.parametrize("size", [0, 1, 4096, 5 * MIB + 1])
async def test_object_comes_back_as_it_went(store: Store, bucket: str, size: int) -> None:
    body = patterned_bytes(size)

    written = await store.put_object(bucket, "key", body, crc64nvme=crc64nvme_of(body))

    assert await read(store, bucket, "key", size) == body
    head = await store.head_object(bucket, "key")
    assert (head.size, head.etag) == (size, written.etag)
    assert written.etag == f'"{hashlib.md5(body).hexdigest()}"'


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_every_kind_of_body_is_taken(store: Store, bucket: str, kind: type) -> None:
    await store.put_object(bucket, "key", kind(b"content"))

    assert await read(store, bucket, "key", 7) == b"content"


async def test_part_of_a_larger_buffer_is_filled(store: Store, bucket: str) -> None:
    await store.put_object(bucket, "key", memoryview(b"xxcontentxx")[2:-2])
    into = bytearray(b"." * 11)

    await store.get_object(bucket, "key", memoryview(into)[2:-2])

    assert into == b"..content.."


async def test_write_replaces_the_object(store: Store, bucket: str) -> None:
    await store.put_object(bucket, "key", b"first, and longer")
    await store.put_object(bucket, "key", b"second")

    assert await read(store, bucket, "key", 6) == b"second"


async def test_receipt_and_head_state_the_checksum(store: Store, bucket: str, quirks: Quirks) -> None:
    body = b"content"
    crc = crc64nvme_of(body)

    written = await store.put_object(bucket, "key", body, crc64nvme=crc)
    head = await store.head_object(bucket, "key")

    if Quirk.STATES_NO_CHECKSUM in quirks:
        assert head.checksums == {}
    else:
        assert head.checksums == {"CRC64NVME": base64_of(crc)}
    if Quirk.RECEIPT_WITHOUT_CHECKSUM in quirks:
        assert written.crc64nvme is None
    else:
        assert written.crc64nvme == crc


async def test_wrong_checksum_is_refused(store: Store, bucket: str, quirks: Quirks) -> None:
    with quirks.refused(ChecksumMismatch, unless=Quirk.TRUSTS_ANY_CHECKSUM):
        await store.put_object(bucket, "key", b"content", crc64nvme=crc64nvme_of(b"another"))

    if Quirk.TRUSTS_ANY_CHECKSUM not in quirks:
        with pytest.raises(NotFound):
            await store.head_object(bucket, "key")


async def test_attributes_are_kept(store: Store, bucket: str) -> None:
    await store.put_object(bucket, "key", b"content", attributes=FULL)

    attributes = (await store.head_object(bucket, "key")).attributes

    assert attributes.content_type == FULL.content_type
    assert sorted(attributes.metadata or ()) == sorted(FULL.metadata or ())
    others = ("content_encoding", "content_disposition", "content_language", "cache_control")
    assert {name: getattr(attributes, name) for name in others} == {name: getattr(FULL, name) for name in others}


async def test_get_tells_what_head_tells(store: Store, bucket: str) -> None:
    await store.put_object(bucket, "key", b"content", attributes=FULL)

    got = await store.get_object(bucket, "key", memoryview(bytearray(7)))
    head = await store.head_object(bucket, "key")

    assert (got.size, got.etag, got.attributes) == (head.size, head.etag, head.attributes)
    assert got.modified_ns == head.modified_ns


async def test_modification_time_is_that_of_the_write(store: Store, bucket: str) -> None:
    await store.put_object(bucket, "first", b"")
    await store.put_object(bucket, "second", b"")

    first, second = [(await store.head_object(bucket, key)).modified_ns for key in ("first", "second")]

    year_ns = 365 * 86_400 * 1_000_000_000
    assert 50 * year_ns < first <= second < 200 * year_ns


async def test_tags_are_kept_and_counted(store: Store, bucket: str, quirks: Quirks) -> None:
    tags = (("project", "brigade"), ("with space", "a+b=c:d/e@f._-"))
    if Quirk.NO_TAGS in quirks:
        await store.put_object(bucket, "key", b"content", attributes=ObjectAttributes(tagging=tags))
        with pytest.raises(NotSupported):
            await store.get_object_tags(bucket, "key")
        return

    await store.put_object(bucket, "key", b"content", attributes=ObjectAttributes(tagging=tags))

    assert sorted(await store.get_object_tags(bucket, "key")) == sorted(tags)
    head = await store.head_object(bucket, "key")
    assert head.tag_count == (0 if Quirk.COUNTS_NO_TAGS in quirks else 2)
    assert head.attributes.tagging is None


async def test_object_without_tags_has_none(store: Store, bucket: str, quirks: Quirks) -> None:
    await store.put_object(bucket, "key", b"content")

    if Quirk.NO_TAGS in quirks:
        with pytest.raises(NotSupported):
            await store.get_object_tags(bucket, "key")
    else:
        assert await store.get_object_tags(bucket, "key") == ()


# --- ranges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "length"), [(0, 1), (0, 10_000), (1, 4096), (9_999, 1), (5_000, 5_000)])
async def test_range_is_exactly_what_was_asked_for(store: Store, bucket: str, start: int, length: int) -> None:
    body = patterned_bytes(10_000)
    await store.put_object(bucket, "key", body)

    part, head = await read_range(store, bucket, "key", start, length)

    assert part == body[start : start + length]
    assert head.size == 10_000


async def test_checksum_of_the_whole_is_not_given_for_a_range_as_its_own(store: Store, bucket: str) -> None:
    body = patterned_bytes(10_000)
    await store.put_object(bucket, "key", body, crc64nvme=crc64nvme_of(body))

    _, head = await read_range(store, bucket, "key", 1000, 1000)

    assert head.checksums in ({}, {"CRC64NVME": base64_of(crc64nvme_of(body))})


@pytest.mark.parametrize("start", [7, 8, 1000])
async def test_range_beyond_the_end_is_refused(store: Store, bucket: str, start: int) -> None:
    await store.put_object(bucket, "key", b"content")

    with pytest.raises(TransferError):
        await read_range(store, bucket, "key", start, 10)


async def test_range_that_ends_early_is_refused(store: Store, bucket: str) -> None:
    await store.put_object(bucket, "key", b"content")

    with pytest.raises(TransferError):
        await read_range(store, bucket, "key", 3, 10)


# --- the object is not what was planned --------------------------------------------------------------------------------


@pytest.mark.parametrize("planned", [0, 6, 8, 100_000])
async def test_object_of_another_size_has_changed(store: Store, bucket: str, planned: int) -> None:
    await store.put_object(bucket, "key", b"content")

    with pytest.raises(SourceChanged):
        await read(store, bucket, "key", planned)


async def test_pinned_read_gets_what_was_pinned(store: Store, bucket: str) -> None:
    written = await store.put_object(bucket, "key", b"content")

    assert await read(store, bucket, "key", 7, pin=Pin(written.etag)) == b"content"
    assert (await store.head_object(bucket, "key", pin=Pin(written.etag))).etag == written.etag


async def test_object_replaced_by_another_of_its_size_has_changed(store: Store, bucket: str) -> None:
    before = await store.put_object(bucket, "key", b"content")
    await store.put_object(bucket, "key", b"CONTENT")

    with pytest.raises(SourceChanged):
        await read(store, bucket, "key", 7, pin=Pin(before.etag))


async def test_missing_object_is_not_found(store: Store, bucket: str) -> None:
    with pytest.raises(NotFound) as get:
        await read(store, bucket, "missing", 1)
    with pytest.raises(NotFound) as head:
        await store.head_object(bucket, "missing")

    assert (get.value.code, get.value.status) == ("NoSuchKey", 404)
    assert (head.value.code, head.value.status) == ("NoSuchKey", 404)


async def test_missing_bucket_is_not_found(store: Store) -> None:
    for request in (
        store.put_object("no-such-bucket-here", "key", b""),
        store.head_object("no-such-bucket-here", "key"),
        store.get_object("no-such-bucket-here", "key", memoryview(bytearray(1))),
    ):
        with pytest.raises(NotFound):
            await request


async def test_key_of_1025_bytes_is_refused(store: Store, bucket: str, quirks: Quirks) -> None:
    with quirks.refused(PermanentError, unless=Quirk.TAKES_ANY_KEY_LENGTH):
        await store.put_object(bucket, "k" * 1025, b"content")


async def test_etag_is_not_the_checksum_in_disguise(store: Store, bucket: str) -> None:
    written = await store.put_object(bucket, "key", b"content")

    assert written.etag.startswith('"')
    assert written.etag.endswith('"')
    assert base64_of(crc64nvme_of(b"content")) not in written.etag
    assert base64.b16decode(written.etag.strip('"').upper())
