"""Reads an object's tags with as few requests as a store allows that may, or may not, tell how many there are."""

from __future__ import annotations

from bucket_brigade.errors import AccessDenied, NotSupported
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.port import BucketSide
from bucket_brigade.s3.store import ObjectHead

Tags = tuple[tuple[str, str], ...]


class TagReader:
    """Asks for the tags of source objects.

    S3 tells their number with a HEAD or GET, but only who may read the tags; some stores never tell it. A store that told it
    once is relied on: no number means no tags. One that is known to tell it (``BucketSide.tells_tag_count``) is asked for tags
    once, to make sure that we may read them. Of all others every object's tags are asked for.
    """

    def __init__(self, source: BucketSide) -> None:
        self._source = source
        self._tells = False
        self._has_none = False
        self._refused: AccessDenied | None = None

    async def read(self, transfer: Transfer, head: ObjectHead) -> Tags:
        """Return the tags of a transfer's source. AccessDenied where they cannot be read, whether or not there are any."""
        if head.tag_count:
            self._tells = True
        elif self._tells or self._has_none:
            return ()
        if self._refused is not None:
            raise self._refused
        bucket = transfer.source_bucket or self._source.bucket
        try:
            tags = await self._source.store.get_object_tags(bucket, transfer.source, version_id=transfer.version_id)
        except NotSupported:
            self._has_none = True
            return ()
        except AccessDenied as error:
            if not head.tag_count:
                self._refused = error
            raise
        self._tells = self._tells or self._source.tells_tag_count is True
        return tags
