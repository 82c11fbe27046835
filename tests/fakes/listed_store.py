"""A store that can do nothing but list the keys it was given, with the habits of stores that are not quite S3."""

from __future__ import annotations

import asyncio
import bisect
import random
from collections.abc import Iterable
from typing import Any

from bucket_brigade.errors import TransferError
from bucket_brigade.s3.split_points import byte_order
from bucket_brigade.s3.store import ListedObject, ListPage


class ListedStore:
    """Lists its keys.

    Attributes:
        requests: how many pages were asked for.
        under_way: how many are being answered now; ``most_under_way`` at most so far.
        fails_at: the error of a page that would hold this key.
    """

    def __init__(
        self,
        keys: Iterable[str],
        *,
        page_limit: int = 1000,
        keeps_order: bool = True,
        heeds_start_after: bool = True,
        fails_at: tuple[str, TransferError] | None = None,
    ) -> None:
        self.keys = sorted(set(keys), key=byte_order)
        self._order = [byte_order(key) for key in self.keys]
        if not keeps_order:
            random.Random(1).shuffle(self.keys)
        self._page_limit = page_limit
        self._keeps_order = keeps_order
        self._heeds_start_after = heeds_start_after
        self.fails_at = fails_at
        self.requests = 0
        self.under_way = self.most_under_way = 0

    async def list_objects(
        self,
        bucket: str,
        *,
        prefix: str = "",
        start_after: str = "",
        token: str | None = None,
        page_size: int = 1000,
        **_: Any,
    ) -> ListPage:
        self.requests += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
        finally:
            self.under_way -= 1
        place = int(token) if token is not None else self._place(start_after)
        most = min(page_size, self._page_limit)
        found: list[str] = []
        while place < len(self.keys) and len(found) < most:
            if self.keys[place].startswith(prefix):
                found.append(self.keys[place])
            place += 1
        if self.fails_at is not None and self.fails_at[0] in found:
            raise self.fails_at[1]
        more = any(key.startswith(prefix) for key in self.keys[place : place + 1])
        return ListPage([ListedObject(key, 1, '"e"', 0) for key in found], [], str(place) if more else None)

    def _place(self, start_after: str) -> int:
        if not (start_after and self._heeds_start_after):
            return 0
        if not self._keeps_order:
            return self.keys.index(start_after) + 1 if start_after in self.keys else 0
        return bisect.bisect_right(self._order, byte_order(start_after))
