"""Where the objects of a job come from: a folder walk, a bucket listing, a manifest or a catalog, each resumable.

A source yields slices: entries with the cursor behind them. The cursor is opaque to all others and is journaled together with
the batches, so that planning goes on exactly where it stopped.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import msgspec

from bucket_brigade.local.blocking import take_pieces
from bucket_brigade.local.scan import LocalEntry, scan_pieces
from bucket_brigade.model.transfer import UNKNOWN_SIZE, Refused

SLICE_SIZE = 1000


class SourceEntry(msgspec.Struct, frozen=True, gc=False):
    """One object or file of the source.

    Attributes:
        name: relative to the source's root, as the filters and the target see it.
        source: what Transfer.source will be.
    """

    name: str
    source: str
    size: int = UNKNOWN_SIZE
    etag: str = ""
    modified_ns: int = 0
    version_id: str | None = None
    source_bucket: str | None = None


class Slice(msgspec.Struct, frozen=True):
    """Entries in order, those refused among them, and the cursor behind the last one."""

    entries: Sequence[SourceEntry | Refused]
    cursor: bytes


class Source(Protocol):
    """The entries of a job's source."""

    def slices(self, cursor: bytes) -> AsyncGenerator[Slice]:
        """Yield what comes behind ``cursor`` (empty: from the beginning). PlanError when it cannot be read to its end."""
        ...


class WalkSource:
    """The files below a folder, in key order. The cursor is the last path."""

    def __init__(self, root: str, *, follow_symlinks: bool) -> None:
        self._root = root
        self._follow_symlinks = follow_symlinks

    async def slices(self, cursor: bytes) -> AsyncGenerator[Slice]:
        """See Source."""
        walk = scan_pieces(
            self._root, after=cursor.decode("utf-8", "surrogateescape"), follow_symlinks=self._follow_symlinks
        )
        found: list[LocalEntry | Refused] = []
        async with contextlib.aclosing(take_pieces(walk)) as pieces:
            async for piece in pieces:
                found += piece
                while len(found) >= SLICE_SIZE:
                    yield _slice(found[:SLICE_SIZE])
                    del found[:SLICE_SIZE]
        if found:
            yield _slice(found)


def _slice(found: Sequence[LocalEntry | Refused]) -> Slice:
    last = found[-1].path if isinstance(found[-1], LocalEntry) else found[-1].source
    return Slice([_from_file(entry) for entry in found], last.encode("utf-8", "surrogateescape"))


def _from_file(entry: LocalEntry | Refused) -> SourceEntry | Refused:
    if isinstance(entry, Refused):
        return entry
    return SourceEntry(entry.path, entry.path, entry.size, "", entry.modified_ns)


class SingleSource:
    """One object or file, already looked at."""

    def __init__(self, entry: SourceEntry) -> None:
        self._entry = entry

    async def slices(self, cursor: bytes) -> AsyncGenerator[Slice]:
        """See Source."""
        if not cursor:
            yield Slice([self._entry], b"1")
