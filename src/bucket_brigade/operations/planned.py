"""A look at the object that a transfer was planned from."""

from __future__ import annotations

from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.outcomes import of_source, source_changed
from bucket_brigade.operations.port import BucketSide
from bucket_brigade.s3.store import ObjectHead, Pin


async def head_as_planned(source: BucketSide, transfer: Transfer) -> ObjectHead:
    """Return the HEAD of a transfer's source.

    Raises:
        SourceGone: it is not there any more.
        SourceChanged: its ETag is not the planned one.
    """
    bucket = transfer.source_bucket or source.bucket
    pin = Pin(version_id=transfer.version_id)
    head = await of_source(source.store.head_object(bucket, transfer.source, pin=pin))
    if transfer.etag and head.etag != transfer.etag:
        raise source_changed("ETag", transfer.etag, head.etag)
    return head
