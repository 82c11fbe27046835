from __future__ import annotations

import bisect
import datetime as dt
import hashlib
import itertools
import random
import unicodedata
import uuid
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.listed_store import ListedStore

from bucket_brigade.errors import PermanentError
from bucket_brigade.s3.split_points import MIN_PROBES, PROBES_PER_SHARD, byte_order, find_split_points
from bucket_brigade.s3.store import Store

N = 20_000
_SEED = random.Random(20261122)


def _hashed(number: int) -> str:
    bits = f"{int(hashlib.sha256(str(number).encode()).hexdigest(), 16):0256b}"
    return f"{bits[:4]}/{bits[4:8]}/{bits[8:12]}/{bits[12:20]}/file-{number}"


def _day(number: int) -> str:
    return (dt.date(2021, 1, 1) + dt.timedelta(days=number // 12)).strftime("%Y/%m/%d")


LAYOUTS: dict[str, tuple[str, list[str], float]] = {
    "counters": ("k/", [f"k/{number:08}" for number in range(N)], 0.51),
    "spread counters": ("", [f"k/{number * 49:08}" for number in range(N)], 0.35),
    "dates": ("logs/", ["logs/", *(f"logs/{_day(number)}/{number}.gz" for number in range(N))], 0.51),
    "hashed": ("", [_hashed(number) for number in range(N)], 0.27),
    "uuids": ("", [str(uuid.UUID(int=_SEED.getrandbits(128))) for _ in range(N)], 0.27),
    "words": ("w/", ["w/" + "".join(_SEED.choices("abcdefghijklmnopqrstuvwxyz", k=9)) for _ in range(N)], 0.4),
    "Chinese": ("", ["".join(chr(_SEED.randrange(0x4E00, 0x9FA5)) for _ in range(4)) for _ in range(N)], 0.45),
    "one long common prefix": ("", ["deep/" * 150 + f"part-{number:06}.parquet" for number in range(N)], 0.51),
}
"""Prefix, keys, and how much of them the largest of four shards may hold."""


def shares(store: ListedStore, points: list[str]) -> list[float]:
    order = [byte_order(key) for key in store.keys]
    cuts = [0, *(bisect.bisect_right(order, byte_order(point)) for point in points), len(order)]
    return [(high - low) / len(order) for low, high in itertools.pairwise(cuts)]


async def split(
    store: ListedStore, prefix: str = "", *, count: int = 4, start_after: str = "", up_to: str | None = None
) -> list[str]:
    return await find_split_points(
        cast("Store", store), "bucket", prefix, start_after=start_after, up_to=up_to, count=count
    )


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_four_shards_are_about_equal(layout: str) -> None:
    prefix, keys, largest = LAYOUTS[layout]
    store = ListedStore(keys)
    points = await split(store, prefix)

    assert len(points) == 3
    assert max(shares(store, points)) <= largest


@pytest.mark.parametrize("count", [2, 4, 8, 32])
@pytest.mark.parametrize("layout", LAYOUTS)
async def test_the_search_is_bounded(layout: str, count: int) -> None:
    prefix, keys, _ = LAYOUTS[layout]
    store = ListedStore(keys)
    points = await split(store, prefix, count=count)

    # A step that is under way when the budget ends is finished.
    assert store.requests <= max(MIN_PROBES, PROBES_PER_SHARD * count) + 12
    assert 1 <= len(points) < count


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_points_are_in_order_inside_the_range_and_can_be_sent(layout: str) -> None:
    prefix, keys, _ = LAYOUTS[layout]
    store = ListedStore(keys)
    low, high = store.keys[N // 4], store.keys[N // 2]
    points = await split(store, prefix, count=8, start_after=low, up_to=high)

    assert points == sorted(set(points), key=byte_order)
    assert all(byte_order(low) < byte_order(point) < byte_order(high) for point in points)
    assert not any(unicodedata.category(one).startswith("C") for point in points for one in point)


@given(
    st.sets(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=3) | st.text("ab/", min_size=1),
        max_size=40,
    )
)
async def test_any_keys_have_points_in_order_or_none(keys: set[str]) -> None:
    points = await split(ListedStore(keys, page_limit=2), count=5)

    assert points == sorted(set(points), key=byte_order)
    for point in points:
        assert min(map(byte_order, keys)) < byte_order(point) <= max(map(byte_order, keys))
        assert all(one.isprintable() and one < "\ud800" for one in point)


async def test_a_page_of_keys_is_not_divided() -> None:
    store = ListedStore(f"{number:04}" for number in range(1000))

    assert await split(store) == []
    assert store.requests == 1


@pytest.mark.parametrize("count", [0, 1])
async def test_one_shard_needs_no_points(count: int) -> None:
    store = ListedStore(LAYOUTS["counters"][1])

    assert await split(store, count=count) == []
    assert store.requests == 0


async def test_a_store_that_ignores_start_after_is_not_divided() -> None:
    assert await split(ListedStore(LAYOUTS["counters"][1], heeds_start_after=False)) == []


async def test_a_store_that_keeps_no_order_is_not_divided() -> None:
    assert await split(ListedStore(LAYOUTS["uuids"][1], keeps_order=False)) == []


async def test_a_store_that_refuses_the_question_is_not_divided() -> None:
    keys = LAYOUTS["counters"][1]
    assert await split(ListedStore(keys, fails_at=(keys[0], PermanentError("no StartAfter here")))) == []


async def test_keys_whose_characters_sort_differently_in_utf16_are_not_cut_there() -> None:
    keys = [f"{chr(0xFF00 + number % 5)}{number:05}" for number in range(4000)]
    keys += [f"\U0001f600{number:05}" for number in range(4000)]

    assert await split(ListedStore(keys)) == []
