from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from tests.fakes.memory_journal import MemoryJournal
from tests.unit.engine.world import JOB, planned, queue_of, transfers

from bucket_brigade.engine.queue import JournalQueue
from bucket_brigade.journal.port import Checkpoint, Lease
from bucket_brigade.model.outcome import Counters, State
from bucket_brigade.model.transfer import Refused


async def append(queue: JournalQueue, count: int, *, exhausted: bool = False, refused: Sequence[Refused] = ()) -> None:
    await queue.append([transfers(2)] * count, refused=refused, cursor=b"c", exhausted=exhausted)


def of(lease: Lease, done: int) -> Checkpoint:
    states = bytes([State.DONE] * done + [State.PENDING] * (len(lease.states) - done))
    counters = Counters(done=done, done_bytes=done * 10)
    return Checkpoint(batch_id=lease.batch_id, epoch=lease.epoch, states=states, counters=counters)


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_planning_waits_while_enough_is_planned_ahead() -> None:
    queue = await queue_of(MemoryJournal(JOB), planned_ahead=2)
    await append(queue, 1)
    planning = asyncio.create_task(append(queue, 1))
    await turns()
    assert not planning.done()
    assert queue.waiting == 2
    await queue.seat("w").lease(1)
    await planning


async def test_planning_does_not_wait_when_it_is_over_or_the_job_stops() -> None:
    queue = await queue_of(MemoryJournal(JOB), planned_ahead=1)
    await append(queue, 5, exhausted=True)
    stopped = await queue_of(MemoryJournal(JOB), planned_ahead=1)
    planning = asyncio.create_task(append(stopped, 5))
    await turns()
    await stopped.stop()
    await planning


async def test_a_worker_waits_for_planning_and_takes_at_most_what_it_asked_for() -> None:
    queue = await queue_of(MemoryJournal(JOB))
    seat = queue.seat("w")
    leasing = asyncio.create_task(seat.lease(2))
    await turns()
    assert not leasing.done()
    await append(queue, 3)
    assert [lease.batch_id for lease in await leasing] == [1, 2]
    assert [lease.batch_id for lease in await seat.lease(2)] == [3]


async def test_there_is_nothing_left_when_planning_is_over_and_nobody_holds_a_batch() -> None:
    queue = await queue_of(await planned(transfers(2)))
    holder, other = queue.seat("a"), queue.seat("b")
    [lease] = await holder.lease(1)
    waiting = asyncio.create_task(other.lease(1))
    await turns()
    assert not waiting.done()  # the holder may still give its batch back
    await holder.complete(of(lease, 2))
    assert await waiting == []


async def test_a_batch_given_back_goes_to_whoever_waits() -> None:
    queue = await queue_of(await planned(transfers(2)))
    holder, other = queue.seat("a"), queue.seat("b")
    [lease] = await holder.lease(1)
    waiting = asyncio.create_task(other.lease(1))
    await turns()
    await holder.release([of(lease, 1)])
    [again] = await waiting
    assert (again.batch_id, again.states) == (1, bytes([State.DONE, State.PENDING]))


async def test_nothing_is_leased_after_a_stop() -> None:
    queue = await queue_of(await planned(transfers(2)))
    await queue.stop()
    assert await queue.seat("a").lease(1) == []


async def test_a_cancelled_lease_leaves_its_batches_to_others() -> None:
    class Slow(MemoryJournal):
        async def lease(self, worker: str, limit: int = 1) -> list[Lease]:
            if worker == "slow":
                await asyncio.Event().wait()
            return await super().lease(worker, limit)

    journal = Slow(JOB)
    await journal.append([transfers(2)], refused=(), cursor=b"1", exhausted=True)
    queue = await queue_of(journal)
    slow = asyncio.create_task(queue.seat("slow").lease(1))
    await turns()
    other = asyncio.create_task(queue.seat("other").lease(1))
    await turns()
    assert not other.done()
    slow.cancel()
    [lease] = await asyncio.wait_for(other, 5)
    assert lease.batch_id == 1
    with pytest.raises(asyncio.CancelledError):
        await slow


async def test_a_dead_worker_gives_back_what_it_held_as_its_last_checkpoint_left_it() -> None:
    queue = await queue_of(await planned(transfers(2), transfers(2), transfers(2)))
    dead, living = queue.seat("dead"), queue.seat("living")
    leases = await dead.lease(2)
    await dead.checkpoint([of(leases[0], 1)])
    waiting = asyncio.create_task(living.lease(3))
    [mine] = await waiting
    assert await dead.abandon() == 2
    assert [lease.batch_id for lease in await living.lease(3)] == [1, 2]
    assert mine.batch_id == 3


async def test_the_counters_are_right_whatever_the_others_have_not_told_yet() -> None:
    """What a living worker has done since its last checkpoint is counted by itself, not by the queue."""
    journal = await planned(transfers(2), transfers(2))
    queue = await queue_of(journal)
    dead, living = queue.seat("dead"), queue.seat("living")
    [lost], [kept] = await dead.lease(1), await living.lease(1)
    await dead.checkpoint([of(lost, 1)])
    own = Counters(done=2, done_bytes=20)  # of the living worker, untold
    assert await dead.abandon() == 1
    assert queue.counters(own).done == 3
    await living.complete(of(kept, 2))
    assert queue.counters(Counters()).done == 3
    [again] = await living.lease(1)
    assert queue.counters(again.counters).done == 3
    await living.complete(of(again, 2))
    assert queue.counters(Counters()) == (await journal.status()).counters


async def test_refused_entries_are_counted_as_the_journal_counts_them() -> None:
    journal = MemoryJournal(JOB)
    queue = await queue_of(journal)
    refused = [Refused("a", "NotUtf8", "no"), Refused("b", "SpecialFile", "a FIFO", failed=False)]
    await append(queue, 1, exhausted=True, refused=refused)
    assert queue.planning_done
    assert queue.counters(Counters()) == (await journal.status()).counters
