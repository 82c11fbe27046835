from __future__ import annotations

import asyncio

from bucket_brigade.jobs.broadcast import MAX_UNREAD, Broadcast
from bucket_brigade.jobs.ticker import Ticker
from bucket_brigade.model.events import Event, TransferFinished, Warned
from bucket_brigade.model.outcome import Counters
from bucket_brigade.model.transfer import JobId

JOB = JobId("j")


def warned(code: str) -> Warned:
    return Warned(job_id=JOB, code=code, message="")


ONE = TransferFinished(job_id=JOB, source="a", target="b", size=1, state="done")


async def read_all(broadcast: Broadcast) -> list[Event]:
    return [event async for event in broadcast.read()]


async def test_sinks_hear_of_single_transfers_only_if_they_ask() -> None:
    broadcast = Broadcast()
    some: list[Event] = []
    every: list[Event] = []
    broadcast.subscribe(some.append, transfers=False)
    broadcast.subscribe(every.append, transfers=True)
    assert broadcast.every_transfer
    broadcast.emit(ONE)
    broadcast.emit(warned("w"))
    assert some == [warned("w")]
    assert every == [ONE, warned("w")]


async def test_a_reader_gets_what_follows_until_the_end() -> None:
    broadcast = Broadcast()
    broadcast.emit(warned("before"))
    reading = asyncio.create_task(read_all(broadcast))
    await asyncio.sleep(0)
    broadcast.emit(warned("1"))
    await asyncio.sleep(0)
    broadcast.emit(warned("2"))
    broadcast.end()
    assert await reading == [warned("1"), warned("2")]


async def test_a_reader_that_comes_late_ends_at_once() -> None:
    broadcast = Broadcast()
    broadcast.end()
    assert await asyncio.wait_for(read_all(broadcast), 1) == []


async def test_a_slow_reader_loses_the_oldest_events_and_still_ends() -> None:
    broadcast = Broadcast()
    events = broadcast.read()
    first = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    for number in range(MAX_UNREAD + 5):
        broadcast.emit(warned(str(number)))
    broadcast.end()
    assert isinstance(await first, Warned)
    rest = [event async for event in events]
    assert len(rest) == MAX_UNREAD - 2
    assert rest[-1] == warned(str(MAX_UNREAD + 4))


def test_time_left_is_unknown_until_all_is_planned_and_something_moves() -> None:
    ticker = Ticker(JOB)
    counters = Counters(planned=10, planned_bytes=100)
    assert ticker.progress(counters, planning_done=False, in_flight=0).eta_s is None
    counters.done, counters.done_bytes = 5, 50
    assert ticker.progress(counters, planning_done=False, in_flight=1).eta_s is None
    later = ticker.progress(counters, planning_done=True, in_flight=1)
    assert later.eta_s is not None
    assert later.objects_per_s > 0
    counters.done = 6
    assert later.counters.done == 5  # an event is a picture of its moment
