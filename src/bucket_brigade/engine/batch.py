"""A leased batch in the hands of a worker: its states, its counters, and what the journal has not been told yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import msgspec

from bucket_brigade.journal.port import Checkpoint, Lease
from bucket_brigade.model.outcome import Done, Failed, Failure, Outcome, Skipped, State, Vanished
from bucket_brigade.operations.port import BatchView, Stage

ROUNDS = 3
"""A transfer that fails in passing (throttled, the endpoint failed, no answer) is tried so often, each time with all retries."""


class OpenBatch:
    """States of one leased batch. Not yet settled transfers are given out in chunks, stage by stage."""

    __slots__ = ("_failures", "_outstanding", "_rounds", "_stage", "counters", "dirty", "epoch", "states", "view")

    def __init__(self, lease: Lease) -> None:
        self.view = BatchView(lease.batch_id, lease.transfers, lease.epoch > 1)
        self.epoch = lease.epoch
        self.states = bytearray(lease.states)
        self.counters = msgspec.structs.replace(lease.counters)
        self.dirty = False
        self._failures: list[Failure] = []
        self._stage = -1
        self._outstanding = 0
        self._rounds: dict[int, int] = {}

    def next_stage(self, stages: Sequence[Stage]) -> tuple[Stage, list[list[int]]] | None:
        """Return the next stage with something to do, and its chunks; None when every transfer is settled.

        When the last stage is over, those that failed in passing are given out once more, from their stage on.
        """
        while self._stage + 1 < len(stages):
            self._stage += 1
            stage = stages[self._stage]
            todo = [i for i, state in enumerate(self.states) if state == stage.takes]
            if todo:
                chunks = [todo[i : i + stage.chunk_size] for i in range(0, len(todo), stage.chunk_size)]
                self._outstanding = len(chunks)
                return stage, chunks
        if self._rounds and not self.settled:
            self._stage = -1
            return self.next_stage(stages)
        return None

    def judge(self, indices: Sequence[int], outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Return the outcomes with what failed in passing for the last time made a failure for good."""
        judged = list(outcomes)
        for position, outcome in enumerate(judged):
            if type(outcome) is Failed and outcome.transient and not outcome.fatal:
                rounds = self._rounds[indices[position]] = self._rounds.get(indices[position], 0) + 1
                if rounds >= ROUNDS:
                    judged[position] = msgspec.structs.replace(outcome, transient=False)
        return judged

    @property
    def settled(self) -> bool:
        """Whether every transfer has its outcome."""
        return not self.states.count(State.PENDING) and not self.states.count(State.MOVED)

    def record_done(self, stage: Stage, indices: Sequence[int], outcomes: Sequence[Outcome]) -> bool:
        """Record a chunk that is done with nothing to be told about it, as nearly all are; return False if it is another."""
        if len(outcomes) != len(indices):
            return False
        done_bytes = 0
        for outcome in outcomes:
            if type(outcome) is not Done or outcome.note or outcome.retries:
                return False
            done_bytes += outcome.size
        states, leads_to = self.states, stage.leads_to
        for index in indices:
            states[index] = leads_to
        if leads_to is State.DONE:
            self.counters.done += len(outcomes)
            self.counters.done_bytes += done_bytes
        self.dirty = True
        return True

    def chunk_ended(self) -> bool:
        """Count a chunk whose outcomes are recorded; return whether it was the stage's last one."""
        self._outstanding -= 1
        return self._outstanding == 0

    def record(self, stage: Stage, indices: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        """Record what became of a chunk.

        A fatal failure leaves the transfer as it is: the job stops, and a later run tries it again. So does a transient one: it
        is tried again by this worker.
        """
        for index, outcome in zip(indices, outcomes, strict=True):
            self._record(stage, index, outcome)
        self.dirty = True

    def _record(self, stage: Stage, index: int, outcome: Outcome) -> None:
        counters = self.counters
        match outcome:
            case Done(size=size, retries=retries, note=note):
                self.states[index] = stage.leads_to
                if note:
                    self._tell(index, "NotCarried", note, state=stage.leads_to)
                if stage.leads_to is State.DONE:
                    counters.done += 1
                    counters.done_bytes += size
                counters.retries += retries
            case Skipped(code=code, message=message):
                self.states[index] = State.SKIPPED
                counters.skipped += 1
                self._tell(index, code, message, state=State.SKIPPED)
            case Vanished():
                self.states[index] = State.VANISHED
                counters.vanished += 1
            case Failed(fatal=True) | Failed(transient=True):
                pass
            case Failed(code=code, message=message, request_id=request_id, attempts=attempts):
                self.states[index] = State.FAILED
                counters.failed += 1
                self._tell(index, code, message, request_id=request_id, attempts=attempts)
            case _:
                assert_never(outcome)

    def _tell(
        self, index: int, code: str, message: str, *, request_id: str = "", attempts: int = 1, state: int = State.FAILED
    ) -> None:
        transfer = self.view.transfers[index]
        self._failures.append(
            Failure(index, transfer.source, transfer.target, code, message, request_id, attempts, state)
        )

    def fail_pending(self, code: str, message: str) -> None:
        """Fail all that is not settled: the batch was tried too often."""
        for index, state in enumerate(self.states):
            if state in (State.PENDING, State.MOVED):
                self.states[index] = State.FAILED
                self.counters.failed += 1
                self._tell(index, code, message)

    def checkpoint(self) -> Checkpoint:
        """Return what is true now, with the failures of which the journal does not know yet."""
        failures = tuple(self._failures)
        self.dirty = False
        return Checkpoint(
            batch_id=self.view.id,
            epoch=self.epoch,
            states=bytes(self.states),
            failures=failures,
            counters=msgspec.structs.replace(self.counters),
        )

    def told(self, checkpoint: Checkpoint) -> None:
        """Say that the journal has this checkpoint of the batch."""
        del self._failures[: len(checkpoint.failures)]
