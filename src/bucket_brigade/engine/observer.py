"""Turns what a worker does into events."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bucket_brigade.model.events import BatchFinished, Event, TransferFailed, TransferFinished
from bucket_brigade.model.outcome import Counters, Done, Failed, Outcome, Skipped
from bucket_brigade.model.transfer import JobId
from bucket_brigade.operations.port import BatchView

Emit = Callable[[Event], None]


class EventObserver:
    """Emits TransferFailed, BatchFinished and, where somebody wants every transfer, TransferFinished."""

    def __init__(self, job_id: JobId, worker: str, emit: Emit, *, every_transfer: bool) -> None:
        self.every_transfer = every_transfer
        self._job_id = job_id
        self._worker = worker
        self._emit = emit

    def transfers_ended(self, batch: BatchView, indices: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        """See engine.worker.Observer."""
        for index, outcome in zip(indices, outcomes, strict=True):
            transfer = batch.transfers[index]
            if isinstance(outcome, Failed):
                if outcome.fatal or outcome.transient:  # the transfer is still to be done
                    continue
                self._emit(
                    TransferFailed(
                        job_id=self._job_id,
                        source=transfer.source,
                        target=transfer.target,
                        code=outcome.code,
                        message=outcome.message,
                        request_id=outcome.request_id,
                        attempts=outcome.attempts,
                    )
                )
            elif self.every_transfer:
                self._emit(
                    TransferFinished(
                        job_id=self._job_id,
                        source=transfer.source,
                        target=transfer.target,
                        size=outcome.size if isinstance(outcome, Done) else 0,
                        state=_state_name(outcome),
                    )
                )

    def batch_finished(self, batch: BatchView, counters: Counters) -> None:
        """See engine.worker.Observer."""
        self._emit(BatchFinished(job_id=self._job_id, batch_id=batch.id, worker=self._worker, counters=counters))


def _state_name(outcome: Outcome) -> str:
    if isinstance(outcome, Done):
        return "done"
    return "skipped" if isinstance(outcome, Skipped) else "vanished"
