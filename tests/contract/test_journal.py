"""What every Journal owes, sentence by sentence of ``journal.port``: over SQLite, and over the fake that other tests use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bucket_brigade.errors import JournalError, LeaseLost
from bucket_brigade.journal.port import Checkpoint, Journal, Lease, UploadIntent
from bucket_brigade.journal.sqlite import create_journal, open_journal
from bucket_brigade.model.job import Job, JobState, Operation
from bucket_brigade.model.location import S3Location
from bucket_brigade.model.outcome import Counters, Failure, State
from bucket_brigade.model.transfer import BatchId, JobId, Refused, Transfer
from tests.fakes.memory_journal import MemoryJournal

JOB = Job(
    id=JobId("j1"),
    operation=Operation.COPY,
    source=S3Location(bucket="a", recursive=True),
    target=S3Location(bucket="b", recursive=True),
)

Reopen = Callable[[], Awaitable[Journal]]


@pytest.fixture(params=["memory", "sqlite"])
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Journal, Reopen]]:
    """A new journal, and what closes it as a dying process would (leases and all) and opens it again."""
    if request.param == "memory":
        memory = MemoryJournal(JOB)

        async def reopen_memory() -> Journal:
            memory.reopen()
            return memory

        yield memory, reopen_memory
        return
    folder = str(tmp_path / "job")
    journals = [await create_journal(folder, JOB)]

    async def reopen_sqlite() -> Journal:
        await journals[-1].close()
        journals.append(await open_journal(folder))
        return journals[-1]

    yield journals[0], reopen_sqlite
    await journals[-1].close()


@pytest.fixture
def journal(opened: tuple[Journal, Reopen]) -> Journal:
    return opened[0]


@pytest.fixture
def reopen(opened: tuple[Journal, Reopen]) -> Reopen:
    return opened[1]


def transfers(*names: str, size: int = 10) -> list[Transfer]:
    return [Transfer(source=name, target=f"to/{name}", size=size) for name in names]


def failure(index: int, code: str = "AccessDenied", state: State = State.FAILED) -> Failure:
    return Failure(index=index, source=f"s{index}", target=f"t{index}", code=code, message="No.", state=state)


def checkpoint(lease: Lease, *states: State, failures: tuple[Failure, ...] = (), retries: int = 0) -> Checkpoint:
    """What a worker reports: counters are the sums over ``states``."""
    counters = Counters(
        done=states.count(State.DONE),
        done_bytes=sum(t.size for t, state in zip(lease.transfers, states, strict=True) if state is State.DONE),
        skipped=states.count(State.SKIPPED),
        vanished=states.count(State.VANISHED),
        failed=states.count(State.FAILED),
        retries=retries,
    )
    return Checkpoint(
        batch_id=lease.batch_id, epoch=lease.epoch, states=bytes(states), failures=failures, counters=counters
    )


async def plan(journal: Journal, *batches: list[Transfer], refused: tuple[Refused, ...] = ()) -> None:
    await journal.append(batches, refused=refused, cursor=b"cursor", exhausted=False)


async def lease_one(journal: Journal, worker: str = "w") -> Lease:
    [lease] = await journal.lease(worker)
    return lease


async def test_a_new_journal_holds_the_job_as_planned_and_nothing_else(journal: Journal) -> None:
    status = await journal.status()
    assert status.job == JOB
    assert (status.state, status.reason, status.epoch) == (JobState.PLANNED, "", 1)
    assert (status.planning_done, status.open_batches, status.counters) == (False, 0, Counters())
    assert await journal.planning_cursor() == b""
    assert await journal.lease("w", 5) == []


async def test_batches_and_cursor_are_recorded_together(journal: Journal, reopen: Reopen) -> None:
    await journal.append([transfers("a", "b"), transfers("c")], refused=[], cursor=b"\x00\xff", exhausted=False)
    journal = await reopen()
    status = await journal.status()
    assert status.counters == Counters(planned=3, planned_bytes=30)
    assert (status.open_batches, status.planning_done) == (2, False)
    assert await journal.planning_cursor() == b"\x00\xff"


async def test_the_end_of_planning_is_recorded_without_a_batch(journal: Journal) -> None:
    await journal.append([], refused=[], cursor=b"end", exhausted=True)
    status = await journal.status()
    assert (status.planning_done, status.open_batches) == (True, 0)
    assert await journal.planning_cursor() == b"end"


async def test_unknown_sizes_add_no_planned_bytes(journal: Journal) -> None:
    await plan(journal, transfers("a", size=-1) + transfers("b", size=7))
    assert (await journal.status()).counters == Counters(planned=2, planned_bytes=7)


async def test_refused_entries_are_counted_once_and_told(journal: Journal) -> None:
    await plan(journal, transfers("a"), refused=(Refused("x", "NotUtf8", "No."),))
    await plan(journal, refused=(Refused("y", "SpecialFile", "A socket.", failed=False),))
    assert (await journal.status()).counters == Counters(planned=3, planned_bytes=10, failed=1, skipped=1)
    told = [(row.source, row.code, row.state, row.attempts) async for row in journal.failures()]
    assert told == [("x", "NotUtf8", State.FAILED, 0), ("y", "SpecialFile", State.SKIPPED, 0)]


async def test_the_oldest_batches_are_leased_first_and_only_once(journal: Journal) -> None:
    await plan(journal, transfers("a"), transfers("b"), transfers("c"))
    first = await journal.lease("w1", 2)
    second = await journal.lease("w2", 2)
    assert [lease.transfers[0].source for lease in [*first, *second]] == ["a", "b", "c"]
    assert await journal.lease("w3") == []
    assert first[0].states == b"\x00"


async def test_transfers_come_back_as_they_were(journal: Journal) -> None:
    awkward = Transfer(
        source="ü/ +%#?&=\n\x00",
        target="//..",
        size=-1,
        etag='"e-1"',
        modified_ns=1,
        version_id="v",
        logical="l",
        source_bucket="b",
    )
    await plan(journal, [awkward])
    assert (await lease_one(journal)).transfers == (awkward,)
    assert [batch.transfers async for batch in journal.batches()] == [(awkward,)]


async def test_status_includes_the_checkpoints_of_open_batches(journal: Journal) -> None:
    await plan(journal, transfers("a", "b"))
    lease = await lease_one(journal)
    await journal.checkpoint([checkpoint(lease, State.DONE, State.PENDING, retries=3)])
    status = await journal.status()
    assert status.counters == Counters(planned=2, planned_bytes=20, done=1, done_bytes=10, retries=3)
    assert status.open_batches == 1


async def test_a_checkpoint_replaces_the_earlier_one(journal: Journal) -> None:
    await plan(journal, transfers("a", "b"))
    lease = await lease_one(journal)
    await journal.checkpoint([checkpoint(lease, State.DONE, State.PENDING, retries=1)])
    await journal.checkpoint([checkpoint(lease, State.DONE, State.SKIPPED, retries=1)])
    expected = Counters(planned=2, planned_bytes=20, done=1, done_bytes=10, skipped=1, retries=1)
    assert (await journal.status()).counters == expected


async def test_a_completed_batch_is_closed_and_counted_once(journal: Journal) -> None:
    await plan(journal, transfers("a", "b"))
    lease = await lease_one(journal)
    await journal.checkpoint([checkpoint(lease, State.DONE, State.PENDING)])
    await journal.complete(checkpoint(lease, State.DONE, State.VANISHED))
    status = await journal.status()
    assert status.counters == Counters(planned=2, planned_bytes=20, done=1, done_bytes=10, vanished=1)
    assert status.open_batches == 0
    assert await journal.lease("w") == []
    assert [batch.states async for batch in journal.batches()] == [bytes([State.DONE, State.VANISHED])]


async def test_a_released_batch_is_leased_again_as_it_was_left(journal: Journal) -> None:
    await plan(journal, transfers("a", "b"))
    lease = await lease_one(journal)
    await journal.release([checkpoint(lease, State.DONE, State.PENDING)])
    again = await lease_one(journal)
    assert again.states == bytes([State.DONE, State.PENDING])
    assert (again.attempts, again.epoch > lease.epoch) == (1, True)


async def test_writes_under_an_old_lease_are_refused_and_record_nothing(journal: Journal) -> None:
    await plan(journal, transfers("a"), transfers("b"))
    old, other = await journal.lease("w1", 2)
    await journal.release([checkpoint(old, State.PENDING)])
    await lease_one(journal, "w2")
    before = await journal.status()
    stale = checkpoint(old, State.FAILED, failures=(failure(0),))
    with pytest.raises(LeaseLost):
        await journal.checkpoint([checkpoint(other, State.DONE), stale])
    with pytest.raises(LeaseLost):
        await journal.complete(stale)
    with pytest.raises(LeaseLost):
        await journal.release([checkpoint(other, State.DONE), stale])
    assert await journal.status() == before
    assert [row async for row in journal.failures()] == []
    assert [batch.states async for batch in journal.batches()] == [b"\x00", b"\x00"]
    await journal.complete(checkpoint(other, State.DONE))


@pytest.mark.parametrize("end", ["release", "abandon", "complete"])
async def test_a_lease_that_was_given_up_is_worth_nothing(journal: Journal, end: str) -> None:
    await plan(journal, transfers("a"))
    lease = await lease_one(journal)
    match end:
        case "release":
            await journal.release([checkpoint(lease, State.PENDING)])
        case "abandon":
            await journal.abandon("w")
        case _:
            await journal.complete(checkpoint(lease, State.DONE))
    with pytest.raises(LeaseLost):
        await journal.complete(checkpoint(lease, State.DONE))


async def test_states_of_another_length_are_refused(journal: Journal) -> None:
    await plan(journal, transfers("a", "b"))
    lease = await lease_one(journal)
    with pytest.raises(JournalError):
        await journal.complete(
            Checkpoint(batch_id=lease.batch_id, epoch=lease.epoch, states=b"\x01", counters=Counters(done=1))
        )
    assert (await journal.status()).counters.done == 0


async def test_the_batches_of_a_dead_worker_go_back_as_last_checkpointed(journal: Journal) -> None:
    await plan(journal, transfers("a"), transfers("b"), transfers("c"))
    first, _ = await journal.lease("dead", 2)
    await lease_one(journal, "alive")
    await journal.checkpoint([checkpoint(first, State.DONE)])
    assert await journal.abandon("dead") == 2
    assert await journal.abandon("dead") == 0
    assert [lease.states for lease in await journal.lease("w", 9)] == [bytes([State.DONE]), b"\x00"]


async def test_a_new_run_finds_the_leases_of_the_dead_one_queued(journal: Journal, reopen: Reopen) -> None:
    await plan(journal, transfers("a", "b"))
    lease = await lease_one(journal)
    await journal.checkpoint([checkpoint(lease, State.DONE, State.PENDING)])
    journal = await reopen()
    assert (await journal.status()).epoch == 2
    with pytest.raises(LeaseLost):
        await journal.complete(checkpoint(lease, State.DONE, State.DONE))
    again = await lease_one(journal)
    assert (again.states, again.attempts) == (bytes([State.DONE, State.PENDING]), 2)


async def test_failures_are_kept_by_batch_and_index(journal: Journal, reopen: Reopen) -> None:
    await plan(journal, transfers("a", "b"), transfers("c"))
    one, two = await journal.lease("w", 2)
    await journal.complete(checkpoint(two, State.FAILED, failures=(failure(0, "C"),)))
    await journal.checkpoint([checkpoint(one, State.PENDING, State.FAILED, failures=(failure(1, "old"),))])
    await journal.complete(checkpoint(one, State.FAILED, State.FAILED, failures=(failure(1, "B"), failure(0, "A"))))
    journal = await reopen()
    assert [row.code async for row in journal.failures()] == ["A", "B", "C"]


async def test_requeued_failures_are_pending_again_and_counted_nowhere(journal: Journal) -> None:
    await plan(journal, transfers("a", "b", "c"), transfers("d"), refused=(Refused("x", "NotUtf8", "No."),))
    one, two = await journal.lease("w", 2)
    told = (failure(0), failure(1, "Excluded", State.SKIPPED))
    await journal.complete(checkpoint(one, State.FAILED, State.SKIPPED, State.DONE, failures=told))
    await journal.complete(checkpoint(two, State.DONE))

    assert await journal.requeue_failed() == 1
    status = await journal.status()
    assert status.open_batches == 1
    assert status.counters == Counters(planned=5, planned_bytes=40, done=2, done_bytes=20, skipped=1, failed=1)
    assert [row.code async for row in journal.failures()] == ["NotUtf8", "Excluded"]

    again = await lease_one(journal)
    assert (again.states, again.attempts) == (bytes([State.PENDING, State.SKIPPED, State.DONE]), 1)
    await journal.complete(checkpoint(again, State.DONE, State.SKIPPED, State.DONE))
    status = await journal.status()
    assert status.counters == Counters(planned=5, planned_bytes=40, done=3, done_bytes=30, skipped=1, failed=1)
    assert status.counters.settled == status.counters.planned
    assert await journal.requeue_failed() == 0


async def test_requeueing_leaves_batches_that_a_worker_holds_alone(journal: Journal) -> None:
    await plan(journal, transfers("a"))
    lease = await lease_one(journal)
    await journal.checkpoint([checkpoint(lease, State.FAILED, failures=(failure(0),))])
    assert await journal.requeue_failed() == 0
    await journal.complete(checkpoint(lease, State.FAILED))
    assert (await journal.status()).counters.failed == 1
    assert [row.index async for row in journal.failures()] == [0]


async def test_uploads_are_found_until_they_end(journal: Journal, reopen: Reopen) -> None:
    intent = UploadIntent(
        batch_id=BatchId(1),
        index=3,
        endpoint="s3",
        bucket="b",
        key="k",
        part_size_bytes=8,
        fingerprint="f",
        begun_ns=7,
    )
    row = await journal.record_upload(intent)
    await journal.name_upload(row, "id-1")
    journal = await reopen()
    found = await journal.find_upload(BatchId(1), 3)
    assert found is not None
    assert (found.row, found.intent.upload_id, found.intent.begun_ns) == (row, "id-1", 7)
    assert await journal.open_uploads() == [found]
    assert await journal.find_upload(BatchId(1), 4) is None
    await journal.end_upload(row)
    await journal.end_upload(row)
    assert await journal.open_uploads() == []
    with pytest.raises(JournalError):
        await journal.name_upload(row, "id-2")


async def test_of_two_uploads_of_one_transfer_the_later_is_found(journal: Journal) -> None:
    intent = UploadIntent(
        batch_id=BatchId(1), index=0, endpoint="s3", bucket="b", key="k", part_size_bytes=8, fingerprint="f"
    )
    first = await journal.record_upload(intent)
    second = await journal.record_upload(intent)
    found = await journal.find_upload(BatchId(1), 0)
    assert found is not None
    assert found.row == second
    assert [record.row for record in await journal.open_uploads()] == [first, second]


async def test_the_number_of_an_ended_upload_is_not_given_again(journal: Journal) -> None:
    intent = UploadIntent(
        batch_id=BatchId(1), index=0, endpoint="s3", bucket="b", key="k", part_size_bytes=8, fingerprint="f"
    )
    first = await journal.record_upload(intent)
    await journal.end_upload(first)
    assert await journal.record_upload(intent) != first


async def test_the_state_keeps_its_reason_and_times(journal: Journal, reopen: Reopen) -> None:
    await journal.set_state(JobState.RUNNING)
    started = (await journal.status()).started_ns
    assert started > 0
    await journal.set_state(JobState.INTERRUPTED, "SIGTERM")
    await journal.set_state(JobState.RUNNING)
    status = await journal.status()
    assert (status.started_ns, status.finished_ns, status.reason) == (started, 0, "")
    await journal.set_state(JobState.DONE_WITH_FAILURES, "2 objects failed")
    journal = await reopen()
    status = await journal.status()
    assert (status.state, status.reason) == (JobState.DONE_WITH_FAILURES, "2 objects failed")
    assert status.finished_ns >= started


async def test_a_run_that_died_is_found_interrupted(journal: Journal, reopen: Reopen) -> None:
    await journal.set_state(JobState.RUNNING)
    journal = await reopen()
    status = await journal.status()
    assert status.state is JobState.INTERRUPTED
    assert status.reason


async def test_many_batches_and_failures_come_in_order(journal: Journal) -> None:
    names = [[f"{batch}-{index}" for index in range(120)] for batch in range(21)]
    await plan(journal, *[transfers(*group) for group in names])
    for lease in await journal.lease("w", 21):
        told = tuple(failure(index, f"{lease.batch_id}-{index}") for index in range(120))
        await journal.complete(checkpoint(lease, *[State.FAILED] * 120, failures=told))
    assert [[t.source for t in batch.transfers] async for batch in journal.batches()] == names
    codes = [row.code async for row in journal.failures()]
    assert codes == [f"{batch + 1}-{index}" for batch in range(21) for index in range(120)]


async def test_a_closed_journal_refuses_every_call(journal: Journal) -> None:
    await journal.close()
    await journal.close()
    with pytest.raises(JournalError):
        await journal.lease("w")
    with pytest.raises(JournalError):
        await journal.status()
