"""The contract of the store port: multipart uploads, part by part."""

from __future__ import annotations

import pytest

from bucket_brigade.errors import ChecksumMismatch, NotFound, SourceChanged, StoreUnavailable, TransferError
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.model.parts import MIN_PART_BYTES
from bucket_brigade.s3.store import PartReceipt, Pin, Store
from tests.contract.actions import read, upload_parts
from tests.contract.quirks import Quirk, Quirks
from tests.fakes.memory_bucket import base64_of, crc64nvme_of
from tests.samples import patterned_bytes

pytestmark = pytest.mark.asyncio(loop_scope="session")

LARGE, LAST = patterned_bytes(MIN_PART_BYTES), patterned_bytes(1234, seed=1)


@pytest.fixture
def first(quirks: Quirks) -> bytes:
    """Return the first part of two: as large as it must be, for some servers here take seconds over 5 MiB."""
    return LARGE[:10_000] if Quirk.TAKES_SMALL_PARTS in quirks else LARGE


async def test_parts_become_one_object(store: Store, bucket: str, quirks: Quirks) -> None:
    body = LARGE + LAST
    attributes = ObjectAttributes(content_type="text/x-brigade", metadata=(("owner", "somebody"),))
    upload_id, receipts = await upload_parts(store, bucket, "a key", [LARGE, LAST], attributes=attributes)

    written = await store.complete_multipart_upload(bucket, "a key", upload_id, receipts, size=len(body))

    assert written.etag.endswith('-2"')
    assert await read(store, bucket, "a key", len(body)) == body
    head = await store.head_object(bucket, "a key")
    assert head.size == len(body)
    assert (head.etag == written.etag) is (Quirk.RENAMES_JOINED_ETAG not in quirks)
    assert head.attributes.content_type == "text/x-brigade"
    assert head.attributes.metadata == (("owner", "somebody"),)


async def test_joined_object_states_the_checksum_of_the_whole(
    store: Store, bucket: str, quirks: Quirks, first: bytes
) -> None:
    body = first + LAST
    upload_id, receipts = await upload_parts(store, bucket, "key", [first, LAST])
    crc = crc64nvme_of(body)
    await store.complete_multipart_upload(bucket, "key", upload_id, receipts, size=len(body), crc64nvme=crc)

    stated = (await store.head_object(bucket, "key")).checksums

    assert stated == ({} if Quirk.STATES_NO_CHECKSUM_OF_UPLOADS in quirks else {"CRC64NVME": base64_of(crc)})


async def test_parts_may_come_in_any_order(store: Store, bucket: str, first: bytes) -> None:
    body = first + LAST
    upload_id = await store.create_multipart_upload(bucket, "key")
    second = await store.upload_part(bucket, "key", upload_id, 2, LAST)
    written = await store.upload_part(bucket, "key", upload_id, 1, first)
    receipts = [PartReceipt(1, written.etag, len(first)), PartReceipt(2, second.etag, len(LAST))]

    await store.complete_multipart_upload(bucket, "key", upload_id, receipts, size=len(body))

    assert await read(store, bucket, "key", len(body)) == body


async def test_part_written_again_replaces_the_former(store: Store, bucket: str, quirks: Quirks) -> None:
    upload_id = await store.create_multipart_upload(bucket, "key")
    await store.upload_part(bucket, "key", upload_id, 1, b"former")
    if Quirk.REFUSES_TO_REPLACE_PARTS in quirks:
        with pytest.raises(TransferError):
            await store.upload_part(bucket, "key", upload_id, 1, b"newer one")
        return
    newer = await store.upload_part(bucket, "key", upload_id, 1, b"newer one")

    await store.complete_multipart_upload(bucket, "key", upload_id, [PartReceipt(1, newer.etag, 9)], size=9)

    assert await read(store, bucket, "key", 9) == b"newer one"


async def test_empty_object_can_be_one_empty_part(store: Store, bucket: str) -> None:
    upload_id, receipts = await upload_parts(store, bucket, "key", [b""])

    await store.complete_multipart_upload(bucket, "key", upload_id, receipts, size=0)

    assert (await store.head_object(bucket, "key")).size == 0


async def test_nothing_is_visible_before_the_upload_is_complete(store: Store, bucket: str) -> None:
    upload_id, _ = await upload_parts(store, bucket, "key", [LAST])

    with pytest.raises(NotFound):
        await store.head_object(bucket, "key")
    await store.abort_multipart_upload(bucket, "key", upload_id)


async def test_parts_are_listed_by_number_with_size_and_etag(store: Store, bucket: str, first: bytes) -> None:
    upload_id, receipts = await upload_parts(store, bucket, "a key/ü+%", [first, LAST])

    listed = await store.list_parts(bucket, "a key/ü+%", upload_id)

    assert [(part.number, part.etag, part.size) for part in listed] == [
        (part.number, part.etag, part.size) for part in receipts
    ]
    assert all(part.crc64nvme in (None, sent.crc64nvme) for part, sent in zip(listed, receipts, strict=True))


async def test_upload_in_progress_is_listed_until_it_is_aborted(store: Store, bucket: str) -> None:
    upload_id, _ = await upload_parts(store, bucket, "folder/a key+ü", [LAST])
    await store.create_multipart_upload(bucket, "other")

    page = await store.list_multipart_uploads(bucket, prefix="folder/")
    await store.abort_multipart_upload(bucket, "folder/a key+ü", upload_id)
    after = await store.list_multipart_uploads(bucket, prefix="folder/")

    assert [(one.key, one.upload_id) for one in page.uploads] == [("folder/a key+ü", upload_id)]
    assert page.next_markers is None
    assert after.uploads == []


async def test_completed_upload_is_no_longer_listed(store: Store, bucket: str) -> None:
    upload_id, receipts = await upload_parts(store, bucket, "key", [LAST])
    await store.complete_multipart_upload(bucket, "key", upload_id, receipts, size=len(LAST))

    assert (await store.list_multipart_uploads(bucket)).uploads == []


# --- what is refused -------------------------------------------------------------------------------------------------


async def test_unknown_upload_is_not_found(store: Store, bucket: str, quirks: Quirks) -> None:
    unknown = await store.create_multipart_upload(bucket, "key")
    await store.abort_multipart_upload(bucket, "key", unknown)

    never = PartReceipt(1, '"00000000000000000000000000000000"', 1)
    error = StoreUnavailable if Quirk.FAILS_ON_UNKNOWN_UPLOADS in quirks else NotFound
    with pytest.raises(error) as part:
        await store.upload_part(bucket, "key", unknown, 1, LAST)
    with pytest.raises(error) as complete:
        await store.complete_multipart_upload(bucket, "key", unknown, [never], size=1)
    with pytest.raises(NotFound) as parts:
        await store.list_parts(bucket, "key", unknown)

    assert parts.value.code == "NoSuchUpload"
    assert part.value.code == complete.value.code == ("NoSuchUpload" if error is NotFound else "InternalError")


async def test_aborting_twice_is_no_error(store: Store, bucket: str) -> None:
    upload_id, _ = await upload_parts(store, bucket, "key", [LAST])

    await store.abort_multipart_upload(bucket, "key", upload_id)
    await store.abort_multipart_upload(bucket, "key", upload_id)


async def test_part_with_a_wrong_checksum_is_refused(store: Store, bucket: str, quirks: Quirks) -> None:
    upload_id = await store.create_multipart_upload(bucket, "key")

    with quirks.refused(ChecksumMismatch, unless=Quirk.TRUSTS_ANY_CHECKSUM_OF_PARTS):
        await store.upload_part(bucket, "key", upload_id, 1, LAST, crc64nvme=crc64nvme_of(b"another"))
    await store.abort_multipart_upload(bucket, "key", upload_id)


async def test_whole_with_a_wrong_checksum_is_refused(store: Store, bucket: str, quirks: Quirks, first: bytes) -> None:
    body = first + LAST
    upload_id, receipts = await upload_parts(store, bucket, "key", [first, LAST])

    with quirks.refused(TransferError, unless=Quirk.TRUSTS_ANY_CHECKSUM_OF_UPLOADS):
        await store.complete_multipart_upload(
            bucket, "key", upload_id, receipts, size=len(body), crc64nvme=crc64nvme_of(b"another")
        )


async def test_whole_of_another_size_is_refused(store: Store, bucket: str, quirks: Quirks, first: bytes) -> None:
    body = first + LAST
    upload_id, receipts = await upload_parts(store, bucket, "key", [first, LAST])

    with quirks.refused(TransferError, unless=Quirk.TRUSTS_ANY_SIZE):
        await store.complete_multipart_upload(bucket, "key", upload_id, receipts, size=len(body) + 1)


async def test_part_that_was_never_written_is_refused(store: Store, bucket: str, quirks: Quirks) -> None:
    upload_id, [receipt] = await upload_parts(store, bucket, "key", [LAST])
    wrong = PartReceipt(1, '"00000000000000000000000000000000"', len(LAST))

    with pytest.raises(TransferError):
        await store.complete_multipart_upload(
            bucket, "key", upload_id, [receipt, PartReceipt(2, receipt.etag, len(LAST))], size=2 * len(LAST)
        )
    with quirks.refused(TransferError, unless=Quirk.TRUSTS_ANY_PART_ETAG):
        await store.complete_multipart_upload(bucket, "key", upload_id, [wrong], size=len(LAST))


async def test_small_part_before_the_last_is_refused(store: Store, bucket: str, quirks: Quirks) -> None:
    upload_id, receipts = await upload_parts(store, bucket, "key", [b"tiny", LAST])

    with quirks.refused(TransferError, unless=Quirk.TAKES_SMALL_PARTS):
        await store.complete_multipart_upload(bucket, "key", upload_id, receipts, size=4 + len(LAST))


# --- parts copied on the server --------------------------------------------------------------------------------------


async def test_part_is_filled_from_a_range(store: Store, bucket: str, quirks: Quirks, first: bytes) -> None:
    body = first + LAST
    source = await store.put_object(bucket, "a source/ü+%", body)
    upload_id = await store.create_multipart_upload(bucket, "target")

    async def copy(number: int, start: int, length: int) -> PartReceipt:
        written = await store.upload_part_copy(
            bucket,
            "target",
            upload_id,
            number,
            source_bucket=bucket,
            source_key="a source/ü+%",
            start=start,
            length=length,
            pin=Pin(source.etag),
        )
        return PartReceipt(number, written.etag, length)

    if Quirk.COPIES_NO_PARTS in quirks:
        with pytest.raises(TransferError):
            await copy(1, 0, len(first))
        return
    receipts = [await copy(1, 0, len(first)), await copy(2, len(first), len(LAST))]
    await store.complete_multipart_upload(bucket, "target", upload_id, receipts, size=len(body))

    assert await read(store, bucket, "target", len(body)) == body


async def test_part_of_a_replaced_source_has_changed(store: Store, bucket: str, quirks: Quirks) -> None:
    before = await store.put_object(bucket, "source", b"content")
    await store.put_object(bucket, "source", b"CONTENT")
    upload_id = await store.create_multipart_upload(bucket, "target")
    expected = TransferError if Quirk.COPIES_NO_PARTS in quirks else SourceChanged

    with quirks.refused(expected, unless=Quirk.IGNORES_PART_SOURCE_IF_MATCH):
        await store.upload_part_copy(
            bucket,
            "target",
            upload_id,
            1,
            source_bucket=bucket,
            source_key="source",
            start=0,
            length=7,
            pin=Pin(before.etag),
        )
