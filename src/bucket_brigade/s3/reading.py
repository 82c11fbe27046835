"""What the answer to a GET or HEAD says, and how its body gets into the caller's buffer."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bucket_brigade.errors import StoreUnavailable
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.s3.store import ObjectHead

if TYPE_CHECKING:
    import aiohttp

BYTES_PER_WINDOW = 64 * 1024
"""A body that brings less than this in a whole read timeout is a trickle, and given up."""

_ALGORITHMS = ("CRC64NVME", "CRC32C", "CRC32", "SHA1", "SHA256")
_CONTENT_RANGE = re.compile(r"\Abytes (\d+)-(\d+)/(\d+|\*)\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def fill(stream: aiohttp.StreamReader, into: memoryview, *, window_s: float) -> int:
    """Read the body to its end into ``into`` and return its length; a number larger than the buffer means it is longer.

    Raises TimeoutError where less than ``BYTES_PER_WINDOW`` (or what is left) come within ``window_s`` seconds.
    """
    target = into.cast("B") if into.format != "B" else into
    now = asyncio.get_running_loop().time
    received, goal = 0, BYTES_PER_WINDOW
    async with asyncio.timeout(window_s) as watchdog:
        while chunk := await stream.readany():
            end = received + len(chunk)
            if end > len(target):
                return end
            target[received:end] = chunk
            received = end
            if received >= goal:
                goal = received + BYTES_PER_WINDOW
                watchdog.reschedule(now() + window_s)
    return received


def total_of_range(where: str, answer: dict[str, Any], start: int, into: memoryview) -> int:
    """Return the size of the whole object from an answer that is exactly the range asked for.

    Raises StoreUnavailable for everything else: a store that ignores Range, or another range.
    """
    status = answer["ResponseMetadata"]["HTTPStatusCode"]
    if status != 206 and not answer.get("ContentRange"):  # rclone serve s3 answers 200 to a range that it keeps
        raise StoreUnavailable(
            f"GetObject {where}: the endpoint ignores Range (HTTP {status})", code="RangeIgnored", status=status
        )
    stated = answer.get("ContentRange", "")
    match = _CONTENT_RANGE.match(stated)
    stop = start + len(into)
    if match is None or int(match[1]) != start or int(match[2]) != stop - 1:
        raise StoreUnavailable(
            f"GetObject {where}: bytes {start}-{stop - 1} were asked for, the endpoint answers {stated[:80]!r}",
            code="WrongRange",
            status=status,
        )
    length = answer.get("ContentLength")
    if length is not None and int(length) != len(into):
        raise StoreUnavailable(f"GetObject {where}: the range has {length} bytes", code="WrongRange", status=status)
    return stop if match[3] == "*" else int(match[3])


def head_from_answer(answer: dict[str, Any], size: int, *, with_checksums: bool) -> ObjectHead:
    """Return what GetObject or HeadObject tells; checksums of a range mean nobody knows what, so they are left out."""
    full, composite = _checksums(answer) if with_checksums else ({}, ())
    return ObjectHead(
        size=size,
        etag=answer.get("ETag", ""),
        modified_ns=nanoseconds(answer.get("LastModified")),
        version_id=answer.get("VersionId"),
        checksums=full,
        attributes=_attributes(answer),
        tag_count=int(answer.get("TagCount") or 0),
        restore=answer.get("Restore", ""),
        archive_status=answer.get("ArchiveStatus", ""),
        sse_customer_key_md5=answer.get("SSECustomerKeyMD5", ""),
        missing_metadata=int(answer.get("MissingMeta") or 0),
        composite=composite,
    )


def _checksums(answer: dict[str, Any]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the checksums of the whole object, and the algorithms of which the answer states only one of checksums."""
    stated = {name: value for name in _ALGORITHMS if (value := answer.get(f"Checksum{name}"))}
    if answer.get("ChecksumType") == "COMPOSITE":
        return {}, tuple(stated)
    composite = tuple(name for name, value in stated.items() if "-" in value)
    return {name: value for name, value in stated.items() if name not in composite}, composite


def _attributes(answer: dict[str, Any]) -> ObjectAttributes:
    metadata = answer.get("Metadata") or {}
    return ObjectAttributes(
        sse=answer.get("ServerSideEncryption"),
        sse_kms_key_id=answer.get("SSEKMSKeyId"),
        storage_class=answer.get("StorageClass"),
        content_type=answer.get("ContentType"),
        content_encoding=answer.get("ContentEncoding"),
        content_disposition=answer.get("ContentDisposition"),
        content_language=answer.get("ContentLanguage"),
        cache_control=answer.get("CacheControl"),
        expires=answer.get("ExpiresString"),
        metadata=tuple(sorted((name.lower(), value) for name, value in metadata.items())) or None,
        bucket_key=True if answer.get("BucketKeyEnabled") else None,
        website_redirect=answer.get("WebsiteRedirectLocation"),
        lock_mode=answer.get("ObjectLockMode"),
        retain_until=_stated(answer, "x-amz-object-lock-retain-until-date"),
        legal_hold=answer.get("ObjectLockLegalHoldStatus"),
    )


def _stated(answer: dict[str, Any], header: str) -> str | None:
    """Return a header as it came: what botocore makes of a time is not what the store said."""
    stated: str | None = answer["ResponseMetadata"]["HTTPHeaders"].get(header)
    return stated


def nanoseconds(moment: datetime | None) -> int:
    """Return a time in nanoseconds since the epoch, exactly; 0 where there is none."""
    if moment is None:
        return 0
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000


def same_etag(one: str, other: str) -> bool:
    """Tell whether two ETags are the same, with or without quotes and a weak mark."""
    return one.removeprefix("W/").strip('"') == other.removeprefix("W/").strip('"')


def quoted(etag: str) -> str:
    """Return an ETag with its quotes, which rclone leaves out in listings; "" stays empty."""
    return f'"{etag}"' if etag and not etag.endswith('"') else etag
