"""The queue of batches: its port, as a worker sees it, and the adapter that stands directly on the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from bucket_brigade.errors import JournalError
from bucket_brigade.journal.port import Checkpoint, JobStatus, Journal, Lease, UploadIntent, UploadRecord, UploadRow
from bucket_brigade.model.outcome import Counters
from bucket_brigade.model.transfer import BatchId, Refused, Transfer


class BatchQueue(Protocol):
    """What a worker needs, wherever the journal is. An UploadLedger too."""

    async def lease(self, limit: int) -> list[Lease]:
        """Return one to ``limit`` batches; wait until there is one. Empty means that there is nothing left to do."""
        ...

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Record the states of open batches."""
        ...

    async def complete(self, checkpoint: Checkpoint) -> None:
        """Record the last states of a batch and close it."""
        ...

    async def release(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Give batches back, as far as they got."""
        ...

    async def record_upload(self, intent: UploadIntent) -> UploadRow:
        """Record the intent of a multipart upload."""
        ...

    async def name_upload(self, row: UploadRow, upload_id: str) -> None:
        """Record the upload's id."""
        ...

    async def find_upload(self, batch_id: BatchId, index: int) -> UploadRecord | None:
        """Return what an earlier attempt left open."""
        ...

    async def end_upload(self, row: UploadRow) -> None:
        """Forget an upload."""
        ...


class JournalQueue:
    """The journal as the queue of one job, shared by the planner and all workers of this machine.

    It knows how many batches wait and how many are open, so that the planner stays a bounded way ahead, and a worker that
    asks for more waits until there is more or the job is over.
    """

    def __init__(self, journal: Journal, status: JobStatus, *, planned_ahead: int) -> None:
        self._journal = journal
        self._planned_ahead = planned_ahead
        self._waiting = status.open_batches
        self._leased = 0
        self._planning_done = status.planning_done
        self._stopping = False
        self._news = asyncio.Event()
        self._counters = msgspec.structs.replace(status.counters)

    def counters(self, open_counters: Counters) -> Counters:
        """Return the job's counters now: what no worker holds, and the open batches as their workers count them."""
        sums = msgspec.structs.replace(self._counters)
        sums.add(open_counters)
        return sums

    @property
    def waiting(self) -> int:
        """Batches that nobody has leased."""
        return self._waiting

    @property
    def planning_done(self) -> bool:
        """Whether the source has been read to its end."""
        return self._planning_done

    async def append(
        self, batches: Sequence[Sequence[Transfer]], *, refused: Sequence[Refused], cursor: bytes, exhausted: bool
    ) -> None:
        """Record planned batches; then wait while too many are ahead of the workers."""
        await self._journal.append(batches, refused=refused, cursor=cursor, exhausted=exhausted)
        self._count_planned(batches, refused)
        self._planning_done = exhausted
        self._count(waiting=len(batches))
        await self._until(lambda: self._waiting < self._planned_ahead or self._planning_done or self._stopping)

    def _count_planned(self, batches: Sequence[Sequence[Transfer]], refused: Sequence[Refused]) -> None:
        failed = sum(entry.failed for entry in refused)
        self._counters.planned += sum(map(len, batches)) + len(refused)
        self._counters.planned_bytes += sum(
            [transfer.size for batch in batches for transfer in batch if transfer.size > 0]
        )
        self._counters.failed += failed
        self._counters.skipped += len(refused) - failed

    async def stop(self) -> None:
        """Lease nothing any more."""
        self._stopping = True
        self._count()

    def seat(self, worker: str) -> WorkerSeat:
        """Return the queue as the worker of this name sees it."""
        return WorkerSeat(self, self._journal, worker)

    async def lease(self, worker: str, limit: int) -> list[Lease]:
        """Lease for a worker; see BatchQueue."""
        while True:
            await self._until(self._has_work_or_none_will_come)
            if self._stopping or not self._waiting:
                return []
            claimed = min(limit, self._waiting)
            self._count(waiting=-claimed, leased=claimed)
            try:
                leases = await self._journal.lease(worker, claimed)
            except BaseException:
                self._count(waiting=claimed, leased=-claimed)
                raise
            self._count(leased=len(leases) - claimed)
            for lease in leases:
                self._counters.subtract(lease.counters)
            if leases:
                return leases

    def _has_work_or_none_will_come(self) -> bool:
        return bool(self._waiting) or self._stopping or (self._planning_done and not self._leased)

    def closed(self, counters: Counters) -> None:
        """Say that a batch was completed."""
        self._counters.add(counters)
        self._count(leased=-1)

    def returned(self, counters: Sequence[Counters]) -> None:
        """Say that leased batches, of these counters, wait again."""
        for one in counters:
            self._counters.add(one)
        self._count(leased=-len(counters), waiting=len(counters))

    def _count(self, *, waiting: int = 0, leased: int = 0) -> None:
        self._waiting += waiting
        self._leased += leased
        if self._leased < 0 or self._waiting < 0:
            raise JournalError("The queue lost count of its batches.", remedy="This is a bug; please report it.")
        self._news.set()
        self._news = asyncio.Event()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._news.wait()


class WorkerSeat:
    """The queue as one worker of this process sees it (BatchQueue)."""

    def __init__(self, queue: JournalQueue, journal: Journal, worker: str) -> None:
        self._queue = queue
        self._journal = journal
        self._worker = worker
        self._held: dict[BatchId, Counters] = {}

    async def lease(self, limit: int) -> list[Lease]:
        """See BatchQueue."""
        leases = await self._queue.lease(self._worker, limit)
        self._held.update((lease.batch_id, lease.counters) for lease in leases)
        return leases

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> None:
        """See BatchQueue."""
        await self._journal.checkpoint(checkpoints)
        self._held.update((checkpoint.batch_id, checkpoint.counters) for checkpoint in checkpoints)

    async def complete(self, checkpoint: Checkpoint) -> None:
        """See BatchQueue."""
        await self._journal.complete(checkpoint)
        del self._held[checkpoint.batch_id]
        self._queue.closed(checkpoint.counters)

    async def release(self, checkpoints: Sequence[Checkpoint]) -> None:
        """See BatchQueue."""
        await self._journal.release(checkpoints)
        for checkpoint in checkpoints:
            del self._held[checkpoint.batch_id]
        self._queue.returned([checkpoint.counters for checkpoint in checkpoints])

    async def abandon(self) -> int:
        """Give back what the worker still holds, as far as its last checkpoints tell: it is gone. Return how many batches."""
        await self._journal.abandon(self._worker)
        held, self._held = self._held, {}
        self._queue.returned(list(held.values()))
        return len(held)

    async def record_upload(self, intent: UploadIntent) -> UploadRow:
        """See BatchQueue."""
        return await self._journal.record_upload(intent)

    async def name_upload(self, row: UploadRow, upload_id: str) -> None:
        """See BatchQueue."""
        await self._journal.name_upload(row, upload_id)

    async def find_upload(self, batch_id: BatchId, index: int) -> UploadRecord | None:
        """See BatchQueue."""
        return await self._journal.find_upload(batch_id, index)

    async def end_upload(self, row: UploadRow) -> None:
        """See BatchQueue."""
        await self._journal.end_upload(row)
