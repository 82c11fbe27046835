"""Whole objects, read and verified: by the checksum that the store states, else by an ETag that is the MD5."""

from __future__ import annotations

import asyncio
import re

from bucket_brigade.errors import ChecksumMismatch
from bucket_brigade.operations.receipts import etag_is_md5_of
from bucket_brigade.s3.checksums import crc64nvme, verify_whole
from bucket_brigade.s3.store import ObjectHead, Pin, Store

HASH_ASIDE_BYTES = 1 << 20
"""Bodies from this size on are hashed in a thread: MD5 takes 1.4 ms for each MiB."""

_LIKE_AN_MD5 = re.compile(r'\A"?[0-9a-f]{32}"?\Z')


class WholeReader:
    """Reads whole objects of one store into buffers.

    Where the store states no checksum, an ETag that looks like an MD5 is compared. One that is none for the bytes at hand may be
    no MD5 at all (it depends on the encryption, and on the store), so the object is read once more: two equal readings are
    believed, and from then on the ETags of this store are not compared any more.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._etags_are_md5 = True

    async def read(self, bucket: str, key: str, buffer: memoryview, pin: Pin) -> ObjectHead:
        """Fill the buffer with the object and return its head.

        Raises:
            ChecksumMismatch: the bytes are not the object's; reading again may help.
        """
        head = await self._store.get_object(bucket, key, buffer, pin=pin)
        if verify_whole(head, buffer, key):
            return head
        if self._etags_are_md5 and _may_be_an_md5(head) and not await _is_md5(head.etag, buffer):
            found = crc64nvme(buffer)
            await self._store.get_object(bucket, key, buffer, pin=pin)
            if crc64nvme(buffer) != found:
                raise ChecksumMismatch(f"{key}: read twice, its bytes are not the same.")
            self._etags_are_md5 = False
        return head


def _may_be_an_md5(head: ObjectHead) -> bool:
    if not _LIKE_AN_MD5.match(head.etag):
        return False
    return not (head.attributes.sse or "").startswith("aws:kms") and not head.sse_customer_key_md5


async def _is_md5(etag: str, buffer: memoryview) -> bool:
    if len(buffer) < HASH_ASIDE_BYTES:
        return etag_is_md5_of(etag, buffer)
    return await asyncio.to_thread(etag_is_md5_of, etag, buffer)
