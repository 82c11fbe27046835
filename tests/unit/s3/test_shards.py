from __future__ import annotations

import asyncio
import contextlib
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.listed_store import ListedStore

from bucket_brigade.errors import PlanError, StoreUnavailable
from bucket_brigade.s3.shards import LOOK_AHEAD_PAGES, Shard, iterate_in_order
from bucket_brigade.s3.split_points import byte_order
from bucket_brigade.s3.store import ListedObject, ListPage, Store

COUNTERS = [f"k/{number:06}" for number in range(12_000)]
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=3) | st.text("ab/", min_size=1, max_size=6)


def page(*keys: str, token: str | None = None) -> ListPage:
    return ListPage([ListedObject(key, 1, '"e"', 0) for key in keys], [], token)


async def in_order(store: ListedStore, *, shards: int, prefix: str = "") -> list[str]:
    pages = iterate_in_order(cast("Store", store), "bucket", prefix=prefix, shards=shards)
    async with contextlib.aclosing(pages):
        return [one.key async for each in pages for one in each.objects]


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_a_shard_takes_what_is_within_its_bounds_and_is_done_at_the_first_key_beyond() -> None:
    shard = Shard("", "c")

    assert [one.key for one in shard.take(page("a", "b", token="1"))] == ["a", "b"]
    assert (shard.after, shard.done) == ("b", False)
    assert [one.key for one in shard.take(page("c", "d", token="2"))] == ["c"]
    assert (shard.after, shard.done) == ("c", True)


def test_a_bound_that_is_lowered_cuts_pages_listed_before() -> None:
    shard = Shard("", None)
    shard.take(page("a", token="1"))
    shard.up_to = "b"

    assert shard.take(page("ba", "c")) == []
    assert shard.done


def test_bounds_compare_by_utf8_bytes() -> None:
    assert Shard("", "\uff5e").reaches("\U0001f600")
    assert not Shard("", "\U0001f600").reaches("\uff5e")


# --- in order --------------------------------------------------------------------------------------------------------


@given(st.sets(texts, max_size=60), st.integers(1, 4), st.integers(1, 4))
def test_any_keys_come_once_and_in_order(keys: set[str], page_limit: int, shards: int) -> None:
    found = asyncio.run(in_order(ListedStore(keys, page_limit=page_limit), shards=shards))

    assert found == sorted(keys, key=byte_order)


async def test_shards_are_listed_side_by_side_and_come_in_order() -> None:
    store = ListedStore(COUNTERS, page_limit=100)

    assert await in_order(store, shards=4, prefix="k/") == COUNTERS
    assert store.most_under_way >= 4


async def test_one_shard_is_the_plain_listing() -> None:
    store = ListedStore(COUNTERS)

    assert await in_order(store, shards=1) == COUNTERS
    assert store.requests == 12


async def test_no_shard_reads_further_ahead_than_a_few_pages() -> None:
    store = ListedStore([f"k/{number:06}" for number in range(100_000)], page_limit=10)
    pages = iterate_in_order(cast("Store", store), "bucket", shards=2)
    async with contextlib.aclosing(pages):
        await anext(pages)
        before = store.requests
        for _ in range(200):
            await asyncio.sleep(0)
    # Besides what waits, each shard holds a page in its hand and one under way.
    assert store.requests - before <= 2 * (LOOK_AHEAD_PAGES + 2)


@pytest.mark.parametrize("taken", [0, 1, 5])
async def test_pages_left_early_leave_no_task(taken: int) -> None:
    before = asyncio.all_tasks()
    pages = iterate_in_order(cast("Store", ListedStore(COUNTERS, page_limit=100)), "bucket", shards=4)
    async with contextlib.aclosing(pages):
        for _ in range(taken):
            await anext(pages)

    assert asyncio.all_tasks() == before


async def test_an_error_comes_where_its_page_would_have() -> None:
    store = ListedStore(COUNTERS, page_limit=100, fails_at=("k/005050", StoreUnavailable("no")))
    found: list[str] = []

    async def read() -> None:
        async with contextlib.aclosing(iterate_in_order(cast("Store", store), "bucket", shards=4)) as pages:
            async for each in pages:
                found.extend(one.key for one in each.objects)

    with pytest.raises(StoreUnavailable):
        await read()
    assert 5000 <= len(found) <= 5050
    assert found == COUNTERS[: len(found)]


async def test_a_store_without_order_is_listed_plainly() -> None:
    store = ListedStore(COUNTERS, keeps_order=False)

    assert await in_order(store, shards=4) == store.keys


async def test_order_that_is_lost_later_is_an_error_not_a_short_listing() -> None:
    class Disordered(ListedStore):
        """In order, as far as a look at the first page and at single keys can tell."""

        async def list_objects(self, bucket: str, **arguments: Any) -> ListPage:
            page = await super().list_objects(bucket, **arguments)
            return page if arguments.get("token") is None else ListPage(page.objects[::-1], [], page.next_token)

    with pytest.raises(PlanError, match="order"):
        await in_order(Disordered(COUNTERS, page_limit=50), shards=2)
