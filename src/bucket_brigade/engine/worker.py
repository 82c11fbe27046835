"""The worker: takes leased batches, runs their transfers with a bounded concurrency, and reports states to the queue.

Tasks, all owned by one TaskGroup::

    feeder    leases batches while fewer chunks wait than may be in flight, and cuts them into chunks
    slots     as many as the concurrency of the moment: take a chunk, execute it, record its outcomes
    recorder  every checkpoint interval, and whenever a batch or a stage is over: settle, then tell the queue
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from bucket_brigade.engine.batch import OpenBatch
from bucket_brigade.engine.queue import BatchQueue
from bucket_brigade.errors import JournalError, TransferError
from bucket_brigade.journal.port import Checkpoint, Lease
from bucket_brigade.model.outcome import Counters, Done, Failed, Outcome
from bucket_brigade.model.transfer import BATCH_SIZE
from bucket_brigade.operations.port import BatchView, Operation, Stage
from bucket_brigade.settings.values import EngineSettings


class Observer(Protocol):
    """Is told what a worker does. Must neither block nor raise.

    Attributes:
        every_transfer: whether it wants to hear of transfers that went well, too.
    """

    every_transfer: bool

    def transfers_ended(self, batch: BatchView, indices: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        """A chunk of a batch has its outcomes (one at least is not Done, or ``every_transfer`` is set)."""
        ...

    def batch_finished(self, batch: BatchView, counters: Counters) -> None:
        """A batch is over and journaled."""
        ...


GIVE_BACK_TIMEOUT_S = 15.0
OPEN_BATCHES_OF_ONE_CHUNK = 16
"""A chunk of a whole batch is one DeleteObjects request of 1,000 keys: so many of them are enough to have in flight."""


class Worker:
    """Executes one job's batches in this process."""

    def __init__(
        self,
        queue: BatchQueue,
        operation: Operation,
        settings: EngineSettings,
        observer: Observer,
        *,
        count_retries: Callable[[], int] = int,
        concurrency: Callable[[], int] | None = None,
    ) -> None:
        self._queue = queue
        self._operation = operation
        self._settings = settings
        self._observer = observer
        self._count_retries = count_retries
        self._retries_told = count_retries()
        self._chunks: deque[tuple[OpenBatch, Stage, list[int]]] = deque()
        self._concurrency = concurrency or (lambda: settings.concurrency)
        self._wanted_slots = self._concurrency()
        self._slots = 0
        self._enough_chunks = max(self._wanted_slots, 2)
        self._group: asyncio.TaskGroup | None = None
        self._open: dict[int, OpenBatch] = {}
        self._over: list[OpenBatch] = []
        self._idle: deque[asyncio.Future[None]] = deque()
        self._feed_wanted = asyncio.Event()
        self._record_wanted = asyncio.Event()
        self._feeder: asyncio.Task[None] | None = None
        self._exhausted = False
        self._stopping = False
        self._lost = False
        self._failures_in_a_row = 0
        self.in_flight = 0
        self.fatal: Failed | None = None

    def counters(self) -> Counters:
        """Return the sums over the open batches, for a live display."""
        sums = Counters(retries=self._count_retries() - self._retries_told)
        for batch in self._open.values():
            sums.add(batch.counters)
        return sums

    async def run(self) -> None:
        """Work until the queue has nothing left, or ``stop`` was called and what was in flight is over.

        Cancelling gives back all batches with what they reached. ``fatal`` tells afterwards what made it stop by itself.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._record_regularly(), name="recorder")
                self._feeder = group.create_task(self._feed(), name="feeder")
                if self._stopping:
                    self._feeder.cancel()
                self._group = group
                self.resize()
        finally:
            self._group = None
            await self._give_back()

    @property
    def concurrency(self) -> int:
        """Chunks that may be in flight just now."""
        return self._wanted_slots

    def resize(self) -> None:
        """Have as many slots as the concurrency is now: missing ones begin at once, surplus ones end with their chunk."""
        self._wanted_slots = self._concurrency()
        self._enough_chunks = max(self._wanted_slots, 2)
        self._feed_wanted.set()
        if self._group is None or self._finished:
            return
        while self._slots < self._wanted_slots:
            self._slots += 1
            self._group.create_task(self._work(), name=f"slot {self._slots}")

    def stop(self) -> None:
        """Begin nothing new. ``run`` returns when what is in flight has ended."""
        self._stopping = True
        self._exhausted = True
        self._chunks.clear()
        if self._feeder is not None:
            self._feeder.cancel()  # it may wait for a batch that comes only when ours are over
        self._record_wanted.set()
        self._wake()

    @property
    def _finished(self) -> bool:
        """Whether nothing can come any more: neither a batch nor another stage of one."""
        return self._stopping or (self._exhausted and not self._open)

    # --- feeder --------------------------------------------------------------------------------------------------

    async def _feed(self) -> None:
        one_chunk_each = self._operation.stages[0].chunk_size >= BATCH_SIZE
        while True:
            self._feed_wanted.clear()
            free = OPEN_BATCHES_OF_ONE_CHUNK - len(self._open) if one_chunk_each else 1
            if free <= 0 or len(self._chunks) >= self._enough_chunks:
                await self._feed_wanted.wait()
                continue
            leases = await self._queue.lease(free)
            if not leases:
                break
            for lease in leases:
                self._begin(lease)
        self._exhausted = True
        self._record_wanted.set()
        self._wake()

    def _begin(self, lease: Lease) -> None:
        batch = self._open[lease.batch_id] = OpenBatch(lease)
        if lease.attempts > self._settings.max_batch_attempts:
            batch.fail_pending(
                "WorkerDied",
                f"Given up: {lease.attempts - 1} attempts at its batch ended with the death of the worker.",
            )
        self._advance(batch)

    def _advance(self, batch: OpenBatch) -> None:
        """Give the batch's next stage to the slots, or the batch to the recorder."""
        following = batch.next_stage(self._operation.stages)
        if following is None:
            self._over.append(batch)
            self._record_wanted.set()
            return
        stage, chunks = following
        self._chunks.extend((batch, stage, chunk) for chunk in chunks)
        self._wake(len(chunks))

    # --- slots ---------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        chunks = self._chunks
        while self._slots <= self._wanted_slots:
            if not chunks:
                if self._finished:
                    break
                await self._wait_for_chunks()
                continue
            batch, stage, indices = chunks.popleft()
            if len(chunks) < self._enough_chunks:
                self._feed_wanted.set()
            self.in_flight += 1
            try:
                outcomes = await stage.execute(batch.view, indices)
            finally:
                self.in_flight -= 1
            if batch.record_done(stage, indices, outcomes):
                self._failures_in_a_row = 0
                if self._observer.every_transfer:
                    self._observer.transfers_ended(batch.view, indices, outcomes)
            else:
                outcomes = batch.judge(indices, outcomes)
                self._observe(batch, indices, outcomes)
                batch.record(stage, indices, outcomes)
            if batch.chunk_ended():
                self._over.append(batch)
                self._record_wanted.set()
        self._slots -= 1
        if chunks:  # it may have been woken for one of them
            self._wake(1)

    def _observe(self, batch: OpenBatch, indices: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        all_done = True
        for outcome in outcomes:
            if type(outcome) is Done:
                self._failures_in_a_row = 0
                continue
            all_done = False
            if isinstance(outcome, Failed):
                self._count_failure(outcome)
        if not all_done or self._observer.every_transfer:
            self._observer.transfers_ended(batch.view, indices, outcomes)

    def _count_failure(self, failed: Failed) -> None:
        """Stop where every other transfer would fail in the same way, or many in a row do."""
        self._failures_in_a_row += failed.blames_store
        most = self._settings.max_failures_in_a_row
        if self.fatal is None and (failed.fatal or (most and self._failures_in_a_row >= most)):
            self.fatal = failed if failed.fatal else _too_many(self._failures_in_a_row, failed)
            self.stop()

    async def _wait_for_chunks(self) -> None:
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._idle.append(news)
        await news

    def _wake(self, slots: int = sys.maxsize) -> None:
        while self._idle and slots:
            news = self._idle.popleft()
            if not news.done():
                news.set_result(None)
                slots -= 1

    # --- recorder ------------------------------------------------------------------------------------------------

    async def _record_regularly(self) -> None:
        clock = asyncio.get_running_loop().time
        due = clock() + self._settings.checkpoint_interval_s
        while not self._finished:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._record_wanted.wait()
            self._record_wanted.clear()
            regular = clock() >= due
            if regular:
                due = clock() + self._settings.checkpoint_interval_s
            await self._record(regular=regular)
        self._wake()

    async def _record(self, *, regular: bool) -> None:
        """Tell the queue about batches that are over (or at the end of a stage), and regularly about all others."""
        over, self._over = self._over, []
        others = [batch for batch in self._open.values() if batch.dirty and batch not in over] if regular else []
        if not over and not others:
            return
        both = list(zip([*over, *others], self._snapshot([*over, *others]), strict=True))
        if not await self._settle():
            return
        ended = {id(batch) for batch in over if batch.settled}
        open_ones = [(batch, checkpoint) for batch, checkpoint in both if id(batch) not in ended]
        if open_ones:
            await self._queue.checkpoint([checkpoint for _, checkpoint in open_ones])
            for batch, checkpoint in open_ones:
                batch.told(checkpoint)
        # At once, so that they wait for the disk together.
        await asyncio.gather(*(self._queue.complete(checkpoint) for batch, checkpoint in both if id(batch) in ended))
        for batch in over:
            if id(batch) in ended:
                self._forget(batch)
            elif not self._stopping:
                self._advance(batch)

    async def _settle(self) -> bool:
        """Make durable what was done; where that fails, stop: nothing done since the last time may be recorded as done."""
        try:
            await self._operation.settle()
        except TransferError as error:
            self._lost = True
            self.fatal = self.fatal or Failed(code=error.code, message=str(error), fatal=True)
            self.stop()
        return not self._lost

    def _snapshot(self, batches: Sequence[OpenBatch]) -> list[Checkpoint]:
        retries = self._count_retries()
        batches[0].counters.retries += retries - self._retries_told
        self._retries_told = retries
        return [batch.checkpoint() for batch in batches]

    def _forget(self, batch: OpenBatch) -> None:
        del self._open[batch.view.id]
        self._operation.forget(batch.view)
        self._observer.batch_finished(batch.view, batch.counters)
        self._feed_wanted.set()

    async def _give_back(self) -> None:
        """Release what is still open, as far as it got; a journal that cannot record it any more loses nothing but time."""
        if not self._open or self._lost:
            return
        checkpoints = self._snapshot(list(self._open.values()))
        with contextlib.suppress(JournalError, TimeoutError):
            async with asyncio.timeout(GIVE_BACK_TIMEOUT_S):
                if await self._settle():
                    await self._queue.release(checkpoints)
        for batch in self._open.values():
            self._operation.forget(batch.view)
        self._open.clear()


def _too_many(count: int, last: Failed) -> Failed:
    return Failed(
        code="TooManyFailures",
        message=f"{count:,} objects in a row failed, the last one so: {last.message}",
        fatal=True,
    )
