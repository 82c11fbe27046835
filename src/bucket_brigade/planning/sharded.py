"""A bucket listing as the source of a job: one range of keys at first, divided into shards while it goes on.

One rule does it all: where a range has been listed for SPLIT_AFTER_KEYS, more follows, and a lister is idle, the rest of the
range is divided. So a short listing is never divided, a long one soon is, and what turns out to be longer than its siblings is
divided again when these are done. The search for split points runs beside the listing and never holds it up.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, assert_never

import msgspec

from bucket_brigade.planning.sources import Slice, SourceEntry
from bucket_brigade.s3.listing import Listing
from bucket_brigade.s3.shards import AUTO_SHARDS, Shard, out_of_order
from bucket_brigade.s3.split_points import byte_order, find_split_points
from bucket_brigade.s3.store import ListedObject, ListPage, Store

SPLIT_AFTER_KEYS = 20_000
"""Below this, the probes for split points would cost more than shards bring."""


class ListingCursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a listing resumes.

    Attributes:
        ranges: (after, up to) of each range that is left, as UTF-8; ``up to`` None is the end.
        token: the store's own, where its order is not S3's; then there is one range.
        divided: the listing relies on S3's order.
    """

    ranges: list[tuple[bytes, bytes | None]]
    token: str | None = None
    divided: bool = False


class _Range(Shard):
    """A shard with its lister. It may be divided once ``keys`` were taken since it was last tried: ``patience`` of them."""

    def __init__(self, after: str, up_to: str | None, *, patience: int, token: str | None = None) -> None:
        super().__init__(after, up_to)
        self.token = token
        self.lister: asyncio.Task[None] | None = None
        self.patience = patience
        self.keys = 0


class _Page(msgspec.Struct, frozen=True):
    of: _Range
    page: ListPage
    ordered: bool


class _Points(msgspec.Struct, frozen=True):
    of: _Range
    points: list[str]


class _Broken(msgspec.Struct, frozen=True):
    error: Exception


class ShardedListingSource:
    """The current objects of a bucket below a prefix, listed in up to ``shards`` ranges side by side.

    Args:
        store: lists.
        bucket: its name.
        prefix: every key begins with it.
        base: what the names of the entries are relative to; the prefix begins with it.
        shards: at most so many; 0 chooses; 1 never divides. Any other number divides from the beginning on.
    """

    def __init__(self, store: Store, bucket: str, prefix: str, *, base: str, shards: int = 0) -> None:
        self._store = store
        self._bucket = bucket
        self._prefix = prefix
        self._base_length = len(base)
        self._shards = shards

    async def slices(self, cursor: bytes) -> AsyncGenerator[Slice]:
        """See Source. Slices of different ranges come as they arrive; the cursor of each tells what is left of every range.

        Raises:
            TransferError: a page could not be listed; all other ranges stop too.
            PlanError: a page cannot be trusted, or the store turns out not to keep S3's order when the listing is divided.
        """
        at = msgspec.msgpack.decode(cursor, type=ListingCursor) if cursor else ListingCursor([(b"", None)])
        cut = self._base_length
        listing = _ShardedListing(self._store, self._bucket, self._prefix, at, shards=self._shards)
        try:
            while (objects := await listing.next()) is not None:
                yield Slice(_entries(objects, cut), msgspec.msgpack.encode(listing.cursor()))
        finally:
            await listing.close()


def _entries(objects: list[ListedObject], cut: int) -> list[SourceEntry]:
    keys = [one.key for one in objects]
    return list(
        map(
            SourceEntry,
            [key[cut:] for key in keys] if cut else keys,
            keys,
            [one.size for one in objects],
            [one.etag for one in objects],
            [one.modified_ns for one in objects],
        )
    )


class _ShardedListing:
    """The ranges that are left, and the tasks that list them. All of its state changes where ``next`` is awaited."""

    def __init__(self, store: Store, bucket: str, prefix: str, at: ListingCursor, *, shards: int) -> None:
        self._store = store
        self._bucket = bucket
        self._prefix = prefix
        self._width = shards or AUTO_SHARDS
        patience = SPLIT_AFTER_KEYS if shards == 0 or at.divided else 0
        self._ranges = [
            _Range(_text(after), None if up_to is None else _text(up_to), patience=patience, token=at.token)
            for after, up_to in at.ranges
        ]
        self._divided = at.divided
        self._ordered = at.token is None
        self._token: str | None = at.token
        self._arrivals: asyncio.Queue[_Page | _Points | _Broken] = asyncio.Queue(self._width)
        self._search: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def next(self) -> list[ListedObject] | None:
        """Return the next objects of any range; None at the end."""
        while self._ranges:
            self._start()
            match await self._arrivals.get():
                case _Page(of, page, ordered):
                    if objects := self._take(of, page, ordered):
                        return objects
                case _Points(of, points):
                    self._divide(of, points)
                case _Broken(error):
                    raise error
                case other:
                    assert_never(other)
        return None

    def cursor(self) -> ListingCursor:
        """Return what is left behind all that ``next`` has returned."""
        ranges = [(byte_order(one.after), None if one.up_to is None else byte_order(one.up_to)) for one in self._ranges]
        return ListingCursor(ranges, self._token, self._divided)

    async def close(self) -> None:
        """End all tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- what arrives --------------------------------------------------------------------------------------------

    def _take(self, of: _Range, page: ListPage, ordered: bool) -> list[ListedObject]:
        if of not in self._ranges:  # listed beyond a bound that was drawn since
            return []
        if not ordered:
            if self._divided:
                raise out_of_order(self._bucket, self._prefix)
            self._ordered = False
        if not self._ordered:  # also behind a token of an earlier run, where the pages since may happen to be in order
            self._token = page.next_token
        objects = of.take(page)
        of.keys += len(objects)
        if of.done:
            self._ranges.remove(of)
            if of.lister is not None:
                of.lister.cancel()
        return objects

    def _divide(self, of: _Range, points: list[str]) -> None:
        self._search = None
        # The listing went on meanwhile.
        points = [point for point in points if byte_order(point) > byte_order(of.after) and not of.reaches(point)]
        of.keys, of.patience = 0, SPLIT_AFTER_KEYS if points else 2 * max(of.patience, SPLIT_AFTER_KEYS)
        if of.done or not points or not self._ordered:
            return
        bounds = [*points, of.up_to]
        place = self._ranges.index(of) + 1
        self._ranges[place:place] = [
            _Range(after or "", up_to, patience=SPLIT_AFTER_KEYS) for after, up_to in itertools.pairwise(bounds)
        ]
        of.up_to = points[0]
        self._divided = True

    # --- tasks ---------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Give every idle lister a range; where there is none, look for split points in the range that has grown longest."""
        idle = self._width - sum(one.lister is not None for one in self._ranges)
        for one in self._ranges:
            if idle and one.lister is None:
                one.lister = self._spawn(self._list(one))
                idle -= 1
        long = [one for one in self._ranges if one.keys >= one.patience]
        if idle and long and self._search is None and self._ordered:
            self._search = self._spawn(self._find(max(long, key=lambda one: one.keys), idle + 1))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _list(self, of: _Range) -> None:
        after = "" if of.token else of.after
        listing = Listing(self._store, self._bucket, prefix=self._prefix, start_after=after, token=of.token)
        try:
            async with contextlib.aclosing(listing.pages()) as pages:
                async for page in pages:
                    await self._arrivals.put(_Page(of, page, listing.ordered))
                    if page.objects and of.reaches(page.objects[-1].key):
                        break
        except Exception as error:
            await self._arrivals.put(_Broken(error))

    async def _find(self, of: _Range, count: int) -> None:
        try:
            points = await find_split_points(
                self._store, self._bucket, self._prefix, start_after=of.after, up_to=of.up_to, count=count
            )
        except Exception as error:
            await self._arrivals.put(_Broken(error))
        else:
            await self._arrivals.put(_Points(of, points))


def _text(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape")
