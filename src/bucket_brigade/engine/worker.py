"""The worker: takes leased batches, runs their transfers with a bounded concurrency, and reports states to the queue.

Tasks, all owned by one TaskGroup::

    feeder    leases batches while fewer chunks wait than may be in flight, and cuts them into chunks
    slots     ``concurrency`` of them: take a chunk, execute it, record its outcomes
    recorder  every checkpoint interval, and whenever a batch or a stage is over: settle, then tell the queue
"""

from __future__ import annotations

import asyncio
import contextlib
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
    ) -> None:
        self._queue = queue
        self._operation = operation
        self._settings = settings
        self._observer = observer
        self._count_retries = count_retries
        self._retries_told = count_retries()
        self._chunks: deque[tuple[OpenBatch, Stage, list[int]]] = deque()
        self._enough_chunks = max(settings.concurrency, 2)
        self._open: dict[int, OpenBatch] = {}
        self._over: list[OpenBatch] = []
        self._idle: deque[asyncio.Future[None]] = deque()
        self._feed_wanted = asyncio.Event()
        self._record_wanted = asyncio.Event()
        self._feeder: asyncio.Task[None] | None = None
        self._exhausted = False
        self._stopping = False
        self._lost = False
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
                for number in range(self._settings.concurrency):
                    group.create_task(self._work(), name=f"slot {number}")
        finally:
            await self._give_back()

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
        self._wake()

    # --- slots ---------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        chunks = self._chunks
        while True:
            if not chunks:
                if self._finished:
                    return
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
            self._observe(batch, indices, outcomes)
            if batch.record(stage, indices, outcomes):
                self._over.append(batch)
                self._record_wanted.set()

    def _observe(self, batch: OpenBatch, indices: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        all_done = True
        for outcome in outcomes:
            if type(outcome) is not Done:
                all_done = False
                if isinstance(outcome, Failed) and outcome.fatal and self.fatal is None:
                    self.fatal = outcome
                    self.stop()
        if not all_done or self._observer.every_transfer:
            self._observer.transfers_ended(batch.view, indices, outcomes)

    async def _wait_for_chunks(self) -> None:
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._idle.append(news)
        await news

    def _wake(self) -> None:
        while self._idle:
            news = self._idle.popleft()
            if not news.done():
                news.set_result(None)

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
        for batch, checkpoint in both[: len(over)]:
            if id(batch) in ended:
                await self._queue.complete(checkpoint)
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
