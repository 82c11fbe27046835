from __future__ import annotations

import asyncio
import contextlib
from typing import Any, cast

import pytest

from bucket_brigade.errors import PlanError, StoreUnavailable
from bucket_brigade.s3.listing import Listing, iterate_objects, iterate_uploads, iterate_versions
from bucket_brigade.s3.store import (
    ListedObject,
    ListedVersion,
    ListPage,
    OpenUpload,
    Store,
    UploadPage,
    VersionPage,
)


class ScriptedStore:
    """Answers each listing request with what a function of its token says."""

    def __init__(self, script: dict[Any, Any]) -> None:
        self.script = script
        self.tokens: list[Any] = []
        self.cancelled = 0

    async def list_objects(self, bucket: str, *, token: str | None = None, **_: Any) -> ListPage:
        self.tokens.append(token)
        try:
            answer = self.script[token]
            if isinstance(answer, asyncio.Event):
                await answer.wait()
            if isinstance(answer, Exception):
                raise answer
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return cast("ListPage", answer)

    async def list_object_versions(self, bucket: str, *, markers: Any = None, **_: Any) -> VersionPage:
        return cast("VersionPage", self.script[markers])

    async def list_multipart_uploads(self, bucket: str, *, markers: Any = None, **_: Any) -> UploadPage:
        return cast("UploadPage", self.script[markers])


def page(*keys: str, token: str | None = None) -> ListPage:
    return ListPage([ListedObject(key, 1, '"e"', 0) for key in keys], [], token)


def store_of(script: dict[Any, Any]) -> Store:
    return cast("Store", ScriptedStore(script))


async def keys_of(listing: Listing) -> list[str]:
    return [one.key async for each in listing for one in each.objects]


async def test_pages_come_one_after_the_other() -> None:
    listing = Listing(store_of({None: page("a", "b", token="1"), "1": page("c")}), "bucket")

    assert await keys_of(listing) == ["a", "b", "c"]
    assert listing.ordered
    assert listing.keys == 3


async def test_the_next_page_is_under_way_while_one_is_consumed() -> None:
    store = ScriptedStore({None: page("a", token="1"), "1": page("b", token="2"), "2": page("c")})
    async with contextlib.aclosing(iterate_objects(cast("Store", store), "bucket")) as pages:
        await anext(pages)
        await asyncio.sleep(0)
        assert store.tokens == [None, "1"]


async def test_a_listing_left_early_cancels_the_page_under_way() -> None:
    store = ScriptedStore({None: page("a", token="1"), "1": asyncio.Event()})
    async with contextlib.aclosing(iterate_objects(cast("Store", store), "bucket")) as pages:
        await anext(pages)
        await asyncio.sleep(0)

    assert store.cancelled == 1


async def test_a_page_that_fails_is_told_when_it_is_wanted() -> None:
    store = store_of({None: page("a", token="1"), "1": StoreUnavailable("no")})
    pages = iterate_objects(store, "bucket")
    assert (await anext(pages)).objects[0].key == "a"

    with pytest.raises(StoreUnavailable):
        await anext(pages)


async def test_a_page_that_fails_unwanted_disturbs_nobody() -> None:
    store = store_of({None: page("a", token="1"), "1": StoreUnavailable("no")})
    async with contextlib.aclosing(iterate_objects(store, "bucket")) as pages:
        await anext(pages)
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "script",
    [
        {None: page("a", token="1"), "1": page("b", token="1")},
        {None: page("a", token="1"), "1": page("b", token="2"), "2": page("c", token="1")},
        {None: page("a", token="0")} | {str(n): page(f"k{n}", token=str((n + 1) % 37)) for n in range(37)},
        {None: page("a", "b", token="1"), "1": page("a", "b", token="2"), "2": page("c")},
    ],
)
async def test_a_listing_that_goes_in_circles_is_an_error(script: dict[Any, Any]) -> None:
    with pytest.raises(PlanError):
        await keys_of(Listing(store_of(script), "bucket"))


async def test_a_key_outside_the_prefix_is_an_error() -> None:
    with pytest.raises(PlanError, match="outside"):
        await keys_of(Listing(store_of({None: page("a/1", "b/1")}), "bucket", prefix="a/"))


async def test_keys_before_the_start_are_left_out_where_a_store_ignores_it() -> None:
    listing = Listing(store_of({None: page("a", "b", "c")}), "bucket", start_after="b")

    assert await keys_of(listing) == ["c"]


@pytest.mark.parametrize(
    ("keys", "ordered"),
    [(("a", "é", "\uffff", "\U0001f600"), True), (("b", "a"), False), (("a", "b", "b"), False)],
)
async def test_order_is_judged_by_utf8_bytes(keys: tuple[str, ...], ordered: bool) -> None:
    listing = Listing(store_of({None: page(keys[0], token="1"), "1": page(*keys[1:])}), "bucket")
    await keys_of(listing)

    assert listing.ordered is ordered


async def test_versions_and_uploads_come_in_pages() -> None:
    versions = [ListedVersion("a", "1", True, False), ListedVersion("b", "2", True, False)]
    store = store_of({None: VersionPage(versions[:1], ("a", "1")), ("a", "1"): VersionPage(versions[1:], None)})
    assert [one async for each in iterate_versions(store, "bucket") for one in each] == versions

    uploads = [OpenUpload("a", "1", 0), OpenUpload("b", "2", 0)]
    store = store_of({None: UploadPage(uploads[:1], ("a", "1")), ("a", "1"): UploadPage(uploads[1:], None)})
    assert [one async for each in iterate_uploads(store, "bucket") for one in each] == uploads


async def test_versions_outside_the_prefix_are_an_error() -> None:
    store = store_of({None: VersionPage([ListedVersion("b", "1", True, False)], None)})
    with pytest.raises(PlanError):
        async for _ in iterate_versions(store, "bucket", prefix="a/"):
            pass


async def test_versions_that_are_yielded_may_be_deleted_at_once() -> None:
    """The listing never goes on behind a version that was yielded: many stores would not find the place."""
    pages = [[ListedVersion(f"k{number}", "v", True, False)] for number in range(4)]
    script: dict[Any, Any] = {
        (f"k{number - 1}", "v") if number else None: VersionPage(page, (f"k{number}", "v") if number < 3 else None)
        for number, page in enumerate(pages)
    }
    yielded: list[str] = []

    class Watched(ScriptedStore):
        async def list_object_versions(self, bucket: str, *, markers: Any = None, **_: Any) -> VersionPage:
            assert markers is None or markers[0] not in yielded
            return await super().list_object_versions(bucket, markers=markers)

    async for versions in iterate_versions(cast("Store", Watched(script)), "bucket"):
        yielded += [one.key for one in versions]
        await asyncio.sleep(0)
    assert yielded == ["k0", "k1", "k2", "k3"]
