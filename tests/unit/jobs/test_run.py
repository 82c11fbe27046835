"""One run of a job, over a store and a journal in memory and a folder on disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fakes.faulty_store import Fault, FaultyStore, hang
from tests.fakes.memory_journal import MemoryJournal
from tests.fakes.memory_store import MemoryStore
from tests.samples import make_tree

from bucket_brigade.engine.messages import WorkerSetup
from bucket_brigade.engine.stores import JobStores
from bucket_brigade.errors import AccessDenied, ConfigError, CredentialsExpired, JournalError, PlanError
from bucket_brigade.jobs.run import JobRun
from bucket_brigade.journal.port import Checkpoint, JobStatus
from bucket_brigade.model.events import (
    BatchFinished,
    Event,
    JobFinished,
    JobStarted,
    PlanningFinished,
    TransferFailed,
    TransferFinished,
)
from bucket_brigade.model.job import Filters, Job, JobState, Operation
from bucket_brigade.model.location import LocalPath, S3Location
from bucket_brigade.model.transfer import JobId
from bucket_brigade.planning.build import build_planner
from bucket_brigade.planning.filters import NameFilter
from bucket_brigade.planning.layouts import make_layout
from bucket_brigade.planning.mapping import mapping_for
from bucket_brigade.planning.planner import Planner
from bucket_brigade.planning.sources import Slice, SourceEntry
from bucket_brigade.s3.governor import Governor
from bucket_brigade.s3.retrying_store import RetryingStore
from bucket_brigade.settings.values import EndpointSettings, EngineSettings, RetrySettings


async def nothing(_status: JobStatus) -> None: ...


@dataclass
class Scene:
    """An upload job of the files in a folder, and what its runs share."""

    folder: Path
    faults: list[Fault] = field(default_factory=list)
    finish: Callable[[JobStatus], Awaitable[None]] = nothing
    batch_size: int = 2
    concurrency: int = 2
    grace_s: float = 5.0

    def __post_init__(self) -> None:
        self.job = Job(
            id=JobId("20260101-000000-test"),
            operation=Operation.UPLOAD,
            source=LocalPath(path=str(self.folder), recursive=True),
            target=S3Location(bucket="b", key="p/", recursive=True),
        )
        self.store = MemoryStore("b")
        self.journal = MemoryJournal(self.job)
        self.heard: list[Event] = []

    def run(self, planner: Planner | None = None, *, transfers: bool = False) -> JobRun:
        engine = EngineSettings(
            processes=1, concurrency=self.concurrency, batch_size=self.batch_size, grace_s=self.grace_s
        )
        store = RetryingStore(FaultyStore(self.store, self.faults).as_store, RetrySettings(max_attempts=1), Governor())

        async def open_store(_endpoint: EndpointSettings) -> RetryingStore:
            return store

        if planner is None and not self.journal.exhausted:
            planner = build_planner(self.job, None, single=None, catalog_path=None, batch_size=self.batch_size)
        setup = WorkerSetup(
            worker="w",
            job=self.job,
            engine=engine,
            source=None,
            target=EndpointSettings(),
            every_transfer=False,
            state_dir="/nowhere",
        )
        run = JobRun(
            self.journal,
            planner,
            setup,
            folder="/folder",
            stores=JobStores("", engine, open_store),
            finish=self.finish,
            resumed=bool(self.journal.started_ns),
        )
        run.subscribe(self.heard.append, transfers=transfers)
        run.begin()
        return run

    def resume(self) -> JobRun:
        self.faults.clear()
        self.journal.reopen()
        return self.run()

    def keys(self) -> list[str]:
        return self.store.buckets["b"].keys()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    make_tree(tmp_path, dict.fromkeys("abcde", b"123"))
    return Scene(tmp_path)


async def read_all(run: JobRun) -> list[Event]:
    return [event async for event in run]


async def test_a_run_moves_all_and_says_so_in_order(scene: Scene) -> None:
    run = scene.run(transfers=True)
    reading = asyncio.create_task(read_all(run))
    report = await run.wait()
    assert report.state is JobState.DONE
    assert (report.counters.planned, report.counters.done, report.counters.done_bytes) == (5, 5, 15)
    assert scene.keys() == [f"p/{name}" for name in "abcde"]
    events = scene.heard
    assert isinstance(events[0], JobStarted)
    assert not events[0].resumed
    assert isinstance(events[-1], JobFinished)
    assert events[-1].counters == report.counters
    kinds = [type(event) for event in events]
    assert kinds.count(PlanningFinished) == 1
    assert kinds.count(BatchFinished) == 3
    assert kinds.count(TransferFinished) == 5
    single = [event for event in events if not isinstance(event, TransferFinished)]
    assert [event for event in await reading if not isinstance(event, TransferFinished)] == single
    assert scene.journal.closed


async def test_failures_are_in_the_report_and_in_the_events(scene: Scene) -> None:
    scene.faults.append(Fault(operation="put_object", key="p/c", does=AccessDenied("no", code="AccessDenied")))
    report = await scene.run().wait()
    assert report.state is JobState.DONE_WITH_FAILURES
    assert [(failure.source, failure.code) for failure in report.failures] == [("c", "AccessDenied")]
    assert [event.source for event in scene.heard if isinstance(event, TransferFailed)] == ["c"]


async def test_nothing_that_matches_is_wrong_input_though_the_job_is_done(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    run = scene.run()
    with pytest.raises(ConfigError, match=r"nothing in .* matches") as caught:
        await run.wait()
    assert caught.value.remedy
    assert caught.value.exit_code == 2
    assert scene.journal.state is JobState.DONE
    assert isinstance(scene.heard[-1], JobFinished)
    assert scene.heard[-1].state == JobState.DONE
    assert scene.journal.closed


async def test_what_was_only_refused_is_no_empty_match(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    report = await Scene(tmp_path).run().wait()
    assert report.state is JobState.DONE
    assert (report.counters.planned, report.counters.skipped) == (1, 1)


async def test_a_run_stopped_at_once_is_resumed_to_the_same_end(scene: Scene) -> None:
    scene.faults.append(Fault(operation="put_object", does=hang, skip=2, times=None))
    run = scene.run()
    while len(scene.keys()) < 2:
        await asyncio.sleep(0)
    run.stop(now=True)
    report = await run.wait()
    assert report.state is JobState.INTERRUPTED
    assert report.reason == "It was asked to stop."
    assert scene.journal.state is JobState.INTERRUPTED
    again = scene.resume()
    report = await again.wait()
    assert report.state is JobState.DONE
    assert (report.counters.planned, report.counters.done) == (5, 5)
    assert scene.keys() == [f"p/{name}" for name in "abcde"]
    assert [event.resumed for event in scene.heard if isinstance(event, JobStarted)] == [False, True]


async def test_a_run_stopped_gently_finishes_what_is_in_flight(scene: Scene) -> None:
    gate = asyncio.Event()
    waiting = 0

    async def wait(_call: object) -> None:
        nonlocal waiting
        waiting += 1
        await gate.wait()

    scene.faults.append(Fault(operation="put_object", does=wait, times=None))
    run = scene.run()
    while waiting < 2:
        await asyncio.sleep(0)
    run.stop()
    gate.set()
    report = await run.wait()
    assert report.state is JobState.INTERRUPTED
    assert report.counters.done == 2
    assert len(scene.keys()) == 2


async def test_the_grace_time_ends(scene: Scene) -> None:
    scene.grace_s = 0.01
    scene.faults.append(Fault(operation="put_object", does=hang, times=None))
    run = scene.run()
    await asyncio.sleep(0.01)
    run.stop()
    report = await asyncio.wait_for(run.wait(), 5)
    assert report.state is JobState.INTERRUPTED
    assert report.counters.done == 0


async def test_a_stop_before_anything_has_begun_begins_nothing(scene: Scene) -> None:
    run = scene.run()
    run.stop(now=True)
    report = await asyncio.wait_for(run.wait(), 5)
    assert report.state is JobState.INTERRUPTED
    assert scene.keys() == []


async def test_a_stop_after_the_end_changes_nothing(scene: Scene) -> None:
    run = scene.run()
    await run.wait()
    run.stop()
    run.stop(now=True)
    await run.end()
    assert (await run.wait()).state is JobState.DONE
    assert run.is_over


async def test_whoever_is_cancelled_while_waiting_stops_the_run(scene: Scene) -> None:
    scene.faults.append(Fault(operation="put_object", does=hang, times=None))
    run = scene.run()
    waiting = asyncio.create_task(run.wait())
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert run.is_over
    assert scene.journal.state is JobState.INTERRUPTED


async def test_what_every_transfer_would_meet_interrupts_the_job_with_its_reason(scene: Scene) -> None:
    scene.faults.append(Fault(operation="put_object", does=CredentialsExpired("the token has expired"), times=None))
    report = await asyncio.wait_for(scene.run().wait(), 5)
    assert report.state is JobState.INTERRUPTED
    assert report.reason == "the token has expired"
    assert (report.counters.failed, report.counters.done) == (0, 0)
    assert not [event for event in scene.heard if isinstance(event, TransferFailed)]
    assert (await scene.resume().wait()).state is JobState.DONE


async def test_a_source_that_fails_while_it_is_read_interrupts_the_job(scene: Scene) -> None:
    class Failing:
        async def slices(self, cursor: bytes) -> AsyncGenerator[Slice]:
            yield Slice([SourceEntry("a", "a", 3), SourceEntry("b", "b", 3)], b"1")
            await asyncio.sleep(0)
            raise PlanError("the folder cannot be listed")

    mapping = mapping_for(scene.job, make_layout(scene.job.layout))
    planner = Planner(Failing(), NameFilter(Filters()), mapping, batch_size=2)
    with pytest.raises(PlanError, match="cannot be listed"):
        await asyncio.wait_for(scene.run(planner).wait(), 5)
    assert scene.journal.state is JobState.INTERRUPTED
    assert not scene.journal.exhausted
    assert isinstance(scene.heard[-1], JobFinished)
    assert scene.journal.closed


async def test_an_error_at_the_end_interrupts_the_job_and_ends_its_readers(scene: Scene) -> None:
    async def fail(_status: JobStatus) -> None:
        raise AccessDenied("the catalog cannot be written")

    scene.finish = fail
    run = scene.run()
    reading = asyncio.create_task(read_all(run))
    with pytest.raises(AccessDenied):
        await run.wait()
    assert isinstance((await asyncio.wait_for(reading, 5))[-1], JobFinished)
    assert scene.journal.state is JobState.INTERRUPTED
    assert scene.journal.closed
    scene.finish = nothing
    assert (await scene.resume().wait()).state is JobState.DONE


async def test_a_bug_at_the_end_leaves_no_lock_and_no_reader_behind(scene: Scene) -> None:
    async def crash(_status: JobStatus) -> None:
        raise ZeroDivisionError

    scene.finish = crash
    run = scene.run()
    reading = asyncio.create_task(read_all(run))
    with pytest.raises(ZeroDivisionError):
        await run.wait()
    await asyncio.wait_for(reading, 5)
    assert scene.journal.closed


async def test_a_journal_that_cannot_be_written_ends_the_run_and_its_readers(scene: Scene) -> None:
    class Broken(MemoryJournal):
        broken = False

        async def complete(self, checkpoint: Checkpoint) -> None:
            self.broken = True
            raise JournalError("the disk is full")

        async def status(self) -> JobStatus:
            if self.broken:
                raise JournalError("the disk is full")
            return await super().status()

    scene.journal = Broken(scene.job)
    run = scene.run()
    reading = asyncio.create_task(read_all(run))
    with pytest.raises(JournalError, match="disk is full"):
        await asyncio.wait_for(run.wait(), 5)
    await asyncio.wait_for(reading, 5)
    assert scene.journal.closed


async def test_a_run_read_after_its_end_yields_nothing(scene: Scene) -> None:
    run = scene.run()
    await run.wait()
    assert await asyncio.wait_for(read_all(run), 5) == []
