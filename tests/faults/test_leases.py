"""Leases and epochs, through every order of work, death and crash: a batch is in one pair of hands, and its last word counts.

The real SQLite journal and the real queue stand against a model of a few dictionaries.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bucket_brigade.engine.queue import JournalQueue, WorkerSeat
from bucket_brigade.errors import LeaseLost
from bucket_brigade.journal.port import Checkpoint, Journal, Lease
from bucket_brigade.journal.sqlite import create_journal, open_journal
from bucket_brigade.model.job import Job, Operation
from bucket_brigade.model.location import S3Location
from bucket_brigade.model.outcome import Counters, State
from bucket_brigade.model.transfer import BatchId, JobId, Transfer

T = TypeVar("T")

JOB = Job(id=JobId("j"), operation=Operation.DELETE, source=S3Location(bucket="b", recursive=True))
WORKERS = ("w1", "w2", "w3")


@dataclass
class Batch:
    """What is true of one batch.

    Attributes:
        told: done transfers, as the journal was last told.
        holder: the worker with the lease that counts.
        epoch: of that lease, or of the last one.
    """

    size: int
    told: int = 0
    holder: str | None = None
    epoch: int = 0
    over: bool = False


@dataclass
class Hand:
    """A lease that a worker believes in, whether it counts or not."""

    worker: str
    lease: Lease
    seat: WorkerSeat = field(repr=False)


class LeaseMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.parent = tempfile.TemporaryDirectory()
        self.journal: Journal = self.run(create_journal(f"{self.parent.name}/job", JOB))
        self.model: dict[BatchId, Batch] = {}
        self.hands: list[Hand] = []
        self.open_queue()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(call)

    def open_queue(self) -> None:
        status = self.run(self.journal.status())
        self.queue = JournalQueue(self.journal, status, planned_ahead=1000)
        self.seats = {worker: self.queue.seat(worker) for worker in WORKERS}

    def counts(self, hand: Hand) -> bool:
        """Whether this is the lease that the journal knows."""
        batch = self.model[hand.lease.batch_id]
        return not batch.over and batch.holder == hand.worker and batch.epoch == hand.lease.epoch

    # --- what happens --------------------------------------------------------------------------------------------

    @rule(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3))
    def plan(self, sizes: list[int]) -> None:
        batches = [[Transfer(source=f"s{n}", target=f"t{n}", size=10) for n in range(size)] for size in sizes]
        self.run(self.queue.append(batches, refused=(), cursor=b"", exhausted=False))
        for size in sizes:
            self.model[BatchId(len(self.model) + 1)] = Batch(size)

    @precondition(lambda self: any(not one.over and one.holder is None for one in self.model.values()))
    @rule(worker=st.sampled_from(WORKERS), limit=st.integers(1, 3))
    def lease(self, worker: str, limit: int) -> None:
        free = [number for number, one in self.model.items() if not one.over and one.holder is None]
        leases = self.run(self.seats[worker].lease(limit))
        assert [lease.batch_id for lease in leases] == free[:limit]  # the oldest ones that nobody holds
        for lease in leases:
            batch = self.model[lease.batch_id]
            assert lease.epoch > batch.epoch
            assert lease.states.count(State.DONE) == batch.told  # nothing that was told is lost, nothing is invented
            batch.holder, batch.epoch = worker, lease.epoch
            self.hands.append(Hand(worker, lease, self.seats[worker]))

    @precondition(lambda self: self.hands)
    @rule(data=st.data(), call=st.sampled_from(["checkpoint", "release", "complete"]))
    def speak(self, data: st.DataObject, call: str) -> None:
        """A worker tells how far it is; one that lost its lease (it slept, or was thought dead) tells too, and is refused."""
        hand = data.draw(st.sampled_from(self.hands))
        batch = self.model[hand.lease.batch_id]
        done = batch.size if call == "complete" else data.draw(st.integers(min(batch.told, batch.size), batch.size))
        word = said(hand.lease, done)
        believed = self.counts(hand)
        try:
            if call == "complete":
                self.run(hand.seat.complete(word) if believed else self.journal.complete(word))
            elif believed:
                self.run(getattr(hand.seat, call)([word]))
            else:
                self.run(getattr(self.journal, call)([word]))
        except LeaseLost:
            assert not believed
            self.hands.remove(hand)
            return
        assert believed
        batch.told = done
        if call != "checkpoint":
            batch.holder, batch.over = None, call == "complete"

    @rule(worker=st.sampled_from(WORKERS))
    def die(self, worker: str) -> None:
        """A worker is gone, as far as the others can tell; its leases go back, and it may still believe in them."""
        held = [one for one in self.model.values() if one.holder == worker]
        assert self.run(self.seats[worker].abandon()) == len(held)
        for batch in held:
            batch.holder = None

    @rule()
    def crash(self) -> None:
        """The process with the journal dies; another one takes the job up."""
        self.run(self.journal.close())
        self.journal = self.run(open_journal(f"{self.parent.name}/job"))
        for batch in self.model.values():
            batch.holder = None
        self.open_queue()

    # --- what is always true -------------------------------------------------------------------------------------

    @invariant()
    def the_journal_counts_what_was_told(self) -> None:
        counters = self.run(self.journal.status()).counters
        assert counters.done == sum(one.told for one in self.model.values())
        assert counters.planned == sum(one.size for one in self.model.values())

    @invariant()
    def the_queue_knows_what_waits(self) -> None:
        assert self.queue.waiting == sum(not one.over and one.holder is None for one in self.model.values())
        held = Counters(done=sum(one.told for one in self.model.values() if one.holder is not None))
        assert self.queue.counters(held).done == sum(one.told for one in self.model.values())

    def teardown(self) -> None:
        self.run(self.journal.close())
        self.loop.close()
        self.parent.cleanup()


def said(lease: Lease, done: int) -> Checkpoint:
    """Return the word that so many transfers of a batch are done."""
    states = bytes([State.DONE] * done + [State.PENDING] * (len(lease.states) - done))
    counters = Counters(done=done, done_bytes=10 * done)
    return Checkpoint(batch_id=lease.batch_id, epoch=lease.epoch, states=states, counters=counters)


TestLeaseMachine = LeaseMachine.TestCase
TestLeaseMachine.settings = settings(stateful_step_count=30, max_examples=settings().max_examples // 4)
