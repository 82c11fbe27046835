"""Multipart uploads in progress, on every store that can list them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from bucket_brigade.errors import NotFound
from bucket_brigade.s3.listing import iterate_uploads
from bucket_brigade.s3.store import OpenUpload, Store


async def uploads_in_progress(store: Store, bucket: str, prefix: str = "") -> AsyncGenerator[list[OpenUpload]]:
    """Yield the uploads in progress below ``prefix``, page by page. Close it where it is left early."""
    try:
        async with contextlib.aclosing(iterate_uploads(store, bucket, prefix=prefix)) as pages:
            async for page in pages:
                yield page
    except NotFound as error:
        # What rclone serve s3 answers in place of an empty list.
        if error.code != "NoSuchUpload":
            raise
