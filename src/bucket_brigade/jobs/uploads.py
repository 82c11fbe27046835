"""Multipart uploads that a job left open: aborted, and forgotten by its journal."""

from __future__ import annotations

from bucket_brigade.errors import TransferError
from bucket_brigade.journal.port import Journal
from bucket_brigade.operations.multipart import abort_unnamed
from bucket_brigade.s3.store import Store


async def abort_open_uploads(journal: Journal, store: Store) -> int:
    """Abort what the journal knows to be open; return how many could not be aborted: the journal keeps those."""
    left = 0
    for record in await journal.open_uploads():
        intent = record.intent
        try:
            if intent.upload_id:
                await store.abort_multipart_upload(intent.bucket, intent.key, intent.upload_id)
            else:
                await abort_unnamed(store, intent)
        except TransferError:
            left += 1
        else:
            await journal.end_upload(record.row)
    return left
