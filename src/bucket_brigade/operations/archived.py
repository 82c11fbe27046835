"""What it means that an object is in an archive: it has to be restored before anything can read it."""

from __future__ import annotations

from bucket_brigade.errors import PermanentError, TransferError
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.port import BucketSide
from bucket_brigade.s3.store import Pin

ARCHIVED_CODES = frozenset({"InvalidObjectState", "ObjectNotInActiveTierError"})


async def told_of_archive(error: TransferError, source: BucketSide, transfer: Transfer) -> TransferError:
    """Return the error, or where it says that the source is archived, one that names the class and what to do."""
    if error.code not in ARCHIVED_CODES:
        return error
    bucket = transfer.source_bucket or source.bucket
    try:
        head = await source.store.head_object(bucket, transfer.source, pin=Pin(version_id=transfer.version_id))
    except TransferError:
        return error
    where = head.archive_status or head.attributes.storage_class or "an archive class"
    restoring = 'ongoing-request="true"' in head.restore
    state = "is being restored" if restoring else "is not restored"
    told = PermanentError(
        f"{transfer.source} is in {where} and {state}: it cannot be read.",
        code="InvalidObjectState",
        status=error.status,
        request_id=error.request_id,
        remedy="Wait until it is restored, and resume."
        if restoring
        else f"Restore it with: brigade unarchive {source.endpoint}://{bucket}/{transfer.source}",
    )
    told.attempts = error.attempts
    return told
