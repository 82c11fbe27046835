"""From an error to the outcome of a transfer: an expected failure is a value."""

from __future__ import annotations

from bucket_brigade.errors import (
    ClockSkewed,
    CredentialsExpired,
    DiskFull,
    NotFound,
    SourceChanged,
    TransferError,
    WrongRegion,
)
from bucket_brigade.model.outcome import Failed, Outcome, Vanished

OBJECT_GONE = frozenset({"NoSuchKey", "NoSuchVersion", "404", "NotFound"})
FILE_GONE = frozenset({"ENOENT"})


def outcome_of(error: TransferError, *, gone: frozenset[str] = OBJECT_GONE) -> Outcome:
    """Return what the error means for the transfer it ended.

    A source that is gone is Vanished: ``gone`` are the codes of NotFound that say so, for a missing file or folder at the
    target is a failure. What would fail every other transfer in the same way (a full disk, expired
    credentials, a wrong clock or region, a missing bucket) is a fatal failure: the job stops, resumable.
    """
    if isinstance(error, NotFound) and error.code in gone:
        return Vanished()
    fatal = isinstance(error, (DiskFull, CredentialsExpired, ClockSkewed, WrongRegion)) or error.code == "NoSuchBucket"
    return Failed(
        code=error.code,
        message=f"{error}" + (f" {error.remedy}" if error.remedy else ""),
        request_id=error.request_id,
        attempts=getattr(error, "attempts", 1),
        fatal=fatal,
    )


def source_changed(what: str, planned: object, found: object) -> SourceChanged:
    """Return the error for a source that is not what was planned."""
    return SourceChanged(
        f"The {what} of the source changed from {planned} to {found} since it was planned.",
        remedy="Run the job again to move its present state.",
    )
