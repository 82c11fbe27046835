"""The governor against endpoints that throttle, are far away, break down or slow down, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from tests.fakes.throttling_endpoint import BusySender, ThrottlingEndpoint
from tests.fakes.virtual_time import run_virtually

from bucket_brigade.errors import ConnectionLost, Throttled
from bucket_brigade.s3.governor import Governor
from bucket_brigade.s3.governor_window import FIRST_LIMIT, LARGEST_LIMIT, LEAST_LIMIT, Sample, Window
from bucket_brigade.s3.retry_budget import PER_S, RESERVE, RetryBudget

Scenario = Callable[[], Awaitable[None]]


def test_it_uses_what_an_endpoint_takes_and_is_hardly_refused() -> None:
    async def scenario() -> None:
        endpoint = ThrottlingEndpoint(delay_s=0.005, limit=3500, capacity=8000)
        sender = BusySender(endpoint)
        await asyncio.sleep(10)
        assert endpoint.rate(0, 10) >= 0.95 * 3500
        assert endpoint.part_refused(0, 10) < 0.02
        await sender.end()
        assert sender.failed == 0

    run_virtually(scenario())


@pytest.mark.parametrize("delay_s", [0.002, 0.05])
def test_ten_seconds_after_the_limit_has_doubled_it_uses_all_of_it(delay_s: float) -> None:
    async def scenario() -> None:
        endpoint = ThrottlingEndpoint(delay_s=delay_s, limit=500, capacity=4000)
        sender = BusySender(endpoint)
        await asyncio.sleep(6)
        endpoint.limit = 1000
        await asyncio.sleep(14)
        assert endpoint.rate(3, 6) >= 0.95 * 500
        assert endpoint.rate(16, 20) >= 0.95 * 1000
        assert endpoint.part_refused(6, 20) < 0.02
        await sender.end()
        assert sender.failed == 0

    run_virtually(scenario())


@pytest.mark.parametrize("late_s", [1, 10])
@pytest.mark.parametrize("limit", [200, 500, 1000, 3500])
def test_two_that_know_nothing_of_each_other_share_an_endpoint_fairly_in_twenty_seconds(
    limit: float, late_s: int
) -> None:
    async def scenario() -> None:
        endpoint = ThrottlingEndpoint(delay_s=0.01, limit=limit, capacity=8000)
        first = BusySender(endpoint, 1)
        await asyncio.sleep(late_s)
        second = BusySender(endpoint, 2)
        await asyncio.sleep(25)
        shares = [endpoint.rate(late_s + 20, late_s + 25, sender) for sender in (1, 2)]
        assert min(shares) >= 0.4 * sum(shares)
        assert endpoint.rate(late_s + 1, late_s + 25) >= 0.95 * limit
        assert endpoint.part_refused(late_s + 5, late_s + 25) < 0.02
        await first.end()
        await second.end()

    random.seed(1)
    run_virtually(scenario())


@pytest.mark.parametrize("delay_s", [0.005, 0.02, 0.05, 0.2])
def test_it_finds_how_many_requests_a_distance_is_worth(delay_s: float) -> None:
    """No fixed number in flight does better than ``capacity``, or than all connections over the delay."""

    async def scenario() -> None:
        endpoint = ThrottlingEndpoint(delay_s=delay_s, capacity=2000)
        sender = BusySender(endpoint)
        await asyncio.sleep(15)
        assert endpoint.rate(0, 15) >= 0.9 * min(2000, LARGEST_LIMIT / delay_s)
        await sender.end()

    run_virtually(scenario())


def test_a_job_of_four_seconds_at_a_distance_loses_little_to_finding_the_number() -> None:
    async def scenario() -> None:
        endpoint = ThrottlingEndpoint(delay_s=0.05, capacity=7000)
        sender = BusySender(endpoint)
        await asyncio.sleep(4)
        assert endpoint.rate(0, 4) >= 0.9 * 7000
        await sender.end()

    run_virtually(scenario())


def test_it_sends_little_while_everything_is_refused_and_recovers() -> None:
    async def scenario() -> None:
        endpoint = ThrottlingEndpoint(delay_s=0.005, capacity=2000)
        sender = BusySender(endpoint)
        await asyncio.sleep(3)
        endpoint.limit = 0.0
        await asyncio.sleep(20)
        attempts = sum(endpoint.refused.values())
        endpoint.limit = None
        await asyncio.sleep(15)
        # A second of 2,000 a second, and then a few: not the 40,000 that were wanted.
        assert attempts < 1000
        assert endpoint.rate(33, 38) >= 0.9 * 2000
        await sender.end()
        assert sender.failed == 0

    run_virtually(scenario())


def test_it_has_fewer_in_flight_where_an_endpoint_became_slow_and_more_bring_nothing() -> None:
    async def scenario() -> None:
        endpoint = ThrottlingEndpoint(delay_s=0.05, capacity=4000)
        sender = BusySender(endpoint)
        await asyncio.sleep(5)
        before = sender.governor.limit
        endpoint.capacity = 200
        await asyncio.sleep(60)
        assert sender.governor.limit <= 0.6 * before
        assert endpoint.rate(15, 65) >= 0.95 * 200
        await sender.end()

    run_virtually(scenario())


def test_a_chosen_concurrency_stays_and_is_paced_all_the_same() -> None:
    async def scenario() -> None:
        endpoint = ThrottlingEndpoint(delay_s=0.002, limit=300, capacity=4000)
        governor = Governor(auto=False, largest=16, now=asyncio.get_running_loop().time)
        sender = BusySender(endpoint, governor=governor)
        await asyncio.sleep(10)
        assert governor.limit == 16
        assert endpoint.part_refused(1, 10) < 0.02
        assert endpoint.rate(1, 10) >= 0.95 * 300
        await sender.end()

    run_virtually(scenario())


def test_it_can_be_told_a_number_and_to_find_it_again() -> None:
    async def scenario() -> None:
        governor = Governor(largest=100)
        told: list[int] = []
        end = governor.subscribe(lambda: told.append(governor.limit))
        governor.choose(auto=False)
        governor.choose(auto=False)
        governor.choose(auto=True)
        end()
        governor.choose(auto=False)
        assert told == [100, FIRST_LIMIT]

    run_virtually(scenario())


def test_a_cancelled_request_gives_its_turn_to_the_next() -> None:
    async def scenario() -> None:
        governor = Governor(auto=False, largest=1)
        await governor.admit()
        waiting = [asyncio.create_task(governor.admit()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        governor.leave()
        waiting[1].cancel()  # it has its turn already, and did not run since
        await asyncio.gather(*waiting, return_exceptions=True)
        assert [task.cancelled() for task in waiting] == [True, True, False]
        assert governor.in_flight == 1
        governor.leave()
        assert governor.in_flight == 0

    run_virtually(scenario())


def test_who_is_cancelled_while_waiting_for_the_pace_is_in_flight_no_more() -> None:
    async def scenario() -> None:
        governor = Governor(now=asyncio.get_running_loop().time)
        await governor.admit()
        governor.failed(Throttled("slow down"), asyncio.get_running_loop().time())
        assert governor.rate is not None
        waiting = [asyncio.create_task(governor.admit()) for _ in range(10)]
        await asyncio.sleep(0.001)
        for task in waiting[1:]:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert governor.in_flight == 1

    run_virtually(scenario())


def test_decisions_are_told_but_not_often() -> None:
    async def scenario() -> None:
        endpoint = ThrottlingEndpoint(delay_s=0.005, limit=500, capacity=2000)
        sender = BusySender(endpoint)
        told: list[tuple[str, int, float | None]] = []
        sender.governor.on_decision = lambda *decision: told.append(decision)
        await asyncio.sleep(4)
        endpoint.limit = None
        await asyncio.sleep(12)
        assert [decision for decision, _, _ in told] == ["slower", "lifted"]
        assert told[1][2] is None
        await sender.end()

    run_virtually(scenario())


# --- the window ------------------------------------------------------------------------------------------------------


def grown(window: Window, latency_s: float) -> Window:
    """Let a window grow to its limit, at an endpoint that takes everything."""
    now = 0.0
    while window.limit < LARGEST_LIMIT:
        now += 1.0
        window.look(now, Sample(goodput=window.limit / latency_s, in_flight=window.limit, latency_s=latency_s))
    return window


def test_time_outs_take_a_third_of_the_window_but_never_all() -> None:
    window = grown(Window(), 0.01)
    window.time_out(10.0)
    assert window.limit == int(0.7 * LARGEST_LIMIT)
    for second in range(100):
        window.time_out(second)
    assert window.limit == LEAST_LIMIT


def test_a_window_that_is_not_used_does_not_grow() -> None:
    window = Window()
    for second in range(100):
        window.look(float(second), Sample(goodput=100.0, in_flight=3.0, latency_s=0.03))
    assert window.limit == FIRST_LIMIT


def test_a_sender_without_cpu_left_sends_no_more_at_once() -> None:
    window, busy = Window(), Sample(goodput=9_000.0, in_flight=FIRST_LIMIT, latency_s=0.05, busy=0.97)
    for second in range(100):
        window.look(float(second), busy)
    assert window.limit == FIRST_LIMIT
    assert grown(window, 0.05).limit == LARGEST_LIMIT


async def test_the_window_is_told_how_much_of_a_core_its_requests_take() -> None:
    clock, cpu = [0.0], [0.0]
    governor = Governor(now=lambda: clock[0], cpu=lambda: cpu[0])

    async def answer(busy: float) -> None:
        for _ in range(3 * FIRST_LIMIT):
            await asyncio.gather(*(governor.admit() for _ in range(FIRST_LIMIT)))
            clock[0] += 0.05
            cpu[0] += 0.05 * busy
            for _ in range(FIRST_LIMIT):
                governor.answered(clock[0] - 0.05)

    await answer(busy=0.95)
    assert governor.limit == FIRST_LIMIT
    await answer(busy=0.5)
    assert governor.limit > FIRST_LIMIT


async def test_timed_out_requests_reach_the_window() -> None:
    clock = [0.0]
    governor = Governor(now=lambda: clock[0])
    for _ in range(3 * FIRST_LIMIT):
        clock[0] += 0.01
        await governor.admit()
        governor.failed(ConnectionLost("late", code="TimedOut"), clock[0] - 0.005)
        await governor.admit()
        governor.answered(clock[0] - 0.005)
    assert governor.limit < FIRST_LIMIT


# --- the budget ------------------------------------------------------------------------------------------------------


def test_retries_beyond_the_reserve_are_spread_over_time() -> None:
    budget = RetryBudget()
    waits = [budget.take(0.0, 0) for _ in range(int(RESERVE) + 40)]
    assert waits[: int(RESERVE)] == [0.0] * int(RESERVE)
    assert waits[-1] == pytest.approx(40 / PER_S)


def test_answers_earn_retries() -> None:
    budget = RetryBudget()
    for _ in range(int(RESERVE)):
        budget.take(0.0, 0)
    assert [budget.take(0.0, 10) > 0 for _ in range(3)] == [False, False, True]
