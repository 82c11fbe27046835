"""How many requests to one endpoint are in flight, found out by what more of them bring. Pure: it is told of samples.

It begins by doubling, or more, while that pays. Then it holds, and tries now and then whether a few more bring more, or, where
answers take longer than they did, whether fewer bring as much. Too few in flight cost throughput, too many only memory: in
doubt it has more.
"""

from __future__ import annotations

from enum import Enum, auto

import msgspec

FIRST_LIMIT = 64
LEAST_LIMIT = 4
LARGEST_LIMIT = 1024

USED = 0.6
"""Samples with a smaller part of the limit in flight tell nothing about it: something else was in the way."""

GROWTH_PAYS = 1.3
FAR_S, FAR_GROWTH = 0.04, 4
"""An endpoint that takes so long to answer needs many in flight: then it grows fourfold, because every step takes two answers."""

UP, UP_PAYS = 1.5, 1.08
DOWN, DOWN_COSTS = 0.8, 0.97
SATURATED = 0.9
"""Of a core: who sends no faster for want of it gains nothing by more in flight, and each of them may cost a handshake."""

SLOWER = 1.3
"""Answers that take so much longer than the fastest ones wait in a queue somewhere."""

TIMED_OUT = 0.7
SHORTEST_HOLD_S = 1.0
LONGEST_HOLD_S = 8.0


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen in one interval at one limit.

    Attributes:
        goodput: requests per second that were answered well.
        in_flight: on average.
        latency_s: from sending to answer, on average.
        busy: the part of the interval in which the thread that sends them ran.
    """

    goodput: float
    in_flight: float
    latency_s: float
    busy: float = 0.0


class _Phase(Enum):
    START = auto()
    HOLD = auto()
    UP = auto()
    DOWN = auto()


class Window:
    """The limit of requests in flight.

    Attributes:
        limit: requests.
    """

    def __init__(self, *, first: int = FIRST_LIMIT, largest: int = LARGEST_LIMIT) -> None:
        self.limit = min(first, largest)
        self._largest = largest
        self._phase = _Phase.START
        self._before = (self.limit, 0.0)
        self._hold_goodput = 0.0
        self._fastest_s = float("inf")
        self._hold_s = SHORTEST_HOLD_S
        self._try_at = 0.0
        self._up_next = True

    def look(self, now: float, sample: Sample) -> None:
        """Take note of a sample that was seen wholly at the present limit, and choose the next limit."""
        self._fastest_s = min(self._fastest_s * 1.005, sample.latency_s)
        used = sample.in_flight >= USED * self.limit
        match self._phase:
            case _Phase.START:
                if used:
                    self._grow(now, sample)
            case _Phase.HOLD:
                self._hold(now, sample, used=used)
            case _Phase.UP:
                self._judge(now, sample.goodput, accepted=used and sample.goodput >= UP_PAYS * self._hold_goodput)
            case _Phase.DOWN:
                self._judge(now, sample.goodput, accepted=sample.goodput >= DOWN_COSTS * self._hold_goodput)

    def time_out(self, now: float) -> None:
        """Requests timed out: have fewer in flight."""
        self.limit = max(LEAST_LIMIT, int(self.limit * TIMED_OUT))
        self._rest(now, 0.0)

    def _grow(self, now: float, sample: Sample) -> None:
        limit, before = self._before
        # Where answers take no longer than ever, nothing waits in a queue: what looks like too little is noise.
        if sample.goodput < GROWTH_PAYS * before and self._is_slower(sample):
            if sample.goodput < UP_PAYS * before:
                self.limit = limit
            self._rest(now, sample.goodput)
        elif self.limit == self._largest or sample.busy >= SATURATED:
            self._rest(now, sample.goodput)
        else:
            self._before = (self.limit, sample.goodput)
            growth = FAR_GROWTH if sample.latency_s > FAR_S else 2
            self.limit = min(growth * self.limit, self._largest)

    def _rest(self, now: float, goodput: float) -> None:
        self._phase = _Phase.HOLD
        self._hold_goodput = goodput
        self._try_at = now + self._hold_s

    def _hold(self, now: float, sample: Sample, *, used: bool) -> None:
        if not used:
            return
        known = self._hold_goodput
        self._hold_goodput = 0.5 * (known + sample.goodput) if known else sample.goodput
        if now < self._try_at or sample.busy >= SATURATED:
            return
        slower = self._is_slower(sample)
        if not slower and self.limit < self._largest:
            self._phase = _Phase.START
            self._before = (self.limit, self._hold_goodput)
            self.limit = min(2 * self.limit, self._largest)
            return
        self._up_next = not (slower and self._up_next)
        limit = min(self._largest, int(self.limit * UP) + 1) if self._up_next else int(self.limit * DOWN)
        if LEAST_LIMIT <= limit != self.limit:
            self._before = (self.limit, self._hold_goodput)
            self._phase = _Phase.UP if self._up_next else _Phase.DOWN
            self.limit = limit

    def _is_slower(self, sample: Sample) -> bool:
        return sample.latency_s > SLOWER * self._fastest_s

    def _judge(self, now: float, goodput: float, *, accepted: bool) -> None:
        if accepted:
            self._hold_s = SHORTEST_HOLD_S
            self._rest(now, goodput)
        else:
            self.limit = self._before[0]
            self._hold_s = min(LONGEST_HOLD_S, 2 * self._hold_s)
            self._rest(now, self._before[1])
