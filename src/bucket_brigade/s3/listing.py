"""Listings as streams of pages that can be trusted: bounded, advancing, and told whether they are in order.

A store's page is checked before anybody acts on it: a listing that loops, leaves its prefix or ends early must never look
like a complete one, because what is not in a listing may be deleted by a sync.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from itertools import islice
from operator import lt
from typing import Any, TypeVar

from bucket_brigade.errors import PlanError
from bucket_brigade.s3.store import ListedObject, ListedVersion, ListPage, OpenUpload, Store, VersionPage

P = TypeVar("P")
T = TypeVar("T")


class Listing:
    """One pass over the objects of a bucket below a prefix, page by page; iterate it once.

    Keys outside the prefix are a PlanError; keys at or before ``start_after``, from stores that ignore it, are left out. While
    a page is consumed, the next one is fetched.

    Args:
        store: lists the pages.
        bucket: its name.
        prefix: every key begins with it.
        delimiter: rolls up the keys that have it behind the prefix, into ``ListPage.prefixes``.
        start_after: only keys behind it, in UTF-8 byte order.
        token: goes on where a page's ``next_token`` led.
        page_size: keys in a page, at most 1,000.

    Attributes:
        ordered: every key so far came in UTF-8 byte order. Never merge two listings once it is False.
        keys: how many objects so far.
    """

    def __init__(
        self,
        store: Store,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        start_after: str = "",
        token: str | None = None,
        page_size: int = 1000,
    ) -> None:
        self.ordered = True
        self.keys = 0
        self._store = store
        self._bucket = bucket
        self._prefix = prefix
        self._delimiter = delimiter
        self._start_after = start_after
        self._token = token
        self._page_size = page_size
        self._last: str | None = None
        self._page_before: list[str] = []

    def __aiter__(self) -> AsyncIterator[ListPage]:
        """Iterate ``pages``."""
        return self.pages()

    async def pages(self) -> AsyncGenerator[ListPage]:
        """Yield the pages; one that is empty within our bounds is yielded too, for its ``next_token``."""
        pages = _prefetched(self._fetch, self._token, lambda page: page.next_token, self._bucket)
        async with contextlib.aclosing(pages):
            async for page in pages:
                yield self._checked(page)

    def _fetch(self, token: str | None) -> Coroutine[Any, Any, ListPage]:
        return self._store.list_objects(
            self._bucket,
            prefix=self._prefix,
            delimiter=self._delimiter,
            start_after=self._start_after,
            token=token,
            page_size=self._page_size,
        )

    def _checked(self, page: ListPage) -> ListPage:
        objects = page.objects
        keys = [one.key for one in objects]
        ascending = all(map(lt, keys, islice(keys, 1, None)))
        if self.ordered and keys:
            self.ordered = _follows(self._last, keys[0]) and (ascending or all(map(_follows, keys, keys[1:])))
            self._last = keys[-1]
        # Between two keys with the prefix there is none without it, where they ascend.
        for key in (keys[0], keys[-1]) if ascending and keys else keys:
            _check_prefix(self._bucket, self._prefix, key)
        if self._start_after:
            objects = _behind(self._start_after, objects, keys)
        self._check_advance([*keys, *page.prefixes] if page.prefixes else keys)
        self.keys += len(objects)
        return page if objects is page.objects else ListPage(objects, page.prefixes, page.next_token)

    def _check_advance(self, names: list[str]) -> None:
        # A folder of a listing with a delimiter may end one page and begin the next; in order, keys cannot repeat themselves.
        repeated = names == self._page_before or (
            not self.ordered and not self._delimiter and not set(names).isdisjoint(self._page_before)
        )
        if names and repeated:
            raise PlanError(
                f"The listing of {self._bucket}/{self._prefix} repeats itself: the store does not advance.",
                remedy="List it with another prefix, or name the objects in a manifest.",
            )
        self._page_before = names


async def iterate_objects(
    store: Store,
    bucket: str,
    *,
    prefix: str = "",
    delimiter: str = "",
    start_after: str = "",
    token: str | None = None,
) -> AsyncGenerator[ListPage]:
    """Yield the pages of ``Listing``, where nobody asks about their order. Close it where it is left early."""
    listing = Listing(store, bucket, prefix=prefix, delimiter=delimiter, start_after=start_after, token=token)
    async with contextlib.aclosing(listing.pages()) as pages:
        async for page in pages:
            yield page


async def iterate_versions(store: Store, bucket: str, *, prefix: str = "") -> AsyncGenerator[list[ListedVersion]]:
    """Yield all versions and delete markers below ``prefix``, page by page.

    What is yielded may be deleted at once: a page comes when the one after it is here, whose place in the listing many stores
    cannot find any more when the last version of the page before it is gone.
    """
    before: list[ListedVersion] = []
    async with contextlib.aclosing(iterate_version_pages(store, bucket, prefix=prefix)) as pages:
        async for page in pages:
            if before:
                yield before
            before = page.versions
    if before:
        yield before


async def iterate_version_pages(
    store: Store, bucket: str, *, prefix: str = "", markers: tuple[str, str] | None = None, page_size: int = 1000
) -> AsyncGenerator[VersionPage]:
    """Yield the pages of versions and delete markers below ``prefix`` that follow ``markers``.

    While a page is consumed, the next one is fetched: what its ``next_markers`` name should not be deleted until then.
    """
    pages = _prefetched(
        lambda after: store.list_object_versions(bucket, prefix=prefix, markers=after, page_size=page_size),
        markers,
        lambda page: page.next_markers,
        bucket,
    )
    async with contextlib.aclosing(pages):
        async for page in pages:
            for one in page.versions:
                _check_prefix(bucket, prefix, one.key)
            yield page


async def iterate_as_of(
    store: Store, bucket: str, *, prefix: str = "", as_of_ns: int
) -> AsyncGenerator[list[ListedVersion]]:
    """Yield, page by page, the version of each key that was current at an instant (nanoseconds since the epoch), if one was."""
    decided: str | None = None
    async with contextlib.aclosing(iterate_version_pages(store, bucket, prefix=prefix)) as pages:
        async for page in pages:
            then: list[ListedVersion] = []
            for one in page.versions:
                if one.key != decided and one.modified_ns <= as_of_ns:
                    decided = one.key
                    if not one.is_delete_marker:
                        then.append(one)
            yield then


async def iterate_uploads(store: Store, bucket: str, *, prefix: str = "") -> AsyncGenerator[list[OpenUpload]]:
    """Yield the multipart uploads in progress below ``prefix``, page by page."""
    pages = _prefetched(
        lambda markers: store.list_multipart_uploads(bucket, prefix=prefix, markers=markers),
        None,
        lambda page: page.next_markers,
        bucket,
    )
    async with contextlib.aclosing(pages):
        async for page in pages:
            for one in page.uploads:
                _check_prefix(bucket, prefix, one.key)
            yield page.uploads


def _check_prefix(bucket: str, prefix: str, key: str) -> None:
    if not key.startswith(prefix):
        raise PlanError(f"The listing of {bucket}/{prefix} holds {key!r}, outside its prefix.")


def _follows(before: str | None, key: str) -> bool:
    """Tell whether a key comes behind another (None: the first one) in UTF-8 byte order.

    Comparing str is comparing code points, which is UTF-8 byte order, but for surrogates of keys that are no UTF-8.
    """
    return before is None or before < key or _bytes(before) < _bytes(key)


def _behind(start_after: str, objects: list[ListedObject], keys: list[str]) -> list[ListedObject]:
    """Return the objects (of these keys) behind a key in S3's order, the list itself where all are."""
    if keys and min(keys) > start_after and "".join(keys).isascii():
        return objects  # in ASCII the order of code points is that of bytes
    after = _bytes(start_after)
    return [one for one in objects if _bytes(one.key) > after]


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


class _Advance:
    """Notices a chain of tokens that has become a circle, whatever its length, while remembering one of them (Brent)."""

    def __init__(self, bucket: str, start: object) -> None:
        self._bucket = bucket
        self._mark = start
        self._steps, self._limit = 0, 1

    def check(self, token: object) -> None:
        """Raise PlanError where ``token`` was there before."""
        if token == self._mark:
            raise PlanError(
                f"The listing of {self._bucket} does not come to an end: the store repeats a continuation token.",
                remedy="List it with another prefix, or name the objects in a manifest.",
            )
        self._steps += 1
        if self._steps == self._limit:
            self._mark, self._steps, self._limit = token, 0, self._limit * 2


async def _prefetched(
    fetch: Callable[[T | None], Coroutine[Any, Any, P]],
    start: T | None,
    following: Callable[[P], T | None],
    bucket: str,
) -> AsyncGenerator[P]:
    """Yield the pages of a chain of tokens; the next one is under way while one is consumed, and cancelled at the end."""
    advance = _Advance(bucket, start)
    task: asyncio.Task[P] | None = asyncio.create_task(fetch(start))
    try:
        while task is not None:
            page = await task
            token = following(page)
            task = None
            if token is not None:
                advance.check(token)
                task = asyncio.create_task(fetch(token))
            yield page
    finally:
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # a page that failed while nobody wanted it any more
