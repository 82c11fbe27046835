from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.memory_journal import MemoryJournal
from tests.unit.engine.world import (
    JOB,
    ScriptedOperation,
    ScriptedStage,
    Watcher,
    expect_counts,
    planned,
    queue_of,
    transfers,
    until,
    worker_of,
)

from bucket_brigade.errors import JournalError, LocalError
from bucket_brigade.journal.port import Checkpoint
from bucket_brigade.model.outcome import Done, Failed, Outcome, Skipped, State, Vanished
from bucket_brigade.model.transfer import BatchId, Transfer

FATAL = Failed("DiskFull", "no space", fatal=True)


async def hang(_transfer: Transfer) -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError


async def run(
    journal: MemoryJournal, *stages: ScriptedStage, concurrency: int = 4, max_batch_attempts: int = 10
) -> None:
    queue = await queue_of(journal)
    worker = worker_of(queue, *stages, concurrency=concurrency, max_batch_attempts=max_batch_attempts)
    await asyncio.wait_for(worker.run(), 10)


async def test_every_outcome_is_recorded_once() -> None:
    answers: dict[str, Outcome] = {
        "00000": Done(10, retries=2),
        "00001": Skipped("Exists", "it is there"),
        "00002": Vanished(),
        "00003": Failed("AccessDenied", "no", "r1", 3),
    }

    async def answer(transfer: Transfer) -> Outcome:
        return answers[transfer.source]

    journal = await planned(transfers(4))
    watcher = Watcher()
    await worker_of(await queue_of(journal), ScriptedStage(answer), watcher=watcher).run()
    assert journal.held[BatchId(1)].states == bytes([State.DONE, State.SKIPPED, State.VANISHED, State.FAILED])
    assert (await expect_counts(journal)).retries == 2
    told = [(row.index, row.code, row.state, row.attempts) async for row in journal.failures()]
    assert told == [(1, "Exists", State.SKIPPED, 1), (3, "AccessDenied", State.FAILED, 3)]
    assert watcher.finished == [1]
    assert [name for name, _ in watcher.ended] == ["00001", "00002", "00003"]
    assert (await journal.status()).open_batches == 0


async def test_ten_thousand_transfers_run_once_each_with_never_more_in_flight_than_allowed() -> None:
    flying = most = 0

    async def fly(transfer: Transfer) -> Outcome:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0)
        flying -= 1
        return Done(transfer.size)

    stage = ScriptedStage(fly)
    journal = await planned(*(transfers(1000, prefix=f"{number}-") for number in range(10)))
    await run(journal, stage, concurrency=16)
    assert most == 16
    assert len(stage.executed) == len(set(stage.executed)) == 10_000
    counters = await expect_counts(journal)
    assert (counters.done, counters.done_bytes) == (10_000, 100_000)


async def test_as_many_are_in_flight_as_the_concurrency_of_the_moment_allows() -> None:
    wanted, flying = [2], 0
    gate = asyncio.Semaphore(0)

    async def fly(transfer: Transfer) -> Outcome:
        nonlocal flying
        flying += 1
        await gate.acquire()
        flying -= 1
        return Done(transfer.size)

    journal = await planned(transfers(100))
    worker = worker_of(await queue_of(journal), ScriptedStage(fly), changing=lambda: wanted[0])
    running = asyncio.create_task(worker.run())
    for number in (2, 7, 3):
        wanted[0] = number
        worker.resize()
        for _ in range(7):
            gate.release()
        await until(lambda number=number: flying == number and gate._value == 0)  # type: ignore[misc]
        assert worker.concurrency == number
    for _ in range(100):
        gate.release()
    await asyncio.wait_for(running, 10)
    assert (await expect_counts(journal)).done == 100
    worker.resize()  # of a worker that is over: nothing happens


kinds = st.sampled_from([Done(1), Skipped("S", "s"), Vanished(), Failed("F", "f")])


@given(
    st.lists(st.lists(kinds, min_size=1, max_size=8), min_size=1, max_size=5),
    st.integers(1, 5),
    st.integers(1, 4),
    st.sampled_from([0.0, 60.0]),
)
@settings(max_examples=40)
async def test_the_counters_are_the_sums_of_the_states(
    outcomes: list[list[Outcome]], concurrency: int, chunk_size: int, interval_s: float
) -> None:
    script = {f"{b}-{i:05}": outcome for b, batch in enumerate(outcomes) for i, outcome in enumerate(batch)}

    async def answer(transfer: Transfer) -> Outcome:
        await asyncio.sleep(0)
        return script[transfer.source]

    journal = await planned(*(transfers(len(batch), prefix=f"{b}-") for b, batch in enumerate(outcomes)))
    queue = await queue_of(journal)
    stage = ScriptedStage(answer, chunk_size=chunk_size)
    await worker_of(queue, stage, concurrency=concurrency, interval_s=interval_s).run()
    counters = await expect_counts(journal)
    assert counters.settled == counters.planned == len(script)
    told = [row async for row in journal.failures()]
    assert len(told) == counters.failed + counters.skipped
    assert queue.counters(type(counters)()) == counters


async def test_what_is_done_is_checkpointed_while_the_batch_still_runs() -> None:
    async def answer(transfer: Transfer) -> Outcome:
        if transfer.source == "00003":
            return await hang(transfer)
        return Failed("F", "f") if transfer.source == "00001" else Done(transfer.size)

    journal = await planned(transfers(4))
    worker = worker_of(await queue_of(journal), ScriptedStage(answer), interval_s=0.001)
    running = asyncio.create_task(worker.run())
    batch = journal.held[BatchId(1)]
    while batch.states.count(State.PENDING) > 1:
        await asyncio.sleep(0.001)
        batch = journal.held[BatchId(1)]
    assert batch.states == bytes([State.DONE, State.FAILED, State.DONE, State.PENDING])
    assert (batch.counters.done, batch.counters.failed) == (2, 1)
    assert [row.index async for row in journal.failures()] == [1]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_nothing_is_recorded_as_done_before_it_is_durable() -> None:
    journal = await planned(transfers(3))
    order: list[str] = []

    async def settle() -> None:
        order.append(f"settled, {journal.held[BatchId(1)].states.count(State.DONE)} recorded")

    operation = ScriptedOperation((ScriptedStage(),), on_settle=settle)
    await worker_of(await queue_of(journal), operation=operation).run()
    assert order == ["settled, 0 recorded"]
    assert journal.held[BatchId(1)].states == bytes([State.DONE] * 3)
    assert operation.forgotten == [1]


async def test_what_could_not_be_made_durable_is_not_recorded_and_stops_the_job() -> None:
    """A failed syncfs tells it only once: after it, nothing that was written since the last one can be counted on."""
    journal = await planned(transfers(3))
    failures = [LocalError("lost a write", code="EIO")]

    async def settle() -> None:
        if failures:
            raise failures.pop()

    operation = ScriptedOperation((ScriptedStage(),), on_settle=settle)
    worker = worker_of(await queue_of(journal), operation=operation)
    await asyncio.wait_for(worker.run(), 5)
    assert worker.fatal is not None
    assert (worker.fatal.code, worker.fatal.message) == ("EIO", "lost a write")
    journal.reopen()
    assert journal.held[BatchId(1)].states == bytes(3)
    assert (await expect_counts(journal)).done == 0


async def test_stop_lets_what_is_in_flight_finish_and_begins_nothing() -> None:
    gate = asyncio.Event()

    async def wait(transfer: Transfer) -> Outcome:
        await gate.wait()
        return Done(transfer.size)

    journal = await planned(transfers(10), transfers(10, prefix="b"))
    stage = ScriptedStage(wait)
    worker = worker_of(await queue_of(journal), stage, concurrency=3)
    running = asyncio.create_task(worker.run())
    await until(lambda: worker.in_flight == 3)
    worker.stop()
    gate.set()
    await running
    assert len(stage.executed) == 3
    assert (await expect_counts(journal)).done == 3
    assert all(batch.owner is None and batch.attempts == 0 for batch in journal.held.values())


async def test_cancelling_gives_batches_back_as_far_as_they_got_with_their_failures() -> None:
    async def answer(transfer: Transfer) -> Outcome:
        if transfer.source == "00002":
            return await hang(transfer)
        return Failed("F", "f")

    journal = await planned(transfers(3))
    worker = worker_of(await queue_of(journal), ScriptedStage(answer))
    running = asyncio.create_task(worker.run())
    await until(lambda: worker.counters().failed == 2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert journal.held[BatchId(1)].states == bytes([State.FAILED, State.FAILED, State.PENDING])
    assert [row.index async for row in journal.failures()] == [0, 1]
    assert journal.held[BatchId(1)].attempts == 0


async def test_failures_are_not_lost_when_cancellation_comes_between_snapshot_and_journal() -> None:
    async def answer(transfer: Transfer) -> Outcome:
        return Failed("F", "f") if transfer.source == "00000" else await hang(transfer)

    entered = asyncio.Event()

    async def settle() -> None:
        if not entered.is_set():
            entered.set()
            await asyncio.Event().wait()

    journal = await planned(transfers(2))
    operation = ScriptedOperation((ScriptedStage(answer),), on_settle=settle)
    running = asyncio.create_task(worker_of(await queue_of(journal), operation=operation, interval_s=0.001).run())
    await entered.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [row.index async for row in journal.failures()] == [0]
    await expect_counts(journal)


@pytest.mark.parametrize("count", [1, 3, 500])
@pytest.mark.parametrize("planning_done", [True, False])
async def test_a_fatal_failure_stops_the_worker_and_leaves_its_transfer_to_do(count: int, planning_done: bool) -> None:
    """Also where the worker already waits for a batch that only the end of its own would bring."""

    async def answer(transfer: Transfer) -> Outcome:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return FATAL if transfer.source == "00000" else Done(transfer.size)

    journal = await planned(transfers(count), exhausted=planning_done)
    worker = worker_of(await queue_of(journal), ScriptedStage(answer), concurrency=4)
    await asyncio.wait_for(worker.run(), 5)
    assert worker.fatal == FATAL
    assert journal.held[BatchId(1)].states[0] == State.PENDING
    assert [row async for row in journal.failures()] == []
    counters = await expect_counts(journal)
    assert counters.failed == 0
    assert counters.done <= 4
    assert journal.held[BatchId(1)].owner is None


async def test_batches_that_arrive_after_the_stop_are_not_begun() -> None:
    journal = await planned(transfers(1), exhausted=False)
    queue = await queue_of(journal)

    async def answer(transfer: Transfer) -> Outcome:
        await until(lambda: queue.waiting == 0)
        return FATAL

    stage = ScriptedStage(answer)
    worker = worker_of(queue, stage)
    running = asyncio.create_task(worker.run())
    await asyncio.wait_for(running, 5)
    await queue.append([transfers(3, prefix="late")], refused=(), cursor=b"2", exhausted=True)
    assert stage.executed == ["00000"]
    assert journal.held[BatchId(2)].owner is None


# --- stages --------------------------------------------------------------------------------------------------------------


async def test_the_second_half_of_a_move_begins_when_the_first_is_in_the_journal() -> None:
    journal = await planned(transfers(5))
    copy = ScriptedStage(leads_to=State.MOVED)

    async def remove(transfer: Transfer) -> Outcome:
        assert journal.held[BatchId(1)].states == bytes([State.MOVED] * 5)
        assert len(copy.executed) == 5
        return Done(transfer.size)

    removal = ScriptedStage(remove, takes=State.MOVED, chunk_size=1000)
    await run(journal, copy, removal)
    assert len(removal.executed) == 5
    counters = await expect_counts(journal)
    assert (counters.done, counters.done_bytes) == (5, 50)


async def test_what_was_not_copied_is_not_removed() -> None:
    async def copy(transfer: Transfer) -> Outcome:
        return Failed("F", "f") if transfer.source == "00001" else Done(transfer.size)

    removal = ScriptedStage(takes=State.MOVED)
    journal = await planned(transfers(3))
    await run(journal, ScriptedStage(copy, leads_to=State.MOVED), removal)
    assert sorted(removal.executed) == ["00000", "00002"]
    assert journal.held[BatchId(1)].states == bytes([State.DONE, State.FAILED, State.DONE])


async def test_a_move_that_died_between_its_halves_goes_on_with_the_second() -> None:
    journal = await planned(transfers(3))
    [lease] = await journal.lease("dead")
    states = bytes([State.MOVED, State.PENDING, State.MOVED])
    await journal.checkpoint([Checkpoint(batch_id=lease.batch_id, epoch=lease.epoch, states=states)])
    journal.reopen()
    copy, removal = ScriptedStage(leads_to=State.MOVED), ScriptedStage(takes=State.MOVED)
    await run(journal, copy, removal)
    assert copy.executed == ["00001"]
    assert sorted(removal.executed) == ["00000", "00001", "00002"]
    assert (await expect_counts(journal)).done == 3


# --- batches of the past ---------------------------------------------------------------------------------------------------


async def test_a_batch_with_nothing_left_is_completed() -> None:
    journal = await planned(transfers(2))
    [lease] = await journal.lease("dead")
    done = Checkpoint(batch_id=lease.batch_id, epoch=lease.epoch, states=bytes([State.DONE] * 2))
    done.counters.done = 2
    await journal.checkpoint([done])
    journal.reopen()
    stage = ScriptedStage()
    await run(journal, stage)
    assert stage.executed == []
    assert journal.held[BatchId(1)].closed
    assert (await expect_counts(journal)).done == 2


async def test_a_batch_whose_workers_die_again_and_again_fails_with_the_reason() -> None:
    journal = await planned(transfers(3))
    for _ in range(2):
        [lease] = await journal.lease("dead")
        states = bytes([State.DONE, State.PENDING, State.MOVED])
        one = Checkpoint(batch_id=lease.batch_id, epoch=lease.epoch, states=states)
        one.counters.done = 1
        await journal.checkpoint([one])
        journal.reopen()
    stage = ScriptedStage()
    await run(journal, stage, max_batch_attempts=2)
    assert stage.executed == []
    assert journal.held[BatchId(1)].states == bytes([State.DONE, State.FAILED, State.FAILED])
    assert [row.code async for row in journal.failures()] == ["WorkerDied", "WorkerDied"]
    await expect_counts(journal)


async def test_retries_of_the_stores_are_counted_once() -> None:
    told = iter(range(0, 10_000, 7))
    count = 0

    def retries() -> int:
        nonlocal count
        count = next(told)
        return count

    journal = await planned(transfers(3), transfers(3, prefix="b"))
    await worker_of(await queue_of(journal), ScriptedStage(), interval_s=0.0, count_retries=retries).run()
    assert (await expect_counts(journal)).retries <= count


async def test_a_journal_that_fails_ends_the_worker() -> None:
    class Broken(MemoryJournal):
        async def complete(self, checkpoint: Checkpoint) -> None:
            raise JournalError("disk full")

    journal = Broken(JOB)
    await journal.append([transfers(3)], refused=(), cursor=b"1", exhausted=True)
    with pytest.raises(BaseExceptionGroup) as caught:
        await asyncio.wait_for(worker_of(await queue_of(journal), ScriptedStage()).run(), 5)
    assert caught.group_contains(JournalError)


async def test_a_bug_in_an_operation_is_not_hidden() -> None:
    async def crash(_transfer: Transfer) -> Outcome:
        raise ZeroDivisionError

    with pytest.raises(BaseExceptionGroup) as caught:
        await run(await planned(transfers(3)), ScriptedStage(crash))
    assert caught.group_contains(ZeroDivisionError)
