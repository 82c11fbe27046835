from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.listed_store import ListedStore

from bucket_brigade.errors import PlanError, StoreUnavailable
from bucket_brigade.planning.sharded import ListingCursor, ShardedListingSource
from bucket_brigade.planning.sources import Slice, SourceEntry
from bucket_brigade.s3.split_points import byte_order
from bucket_brigade.s3.store import Store

COUNTERS = [f"k/{number:06}" for number in range(12_000)]

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=4)
keys_of_few_letters = st.sets(st.text("ab/é\U0001f600", min_size=1, max_size=5) | texts, max_size=60)


def source_of(store: ListedStore, *, shards: int = 0) -> ShardedListingSource:
    return ShardedListingSource(cast("Store", store), "bucket", "", base="", shards=shards)


def names_in(piece: Slice) -> list[str]:
    assert all(isinstance(entry, SourceEntry) for entry in piece.entries)
    return [entry.source for entry in piece.entries]


async def read(
    source: ShardedListingSource, cursor: bytes = b"", *, slices: int | None = None
) -> tuple[list[str], bytes]:
    """Return the keys of so many slices, and the cursor behind them."""
    keys: list[str] = []
    async with contextlib.aclosing(source.slices(cursor)) as pieces:
        async for piece in pieces:
            keys += names_in(piece)
            cursor = piece.cursor
            if slices is not None and (slices := slices - 1) == 0:
                break
    return keys, cursor


def cursor_between(points: list[str]) -> bytes:
    bounds = [byte_order(point) for point in points]
    ranges = list(itertools.pairwise([b"", *bounds, None]))
    return msgspec.msgpack.encode(ListingCursor([(after or b"", up_to) for after, up_to in ranges], None, True))


# --- every key once --------------------------------------------------------------------------------------------------


@given(keys_of_few_letters, st.sets(texts, max_size=6), st.integers(1, 5), st.integers(1, 4))
def test_shards_between_any_points_hold_every_key_once(
    keys: set[str], points: set[str], page_limit: int, shards: int
) -> None:
    store = ListedStore(keys, page_limit=page_limit)
    cursor = cursor_between(sorted(points, key=byte_order))

    found, _ = asyncio.run(read(source_of(store, shards=shards), cursor))

    assert sorted(found) == sorted(keys)


@given(keys_of_few_letters, st.integers(1, 4), st.integers(1, 6), st.lists(st.integers(1, 7), max_size=8))
def test_a_listing_that_is_interrupted_anywhere_goes_on_without_loss_or_repetition(
    keys: set[str], page_limit: int, shards: int, slices_between_crashes: list[int]
) -> None:
    async def run() -> list[str]:
        found: list[str] = []
        cursor = b""
        for slices in slices_between_crashes:
            more, cursor = await read(
                source_of(ListedStore(keys, page_limit=page_limit), shards=shards), cursor, slices=slices
            )
            found += more
        rest, _ = await read(source_of(ListedStore(keys, page_limit=page_limit), shards=shards), cursor)
        return found + rest

    assert sorted(asyncio.run(run())) == sorted(keys)


@pytest.mark.parametrize("shards", [0, 1, 2, 4, 16])
async def test_a_crash_behind_every_slice_of_a_long_listing_loses_nothing(shards: int) -> None:
    cursors: list[tuple[int, bytes]] = []
    found: list[str] = []
    async with contextlib.aclosing(source_of(ListedStore(COUNTERS), shards=shards).slices(b"")) as pieces:
        async for piece in pieces:
            found += names_in(piece)
            cursors.append((len(found), piece.cursor))
    assert sorted(found) == COUNTERS

    for seen, cursor in cursors:
        for others in (1, 3):  # whatever the settings are then
            rest, _ = await read(source_of(ListedStore(COUNTERS), shards=others), cursor)
            assert sorted(found[:seen] + rest) == COUNTERS


async def test_the_last_slice_leaves_nothing() -> None:
    _, cursor = await read(source_of(ListedStore(COUNTERS), shards=4))

    assert await read(source_of(ListedStore(COUNTERS)), cursor) == ([], cursor)


async def test_names_are_relative_to_the_base() -> None:
    source = ShardedListingSource(cast("Store", ListedStore(COUNTERS)), "bucket", "k/0000", base="k/", shards=2)
    async with contextlib.aclosing(source.slices(b"")) as pieces:
        names = [entry.name async for piece in pieces for entry in piece.entries if isinstance(entry, SourceEntry)]

    assert names == [f"{number:06}" for number in range(100)]


async def test_a_key_that_is_no_utf8_can_be_resumed_behind() -> None:
    keys = ["a", "b\udcff", "c"]
    found, cursor = await read(source_of(ListedStore(keys, page_limit=2)), slices=1)

    assert found == ["a", "b\udcff"]
    assert (await read(source_of(ListedStore(keys)), cursor))[0] == ["c"]


# --- when it is divided ----------------------------------------------------------------------------------------------


async def test_a_short_listing_costs_its_pages_and_nothing_more() -> None:
    store = ListedStore(COUNTERS[:5_000])
    await read(source_of(store))

    assert store.requests == 5


async def test_a_long_listing_is_divided_by_itself() -> None:
    store = ListedStore([f"k/{number:06}" for number in range(40_000)])
    found, _ = await read(source_of(store))

    assert len(found) == 40_000
    assert store.most_under_way >= 4
    assert found != sorted(found)


async def test_one_shard_never_divides() -> None:
    store = ListedStore(COUNTERS)
    found, _ = await read(source_of(store, shards=1))

    assert (found, store.requests) == (COUNTERS, 12)


async def test_what_is_longer_than_its_siblings_is_divided_again() -> None:
    small = [f"a{letter}/{number}" for letter in "bcdefgh" for number in range(300)]
    store = ListedStore([*small, *(f"z/{number:06}" for number in range(60_000))], page_limit=200)
    async with contextlib.aclosing(source_of(store, shards=4).slices(b"")) as pieces:
        cursors = [msgspec.msgpack.decode(piece.cursor, type=ListingCursor) async for piece in pieces]

    inside = [sum(after.startswith(b"z/") for after, _ in cursor.ranges) for cursor in cursors]
    assert max(inside) >= 3


async def test_a_source_left_early_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    await read(source_of(ListedStore(COUNTERS), shards=8), slices=3)

    assert asyncio.all_tasks() == before


# --- stores that are not quite S3 ------------------------------------------------------------------------------------


async def test_an_error_of_one_shard_ends_all() -> None:
    store = ListedStore(COUNTERS, fails_at=("k/008000", StoreUnavailable("no")))
    before = asyncio.all_tasks()

    with pytest.raises(StoreUnavailable):
        await read(source_of(store, shards=4))
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("shards", [0, 4])
async def test_a_store_without_order_is_listed_plainly_and_resumed_by_its_token(shards: int) -> None:
    store = ListedStore(COUNTERS, keeps_order=False)
    first, cursor = await read(source_of(store, shards=shards), slices=7)
    rest, _ = await read(source_of(store, shards=shards), cursor)

    assert sorted(first + rest) == COUNTERS


async def test_a_store_without_order_may_be_resumed_again_and_again() -> None:
    """Also where the few pages of one run, taken alone, happen to be in order."""
    store = ListedStore(COUNTERS[:40], keeps_order=False, page_limit=1)
    found, cursor = await read(source_of(store), slices=20)
    while True:
        keys, cursor = await read(source_of(store), cursor, slices=2)
        found += keys
        if not keys:
            break
        assert len(found) <= 40

    assert sorted(found) == COUNTERS[:40]


@pytest.mark.parametrize("shards", [0, 4])
async def test_a_store_that_ignores_start_after_is_listed_plainly(shards: int) -> None:
    store = ListedStore(COUNTERS, heeds_start_after=False)
    found, _ = await read(source_of(store, shards=shards))

    assert found == COUNTERS


async def test_order_lost_in_a_shard_is_an_error_not_a_short_listing() -> None:
    cursor = cursor_between(["k/004000"])
    with pytest.raises(PlanError, match="order"):
        await read(source_of(ListedStore(COUNTERS, keeps_order=False), shards=2), cursor)
