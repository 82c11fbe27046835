"""One transfer at once, without a journal: the stages of a job, for a handle that waits for its outcome.

Proof, retries and limits are those of a job. What is missing is durability: after a kill there is nothing to resume.
"""

from __future__ import annotations

from typing import assert_never

from bucket_brigade.errors import NotFound, PermanentError, PreconditionFailed
from bucket_brigade.journal.port import UploadIntent, UploadRecord, UploadRow
from bucket_brigade.model.job import Job
from bucket_brigade.model.outcome import Done, Failed, Outcome, Skipped, Vanished
from bucket_brigade.model.transfer import BatchId, Transfer
from bucket_brigade.operations.budget import ByteBudget
from bucket_brigade.operations.build import build_operation
from bucket_brigade.operations.port import BatchView, BucketSide, Context, UploadLedger
from bucket_brigade.settings.values import EngineSettings


class NoLedger:
    """Remembers no uploads: what fails is aborted by the stage itself, and nothing is resumed."""

    def __init__(self) -> None:
        self._rows = 0

    async def record_upload(self, intent: UploadIntent) -> UploadRow:
        """See UploadLedger."""
        self._rows += 1
        return UploadRow(self._rows)

    async def name_upload(self, row: UploadRow, upload_id: str) -> None:
        """See UploadLedger."""

    async def find_upload(self, batch_id: BatchId, index: int) -> UploadRecord | None:
        """See UploadLedger."""
        return None

    async def end_upload(self, row: UploadRow) -> None:
        """See UploadLedger."""


async def transfer_now(
    job: Job,
    transfer: Transfer,
    source: BucketSide | None,
    target: BucketSide | None,
    engine: EngineSettings,
    *,
    ledger: UploadLedger | None = None,
) -> Done:
    """Run one transfer of a job through its stages; return when it is verified and durable.

    ``ledger`` remembers its multipart upload beyond this process, so that whoever comes after a kill can abort it.

    Raises:
        NotFound: the source is not there.
        PreconditionFailed: the target is there, or is not what it was, and the job says to leave it.
        PermanentError: everything else, with the code that a job's report would have.
        LocalError: a local folder cannot be opened or created.
    """
    context = Context(
        job=job,
        budget=ByteBudget(engine.memory_bytes),
        ledger=ledger or NoLedger(),
        part_concurrency=engine.part_concurrency,
    )
    operation = build_operation(context, source, target)
    batch = BatchView(BatchId(0), (transfer,), begun_before=ledger is not None)
    try:
        done = Done()
        for stage in operation.stages:
            [outcome] = await stage.execute(batch, [0])
            done = done_or_error(outcome, transfer)
            await operation.settle()
        return done
    finally:
        await operation.close()
        context.files.close()


def done_or_error(outcome: Outcome, transfer: Transfer) -> Done:
    """Return a Done; raise what any other outcome means to somebody who waits for it."""
    match outcome:
        case Done():
            return outcome
        case Vanished():
            raise NotFound(f"{transfer.source!r} is not there", code="NoSuchKey")
        case Skipped(code=code, message=message):
            raise PreconditionFailed(message, code=code)
        case Failed(code="TargetChanged", message=message):
            raise PreconditionFailed(message, code="TargetChanged")
        case Failed(code=code, message=message, request_id=request_id):
            raise PermanentError(message, code=code, request_id=request_id)
        case _:
            assert_never(outcome)
