"""The proof that a write arrived: the store's receipt against what was sent."""

from __future__ import annotations

import hashlib
import re

from bucket_brigade.errors import ChecksumMismatch, NotFound, StoreUnavailable
from bucket_brigade.s3.checksums import decode_crc
from bucket_brigade.s3.store import Body, ObjectHead, Store, Written

_LIKE_AN_MD5 = re.compile(r'\A"?[0-9a-f]{32}"?\Z')


def etag_is_md5_of(etag: str, body: Body) -> bool:
    """Return whether the ETag proves the body. False proves nothing: an ETag need not be an MD5."""
    return etag.strip('"') == hashlib.md5(body, usedforsecurity=False).hexdigest()


class EtagHistory:
    """What one writer has seen of its store's ETags. Where they have been MD5s, one that is none tells of other bytes."""

    def __init__(self) -> None:
        self._were_md5 = False

    def proves(self, key: str, etag: str, body: Body) -> bool:
        """Return whether the ETag is the body's MD5. Raises ChecksumMismatch where it is that of other bytes."""
        if etag_is_md5_of(etag, body):
            self._were_md5 = True
            return True
        if self._were_md5 and _LIKE_AN_MD5.match(etag):
            raise ChecksumMismatch(f"The store states the MD5 {etag} for {key}, which is not that of the bytes sent.")
        return False


async def prove_put(
    store: Store,
    bucket: str,
    key: str,
    written: Written,
    body: Body,
    crc64nvme: int,
    *,
    etags: EtagHistory | None = None,
) -> None:
    """Raise unless the store holds ``body`` under ``key``, with the fewest requests.

    The CRC that the store states decides; without one, an ETag that is the body's MD5; without that, a HEAD for the size.
    """
    if written.crc64nvme is not None:
        _compare_crc(key, written.crc64nvme, crc64nvme)
    elif not (etags or EtagHistory()).proves(key, written.etag, body):
        await prove_by_head(store, bucket, key, size=len(body), crc64nvme=crc64nvme)


def prove_part(key: str, number: int, written: Written, crc64nvme: int) -> None:
    """Raise if the store states another CRC for this part. A store that states none is asked when the object is whole."""
    if written.crc64nvme is not None:
        _compare_crc(f"{key} part {number}", written.crc64nvme, crc64nvme)


async def prove_by_head(store: Store, bucket: str, key: str, *, size: int, crc64nvme: int | None) -> ObjectHead:
    """Return the HEAD of what was written, or raise unless its size and (where both are known) CRC match.

    ETags are not compared: some stores (rclone serve s3) give a multipart object another one than they answered.
    """
    try:
        head = await store.head_object(bucket, key)
    except NotFound as error:
        raise StoreUnavailable(
            f"The store confirmed {key} in {bucket}, but does not find it.",
            code="TargetMissing",
            request_id=error.request_id,
        ) from error
    if head.size != size:
        raise ChecksumMismatch(
            f"The store holds {head.size} bytes of {key} where {size} were sent.", code="SizeMismatch"
        )
    stated = decode_crc(head.checksums.get("CRC64NVME", ""))
    if crc64nvme is not None and stated is not None:
        _compare_crc(key, stated, crc64nvme)
    return head


def _compare_crc(what: str, stated: int, sent: int) -> None:
    if stated != sent:
        raise ChecksumMismatch(f"The store states CRC64NVME {stated:016x} for {what} where {sent:016x} was sent.")
