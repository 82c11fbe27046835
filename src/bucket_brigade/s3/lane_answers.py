"""What the headers of an answer say, as the values of the ``Store`` port. Pure."""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

from bucket_brigade.errors import ConnectionLost, SourceChanged, StoreUnavailable, TransferError
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.s3.echo import Echo
from bucket_brigade.s3.errors import error_from_answer
from bucket_brigade.s3.reading import same_etag
from bucket_brigade.s3.store import ObjectHead, Pin
from bucket_brigade.s3.wire_answer import Answer
from bucket_brigade.s3.xml_listing import http_date_to_ns
from bucket_brigade.s3.xml_messages import ErrorMessage, parse_error

_CHECKSUMS = (
    (b"x-amz-checksum-crc64nvme", "CRC64NVME"),
    (b"x-amz-checksum-crc32c", "CRC32C"),
    (b"x-amz-checksum-crc32", "CRC32"),
    (b"x-amz-checksum-sha1", "SHA1"),
    (b"x-amz-checksum-sha256", "SHA256"),
)
_BUCKET_KEY = b"x-amz-server-side-encryption-bucket-key-enabled"
_CUSTOMER_KEY_MD5 = b"x-amz-server-side-encryption-customer-key-md5"
_RARE = frozenset(
    {
        b"x-amz-version-id",
        b"x-amz-tagging-count",
        b"x-amz-restore",
        b"x-amz-archive-status",
        b"x-amz-missing-meta",
        _CUSTOMER_KEY_MD5,
    }
)
_ATTRIBUTES = {
    _BUCKET_KEY: "bucket_key",
    b"x-amz-server-side-encryption": "sse",
    b"x-amz-server-side-encryption-aws-kms-key-id": "sse_kms_key_id",
    b"x-amz-storage-class": "storage_class",
    b"content-type": "content_type",
    b"content-encoding": "content_encoding",
    b"content-disposition": "content_disposition",
    b"content-language": "content_language",
    b"cache-control": "cache_control",
    b"expires": "expires",
    b"x-amz-website-redirect-location": "website_redirect",
    b"x-amz-object-lock-mode": "lock_mode",
    b"x-amz-object-lock-retain-until-date": "retain_until",
    b"x-amz-object-lock-legal-hold": "legal_hold",
}
_METADATA = b"x-amz-meta-"
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_OK, _PARTIAL = 200, 206


def object_head(answer: Answer, size: int, *, with_checksums: bool) -> ObjectHead:
    """Return what a GET or HEAD tells about an object of ``size`` bytes."""
    headers = answer.headers
    told = _told_by(tuple(headers))
    full, composite = _checksums(answer, told) if with_checksums and told.checksums else ({}, ())
    return ObjectHead(
        size=size,
        etag=answer.header(b"etag"),
        modified_ns=http_date_to_ns(answer.header(b"last-modified")),
        checksums=full,
        composite=composite,
        attributes=_attributes(tuple([(name, headers[name]) for name in told.attributes])),
        **(_rare(answer) if told.rare else {}),
    )


class _Told(NamedTuple):
    """What the headers of these names tell of an object."""

    attributes: tuple[bytes, ...]
    checksums: tuple[tuple[bytes, str], ...]
    rare: bool


@functools.lru_cache(maxsize=256)
def _told_by(names: tuple[bytes, ...]) -> _Told:
    """Return what headers tell: nearly all answers to the same request have those of the same names."""
    return _Told(
        attributes=tuple(name for name in names if name in _ATTRIBUTES or name.startswith(_METADATA)),
        checksums=tuple((header, algorithm) for header, algorithm in _CHECKSUMS if header in names),
        rare=not _RARE.isdisjoint(names),
    )


@functools.lru_cache(maxsize=256)
def _attributes(stated: tuple[tuple[bytes, bytes], ...]) -> ObjectAttributes:
    """Return the attributes in these headers: most objects of a bucket have the same."""
    given: dict[str, Any] = {}
    metadata: list[tuple[str, str]] = []
    for name, raw in stated:
        value = raw.decode("utf-8", "surrogateescape")
        if name.startswith(_METADATA):
            metadata.append((name[len(_METADATA) :].decode("utf-8", "surrogateescape"), value))
        elif name == _BUCKET_KEY:
            given["bucket_key"] = True if value.lower() == "true" else None
        else:
            given[_ATTRIBUTES[name]] = value
    return ObjectAttributes(**given, metadata=tuple(sorted(metadata)) or None)


def _rare(answer: Answer) -> dict[str, Any]:
    return {
        "version_id": version_id(answer),
        "tag_count": _count(answer.header(b"x-amz-tagging-count")),
        "restore": answer.header(b"x-amz-restore"),
        "archive_status": answer.header(b"x-amz-archive-status"),
        "sse_customer_key_md5": answer.header(_CUSTOMER_KEY_MD5),
        "missing_metadata": _count(answer.header(b"x-amz-missing-meta")),
    }


def encryption_echo(answer: Answer) -> Echo:
    """Return what the answer to a write says about encryption."""
    return Echo(
        answer.header(b"x-amz-server-side-encryption"),
        answer.header(b"x-amz-server-side-encryption-aws-kms-key-id"),
        answer.header(_CUSTOMER_KEY_MD5),
    )


def version_id(answer: Answer) -> str | None:
    """Return the version that an answer names."""
    return answer.header(b"x-amz-version-id") if b"x-amz-version-id" in answer.headers else None


def _checksums(answer: Answer, told: _Told) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the checksums of the whole object, and the algorithms of which the answer states only one of checksums."""
    stated = {name: answer.header(header) for header, name in told.checksums}
    if answer.header(b"x-amz-checksum-type") == "COMPOSITE":
        return {}, tuple(stated)
    composite = tuple(name for name, value in stated.items() if "-" in value)
    return {name: value for name, value in stated.items() if value and name not in composite}, composite


def _count(value: str) -> int:
    return int(value) if value.isascii() and value.isdecimal() else 0


def check_state(where: str, answer: Answer, pin: Pin) -> None:
    """Raise SourceChanged where a store ignored the pin and answered with another state of the object."""
    if not pin.etag or b"etag" not in answer.headers:
        return
    found = answer.header(b"etag")
    if found != pin.etag and not same_etag(pin.etag, found):
        raise SourceChanged(f"{where}: the object was replaced since it was listed")


def check_whole(where: str, answer: Answer, expected: int) -> int:
    """Return the size of an object that came whole, into a buffer of ``expected`` bytes."""
    if answer.status != _OK:
        raise StoreUnavailable(
            f"GetObject {where}: a whole object is answered with HTTP {answer.status}", status=answer.status
        )
    if answer.length is None and not answer.unread and answer.received < expected and not answer.keep_alive:
        # Without a length, and at the end of the connection, nobody can tell a short object from a cut one.
        raise ConnectionLost(f"GetObject {where}: the body ended after {answer.received} of {expected} bytes")
    if answer.unread or answer.received != expected:
        found = f"has {answer.length}" if answer.length is not None else "does not have"
        raise SourceChanged(f"{where}: the object {found} bytes, {expected} were expected")
    return expected


def check_range(where: str, answer: Answer, start: int, length: int) -> int:
    """Return the size of the whole object from an answer that is exactly the range asked for."""
    if answer.status != _PARTIAL and b"content-range" not in answer.headers:  # rclone serve s3 answers 200 to a range
        raise StoreUnavailable(
            f"GetObject {where}: the endpoint ignores Range (HTTP {answer.status})",
            code="RangeIgnored",
            status=answer.status,
        )
    stated = answer.header(b"content-range")
    match = _CONTENT_RANGE.fullmatch(stated)
    if match is None or int(match[1]) != start or int(match[2]) != start + length - 1:
        raise StoreUnavailable(
            f"GetObject {where}: bytes {start}-{start + length - 1} were asked for, the endpoint answers {stated[:80]!r}",
            code="WrongRange",
            status=answer.status,
        )
    if answer.received < length and not answer.unread:
        raise ConnectionLost(f"GetObject {where}: the body ended after {answer.received} of {length} bytes")
    if answer.unread:
        raise StoreUnavailable(
            f"GetObject {where}: the range has not {length} bytes", code="WrongRange", status=answer.status
        )
    return start + length if match[3] == "*" else int(match[3])


def refusal(operation: str, where: str, answer: Answer, message: ErrorMessage | None = None) -> TransferError:
    """Return the error that an answer means: of status 300 or above, or a 200 with an ``<Error>`` inside."""
    error = message or parse_error(bytes(answer.body)) or ErrorMessage("", "", "", "", "")
    location = answer.header(b"location")
    host = location.split("://", 1)[-1].split("/", 1)[0].split("?", 1)[0] if location else ""
    return error_from_answer(
        operation=operation,
        status=answer.status,
        code=error.code,
        message=error.message,
        request_id=answer.header(b"x-amz-request-id") or error.request_id,
        retry_after=answer.header(b"retry-after") or None,
        region=answer.header(b"x-amz-bucket-region") or error.region,
        location=where,
        redirect_host=host or error.endpoint,
        date=answer.header(b"date"),
    )
