from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.faulty_store import Fault, FaultyStore
from tests.fakes.memory_store import MemoryStore
from tests.samples import make_tree

from bucket_brigade.errors import AccessDenied, ConfigError, PlanError
from bucket_brigade.model.job import Filters, Job, LayoutName, Manifest, Operation, Rule
from bucket_brigade.model.location import MAX_KEY_BYTES, LocalPath, Location, S3Location, StandardStream
from bucket_brigade.model.transfer import UNKNOWN_SIZE, JobId, Refused, Transfer
from bucket_brigade.planning.build import MatchingSource, build_planner, literal
from bucket_brigade.planning.catalog import CatalogEntry, CatalogHeader, CatalogWriter
from bucket_brigade.planning.filters import NameFilter
from bucket_brigade.planning.listed import CatalogSource, ManifestSource
from bucket_brigade.planning.pinning import PinningSource
from bucket_brigade.planning.planner import HURRY_S, Planner, cut_evenly
from bucket_brigade.planning.sources import SLICE_SIZE, SingleSource, Slice, Source, SourceEntry, WalkSource
from bucket_brigade.s3.store import Store

Entry = SourceEntry | Refused
NO_FILTERS = NameFilter(Filters())


class Crash(Exception):
    """kill -9, as a test may say it."""


@dataclass
class Sink:
    """A journal of plans: what was appended is there, whatever comes after."""

    crash_after: int | None = None
    batches: list[list[Transfer]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    cursor: bytes = b""
    exhausted: bool = False
    appends: int = 0

    async def append(
        self, batches: Sequence[Sequence[Transfer]], *, refused: Sequence[Refused], cursor: bytes, exhausted: bool
    ) -> None:
        if self.crash_after == 0:
            raise Crash
        if self.crash_after is not None:
            self.crash_after -= 1
        self.appends += 1
        self.batches += [list(batch) for batch in batches]
        self.refused += refused
        self.cursor, self.exhausted = cursor, exhausted

    @property
    def planned(self) -> list[str]:
        return [transfer.source for batch in self.batches for transfer in batch]


@dataclass
class ScriptedSource:
    """Slices by position; may fail behind some of them."""

    pieces: list[list[Entry]]
    fail_behind: int | None = None
    pause_s: float = 0.0

    async def slices(self, cursor: bytes) -> AsyncGenerator[Slice]:
        first = int(cursor) if cursor else 0
        for number, entries in enumerate(self.pieces[first:], start=first + 1):
            if self.fail_behind is not None and number > self.fail_behind:
                raise PlanError("the listing failed")
            await asyncio.sleep(self.pause_s)
            yield Slice(entries, str(number).encode())


def to_themselves(entries: Sequence[SourceEntry]) -> tuple[list[Transfer], list[Refused]]:
    good = [Transfer(one.source, one.source, one.size) for one in entries if not one.name.startswith("bad")]
    return good, [Refused(one.source, "Bad", "a bad name") for one in entries if one.name.startswith("bad")]


def planner_of(source: Source, *, batch_size: int = 10, accepts: NameFilter = NO_FILTERS) -> Planner:
    return Planner(source, accepts, to_themselves, batch_size=batch_size)


def entries(*names: str, size: int = 1) -> list[Entry]:
    return [SourceEntry(name, name, size) for name in names]


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 8), st.lists(st.integers(0, 3), max_size=5))
async def test_planning_resumes_from_anywhere_without_loss_or_duplicates(
    lengths: list[int], batch_size: int, crashes: list[int]
) -> None:
    numbers = iter(range(1000))
    pieces = [entries(*(f"{next(numbers):04}" for _ in range(length))) for length in lengths]
    sink = Sink()
    for appends in crashes:
        sink.crash_after = appends
        try:
            await planner_of(ScriptedSource(pieces), batch_size=batch_size).run(sink, sink.cursor)
        except Crash:
            continue
        break
    sink.crash_after = None
    if not sink.exhausted:
        await planner_of(ScriptedSource(pieces), batch_size=batch_size).run(sink, sink.cursor)
    assert sink.planned == [f"{number:04}" for number in range(sum(lengths))]
    assert all(1 <= len(batch) <= batch_size for batch in sink.batches)
    assert sink.exhausted


@given(st.integers(0, 5000), st.integers(1, 1000))
def test_batches_are_cut_evenly(count: int, batch_size: int) -> None:
    transfers = [Transfer(str(number), "") for number in range(count)]
    batches = cut_evenly(transfers, batch_size)
    assert [transfer for batch in batches for transfer in batch] == transfers
    lengths = {len(batch) for batch in batches}
    assert not lengths or (1 <= min(lengths) <= max(lengths) <= min(batch_size, min(lengths) + 1))
    assert len(batches) == -(-count // batch_size)


async def test_filters_decide_and_what_is_refused_is_recorded_with_its_reason() -> None:
    pieces: list[list[Entry]] = [
        [*entries("a.txt", "bad.txt", "b.log", "bad.log"), Refused("pipe.txt", "SpecialFile", "a FIFO", failed=False)],
        [Refused("pipe.log", "SpecialFile", "a FIFO")],
    ]
    sink = Sink()
    filters = Filters(rules=(Rule(include=False, pattern="*.log"),), max_size=5)
    await planner_of(ScriptedSource(pieces), accepts=NameFilter(filters)).run(sink, b"")
    assert sink.planned == ["a.txt"]
    assert [(entry.source, entry.code) for entry in sink.refused] == [("pipe.txt", "SpecialFile"), ("bad.txt", "Bad")]


async def test_short_batches_are_journaled_before_a_slow_source_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bucket_brigade.planning.planner.HURRY_S", 0.0)
    assert HURRY_S > 0
    sink = Sink()
    await planner_of(ScriptedSource([entries("a"), entries("b")], pause_s=0.001), batch_size=1000).run(sink, b"")
    assert sink.appends == 3
    assert sink.batches == [[Transfer("a", "a", 1)], [Transfer("b", "b", 1)]]


async def test_a_source_that_fails_is_a_plan_error_and_is_not_taken_for_its_end() -> None:
    sink = Sink()
    source = ScriptedSource([entries(*"abc"), entries(*"def"), entries(*"ghi")], fail_behind=2)
    with pytest.raises(PlanError):
        await planner_of(source, batch_size=3).run(sink, b"")
    assert sink.planned == [*"abc"]
    assert not sink.exhausted
    source.fail_behind = None
    await planner_of(source, batch_size=3).run(sink, sink.cursor)
    assert sink.planned == [*"abcdefghi"]


async def test_an_empty_source_ends_with_nothing_planned() -> None:
    sink = Sink()
    await planner_of(ScriptedSource([])).run(sink, b"")
    assert (sink.batches, sink.exhausted, sink.appends) == ([], True, 1)


# --- sources ---------------------------------------------------------------------------------------------------------------


async def names_behind_every_cursor(source: Source) -> list[list[str]]:
    """What a run that resumes behind each slice still finds, the whole first."""
    cursors = [b"", *[piece.cursor async for piece in source.slices(b"")]]
    return [[entry.source async for piece in source.slices(cursor) for entry in piece.entries] for cursor in cursors]


async def expect_resumable(source: Source) -> list[str]:
    found = await names_behind_every_cursor(source)
    whole = found[0]
    assert found[-1] == []
    for left in found:
        assert whole[len(whole) - len(left) :] == left
    return whole


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("sources", "listed"):
        monkeypatch.setattr(f"bucket_brigade.planning.{module}.SLICE_SIZE", 2)


@pytest.mark.usefixtures("small_slices")
async def test_a_walk_resumes_behind_every_slice(tmp_path: Path) -> None:
    names = ["a", "a.txt", "a-b/x", "b/c/d", "b/c.txt", "é", "z z/ü"]
    make_tree(tmp_path, dict.fromkeys(names, b"1"))
    assert await expect_resumable(WalkSource(str(tmp_path), follow_symlinks=False)) == sorted(names)


async def test_a_walk_of_a_folder_that_is_gone_is_a_plan_error(tmp_path: Path) -> None:
    with pytest.raises(PlanError):
        await names_behind_every_cursor(WalkSource(str(tmp_path / "gone"), follow_symlinks=False))


async def test_slices_of_a_walk_are_full_and_end_where_their_cursor_says(tmp_path: Path) -> None:
    for folder in ("a", "b", "c/d"):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(SLICE_SIZE // 2 - 7):
            (tmp_path / folder / f"{number:03}").touch()
    slices = [piece async for piece in WalkSource(str(tmp_path), follow_symlinks=False).slices(b"")]
    assert [len(piece.entries) for piece in slices] == [SLICE_SIZE, SLICE_SIZE // 2 - 21]
    assert [piece.cursor.decode() for piece in slices] == [piece.entries[-1].source for piece in slices]


@pytest.mark.usefixtures("small_slices")
async def test_a_manifest_resumes_behind_every_slice_and_keeps_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("b,p/a\nb,p/b%20c\nother,p/d\nb,elsewhere\nb,p/e,v1\n")
    source = ManifestSource(Manifest(path=str(path)), "b", "p/")
    assert await expect_resumable(source) == ["p/a", "p/b c", "p/d", "elsewhere", "p/e"]
    found = [entry async for piece in source.slices(b"") for entry in piece.entries]
    assert found[0] == SourceEntry("a", "p/a")
    assert found[2] == SourceEntry("d", "p/d", source_bucket="other")
    assert isinstance(found[3], Refused)
    assert found[3].code == "OutsideSource"
    assert found[4] == SourceEntry("e", "p/e", version_id="v1")


@pytest.mark.usefixtures("small_slices")
async def test_a_manifest_that_changed_in_between_is_a_plan_error(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("b,a\nb,b\nb,c\n")
    source = ManifestSource(Manifest(path=str(path)), "b", "")
    slices = source.slices(b"")
    cursor = (await anext(slices)).cursor
    await slices.aclose()
    path.write_text("b,a\nb,b\nb,other\nb,c\n")
    with pytest.raises(PlanError):
        await anext(source.slices(cursor))


async def test_a_broken_line_that_appears_later_is_a_plan_error_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("b,a\nnonsense\n")
    with pytest.raises(PlanError, match="line 2"):
        await names_behind_every_cursor(ManifestSource(Manifest(path=str(path)), "b", ""))


@pytest.mark.usefixtures("small_slices")
async def test_a_catalog_gives_the_names_back_that_lie_below_the_prefix(tmp_path: Path) -> None:
    path = str(tmp_path / "c.jsonl.gz")
    header = CatalogHeader(job_id="j", layout="hashed", bucket="b", prefix="t/")
    async with CatalogWriter(path, header) as catalog:
        await catalog.write([CatalogEntry(f"t/{name}", f"t/01/{name}", 3) for name in "abcde"])
        await catalog.write([CatalogEntry("t/other", "elsewhere/other", 3)])
    source = CatalogSource(path, "t/")
    assert await expect_resumable(source) == [f"t/01/{name}" for name in "abcde"]
    assert [entry.name async for piece in source.slices(b"") for entry in piece.entries] == [*"abcde"]  # type: ignore[union-attr]


async def test_a_missing_catalog_is_a_plan_error(tmp_path: Path) -> None:
    with pytest.raises(PlanError):
        await names_behind_every_cursor(CatalogSource(str(tmp_path / "none"), ""))


async def test_one_object_is_planned_once() -> None:
    assert await expect_resumable(SingleSource(SourceEntry("f", "p/f", 3))) == ["p/f"]


async def test_a_pattern_leaves_the_others_out_and_keeps_their_cursors() -> None:
    source = MatchingSource(ScriptedSource([entries("a1", "b1"), entries("b2"), entries("a2")]), literal("a") + "*")
    assert await expect_resumable(source) == ["a1", "a2"]
    assert literal("a*b?[c]") == "a[*]b[?][[]c]"


# --- moves need a proof of what was copied -----------------------------------------------------------------------------------


async def pinned_entries(store: Store, *given_entries: Entry) -> list[Entry]:
    source = PinningSource(ScriptedSource([list(given_entries)]), store, "b")
    return [entry async for piece in source.slices(b"") for entry in piece.entries]


async def test_entries_of_a_move_get_the_etag_that_the_object_has_now() -> None:
    store = MemoryStore("b", "other")
    here, there = await store.put_object("b", "f", b"123"), await store.put_object("other", "f", b"4567")
    refused = Refused("r", "R", "no")
    found = await pinned_entries(
        store,
        SourceEntry("f", "f"),
        SourceEntry("f", "f", 4, source_bucket="other"),
        SourceEntry("f", "f", etag='"known"'),
        SourceEntry("f", "f", version_id="v1"),
        SourceEntry("gone", "gone"),
        refused,
    )
    assert found == [
        SourceEntry("f", "f", 3, here.etag),
        SourceEntry("f", "f", 4, there.etag, source_bucket="other"),
        SourceEntry("f", "f", etag='"known"'),
        SourceEntry("f", "f", version_id="v1"),
        SourceEntry("gone", "gone"),
        refused,
    ]


async def test_an_object_that_cannot_be_looked_at_ends_the_planning_of_a_move() -> None:
    store = MemoryStore("b")
    await store.put_object("b", "f", b"1")
    denied = FaultyStore(store, [Fault(operation="head_object", does=AccessDenied("no"))])
    with pytest.raises(AccessDenied):
        await pinned_entries(denied.as_store, SourceEntry("f", "f"))


# --- from a job to its planner ---------------------------------------------------------------------------------------------


def job_of(
    operation: Operation,
    source: Location,
    target: Location | None,
    *,
    layout: LayoutName = LayoutName.IDENTITY,
    move: bool = False,
    manifest: Manifest | None = None,
) -> Job:
    return Job(
        id=JobId("j"), operation=operation, source=source, target=target, layout=layout, move=move, manifest=manifest
    )


async def plan(job: Job, store: Store | None = None, *, single: SourceEntry | None = None) -> Sink:
    sink = Sink()
    await build_planner(job, store, single=single, catalog_path=None, batch_size=100).run(sink, b"")
    return sink


BUCKET = S3Location(bucket="b", key="p/", recursive=True)


async def store_with(*keys: str) -> MemoryStore:
    store = MemoryStore("b")
    for key in keys:
        await store.put_object("b", key, b"123")
    return store


async def test_a_listing_keeps_the_names_below_the_prefix() -> None:
    store = await store_with("p/a", "p/b/c", "q/d")
    target = S3Location(bucket="t", key="to/", recursive=True)
    [batch] = (await plan(job_of(Operation.COPY, BUCKET, target), store)).batches
    assert [(one.source, one.target, one.size, bool(one.etag)) for one in batch] == [
        ("p/a", "to/a", 3, True),
        ("p/b/c", "to/b/c", 3, True),
    ]


async def test_a_delete_is_aimed_at_the_keys_themselves() -> None:
    sink = await plan(job_of(Operation.DELETE, BUCKET, None), await store_with("p/a"))
    assert [(one.source, one.target) for one in sink.batches[0]] == [("p/a", "p/a")]


async def test_a_pattern_is_matched_below_the_last_slash() -> None:
    store = await store_with("p/x-1.gz", "p/x-2.txt", "p/y.gz")
    source = S3Location(bucket="b", key="p/x-", recursive=True, pattern="*.gz")
    sink = await plan(job_of(Operation.COPY, source, S3Location(bucket="t", recursive=True)), store)
    assert [(one.source, one.target) for one in sink.batches[0]] == [("p/x-1.gz", "x-1.gz")]


async def test_the_marker_of_the_target_itself_and_keys_that_would_be_too_long_are_refused_by_name(
    tmp_path: Path,
) -> None:
    long = "p/" + "x" * (MAX_KEY_BYTES - 2)
    store = await store_with("p/", "p/a", long)
    longer = await plan(job_of(Operation.COPY, BUCKET, S3Location(bucket="t", key="longer/", recursive=True)), store)
    assert [entry.code for entry in longer.refused] == ["KeyTooLong"]
    assert [one.target for one in longer.batches[0]] == ["longer/", "longer/a"]
    down = await plan(job_of(Operation.DOWNLOAD, BUCKET, LocalPath(path=str(tmp_path), recursive=True)), store)
    assert [(entry.source, entry.code, entry.failed) for entry in down.refused] == [("p/", "FolderMarker", False)]
    root = await plan(job_of(Operation.COPY, BUCKET, S3Location(bucket="t", recursive=True)), store)
    assert [(entry.code, entry.failed) for entry in root.refused] == [("FolderMarker", False)]
    # What is kept beside a refusal keeps its own target.
    assert [(one.source, one.target) for one in root.batches[0]] == [("p/a", "a"), (long, long[2:])]
    assert [(one.source, one.target) for one in down.batches[0]] == [("p/a", "a"), (long, long[2:])]


@pytest.mark.parametrize("layout", [LayoutName.HASHED, LayoutName.RANDOM])
async def test_a_layout_stores_under_another_key_and_remembers_the_name(layout: LayoutName) -> None:
    target = S3Location(bucket="t", key="to/", recursive=True)
    [[one]] = (await plan(job_of(Operation.COPY, BUCKET, target, layout=layout), await store_with("p/a"))).batches
    assert one.logical == "to/a"
    assert one.target != "to/a"
    assert one.target.startswith("to/")
    assert one.target.endswith("/a")


@pytest.mark.parametrize(
    ("target", "expected"),
    [(S3Location(bucket="t", key="k"), "k"), (LocalPath(path="/x/y"), "y"), (StandardStream(), "-")],
)
async def test_one_object_gets_the_very_name_of_its_target(target: Location, expected: str) -> None:
    job = job_of(Operation.COPY, S3Location(bucket="b", key="p/f"), target)
    [[one]] = (await plan(job, single=SourceEntry("f", "p/f", 3))).batches
    assert (one.source, one.target) == ("p/f", expected)


async def test_one_object_is_never_listed_by_its_name_as_a_prefix() -> None:
    """Its namesakes (``f``, ``f2``) would be deleted with it."""
    store = await store_with("f", "f2")
    with pytest.raises(ConfigError):
        await plan(job_of(Operation.DELETE, S3Location(bucket="b", key="f"), None), store)
    with pytest.raises(ConfigError):
        await plan(job_of(Operation.UPLOAD, LocalPath(path="/etc/passwd"), S3Location(bucket="b", key="f")))


async def test_only_moves_look_at_what_a_manifest_names(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("b,p/a\n")
    store = await store_with("p/a")
    manifest = Manifest(path=str(tmp_path / "m.csv"))
    target = S3Location(bucket="t", recursive=True)
    [[copied]] = (await plan(job_of(Operation.COPY, BUCKET, target, manifest=manifest), store)).batches
    assert (copied.etag, copied.size) == ("", UNKNOWN_SIZE)
    assert store.requests.get("head_object") is None
    [[moved]] = (await plan(job_of(Operation.COPY, BUCKET, target, manifest=manifest, move=True), store)).batches
    assert (bool(moved.etag), moved.size) == (True, 3)
    assert msgspec.structs.replace(moved, etag="", size=UNKNOWN_SIZE) == copied
