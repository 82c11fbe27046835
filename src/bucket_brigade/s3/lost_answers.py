"""What an attempt may have done whose answer was lost: told from what the store holds afterwards."""

from __future__ import annotations

import hashlib
import re

import structlog

from bucket_brigade.errors import (
    AccessDenied,
    CredentialsExpired,
    NotSupported,
    PlanError,
    StoreUnavailable,
    Throttled,
    TransientError,
)
from bucket_brigade.s3.checksums import decode_crc
from bucket_brigade.s3.codes import BY_CODE
from bucket_brigade.s3.listing import iterate_uploads
from bucket_brigade.s3.store import Body, DeleteError, ObjectHead, PartReceipt, Store

CLOCK_STEP_S = 2.0
"""Endpoints date uploads by whole seconds."""

_log = structlog.get_logger("bucket_brigade.s3")
_MD5_ETAG = re.compile(r'\A"?([0-9a-f]{32})"?\Z')


async def abort_twins(store: Store, bucket: str, key: str, upload_id: str, *, within_s: float) -> None:
    """Abort the uploads of this key that began just before this one: by the endpoint's clock, which alone dates them.

    Where the endpoint lists no uploads, or not for us, one may be left, for a lifecycle rule to end: that is told.
    """
    try:
        uploads = [
            upload async for page in iterate_uploads(store, bucket, prefix=key) for upload in page if upload.key == key
        ]
    except CredentialsExpired:
        raise
    except (NotSupported, AccessDenied) as error:
        _log.warning("an upload may be left", bucket=bucket, key=key, code=error.code)
        return
    except PlanError as error:
        raise StoreUnavailable(str(error), code="NoProof") from error
    begun_ns = next((upload.initiated_ns for upload in uploads if upload.upload_id == upload_id), None)
    if begun_ns is None:
        return
    earliest_ns = begun_ns - int((within_s + CLOCK_STEP_S) * 1e9)
    for upload in uploads:
        if upload.upload_id != upload_id and earliest_ns <= upload.initiated_ns <= begun_ns:
            await store.abort_multipart_upload(bucket, key, upload.upload_id)


def is_completed(head: ObjectHead, parts: list[PartReceipt], *, size: int, crc64nvme: int | None) -> bool:
    """Tell whether an object is the one that these parts make.

    Its size must be the same, and its checksum where both are known, or else its ETag where the parts' ETags tell it: another
    object of the same size may have been there before.
    """
    if head.size != size:
        return False
    stated = decode_crc(head.checksums.get("CRC64NVME", ""))
    if stated is not None and crc64nvme is not None:
        return stated == crc64nvme
    expected = multipart_etag(parts)
    return expected is None or head.etag.strip('"') == expected


def is_content(head: ObjectHead, body: Body, crc64nvme: int | None) -> bool:
    """Tell whether an object certainly has this content: by its checksum, else by an ETag that is the body's MD5."""
    if head.size != len(body):
        return False
    stated = decode_crc(head.checksums.get("CRC64NVME", ""))
    if stated is not None and crc64nvme is not None:
        return stated == crc64nvme
    return head.etag.strip('"') == hashlib.md5(body, usedforsecurity=False).hexdigest()


def multipart_etag(parts: list[PartReceipt]) -> str | None:
    """Return the ETag (without quotes) that S3 gives to an object of these parts; None where they are no MD5 sums."""
    digests = [_MD5_ETAG.match(part.etag) for part in parts]
    if not all(digests):
        return None
    joined = b"".join(bytes.fromhex(match[1]) for match in digests if match)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"


def bulk_error(bucket: str, left: dict[int, DeleteError]) -> TransientError:
    """Return the error for keys that a bulk delete could not delete just now."""
    codes = sorted({error.code for error in left.values()})
    kind = Throttled if any(BY_CODE.get(code, (None, ""))[0] is Throttled for code in codes) else StoreUnavailable
    return kind(f"DeleteObjects {bucket}: {len(left)} keys are not deleted ({', '.join(codes)})", code=codes[0])
