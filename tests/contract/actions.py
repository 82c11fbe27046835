"""What the tests of the contract do over and over."""

from __future__ import annotations

from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes
from bucket_brigade.s3.store import UNPINNED, DeleteKey, ListedObject, ObjectHead, PartReceipt, Pin, Store
from tests.fakes.memory_bucket import crc64nvme_of


async def read(store: Store, bucket: str, key: str, size: int, *, pin: Pin = UNPINNED) -> bytes:
    """Return a whole object of ``size`` bytes."""
    into = bytearray(size)
    await store.get_object(bucket, key, memoryview(into), pin=pin)
    return bytes(into)


async def read_range(store: Store, bucket: str, key: str, start: int, length: int) -> tuple[bytes, ObjectHead]:
    """Return ``length`` bytes from ``start`` on."""
    into = bytearray(length)
    head = await store.get_object(bucket, key, memoryview(into), start=start)
    return bytes(into), head


async def list_all(
    store: Store, bucket: str, *, prefix: str = "", start_after: str = "", page_size: int = 1000
) -> list[ListedObject]:
    """Return all pages of a listing as one list."""
    found: list[ListedObject] = []
    page = await store.list_objects(bucket, prefix=prefix, start_after=start_after, page_size=page_size)
    found += page.objects
    while page.next_token is not None:
        page = await store.list_objects(bucket, prefix=prefix, token=page.next_token, page_size=page_size)
        found += page.objects
    return found


async def upload_parts(
    store: Store, bucket: str, key: str, parts: list[bytes], *, attributes: ObjectAttributes = NO_ATTRIBUTES
) -> tuple[str, list[PartReceipt]]:
    """Begin a multipart upload and write its parts; return its id and the receipts."""
    upload_id = await store.create_multipart_upload(bucket, key, attributes=attributes)
    receipts = []
    for number, body in enumerate(parts, 1):
        crc = crc64nvme_of(body)
        written = await store.upload_part(bucket, key, upload_id, number, body, crc64nvme=crc)
        receipts.append(PartReceipt(number, written.etag, len(body), crc))
    return upload_id, receipts


def whole(*keys: str) -> list[DeleteKey]:
    """Return the keys as DeleteObjects takes them."""
    return [DeleteKey(key) for key in keys]
