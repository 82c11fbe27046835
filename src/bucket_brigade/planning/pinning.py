"""Entries of a list that does not say which state of an object it means get the present one, for moves."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence

import msgspec

from bucket_brigade.errors import NotFound
from bucket_brigade.model.transfer import UNKNOWN_SIZE, Refused
from bucket_brigade.operations.multipart import run_together
from bucket_brigade.planning.sources import Slice, Source, SourceEntry
from bucket_brigade.s3.store import Store

HEADS_AT_ONCE = 32


class PinningSource:
    """Another source, whose entries without ETag and version get the ETag that the object has now.

    A move deletes only what it can prove to be unchanged since it was copied, and the ETag is that proof.
    """

    def __init__(self, source: Source, store: Store, bucket: str) -> None:
        self._source = source
        self._store = store
        self._bucket = bucket

    async def slices(self, cursor: bytes) -> AsyncGenerator[Slice]:
        """See Source.

        Raises:
            TransferError: an object cannot be looked at.
        """
        async with contextlib.aclosing(self._source.slices(cursor)) as slices:
            async for piece in slices:
                yield Slice(await self._pin(piece.entries), piece.cursor)

    async def _pin(self, entries: Sequence[SourceEntry | Refused]) -> list[SourceEntry | Refused]:
        pinned = list(entries)
        left = iter(range(len(pinned)))

        async def pin_next() -> None:
            for index in left:
                pinned[index] = await self._pinned(pinned[index])

        await run_together(pin_next, HEADS_AT_ONCE)
        return pinned

    async def _pinned(self, entry: SourceEntry | Refused) -> SourceEntry | Refused:
        if isinstance(entry, Refused) or entry.etag or entry.version_id is not None:
            return entry
        try:
            head = await self._store.head_object(entry.source_bucket or self._bucket, entry.source)
        except NotFound:  # it has vanished, as its transfer will find
            return entry
        size = head.size if entry.size == UNKNOWN_SIZE else entry.size
        return msgspec.structs.replace(entry, etag=head.etag, size=size)
