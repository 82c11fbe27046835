"""What an operation is to the engine, and what the engine lends to an operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bucket_brigade.journal.port import UploadIntent, UploadRecord, UploadRow
from bucket_brigade.local.blocking import BlockingCalls
from bucket_brigade.model.job import Job
from bucket_brigade.model.outcome import Outcome, State
from bucket_brigade.model.transfer import BatchId, Transfer
from bucket_brigade.operations.budget import ByteBudget
from bucket_brigade.s3.store import Store


@dataclass(frozen=True, slots=True)
class BatchView:
    """What an operation may know of the batch that it works on.

    Attributes:
        begun_before: it was leased before, so an earlier attempt may have left traces.
    """

    id: BatchId
    transfers: tuple[Transfer, ...]
    begun_before: bool


@dataclass(frozen=True, slots=True)
class BucketSide:
    """One side of an operation: a bucket, and the store that gives access to it.

    ``enforces_conditions`` says whether that store honours conditional writes, as its profile knows; None where nobody knows.
    ``tells_tag_count`` says the same of the number of tags in a HEAD.
    """

    store: Store
    endpoint: str
    bucket: str
    enforces_conditions: bool | None = None
    tells_tag_count: bool | None = None


class UploadLedger(Protocol):
    """The journal's record of multipart uploads in progress, from wherever the worker runs."""

    async def record_upload(self, intent: UploadIntent) -> UploadRow:
        """Record the intent, durably, before the upload is created."""
        ...

    async def name_upload(self, row: UploadRow, upload_id: str) -> None:
        """Record the id that the store gave."""
        ...

    async def find_upload(self, batch_id: BatchId, index: int) -> UploadRecord | None:
        """Return what an earlier attempt left open."""
        ...

    async def end_upload(self, row: UploadRow) -> None:
        """Forget an upload that was completed or aborted."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What every operation of a job is given."""

    job: Job
    budget: ByteBudget
    ledger: UploadLedger
    part_concurrency: int
    files: BlockingCalls = field(default_factory=BlockingCalls)


class Stage(Protocol):
    """One step that takes transfers from one state to the next. All but moves have a single one.

    Attributes:
        takes: the state of the transfers it is given.
        leads_to: the state of those whose outcome is Done.
        chunk_size: how many transfers one call takes.
    """

    takes: State
    leads_to: State
    chunk_size: int

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        """Do it for these transfers; one outcome each, in order. Only bugs and cancellation are raised."""
        ...


class Operation(Protocol):
    """What is done with each object of a job."""

    stages: tuple[Stage, ...]

    async def settle(self) -> None:
        """Make durable what was reported as Done until now; the journal records it only afterwards."""
        ...

    def forget(self, batch: BatchView) -> None:
        """The batch is over here: drop what was kept for it."""
        ...

    async def close(self) -> None:
        """Give back files and threads. Idempotent."""
        ...
