"""Any sequence of calls leaves the SQLite journal and the simple model of it saying the same."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from typing import Any, TypeVar

import hypothesis.strategies as st
import msgspec
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bucket_brigade.errors import BrigadeError
from bucket_brigade.journal.port import Checkpoint, JobStatus, Journal, Lease, UploadIntent, UploadRow
from bucket_brigade.journal.sqlite import create_journal, open_journal
from bucket_brigade.model.job import Job, JobState, Operation
from bucket_brigade.model.location import S3Location
from bucket_brigade.model.outcome import Counters, Failure, State
from bucket_brigade.model.transfer import BatchId, JobId, Refused, Transfer
from tests.fakes.memory_journal import MemoryJournal

T = TypeVar("T")

JOB = Job(id=JobId("j"), operation=Operation.DELETE, source=S3Location(bucket="b", recursive=True))

workers = st.sampled_from(["w1", "w2"])
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
batches = st.lists(
    st.lists(st.builds(Transfer, source=names, target=names, size=st.integers(-1, 2**40)), min_size=1, max_size=4),
    max_size=3,
)
refusals = st.lists(st.builds(Refused, source=names, code=names, message=names, failed=st.booleans()), max_size=2)


class JournalMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.parent = tempfile.TemporaryDirectory()
        self.folder = f"{self.parent.name}/job"
        self.model = MemoryJournal(JOB)
        self.journal: Journal = self.run(create_journal(self.folder, JOB))
        self.leases: list[Lease] = []
        self.uploads: list[UploadRow] = []

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(call)

    def both(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Make the same call on both and return the result (or the error's kind), which must be the same."""
        results = [self.attempt(journal, name, *args, **kwargs) for journal in (self.journal, self.model)]
        assert results[0] == results[1]
        return results[0]

    def attempt(self, journal: Journal, name: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.run(getattr(journal, name)(*args, **kwargs))
        except BrigadeError as error:
            return type(error)

    @rule(planned=batches, refused=refusals, cursor=st.binary(max_size=4), exhausted=st.booleans())
    def append(self, planned: list[list[Transfer]], refused: list[Refused], cursor: bytes, exhausted: bool) -> None:
        self.both("append", planned, refused=refused, cursor=cursor, exhausted=exhausted)

    @rule(worker=workers, limit=st.integers(1, 3))
    def lease(self, worker: str, limit: int) -> None:
        self.leases += self.both("lease", worker, limit)

    @precondition(lambda self: self.leases)
    @rule(choice=st.data(), call=st.sampled_from(["checkpoint", "complete", "release"]))
    def record(self, choice: st.DataObject, call: str) -> None:
        most = 1 if call == "complete" else 3
        some = st.lists(st.sampled_from(self.leases), min_size=1, max_size=most, unique_by=lambda lease: lease.batch_id)
        drawn = choice.draw(some)
        checkpoints = [choice.draw(checkpoints_of(lease)) for lease in drawn]
        self.both(call, checkpoints[0] if call == "complete" else checkpoints)

    @rule(worker=workers)
    def abandon(self, worker: str) -> None:
        self.both("abandon", worker)

    @rule()
    def requeue_failed(self) -> None:
        self.both("requeue_failed")

    @rule(batch_id=st.integers(1, 3), index=st.integers(0, 1), key=names)
    def record_upload(self, batch_id: int, index: int, key: str) -> None:
        intent = UploadIntent(
            batch_id=BatchId(batch_id),
            index=index,
            endpoint="s3",
            bucket="b",
            key=key,
            part_size_bytes=1,
            fingerprint="",
        )
        self.uploads.append(self.both("record_upload", intent))

    @precondition(lambda self: self.uploads)
    @rule(choice=st.data(), upload_id=names)
    def name_upload(self, choice: st.DataObject, upload_id: str) -> None:
        self.both("name_upload", choice.draw(st.sampled_from(self.uploads)), upload_id)

    @precondition(lambda self: self.uploads)
    @rule(choice=st.data())
    def end_upload(self, choice: st.DataObject) -> None:
        self.both("end_upload", choice.draw(st.sampled_from(self.uploads)))

    @rule(batch_id=st.integers(1, 3), index=st.integers(0, 1))
    def find_upload(self, batch_id: int, index: int) -> None:
        self.both("find_upload", BatchId(batch_id), index)

    @rule(state=st.sampled_from(JobState), reason=names)
    def set_state(self, state: JobState, reason: str) -> None:
        self.both("set_state", state, reason)

    @rule()
    def die_and_reopen(self) -> None:
        self.run(self.journal.close())
        self.journal = self.run(open_journal(self.folder))
        self.model.reopen()

    @invariant()
    def both_say_the_same(self) -> None:
        assert timeless(self.run(self.journal.status())) == timeless(self.run(self.model.status()))
        self.both("planning_cursor")
        self.both("open_uploads")
        assert self.run(everything(self.journal)) == self.run(everything(self.model))

    def teardown(self) -> None:
        self.run(self.journal.close())
        self.loop.close()
        self.parent.cleanup()


@st.composite
def checkpoints_of(draw: st.DrawFn, lease: Lease) -> Checkpoint:
    states = draw(st.lists(st.sampled_from(State), min_size=len(lease.states), max_size=len(lease.states)))
    told = {index: draw(names) for index, state in enumerate(states) if state in (State.FAILED, State.SKIPPED)}
    counters = Counters(
        done=states.count(State.DONE),
        done_bytes=draw(st.integers(0, 2**40)),
        skipped=states.count(State.SKIPPED),
        vanished=states.count(State.VANISHED),
        failed=states.count(State.FAILED),
        retries=draw(st.integers(0, 9)),
    )
    failures = tuple(
        Failure(index=index, source="s", target="t", code=code, message="m", state=states[index])
        for index, code in told.items()
    )
    return Checkpoint(
        batch_id=lease.batch_id, epoch=lease.epoch, states=bytes(states), failures=failures, counters=counters
    )


def timeless(status: JobStatus) -> JobStatus:
    """The status with what clocks and wording decide reduced to whether it is there."""
    return msgspec.structs.replace(
        status,
        started_ns=bool(status.started_ns),
        finished_ns=bool(status.finished_ns),
        reason=bool(status.reason),
    )


async def everything(journal: Journal) -> tuple[list[Any], list[Any]]:
    return [batch async for batch in journal.batches()], [row async for row in journal.failures()]


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(stateful_step_count=20)
