"""The Journal contract in its simplest form: dictionaries, and nothing durable. The contract suite runs over it too."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from bucket_brigade.errors import JournalError, LeaseLost
from bucket_brigade.journal.port import (
    BatchRecord,
    Checkpoint,
    JobStatus,
    Lease,
    UploadIntent,
    UploadRecord,
    UploadRow,
)
from bucket_brigade.model.job import Job, JobState
from bucket_brigade.model.outcome import Counters, Failure, State
from bucket_brigade.model.transfer import BatchId, Refused, Transfer

ENDED = {JobState.DONE, JobState.DONE_WITH_FAILURES, JobState.CANCELLED}


@dataclass
class MemoryBatch:
    transfers: tuple[Transfer, ...]
    states: bytes
    owner: str | None = None
    closed: bool = False
    epoch: int = 0
    attempts: int = 0
    counters: Counters = field(default_factory=Counters)
    failures: dict[int, Failure] = field(default_factory=dict)


class MemoryJournal:
    """A Journal that lives as long as this object; ``reopen`` does what a new run finds."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.state = JobState.PLANNED
        self.reason = ""
        self.epoch = 1
        self.clock = itertools.count(1)
        self.started_ns = 0
        self.finished_ns = 0
        self.cursor = b""
        self.exhausted = False
        self.refused: list[Refused] = []
        self.held: dict[BatchId, MemoryBatch] = {}
        self.uploads: dict[UploadRow, UploadIntent] = {}
        self.rows = itertools.count(1)
        self.closed = False

    def reopen(self) -> None:
        self.closed = False
        self.epoch += 1
        if self.state is JobState.RUNNING:
            self.state = JobState.INTERRUPTED
            self.reason = "crashed"
        for batch in self.held.values():
            batch.owner = None

    async def status(self) -> JobStatus:
        self._check_open()
        counters = Counters()
        for batch in self.held.values():
            counters.add(batch.counters)
            counters.planned += len(batch.transfers)
            counters.planned_bytes += sum(max(0, transfer.size) for transfer in batch.transfers)
        for entry in self.refused:
            counters.add(Counters(planned=1, failed=int(entry.failed), skipped=int(not entry.failed)))
        return JobStatus(
            job=self.job,
            state=self.state,
            reason=self.reason,
            planning_done=self.exhausted,
            open_batches=sum(not batch.closed for batch in self.held.values()),
            counters=counters,
            started_ns=self.started_ns,
            finished_ns=self.finished_ns,
            epoch=self.epoch,
        )

    async def planning_cursor(self) -> bytes:
        self._check_open()
        return self.cursor

    async def append(
        self, batches: Sequence[Sequence[Transfer]], *, refused: Sequence[Refused], cursor: bytes, exhausted: bool
    ) -> None:
        self._check_open()
        for transfers in batches:
            self.held[BatchId(len(self.held) + 1)] = MemoryBatch(tuple(transfers), bytes(len(transfers)))
        self.refused += refused
        self.cursor = cursor
        self.exhausted = exhausted

    async def lease(self, worker: str, limit: int = 1) -> list[Lease]:
        self._check_open()
        queued = [(key, batch) for key, batch in self.held.items() if not batch.closed and batch.owner is None]
        leases = []
        for batch_id, batch in queued[:limit]:
            batch.owner = worker
            batch.epoch += 1
            batch.attempts += 1
            leases.append(
                Lease(
                    batch_id=batch_id,
                    epoch=batch.epoch,
                    attempts=batch.attempts,
                    transfers=batch.transfers,
                    states=batch.states,
                    counters=msgspec.structs.replace(batch.counters),
                )
            )
        return leases

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> None:
        self._record(checkpoints)

    async def complete(self, checkpoint: Checkpoint) -> None:
        self._record([checkpoint])
        batch = self.held[checkpoint.batch_id]
        batch.closed, batch.owner = True, None

    async def release(self, checkpoints: Sequence[Checkpoint]) -> None:
        self._record(checkpoints)
        for checkpoint in checkpoints:
            self.held[checkpoint.batch_id].owner = None
            self.held[checkpoint.batch_id].attempts -= 1

    async def abandon(self, worker: str) -> int:
        self._check_open()
        theirs = [batch for batch in self.held.values() if batch.owner == worker]
        for batch in theirs:
            batch.owner = None
        return len(theirs)

    async def requeue_failed(self) -> int:
        self._check_open()
        requeued = 0
        for batch in self.held.values():
            failed = batch.states.count(State.FAILED)
            if batch.owner is not None or not failed:
                continue
            requeued += failed
            batch.states = batch.states.replace(bytes([State.FAILED]), bytes([State.PENDING]))
            batch.counters = msgspec.structs.replace(batch.counters, failed=0)
            batch.failures = {key: row for key, row in batch.failures.items() if row.state != State.FAILED}
            batch.closed, batch.attempts = False, 0
        return requeued

    async def record_upload(self, intent: UploadIntent) -> UploadRow:
        self._check_open()
        row = UploadRow(next(self.rows))
        self.uploads[row] = intent
        return row

    async def name_upload(self, row: UploadRow, upload_id: str) -> None:
        self._check_open()
        if row not in self.uploads:
            raise JournalError(f"The multipart upload {row} is not in the journal.")
        self.uploads[row] = msgspec.structs.replace(self.uploads[row], upload_id=upload_id)

    async def find_upload(self, batch_id: BatchId, index: int) -> UploadRecord | None:
        found = [record for record in await self.open_uploads() if _place(record.intent) == (batch_id, index)]
        return found[-1] if found else None

    async def end_upload(self, row: UploadRow) -> None:
        self._check_open()
        self.uploads.pop(row, None)

    async def open_uploads(self) -> list[UploadRecord]:
        self._check_open()
        return [UploadRecord(row=row, intent=intent) for row, intent in self.uploads.items()]

    async def set_state(self, state: JobState, reason: str = "") -> None:
        self._check_open()
        self.state = state
        self.reason = reason
        now = next(self.clock)
        if state is JobState.RUNNING:
            self.started_ns = self.started_ns or now
        self.finished_ns = now if state in ENDED else 0

    async def failures(self) -> AsyncIterator[Failure]:
        self._check_open()
        for index, entry in enumerate(self.refused):
            state = State.FAILED if entry.failed else State.SKIPPED
            yield Failure(
                index=index,
                source=entry.source,
                target="",
                code=entry.code,
                message=entry.message,
                attempts=0,
                state=state,
            )
        for batch in self.held.values():
            for _, failure in sorted(batch.failures.items()):
                yield failure

    async def batches(self) -> AsyncIterator[BatchRecord]:
        self._check_open()
        for batch_id, batch in self.held.items():
            yield BatchRecord(batch_id=batch_id, transfers=batch.transfers, states=batch.states)

    async def close(self) -> None:
        self.closed = True

    def _check_open(self) -> None:
        if self.closed:
            raise JournalError("The journal is closed.")

    def _record(self, checkpoints: Sequence[Checkpoint]) -> None:
        self._check_open()
        changed: dict[BatchId, MemoryBatch] = {}
        for checkpoint in checkpoints:
            batch = changed.get(checkpoint.batch_id) or self.held.get(checkpoint.batch_id)
            if batch is None or batch.owner is None or batch.epoch != checkpoint.epoch:
                raise LeaseLost(f"Batch {checkpoint.batch_id} is leased to another worker.")
            if len(checkpoint.states) != len(batch.transfers):
                raise JournalError("There must be one state for each transfer.")
            changed[checkpoint.batch_id] = replace(
                batch,
                states=checkpoint.states,
                counters=msgspec.structs.replace(checkpoint.counters, planned=0, planned_bytes=0),
                failures=batch.failures | {failure.index: failure for failure in checkpoint.failures},
            )
        self.held |= changed


def _place(intent: UploadIntent) -> tuple[BatchId, int]:
    return intent.batch_id, intent.index
