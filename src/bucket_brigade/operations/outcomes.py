"""From an error to the outcome of a transfer: an expected failure is a value."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from bucket_brigade.errors import (
    AccessDenied,
    ChecksumMismatch,
    ClockSkewed,
    CredentialsExpired,
    DiskFull,
    NotFound,
    SourceChanged,
    TransferError,
    TransientError,
    Unreachable,
    WrongRegion,
)
from bucket_brigade.model.outcome import Failed, Outcome, Vanished

OBJECT_GONE = frozenset({"NoSuchKey", "NoSuchVersion", "404", "NotFound"})
FILE_GONE = frozenset({"ENOENT"})
UNTRUSTED = frozenset({"BadCertificate", "BadTls", "ForbiddenAddress"})
FATAL_CODES = frozenset({"NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch"}) | UNTRUSTED

ARCHIVED = "InvalidObjectState"
FATAL_KINDS = (DiskFull, CredentialsExpired, ClockSkewed, WrongRegion, Unreachable)

Result = TypeVar("Result")


class SourceGone(NotFound):
    """The source, and nothing else, is not there any more."""


async def of_source(read: Awaitable[Result]) -> Result:
    """Return what a request to the source returns; a NotFound of the object (not of its bucket) becomes SourceGone."""
    try:
        return await read
    except NotFound as error:
        if error.code not in OBJECT_GONE:
            raise
        raise SourceGone(str(error), code=error.code, status=error.status, request_id=error.request_id) from error


def outcome_of(error: TransferError, *, gone: frozenset[str] = frozenset()) -> Outcome:
    """Return what the error means for the transfer it ended.

    A source that is gone is Vanished: a SourceGone, or a NotFound with one of the codes ``gone``, where only the source can
    have said that. From a target, or a proxy before it, a 404 is a failure. What would fail every other transfer in the same
    way (a full disk, refused credentials, a wrong clock or region, a missing bucket, an endpoint that is out of reach or not to
    be trusted) is fatal: the job stops, resumable.
    """
    if isinstance(error, SourceGone) or (isinstance(error, NotFound) and error.code in gone):
        return Vanished()
    fatal = isinstance(error, FATAL_KINDS) or error.code in FATAL_CODES
    return Failed(
        code=error.code,
        message=f"{error}" + (f" {error.remedy}" if error.remedy else ""),
        request_id=error.request_id,
        attempts=getattr(error, "attempts", 1),
        fatal=fatal,
        transient=isinstance(error, TransientError | ChecksumMismatch),
        blames_store=isinstance(error, TransientError) or (isinstance(error, AccessDenied) and error.code != ARCHIVED),
    )


def source_changed(what: str, planned: object, found: object) -> SourceChanged:
    """Return the error for a source that is not what was planned."""
    return SourceChanged(
        f"The {what} of the source changed from {planned} to {found} since it was planned.",
        remedy="Run the job again to move its present state.",
    )
