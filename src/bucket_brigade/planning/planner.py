"""The planner: source entries -> filters -> transfers -> batches, journaled with the cursor in one transaction each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Protocol

from bucket_brigade.model.transfer import Refused, Transfer
from bucket_brigade.planning.filters import NameFilter
from bucket_brigade.planning.mapping import Mapping
from bucket_brigade.planning.sources import Source, SourceEntry

HURRY_S = 0.5
"""A short batch is journaled after this long, so that the first objects move while a slow source is still read."""


MAX_BATCHES_AT_ONCE = 4
"""So many full batches are journaled together, the first by itself: each transaction waits for the disk."""


class BatchSink(Protocol):
    """Where batches go: the queue, which waits while too much is planned ahead."""

    async def append(
        self, batches: Sequence[Sequence[Transfer]], *, refused: Sequence[Refused], cursor: bytes, exhausted: bool
    ) -> None:
        """Record the batches, the refused entries and the cursor behind them, durably and together."""
        ...


class Planner:
    """Reads a source to its end and cuts it into batches. Holds at most one slice and MAX_BATCHES_AT_ONCE batches."""

    def __init__(self, source: Source, accepts: NameFilter, mapping: Mapping, *, batch_size: int) -> None:
        self._source = source
        self._accepts = accepts
        self._mapping = mapping
        self._batch_size = batch_size

    async def run(self, sink: BatchSink, cursor: bytes) -> None:
        """Plan everything behind ``cursor``.

        Raises:
            PlanError: the source could not be read to its end. What was journaled until then stands, and planning can resume.
        """
        transfers: list[Transfer] = []
        refused: list[Refused] = []
        clock = asyncio.get_running_loop().time
        flushed = clock()
        enough = self._batch_size
        async with contextlib.aclosing(self._source.slices(cursor)) as slices:
            async for piece in slices:
                self._sort(piece.entries, transfers, refused)
                cursor = piece.cursor
                if len(transfers) >= enough or clock() - flushed > HURRY_S:
                    await sink.append(
                        cut_evenly(transfers, self._batch_size), refused=refused, cursor=cursor, exhausted=False
                    )
                    transfers, refused = [], []
                    flushed = clock()
                    enough = min(2 * enough, MAX_BATCHES_AT_ONCE * self._batch_size)
        await sink.append(cut_evenly(transfers, self._batch_size), refused=refused, cursor=cursor, exhausted=True)

    def _sort(self, found: Sequence[SourceEntry | Refused], transfers: list[Transfer], refused: list[Refused]) -> None:
        accepts = self._accepts
        entries = [entry for entry in found if type(entry) is SourceEntry]
        if len(entries) < len(found):
            refused += [entry for entry in found if isinstance(entry, Refused) and accepts.name(entry.source)]
        if not accepts.everything:
            entries = [entry for entry in entries if accepts(entry.name, entry.size, entry.modified_ns)]
        mapped, unmapped = self._mapping(entries)
        transfers += mapped
        refused += unmapped


def cut_evenly(transfers: Sequence[Transfer], batch_size: int) -> list[Sequence[Transfer]]:
    """Return batches of nearly equal length, none above ``batch_size``, none empty."""
    count = -(-len(transfers) // batch_size)
    return [transfers[len(transfers) * i // count : len(transfers) * (i + 1) // count] for i in range(count)]
