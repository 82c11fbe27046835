"""The limits that a person sets for a job: requests per second, and bytes of bodies per second in each direction.

All processes of the job share them by three numbers in a file that they map: until when the requests, and the bytes, that were
let through keep the limit busy. Whoever wants more moves that instant on and sleeps until it. Two processes that do so in the
same microsecond may let one grain too much pass; nobody ever waits for a lock that a stopped process holds.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import time
from array import array
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, cast

from bucket_brigade.s3.governor import Governor
from bucket_brigade.s3.store import Store
from bucket_brigade.s3.throttle import Gate
from bucket_brigade.settings.limits import Limits, Timetable, bandwidth_at, parse_bandwidth
from bucket_brigade.settings.values import EngineSettings

GRAIN_S = 0.05
"""A big body is let through in pieces of so many seconds' worth, so that others come in between and changes are seen soon."""

BURST_S = 0.01
"""So far ahead of the limit nobody sleeps."""

CLOCKS = "limits.clocks"
_COUNT = 3


def minute_of_day() -> int:
    """Return the minute of this machine's local day."""
    now = datetime.now().astimezone()
    return now.hour * 60 + now.minute


class Bucket:
    """Lets amounts pass at a rate, in the order in which they come. ``clock[place]`` is shared by all who share the rate.

    Attributes:
        per_s: the rate, None for no limit.
    """

    def __init__(self, clock: Gate, place: int, now: Callable[[], float]) -> None:
        self.per_s: float | None = None
        self._clock = clock
        self._place = place
        self._now = now
        self._order = asyncio.Lock()

    async def take(self, amount: float) -> None:
        """Wait until ``amount`` may pass, and until all of it but the last grain has had its time."""
        if self.per_s is None:
            return
        async with self._order:
            while amount > 0 and self.per_s is not None:
                grain = min(amount, max(1.0, self.per_s * GRAIN_S))
                amount -= grain
                ahead_s = self._pass(grain / self.per_s)
                if ahead_s > BURST_S:
                    await asyncio.sleep(ahead_s)

    def _pass(self, cost_s: float) -> float:
        now = self._now()
        # What was not used for a moment may be made up for, no more; an instant far ahead is from before a restart.
        busy_until = self._clock[self._place]
        begins = now if busy_until > now + 60.0 else max(busy_until, now - BURST_S)
        self._clock[self._place] = begins + cost_s
        return begins + cost_s - now


def limits_of(engine: EngineSettings) -> Limits:
    """Return the limits with which a run begins."""
    return Limits(
        max_bandwidth=engine.max_bandwidth,
        max_requests_per_second=engine.max_requests_per_second,
        concurrency=engine.concurrency,
    )


class Limitable(Protocol):
    """A store around another one, ``inner``, that looks at it at each call."""

    inner: Store
    governor: Governor


class JobLimits:
    """The limits of one job in this process. What is not limited costs nothing: the job's stores change what is inside them.

    Args:
        clocks: three numbers, shared by the job's processes; None keeps them to this one.
        minute: returns the minute of the local day.

    Attributes:
        limits: as they were set.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        clocks: Gate | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
        minute: Callable[[], int] = minute_of_day,
    ) -> None:
        clocks = clocks if clocks is not None else memoryview(array("d", [0.0] * _COUNT))
        self.limits = Limits()
        self.requests, self.sent, self.received = (Bucket(clocks, place, now) for place in range(_COUNT))
        self._minute = minute
        self._timetable: Timetable = ((0, None),)
        self._stores: list[tuple[Limitable, Store, Store]] = []
        self._listeners: list[Callable[[], None]] = []
        self.set(limits or Limits())

    def set(self, limits: Limits) -> None:
        """Have other limits from now on; who waits already sees them within a grain."""
        self.limits = limits
        self._timetable = parse_bandwidth(limits.max_bandwidth)
        self.requests.per_s = limits.max_requests_per_second or None
        self.tick()
        for store, _, _ in self._stores:
            store.governor.choose(auto=not limits.concurrency)
        for listener in list(self._listeners):
            listener()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` after each change by ``set``; what is returned ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def tick(self) -> None:
        """Look at the timetable; to be called every second or so."""
        bytes_per_s = bandwidth_at(self._timetable, self._minute())
        self.sent.per_s = self.received.per_s = bytes_per_s
        self._apply()

    def attach(self, store: Limitable) -> None:
        """Hold every attempt that goes through ``store`` to the limits, while there are any."""
        self._stores.append((store, store.inner, cast("Store", _LimitedStore(store.inner, self))))
        store.governor.choose(auto=not self.limits.concurrency)
        self._apply()

    def _apply(self) -> None:
        on = self.requests.per_s is not None or self.sent.per_s is not None
        for store, bare, limited in self._stores:
            store.inner = limited if on else bare


class _LimitedStore:
    """Lets each call of the store inside wait for its turn."""

    def __init__(self, inner: Store, limits: JobLimits) -> None:
        self._inner = inner
        self._limits = limits

    def __getattr__(self, name: str) -> Any:
        call, limits = getattr(self._inner, name), self._limits
        bodies = limits.received if name == "get_object" else limits.sent

        async def limited(*args: Any, **options: Any) -> Any:
            await limits.requests.take(1)
            for argument in args:
                # The one buffer among the arguments is the body, or takes it.
                if isinstance(argument, bytes | bytearray | memoryview):
                    await bodies.take(len(argument))
            return await call(*args, **options)

        return limited


def open_clocks(folder: str) -> Gate | None:
    """Return the numbers that the processes of the job in ``folder`` share; None where they cannot be mapped."""
    try:
        descriptor = os.open(os.path.join(folder, CLOCKS), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        os.ftruncate(descriptor, 8 * _COUNT)
        return memoryview(mmap.mmap(descriptor, 8 * _COUNT)).cast("d")
    except OSError:
        return None
    finally:
        os.close(descriptor)
