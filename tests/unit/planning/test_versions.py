"""Which versions of each key become transfers: against plain rules over whole histories, whatever the pages and interruptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.memory_store import MemoryStore

from bucket_brigade.errors import ConfigError, PlanError
from bucket_brigade.model.job import Operation, VersionSelection, VersionsOf
from bucket_brigade.model.transfer import Refused
from bucket_brigade.planning.choosers import Chooser, chooser_for
from bucket_brigade.planning.sources import SourceEntry
from bucket_brigade.planning.versions import VersionsSource
from bucket_brigade.s3.store import DeleteKey, ListedVersion, Store, VersionPage

SECOND = 1_000_000_000


@dataclass
class Pages:
    """A listing of versions in pages of any size. Like moto, it ends behind a marker whose version is gone."""

    versions: list[ListedVersion]
    page_size: int = 1000
    gone: set[tuple[str, str]] = field(default_factory=set)

    async def list_object_versions(
        self, bucket: str, *, prefix: str = "", markers: tuple[str, str] | None = None, page_size: int = 1000
    ) -> VersionPage:
        found = [
            one for one in self.versions if one.key.startswith(prefix) and (one.key, one.version_id) not in self.gone
        ]
        names = [(one.key, one.version_id) for one in found]
        start = 0 if markers is None else names.index(markers) + 1 if markers in names else len(found)
        page = found[start : start + self.page_size]
        more = start + len(page) < len(found)
        return VersionPage(page, names[start + len(page) - 1] if more else None)


def histories(*keys: tuple[str, str]) -> list[ListedVersion]:
    """Return a listing from (key, history): a letter is a version, ``-`` a delete marker, the oldest first, one a second."""
    listed: list[ListedVersion] = []
    for key, history in keys:
        ages = list(enumerate(history, start=1))[::-1]
        listed += [
            ListedVersion(
                key,
                f"{key}{at}",
                at == len(history),
                kind == "-",
                0 if kind == "-" else at,
                "" if kind == "-" else f'"{kind}"',
                at * SECOND,
            )
            for at, kind in ages
        ]
    return listed


async def plan(
    listed: Sequence[ListedVersion], chooser: Chooser, *, page_size: int = 1000, stops: int = 0, deletes: bool = False
) -> list[SourceEntry | Refused]:
    """Return all entries; planning is killed after each of the first ``stops`` slices, and resumed."""
    pages = Pages(list(listed), page_size)
    entries: list[SourceEntry | Refused] = []
    cursor = b""
    while True:
        source = VersionsSource(cast("Store", pages), "bucket", "", base="", chooser=chooser)
        async for piece in source.slices(cursor):
            entries += piece.entries
            cursor = piece.cursor
            if deletes:
                pages.gone |= {(e.source, e.version_id or "") for e in piece.entries if isinstance(e, SourceEntry)}
            if stops:
                stops -= 1
                break
        else:
            return entries


def chosen(entries: Sequence[SourceEntry | Refused]) -> list[str]:
    return [entry.version_id or entry.source for entry in entries if isinstance(entry, SourceEntry)]


def choose(which: VersionsOf, operation: Operation = Operation.DELETE, **bounds: Any) -> Chooser:
    return chooser_for(VersionSelection(which=which, **bounds), operation)


keys_with_histories = st.lists(
    st.tuples(st.sampled_from(["a", "a/b", "b", "c+ü", "z"]), st.text("ab-", min_size=1, max_size=6)),
    max_size=5,
    unique_by=lambda one: one[0],
).map(lambda found: sorted(found, key=lambda one: one[0].encode()))
page_sizes = st.integers(1, 7)
stop_counts = st.integers(0, 8)


@given(keys=keys_with_histories, page_size=page_sizes, stops=stop_counts)
async def test_everything_is_deleted_although_the_listing_goes_on_meanwhile(
    keys: list[tuple[str, str]], page_size: int, stops: int
) -> None:
    listed = histories(*keys)
    entries = await plan(listed, choose(VersionsOf.ALL), page_size=page_size, stops=stops, deletes=True)
    assert chosen(entries) == [one.version_id for one in listed]


@given(
    keys=keys_with_histories,
    page_size=page_sizes,
    stops=stop_counts,
    keep_last=st.integers(0, 3),
    before=st.one_of(st.none(), st.integers(0, 7)),
)
async def test_noncurrent_versions_go_by_when_they_were_replaced(
    keys: list[tuple[str, str]], page_size: int, stops: int, keep_last: int, before: int | None
) -> None:
    expected: list[str] = []
    for key, history in keys:
        newest_first = list(enumerate(history, start=1))[::-1]
        kept = 0
        for at, kind in newest_first[1:]:
            if kept < keep_last:
                kept += kind != "-"
            elif before is None or at + 1 < before:  # replaced by the one a second younger
                expected.append(f"{key}{at}")
    chooser = choose(
        VersionsOf.NONCURRENT,
        keep_last=keep_last,
        noncurrent_before_ns=None if before is None else before * SECOND,
    )
    entries = await plan(histories(*keys), chooser, page_size=page_size, stops=stops, deletes=True)
    assert chosen(entries) == expected


@given(keys=keys_with_histories, page_size=page_sizes, stops=stop_counts, as_of=st.integers(0, 8))
async def test_what_was_current_at_an_instant_is_the_youngest_version_until_then(
    keys: list[tuple[str, str]], page_size: int, stops: int, as_of: int
) -> None:
    then = {key: history[:as_of] for key, history in keys}
    expected = [f"{key}{len(past)}" for key, past in then.items() if past and past[-1] != "-"]
    chooser = choose(VersionsOf.AS_OF, Operation.COPY, as_of_ns=as_of * SECOND)
    assert chosen(await plan(histories(*keys), chooser, page_size=page_size, stops=stops)) == expected


@given(
    keys=keys_with_histories,
    page_size=page_sizes,
    stops=stop_counts,
    as_of=st.integers(0, 8),
    delete_newer=st.booleans(),
)
async def test_restoring_plans_what_differs_and_nothing_else(
    keys: list[tuple[str, str]], page_size: int, stops: int, as_of: int, delete_newer: bool
) -> None:
    over: list[str] = []
    newer: list[str] = []
    for key, history in keys:
        past = history[:as_of]
        if past and past[-1] != "-":
            if len(past) < len(history):
                over.append(f"{key}{len(past)}")
        elif history[-1] != "-":
            newer.append(key)
    chooser = choose(
        VersionsOf.AS_OF, Operation.COPY, as_of_ns=as_of * SECOND, in_place=True, delete_newer=delete_newer
    )
    entries = await plan(histories(*keys), chooser, page_size=page_size, stops=stops)
    planned = [entry for entry in entries if isinstance(entry, SourceEntry)]
    assert [entry.version_id for entry in planned if entry.version_id] == over
    assert [entry.source for entry in planned if not entry.version_id] == (newer if delete_newer else [])
    assert [entry.source for entry in entries if isinstance(entry, Refused)] == ([] if delete_newer else newer)
    assert all(entry.etag for entry in planned)  # what is written over or deleted is pinned


@given(keys=keys_with_histories, page_size=page_sizes, stops=stop_counts)
async def test_undelete_takes_the_markers_above_the_newest_version(
    keys: list[tuple[str, str]], page_size: int, stops: int
) -> None:
    expected = [f"{key}{at}" for key, history in keys for at in range(len(history), len(history.rstrip("-")), -1)]
    entries = await plan(histories(*keys), choose(VersionsOf.MARKERS), page_size=page_size, stops=stops, deletes=True)
    assert chosen(entries) == expected


@given(keys=keys_with_histories, page_size=page_sizes, stops=stop_counts)
async def test_a_history_is_one_entry_with_the_size_of_all_its_versions(
    keys: list[tuple[str, str]], page_size: int, stops: int
) -> None:
    entries = await plan(histories(*keys), choose(VersionsOf.ALL, Operation.RELAY), page_size=page_size, stops=stops)
    expected = [(key, sum(at for at, kind in enumerate(history, start=1) if kind != "-")) for key, history in keys]
    assert [(entry.source, entry.size) for entry in entries if isinstance(entry, SourceEntry)] == expected


async def test_versions_of_the_same_second_are_told_apart_by_their_order() -> None:
    listed = [msgspec.structs.replace(one, modified_ns=SECOND) for one in histories(("a", "xy-z"), ("b", "x-"))]
    assert chosen(await plan(listed, choose(VersionsOf.AS_OF, Operation.COPY, as_of_ns=SECOND))) == ["a4"]


async def test_a_store_whose_pages_overlap_is_not_counted_twice() -> None:
    listed = histories(("a", "xy"))
    assert chosen(await plan([listed[0], *listed], choose(VersionsOf.ALL))) == ["a2", "a1"]


async def test_histories_that_are_torn_apart_are_refused_but_can_be_deleted() -> None:
    listed = histories(("b", "x"), ("a", "x"), ("c", "x"))
    assert chosen(await plan(listed, choose(VersionsOf.ALL))) == ["b1", "a1", "c1"]
    with pytest.raises(PlanError, match="order of S3"):
        await plan(listed, choose(VersionsOf.ALL, Operation.COPY))


async def test_names_are_relative_to_the_source() -> None:
    pages = Pages(histories(("p/a", "x"), ("p/b", "x")))
    source = VersionsSource(cast("Store", pages), "bucket", "p/", base="p/", chooser=choose(VersionsOf.ALL))
    [piece] = [piece async for piece in source.slices(b"")]
    assert [entry.name for entry in piece.entries if isinstance(entry, SourceEntry)] == ["a", "b"]


async def test_a_store_without_versions_lists_its_objects_as_null() -> None:
    store = MemoryStore("bucket")
    await store.put_object("bucket", "a", b"1")
    source = VersionsSource(store, "bucket", "", base="", chooser=choose(VersionsOf.ALL))
    [piece] = [piece async for piece in source.slices(b"")]
    [entry] = piece.entries
    assert isinstance(entry, SourceEntry)
    assert await store.delete_objects("bucket", [DeleteKey(entry.source, entry.version_id)]) == {}
    assert not store.buckets["bucket"]


def test_a_selection_of_nothing_is_a_bug() -> None:
    with pytest.raises(ConfigError):
        choose(VersionsOf.CURRENT)
    with pytest.raises(ConfigError):
        choose(VersionsOf.AS_OF)
