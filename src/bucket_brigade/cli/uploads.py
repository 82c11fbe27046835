"""Multipart uploads in progress, page after page."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bucket_brigade.errors import StoreUnavailable
from bucket_brigade.s3.store import OpenUpload, Store


async def iterate_uploads(store: Store, bucket: str, prefix: str = "") -> AsyncIterator[OpenUpload]:
    """Yield the multipart uploads in progress below ``prefix``.

    Raises:
        StoreUnavailable: the store's markers do not advance, so the listing would never end.
    """
    markers: tuple[str, str] | None = None
    while True:
        page = await store.list_multipart_uploads(bucket, prefix=prefix, markers=markers)
        for upload in page.uploads:
            yield upload
        if page.next_markers is None:
            return
        if page.next_markers == markers:
            raise StoreUnavailable(f"the listing of uploads in {bucket} does not advance", code="ListingLoops")
        markers = page.next_markers
