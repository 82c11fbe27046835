"""One run of one job: the planner, the workers and the clock beside each other, and what is left when they are done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import msgspec

from bucket_brigade.engine.messages import WorkerSetup
from bucket_brigade.engine.pool import WorkerPool
from bucket_brigade.engine.queue import JournalQueue
from bucket_brigade.engine.stores import JobStores
from bucket_brigade.errors import BrigadeError, ConfigError, JournalError, PlanError, TransferError
from bucket_brigade.jobs.broadcast import Broadcast, EventSink
from bucket_brigade.jobs.ticker import Ticker
from bucket_brigade.journal.port import JobStatus, Journal
from bucket_brigade.model.events import Event, JobFinished, JobStarted, PlanningFinished, Warned
from bucket_brigade.model.job import Job, JobState
from bucket_brigade.model.outcome import Counters, Failure
from bucket_brigade.planning.planner import Planner

TICK_S = 0.5
MAX_REPORTED_FAILURES = 1000


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a job did. ``failures`` holds the first 1,000; the files in ``folder`` hold all."""

    job: Job
    state: JobState
    reason: str
    counters: Counters
    failures: tuple[Failure, ...]
    folder: str
    elapsed_s: float


class JobRun:
    """One run of one job, in progress. ``async for event in run`` follows it; ``await run.wait()`` ends with its report."""

    def __init__(
        self,
        journal: Journal,
        planner: Planner | None,
        setup: WorkerSetup,
        *,
        folder: str,
        stores: JobStores,
        finish: Callable[[JobStatus], Awaitable[None]],
        resumed: bool,
        warnings: Sequence[str] = (),
    ) -> None:
        self.job = setup.job
        self._journal = journal
        self._planner = planner
        self._setup = setup
        self._folder = folder
        self._stores = stores
        self._finish = finish
        self._resumed = resumed
        self._warnings = warnings
        self._events = Broadcast()
        self._ticker = Ticker(self.job.id)
        self._pool: WorkerPool | None = None
        self._queue: JournalQueue | None = None
        self._stopped = False
        self._stopped_now = False
        self._reason = ""
        self._task: asyncio.Task[Report] | None = None
        self._stopping: asyncio.Task[None] | None = None

    def subscribe(self, sink: EventSink, *, transfers: bool = False) -> None:
        """Call ``sink`` with every event from now on, on the event loop; ``transfers`` adds TransferFinished for each object.

        To be called before the first ``await`` that follows ``Brigade.start``: then nothing is missed.
        """
        self._events.subscribe(sink, transfers=transfers)

    def __aiter__(self) -> AsyncIterator[Event]:
        """Yield events until the job is over. A slow reader loses the oldest of 10,000 unread events, never speed."""
        return self._events.read()

    def begin(self) -> None:
        """Start the run as a task of its own; ``wait`` ends it."""
        self._task = asyncio.create_task(self._run(), name=f"job {self.job.id}")

    def stop(self, *, now: bool = False) -> None:
        """Stop leasing and let what is in flight finish within the grace time; ``now`` cancels it. Then resumable."""
        if self.is_over:
            return
        if not self._stopped:
            self._stopped = True
            self._reason = self._reason or "It was asked to stop."
            self._stopping = asyncio.create_task(self._stop_within_grace(), name="grace time")
        if now and not self._stopped_now:
            self._stopped_now = True
            if self._pool is not None:
                self._pool.stop(now=True)

    async def wait(self) -> Report:
        """Return the report when the run is over, whatever its end.

        Raises:
            ConfigError: nothing in the source matches; the job is done.
            PlanError: the source could not be listed to its end; the job can be resumed.
            JournalError: the journal could not be written.
        """
        if self._task is None:
            self.begin()
        assert self._task is not None  # noqa: S101 - begin() made it
        try:
            report = await asyncio.shield(self._task)
        except asyncio.CancelledError:
            await self.end()
            raise
        if report.state is JobState.DONE and not report.counters.planned and not may_be_empty(self.job):
            remedy = "Check the location and the filters; --dryrun shows what they leave."
            raise ConfigError(f"nothing in {self.job.source} matches, so nothing was done", remedy=remedy)
        return report

    async def end(self) -> None:
        """Stop at once, and wait until the run is over, whatever its end."""
        self.stop(now=True)
        if self._task is not None:
            await asyncio.wait([self._task])

    @property
    def is_over(self) -> bool:
        """Whether ``wait`` would return at once."""
        return self._task is not None and self._task.done()

    # --- the run -------------------------------------------------------------------------------------------------

    async def _run(self) -> Report:
        await asyncio.sleep(0)  # whoever started the run subscribes first
        try:
            return await self._run_to_its_end()
        except BrigadeError as error:
            await self._interrupted(error)
            raise
        finally:
            self._events.end()
            await self._journal.close()
            if self._stopping is not None:  # asked to stop when all work was over: nobody waits for its grace time
                self._stopping.cancel()

    async def _run_to_its_end(self) -> Report:
        job = self.job
        await self._journal.set_state(JobState.RUNNING)
        status = await self._journal.status()
        self._emit(
            JobStarted(
                job_id=job.id,
                operation=job.operation,
                source=str(job.source),
                target=str(job.target or ""),
                resumed=self._resumed,
            )
        )
        for warning in self._warnings:
            self._emit(Warned(job_id=job.id, code="FewDescriptors", message=warning))
        self._queue = JournalQueue(self._journal, status, planned_ahead=self._setup.engine.planned_ahead)
        setup = msgspec.structs.replace(self._setup, every_transfer=self._events.every_transfer)
        self._pool = WorkerPool(setup, self._queue, self._emit, self._stores.of)
        await self._work(self._pool, self._queue)
        return await self._conclude()

    async def _work(self, pool: WorkerPool, queue: JournalQueue) -> None:
        plan_error: PlanError | None = None

        async def plan(planner: Planner) -> None:
            nonlocal plan_error
            try:
                await planner.run(queue, await self._journal.planning_cursor())
                if not self._stopped:
                    await self._tell_planned()
            except (PlanError, TransferError) as error:
                plan_error = error if isinstance(error, PlanError) else _unlistable(error)
                self._reason = f"{plan_error}"
                self.stop()

        try:
            async with asyncio.TaskGroup() as group:
                ticking = group.create_task(self._tick(pool, queue), name="progress")
                planning = group.create_task(plan(self._planner), name="planner") if self._planner else None
                if self._stopped:
                    await queue.stop()
                    pool.stop(now=self._stopped_now)
                await pool.run()
                if pool.fatal is not None:
                    self._stopped, self._reason = True, pool.fatal.message
                if self._stopped and planning is not None:
                    planning.cancel()
                ticking.cancel()
        except BaseExceptionGroup as group_error:
            raise _single(group_error) from None
        finally:
            if self._stopping is not None:
                self._stopping.cancel()
        if plan_error is not None:
            raise plan_error

    async def _stop_within_grace(self) -> None:
        if self._queue is not None and self._pool is not None:
            await self._queue.stop()
            self._pool.stop()
            await asyncio.sleep(self._setup.engine.grace_s)
            self._pool.stop(now=True)

    async def _tick(self, pool: WorkerPool, queue: JournalQueue) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._stores.look()
            counters = queue.counters(pool.open_counters())
            progress = self._ticker.progress(
                counters,
                planning_done=queue.planning_done,
                in_flight=pool.in_flight,
                concurrency=pool.concurrency,
            )
            self._emit(progress)

    async def _tell_planned(self) -> None:
        counters = (await self._journal.status()).counters
        self._emit(PlanningFinished(job_id=self.job.id, planned=counters.planned, planned_bytes=counters.planned_bytes))

    def _emit(self, event: Event) -> None:
        self._events.emit(event)

    # --- the end -------------------------------------------------------------------------------------------------

    async def _conclude(self) -> Report:
        status = await self._journal.status()
        if self._stopped and (status.open_batches or not status.planning_done):
            state = JobState.INTERRUPTED
        else:
            _check_sums(status)
            await self._finish(status)
            state = JobState.DONE_WITH_FAILURES if status.counters.failed else JobState.DONE
        reason = self._reason if state is JobState.INTERRUPTED else ""
        await self._journal.set_state(state, reason)
        return await self._report(state, reason)

    async def _interrupted(self, error: BrigadeError) -> None:
        with contextlib.suppress(BrigadeError):  # a journal that cannot be written keeps what it has
            await self._journal.set_state(JobState.INTERRUPTED, str(error))
            await self._report(JobState.INTERRUPTED, str(error))

    async def _report(self, state: JobState, reason: str) -> Report:
        status = await self._journal.status()
        failures: list[Failure] = []
        async for failure in self._journal.failures():
            failures.append(failure)
            if len(failures) == MAX_REPORTED_FAILURES:
                break
        elapsed_s = self._ticker.elapsed_s
        self._emit(
            JobFinished(job_id=self.job.id, state=state, reason=reason, counters=status.counters, elapsed_s=elapsed_s)
        )
        return Report(
            job=self.job,
            state=state,
            reason=reason,
            counters=status.counters,
            failures=tuple(failures),
            folder=self._folder,
            elapsed_s=elapsed_s,
        )


def may_be_empty(job: Job) -> bool:
    """Say whether finding nothing to do is a result: a restore plans only what differs."""
    return job.versions.in_place


def _check_sums(status: JobStatus) -> None:
    """Never say that a job is done when its journal does not account for every object."""
    counters = status.counters
    if counters.settled != counters.planned:
        raise JournalError(
            f"The journal accounts for {counters.settled:,} of {counters.planned:,} planned objects.",
            remedy="It may be damaged: compare source and target, and please report this.",
        )


def _unlistable(error: TransferError) -> PlanError:
    return PlanError(f"The source could not be listed to its end: {error}", remedy=error.remedy)


def _single(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that matters most: one of ours, else a bug as it is."""
    errors: list[BaseException] = []
    pending: list[BaseException] = [group]
    while pending:
        error = pending.pop()
        if isinstance(error, BaseExceptionGroup):
            pending.extend(error.exceptions)
        else:
            errors.append(error)
    return next((error for error in errors if isinstance(error, BrigadeError)), errors[-1])
