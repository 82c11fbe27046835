"""A worker over an in-memory journal, with operations that do what a test tells them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tests.fakes.memory_journal import MemoryJournal

from bucket_brigade.engine.queue import JournalQueue
from bucket_brigade.engine.worker import Worker
from bucket_brigade.model.job import Job, Operation
from bucket_brigade.model.location import LocalPath, S3Location
from bucket_brigade.model.outcome import Counters, Done, Outcome, State
from bucket_brigade.model.transfer import JobId, Transfer
from bucket_brigade.operations.port import BatchView, Stage
from bucket_brigade.settings.values import EngineSettings

Act = Callable[[Transfer], Awaitable[Outcome]]

JOB = Job(
    id=JobId("20260101-000000-test"),
    operation=Operation.UPLOAD,
    source=LocalPath(path="/source", recursive=True),
    target=S3Location(bucket="target", recursive=True),
)


async def do(transfer: Transfer) -> Outcome:
    await asyncio.sleep(0)
    return Done(transfer.size)


@dataclass
class ScriptedStage:
    act: Act = do
    takes: State = State.PENDING
    leads_to: State = State.DONE
    chunk_size: int = 1
    executed: list[str] = field(default_factory=list)

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        outcomes = []
        for index in indices:
            self.executed.append(batch.transfers[index].source)
            outcomes.append(await self.act(batch.transfers[index]))
        return outcomes


@dataclass
class ScriptedOperation:
    stages: tuple[Stage, ...]
    on_settle: Callable[[], Awaitable[None]] | None = None
    settled: int = 0
    forgotten: list[int] = field(default_factory=list)

    async def settle(self) -> None:
        self.settled += 1
        if self.on_settle is not None:
            await self.on_settle()

    def forget(self, batch: BatchView) -> None:
        self.forgotten.append(batch.id)

    async def close(self) -> None: ...


@dataclass
class Watcher:
    every_transfer: bool = False
    ended: list[tuple[str, Outcome]] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)

    def transfers_ended(self, batch: BatchView, indices: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        names = [batch.transfers[index].source for index in indices]
        self.ended.extend(zip(names, outcomes, strict=True))

    def batch_finished(self, batch: BatchView, counters: Counters) -> None:
        self.finished.append(batch.id)


def transfers(count: int, *, prefix: str = "", size: int = 10) -> list[Transfer]:
    return [Transfer(f"{prefix}{number:05}", f"t/{number:05}", size) for number in range(count)]


async def planned(*batches: list[Transfer], exhausted: bool = True) -> MemoryJournal:
    journal = MemoryJournal(JOB)
    await journal.append(batches, refused=(), cursor=b"1", exhausted=exhausted)
    return journal


async def queue_of(journal: MemoryJournal, *, planned_ahead: int = 64) -> JournalQueue:
    return JournalQueue(journal, await journal.status(), planned_ahead=planned_ahead)


def worker_of(
    queue: JournalQueue,
    *stages: Stage,
    concurrency: int = 4,
    interval_s: float = 60.0,
    operation: ScriptedOperation | None = None,
    watcher: Watcher | None = None,
    count_retries: Callable[[], int] = int,
    max_batch_attempts: int = 10,
    changing: Callable[[], int] | None = None,
) -> Worker:
    settings = EngineSettings(
        concurrency=concurrency, checkpoint_interval_s=interval_s, max_batch_attempts=max_batch_attempts
    )
    return Worker(
        queue.seat("worker"),
        operation or ScriptedOperation(stages),
        settings,
        watcher or Watcher(),
        count_retries=count_retries,
        concurrency=changing,
    )


async def until(condition: Callable[[], bool]) -> None:
    """Give way until it is true. A test that waits in vain is ended by this, not by its time limit."""
    for _ in range(20_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came true")


async def expect_counts(journal: MemoryJournal) -> Counters:
    """The counters of the job are the sums over the states of its transfers; return them."""
    counters = (await journal.status()).counters
    states = b"".join(batch.states for batch in journal.held.values())
    assert counters.done == states.count(State.DONE)
    assert counters.skipped == states.count(State.SKIPPED)
    assert counters.vanished == states.count(State.VANISHED)
    assert counters.failed == states.count(State.FAILED)
    assert counters.planned == len(states)
    return counters
