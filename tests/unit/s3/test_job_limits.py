"""The limits of a job, in virtual time, and their numbers between processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from array import array
from pathlib import Path
from typing import cast

import pytest
from tests.fakes.virtual_time import run_virtually

from bucket_brigade.s3.governor import Governor
from bucket_brigade.s3.job_limits import JobLimits, open_clocks
from bucket_brigade.s3.retrying_store import RetryingStore
from bucket_brigade.s3.store import Store
from bucket_brigade.settings.limits import Limits
from bucket_brigade.settings.values import RetrySettings

MIB = 1 << 20


class CountingStore:
    """Notes when which bytes, and which requests, were let through."""

    def __init__(self) -> None:
        self.passed: list[tuple[float, int]] = []

    def _note(self, size: int) -> None:
        self.passed.append((asyncio.get_running_loop().time(), size))

    async def put_object(self, bucket: str, key: str, body: bytes, **_: object) -> None:
        self._note(len(body))

    async def get_object(self, bucket: str, key: str, into: memoryview, **_: object) -> None:
        self._note(len(into))

    async def head_bucket(self, bucket: str) -> str:
        self._note(0)
        return "r"


def limits_of(minute: int = 0, **limits: object) -> JobLimits:
    loop = asyncio.get_running_loop()
    return JobLimits(Limits(**limits), now=loop.time, minute=lambda: minute)  # type: ignore[arg-type]


def store_of(inner: CountingStore, limits: JobLimits) -> RetryingStore:
    governor = Governor(now=asyncio.get_running_loop().time)
    return RetryingStore(cast("Store", inner), RetrySettings(), governor).for_job(limits)


def busiest(passed: list[tuple[float, int]], window_s: float) -> int:
    """Return the most bytes that passed in any such window."""
    return max(sum(size for at, size in passed if begins <= at < begins + window_s) for begins, _ in passed)


def test_small_bodies_pass_smoothly() -> None:
    async def scenario() -> None:
        inner = CountingStore()
        store = store_of(inner, limits_of(max_bandwidth="1MiB"))
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(store.put_object("b", str(number), bytes(4096)) for number in range(1024)))
        assert asyncio.get_running_loop().time() - began == pytest.approx(4.0, abs=0.05)
        assert busiest(inner.passed, 1.0) <= 1.05 * MIB
        assert busiest(inner.passed, 0.1) <= 0.15 * MIB

    run_virtually(scenario())


def test_a_big_part_waits_for_its_whole_time_and_lets_others_in_between() -> None:
    async def scenario() -> None:
        inner, loop = CountingStore(), asyncio.get_running_loop()
        store = store_of(inner, limits_of(max_bandwidth="1MiB"))
        began = loop.time()
        into = memoryview(bytearray(8 * MIB))
        await asyncio.gather(store.get_object("b", "big", into), store.put_object("b", "up", bytes(MIB)))
        assert [at - began for at, _ in inner.passed] == [pytest.approx(1.0, abs=0.05), pytest.approx(8.0, abs=0.05)]

    run_virtually(scenario())


def test_requests_are_counted_whatever_they_carry() -> None:
    async def scenario() -> None:
        inner, loop = CountingStore(), asyncio.get_running_loop()
        store = store_of(inner, limits_of(max_requests_per_second=50))
        began = loop.time()
        await asyncio.gather(*(store.head_bucket("b") for _ in range(200)))
        assert loop.time() - began == pytest.approx(4.0, abs=0.1)

    run_virtually(scenario())


def test_a_change_is_seen_by_who_waits_already() -> None:
    async def scenario() -> None:
        inner, loop = CountingStore(), asyncio.get_running_loop()
        limits = limits_of(max_bandwidth="10KiB")
        store = store_of(inner, limits)
        began = loop.time()
        put = asyncio.create_task(store.put_object("b", "k", bytes(MIB)))
        await asyncio.sleep(2.0)
        limits.set(Limits())
        await put
        assert loop.time() - began < 2.1
        assert store.inner is cast("Store", inner)

    run_virtually(scenario())


def test_who_shares_the_numbers_shares_the_limit() -> None:
    async def scenario() -> None:
        loop, clocks = asyncio.get_running_loop(), memoryview(array("d", [0.0] * 3))
        inner = CountingStore()
        both = [JobLimits(Limits(max_bandwidth="1MiB"), clocks, now=loop.time, minute=lambda: 0) for _ in range(2)]
        began = loop.time()
        puts = [store_of(inner, limits).put_object("b", "k", bytes(65536)) for limits in both for _ in range(32)]
        await asyncio.gather(*puts)
        assert loop.time() - began == pytest.approx(4.0, abs=0.1)

    run_virtually(scenario())


def test_a_timetable_is_looked_at_again() -> None:
    async def scenario() -> None:
        minute = [10 * 60]
        limits = JobLimits(Limits(max_bandwidth="08:00,1M 18:00,off"), minute=lambda: minute[0])
        assert limits.sent.per_s == limits.received.per_s == MIB
        minute[0] = 18 * 60
        limits.tick()
        assert limits.sent.per_s is None

    run_virtually(scenario())


def test_an_instant_from_before_a_restart_of_the_machine_is_not_believed() -> None:
    async def scenario() -> None:
        loop, clocks = asyncio.get_running_loop(), memoryview(array("d", [1e9] * 3))
        limits = JobLimits(Limits(max_requests_per_second=10), clocks, now=loop.time)
        began = loop.time()
        await limits.requests.take(1)
        assert loop.time() - began < 1.0

    run_virtually(scenario())


def test_a_chosen_concurrency_is_not_looked_for() -> None:
    async def scenario() -> None:
        limits = limits_of(concurrency=7)
        store = store_of(CountingStore(), limits)
        assert store.governor.limit > 7  # parts of objects come on top: the slots of the worker are what is bounded
        found = store.governor.limit
        limits.set(Limits())
        assert store.governor.limit < found

    run_virtually(scenario())


def test_a_real_second_process_sees_the_numbers(tmp_path: Path) -> None:
    clocks = open_clocks(str(tmp_path))
    assert clocks is not None
    clocks[1] = 42.5
    program = "import sys\nfrom bucket_brigade.s3.job_limits import open_clocks\nprint(open_clocks(sys.argv[1])[1])\n"
    found = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert float(found.stdout) == 42.5
    assert open_clocks(str(tmp_path / "missing")) is None
