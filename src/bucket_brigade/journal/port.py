"""The durable record of one job: what every adapter owes. The one adapter is ``journal.sqlite``.

Every method is one transaction: when it returns, the change survives ``kill -9`` and a power failure; when it raises, nothing
has changed. JournalError is the only error; LeaseLost refuses a write under a lease that another worker took over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NewType, Protocol

import msgspec

from bucket_brigade.model.job import Job, JobState
from bucket_brigade.model.outcome import Counters, Failure
from bucket_brigade.model.transfer import BatchId, Refused, Transfer

UploadRow = NewType("UploadRow", int)


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's claim on a batch.

    Attributes:
        epoch: raised at every lease of this batch; a write with an older one is refused.
        attempts: leases that ended with the death of their worker, and this one. A release does not count.
        states: one byte for each transfer (``model.outcome.State``), as the last checkpoint left them.
        counters: what the last checkpoint counted (``planned`` and ``planned_bytes`` are zero).
    """

    batch_id: BatchId
    epoch: int
    attempts: int
    transfers: tuple[Transfer, ...]
    states: bytes
    counters: Counters = msgspec.field(default_factory=Counters)


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What is true of an open batch now. Replaces what an earlier checkpoint said.

    Attributes:
        states: one byte for each transfer.
        failures: those not yet recorded; a row with the same index replaces the older one.
        counters: sums over ``states`` (``planned`` and ``planned_bytes`` are ignored).
    """

    batch_id: BatchId
    epoch: int
    states: bytes
    failures: tuple[Failure, ...] = ()
    counters: Counters = msgspec.field(default_factory=Counters)


class UploadIntent(msgspec.Struct, frozen=True, kw_only=True):
    """A multipart upload, recorded before it is created. ``upload_id`` is empty until the store has named it.

    Attributes:
        fingerprint: of the source (size, ETag or mtime): only an upload of the same state may be continued.
        begun_ns: when it was recorded, nanoseconds since the epoch.
    """

    batch_id: BatchId
    index: int
    endpoint: str
    bucket: str
    key: str
    part_size_bytes: int
    fingerprint: str
    begun_ns: int = 0
    upload_id: str = ""


class UploadRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A journaled multipart upload that has not ended."""

    row: UploadRow
    intent: UploadIntent


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What ``brigade status`` shows. ``counters`` includes the checkpoints of open batches.

    Attributes:
        reason: why the job was interrupted, for people.
        planning_done: the source has been read to its end.
        open_batches: neither finished nor given up.
    """

    job: Job
    state: JobState
    reason: str
    planning_done: bool
    open_batches: int
    counters: Counters
    started_ns: int
    finished_ns: int
    epoch: int


class BatchRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One batch with its states, for reports and catalogs."""

    batch_id: BatchId
    transfers: tuple[Transfer, ...]
    states: bytes


class Journal(Protocol):
    """One job's journal, opened by one process: the queue of its batches."""

    async def status(self) -> JobStatus:
        """Return the job as it stands."""
        ...

    async def planning_cursor(self) -> bytes:
        """Return where planning resumes; empty before the first batch."""
        ...

    async def append(
        self, batches: Sequence[Sequence[Transfer]], *, refused: Sequence[Refused], cursor: bytes, exhausted: bool
    ) -> None:
        """Record planned batches, the entries refused while planning them, and the cursor behind them, together."""
        ...

    async def lease(self, worker: str, limit: int = 1) -> list[Lease]:
        """Claim up to ``limit`` of the oldest batches that nobody holds; fewer (or none) when there are no more now."""
        ...

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Record the states of open batches. LeaseLost if any epoch is old; then none is recorded."""
        ...

    async def complete(self, checkpoint: Checkpoint) -> None:
        """Record the last states of a batch and close it: its counters now belong to the job."""
        ...

    async def release(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Record the states of batches and give them back to the queue, to be leased again."""
        ...

    async def abandon(self, worker: str) -> int:
        """Give back all batches of a worker that died, as their last checkpoints left them; return how many."""
        ...

    async def requeue_failed(self) -> int:
        """Open every batch that has failed transfers again, with those pending; return how many transfers."""
        ...

    async def record_upload(self, intent: UploadIntent) -> UploadRow:
        """Record the intent of a multipart upload, before it is created."""
        ...

    async def name_upload(self, row: UploadRow, upload_id: str) -> None:
        """Record the id that the store gave the upload."""
        ...

    async def find_upload(self, batch_id: BatchId, index: int) -> UploadRecord | None:
        """Return the upload that an earlier attempt at this transfer left open, or None."""
        ...

    async def end_upload(self, row: UploadRow) -> None:
        """Forget an upload that was completed or aborted."""
        ...

    async def open_uploads(self) -> list[UploadRecord]:
        """Return the uploads that have neither been completed nor aborted."""
        ...

    async def set_state(self, state: JobState, reason: str = "") -> None:
        """Record the job's state; ``reason`` is for people and replaces the older one."""
        ...

    def failures(self) -> AsyncIterator[Failure]:
        """Yield all recorded failures (and skips told for a reason) of planning and execution, page by page."""
        ...

    def batches(self) -> AsyncIterator[BatchRecord]:
        """Yield all batches in planning order, page by page."""
        ...

    async def close(self) -> None:
        """Release the file lock. Everything is durable already."""
        ...
