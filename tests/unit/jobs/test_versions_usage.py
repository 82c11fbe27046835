"""What a prefix holds is counted once, in every folder that it is in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.memory_store import MemoryStore

from bucket_brigade.jobs.usage import Tally, Usage, cost_of, measure
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.settings.values import PriceSettings

keys = st.lists(st.text("ab/", min_size=1, max_size=6), unique=True, max_size=12)


async def usages(store: MemoryStore, prefix: str = "", **how: object) -> list[Usage]:
    return [usage async for usage in measure(store, "bucket", prefix, **how)]  # type: ignore[arg-type]


@given(names=keys, prefix=st.sampled_from(["", "a", "a/", "b/a"]), depth=st.integers(0, 3), versioned=st.booleans())
async def test_each_folder_counts_everything_below_it(
    names: list[str], prefix: str, depth: int, versioned: bool
) -> None:
    store = MemoryStore("bucket")
    for size, name in enumerate(names, start=1):
        await store.put_object("bucket", name, b"x" * size)
    found = await usages(store, prefix, depth=depth, versions=versioned)

    mine = {name: size for size, name in enumerate(names, start=1) if name.startswith(prefix)}
    root = prefix[: prefix.rfind("/") + 1]
    folders = {prefix}
    for name in mine:
        parts = name[len(root) :].split("/")[:-1]
        folders |= {root + "/".join(parts[:count]) + "/" for count in range(1, min(depth, len(parts)) + 1)}
    expected = {
        folder: (
            sum(1 for name in mine if name.startswith(folder)),
            sum(size for name, size in mine.items() if name.startswith(folder)),
        )
        for folder in folders
    }
    assert len(found) == len({usage.prefix for usage in found})
    assert {usage.prefix: (usage.total.objects, usage.total.bytes) for usage in found} == expected
    assert found[-1].prefix == prefix


async def test_classes_versions_and_markers_are_told_apart() -> None:
    store = MemoryStore("bucket")
    store.buckets["bucket"].versioned = True
    cold = ObjectAttributes(storage_class="GLACIER")
    await store.put_object("bucket", "k", b"1", attributes=cold)
    await store.put_object("bucket", "k", b"22", attributes=cold)
    await store.put_object("bucket", "k", b"333")
    await store.put_object("bucket", "gone", b"4444")
    await store.delete_object("bucket", "gone")
    await store.delete_object("bucket", "gone")

    [now] = await usages(store)
    assert now == Usage("", {"STANDARD": Tally(1, 3)})
    [all_of_it] = await usages(store, versions=True)
    assert all_of_it == Usage("", {"STANDARD": Tally(1, 3)}, {"GLACIER": Tally(2, 3), "STANDARD": Tally(1, 4)}, 2)
    before_the_marker = (await store.head_object("bucket", "k")).modified_ns + 10**9
    [then] = await usages(store, as_of_ns=before_the_marker)
    assert then == Usage("", {"STANDARD": Tally(2, 7)})


def test_costs_are_prices_times_gibibytes_and_say_what_they_leave_out() -> None:
    prices = PriceSettings(currency="EUR", gb_month=(("STANDARD", 0.02), ("GLACIER", 0.004)))
    cost = cost_of([("STANDARD", Tally(1, 10 << 30)), ("GLACIER", Tally(5, 1 << 29)), ("RARE", Tally(1, 1))], prices)
    assert cost.amount == pytest.approx(0.202)
    assert (cost.currency, cost.unpriced) == ("EUR", ("RARE",))
    assert cost_of([("RARE", Tally(3, 0))], prices).unpriced == ()
