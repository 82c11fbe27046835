"""The contract of the store port: writes that depend on what is at their target."""

from __future__ import annotations

import pytest

from bucket_brigade.errors import NotFound, PreconditionFailed
from bucket_brigade.s3.store import Condition, PartReceipt, Pin, Store
from tests.contract.actions import read
from tests.contract.quirks import Quirk, Quirks

pytestmark = pytest.mark.asyncio(loop_scope="session")

ABSENT = Condition(if_absent=True)
OTHER = Condition(if_match='"00000000000000000000000000000000"')


async def test_what_is_absent_is_written(store: Store, bucket: str) -> None:
    await store.put_object(bucket, "new +ü", b"new", condition=ABSENT)
    assert await read(store, bucket, "new +ü", 3) == b"new"


async def test_what_is_there_is_not_replaced(store: Store, bucket: str, quirks: Quirks) -> None:
    await store.put_object(bucket, "key", b"old")
    with quirks.refused(PreconditionFailed, unless=Quirk.REPLACES_REGARDLESS):
        await store.put_object(bucket, "key", b"new", condition=ABSENT)


async def test_only_what_was_seen_is_replaced(store: Store, bucket: str, quirks: Quirks) -> None:
    seen = await store.put_object(bucket, "key", b"old")
    await store.put_object(bucket, "key", b"two", condition=Condition(if_match=seen.etag))
    assert await read(store, bucket, "key", 3) == b"two"
    with quirks.refused(PreconditionFailed, unless=Quirk.REPLACES_REGARDLESS):
        await store.put_object(bucket, "key", b"new", condition=OTHER)


async def test_what_is_gone_does_not_match(store: Store, bucket: str, quirks: Quirks) -> None:
    with quirks.refused((PreconditionFailed, NotFound), unless=Quirk.REPLACES_REGARDLESS):
        await store.put_object(bucket, "nothing", b"new", condition=OTHER)


async def test_a_copy_does_not_replace(store: Store, bucket: str, quirks: Quirks) -> None:
    written = await store.put_object(bucket, "source", b"new")
    await store.put_object(bucket, "key", b"old")
    source = {"source_bucket": bucket, "source_key": "source", "pin": Pin(written.etag)}
    await store.copy_object(bucket, "absent", condition=ABSENT, **source)  # type: ignore[arg-type]
    assert await read(store, bucket, "absent", 3) == b"new"
    with quirks.refused(PreconditionFailed, unless=Quirk.COPIES_REGARDLESS):
        await store.copy_object(bucket, "key", condition=ABSENT, **source)  # type: ignore[arg-type]


async def test_a_completion_does_not_replace(store: Store, bucket: str, quirks: Quirks) -> None:
    await store.put_object(bucket, "key", b"old")
    upload = await store.create_multipart_upload(bucket, "key")
    part = await store.upload_part(bucket, "key", upload, 1, b"new")
    receipt = PartReceipt(1, part.etag, 3, part.crc64nvme)
    with quirks.refused(PreconditionFailed, unless=Quirk.COMPLETES_REGARDLESS):
        await store.complete_multipart_upload(bucket, "key", upload, [receipt], size=3, condition=ABSENT)
    await store.abort_multipart_upload(bucket, "key", upload)
