"""Shards of a listing: half-open ranges (after, up to], whose bounds are enforced here, whatever the store makes of them.

Shards divide a listing only where the store keeps S3's order, UTF-8 bytes: in any other order, keys of a shard may follow the
first key beyond it, and be missed. Therefore no split point is found where probes or a first page disagree with that order;
and where a shard itself meets a key out of order, the listing fails, clearly, since what was listed cannot be completed any more.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncGenerator

from bucket_brigade.errors import PlanError
from bucket_brigade.s3.listing import Listing
from bucket_brigade.s3.split_points import byte_order, find_split_points
from bucket_brigade.s3.store import ListedObject, ListPage, Store

AUTO_SHARDS = 8
"""Where nobody says how many: at 20 ms a page, 4 list twice as fast as one and 8 three times, for the same CPU time."""

LOOK_AHEAD_PAGES = 8
"""Pages that a shard may hold until its turn comes, where shards are read in order: about 3 MB."""

_SHARDS_PER_LISTER = 16


class Shard:
    """What is left of one range of a listing.

    Attributes:
        after: the last key that was taken; what is left is behind it.
        up_to: the last key that may belong to it; None is the end of the listing. It may be lowered at any time to what is
            still behind ``after``: pages listed before are cut when they are taken.
        done: nothing is left.
    """

    def __init__(self, after: str, up_to: str | None) -> None:
        self.after = after
        self.up_to = up_to
        self.done = False

    def reaches(self, key: str) -> bool:
        """Say whether the shard ends at this key or before."""
        return self.up_to is not None and byte_order(key) >= byte_order(self.up_to)

    def take(self, page: ListPage) -> list[ListedObject]:
        """Return the page's objects within the bounds, and move ``after`` behind them. Pages must come in order."""
        objects = page.objects
        if objects and self.up_to is not None and self.reaches(objects[-1].key):
            objects = objects[
                : bisect.bisect_right(objects, byte_order(self.up_to), key=lambda one: byte_order(one.key))
            ]
            self.done = True
        if page.next_token is None:
            self.done = True
        if objects:
            self.after = objects[-1].key
        return objects


def out_of_order(bucket: str, prefix: str) -> PlanError:
    """Return the error of a listing that was divided although its store keeps another order than S3's."""
    return PlanError(
        f"The listing of {bucket}/{prefix} is not in the order of S3, so it cannot be listed in shards.",
        remedy="Begin again with --list-shards 1.",
    )


async def iterate_in_order(
    store: Store, bucket: str, *, prefix: str = "", page_size: int = 1000, shards: int
) -> AsyncGenerator[ListPage]:
    """Yield the pages below ``prefix`` in order, while ``shards`` ranges are listed side by side; close it where it is left.

    Each shard but the first waits when it holds LOOK_AHEAD_PAGES; so there are many short shards rather than few long ones.

    It is a plain listing where ``shards`` is 1, or no split points are found.

    Raises:
        PlanError: the store does not keep the order of S3.
    """
    points = await find_split_points(store, bucket, prefix, count=shards * _SHARDS_PER_LISTER if shards > 1 else 1)
    if not points:
        async with contextlib.aclosing(Listing(store, bucket, prefix=prefix, page_size=page_size).pages()) as pages:
            async for page in pages:
                yield page
        return
    waiting = deque(Shard(after or "", up_to) for after, up_to in itertools.pairwise(["", *points, None]))
    under_way: deque[_Reader] = deque()
    try:
        while waiting or under_way:
            while waiting and len(under_way) < shards:
                under_way.append(_Reader(store, bucket, prefix, page_size, waiting.popleft()))
            async for page in under_way[0].pages():
                yield page
            await under_way.popleft().close()
    finally:
        for reader in under_way:
            await reader.close()


class _Reader:
    """One shard, read ahead in a task of its own."""

    def __init__(self, store: Store, bucket: str, prefix: str, page_size: int, shard: Shard) -> None:
        self._listing = Listing(store, bucket, prefix=prefix, start_after=shard.after, page_size=page_size)
        self._shard = shard
        self._error = out_of_order(bucket, prefix)
        self._pages: asyncio.Queue[ListPage | BaseException | None] = asyncio.Queue(LOOK_AHEAD_PAGES)
        self._task = asyncio.create_task(self._read())

    async def pages(self) -> AsyncGenerator[ListPage]:
        """Yield the pages, as far as they are in the shard."""
        while (page := await self._pages.get()) is not None:
            if isinstance(page, BaseException):
                raise page
            yield page

    async def close(self) -> None:
        """Stop reading."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _read(self) -> None:
        try:
            async with contextlib.aclosing(self._listing.pages()) as pages:
                async for page in pages:
                    if not self._listing.ordered:
                        raise self._error
                    await self._pages.put(ListPage(self._shard.take(page), [], page.next_token))
                    if self._shard.done:
                        break
        except Exception as error:
            await self._pages.put(error)
        else:
            await self._pages.put(None)
