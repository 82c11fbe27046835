"""The governor of one endpoint: how many requests may be in flight to it, and how many a second may begin.

Every request passes it. While nothing is refused it costs a few counters; the rest is done when an interval is over, by
whichever request ends then. ``Window`` finds the number in flight, ``Pace`` the rate once the endpoint has refused requests,
and ``Throttle`` is the gate that an endpoint closes by asking for a pause (Retry-After).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from random import uniform

from bucket_brigade.errors import Throttled, TransferError
from bucket_brigade.s3.governor_pace import Pace
from bucket_brigade.s3.governor_window import LARGEST_LIMIT, Sample, Window
from bucket_brigade.s3.rate_board import RateBoard, open_board
from bucket_brigade.s3.retry_budget import RetryBudget
from bucket_brigade.s3.throttle import Throttle, open_gate
from bucket_brigade.settings.values import EndpointSettings

INTERVAL_S = 0.1
ALL_ANSWERED = 0.9
"""An interval of this part of the latency has seen a whole window answered: answers come in batches, a little early or late."""

LONGEST_INTERVAL_S = 2.0
LOOK_AGAIN_S = 0.05
CATCH_UP_S = 0.02
SLOW_S = 0.5
SLOW_TIMES = 10.0
"""An answer that takes longer than this, and so many times the mean of all, is a slow one."""
USUAL_FROM = 100
"""So many answers say what is usual."""
HEDGED_FOR_S = 60.0
"""So long after a slow answer requests that may be sent twice are."""
"""Requests that came late by less than this are made up for; so no second begins with a burst."""

JITTER = 0.2
"""Two that keep time exactly fall in step, and the token that is missing is always the same one's."""

TOLD_EVERY_S = 10.0

Decision = str
"""What the governor did: ``slower`` (the endpoint refuses requests), ``lifted`` (it takes them again), ``fewer`` (time-outs)."""

OnDecision = Callable[[Decision, int, float | None], None]
"""Told of a notable decision with the limit of requests in flight and of requests/s (None: no limit)."""


class Governor:
    """Shared by all requests to one endpoint in this process.

    Args:
        throttle: the gate, which other processes may share.
        auto: find the number of requests in flight; else it is ``largest``.
        largest: requests that may be in flight.
        now: seconds of a monotonic clock, the throttle's own.
        cpu: seconds for which the thread that sends the requests has run.

    Attributes:
        limit: requests that may be in flight.
        in_flight: requests that are.
        answers: requests that were answered so far, well or for good.
        open_to: a request may begin at once while fewer than this are in flight and the gate is open.
    """

    def __init__(
        self,
        throttle: Throttle | None = None,
        *,
        auto: bool = True,
        largest: int = LARGEST_LIMIT,
        now: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self.throttle = throttle or Throttle(now=now)
        self.in_flight = 0
        self.answers = 0
        self.retry_budget = RetryBudget()
        self.on_decision: OnDecision | None = None
        self._now = now
        self._cpu = cpu
        self._largest = largest
        self._window = Window(largest=largest) if auto else None
        self._pace = Pace()
        self.limit = self.open_to = self._window.limit if self._window is not None else largest
        self._listeners: list[Callable[[], None]] = []
        self._busy_s = 0.0
        self._timed_out = False
        self._settling = False
        self._latency_s = 0.0
        self.hedge_after_s = 0.0
        self._slow_s = self._hedge_until = float("inf")
        self._due = 0.0
        self._began = (now(), 0, 0.0, cpu())
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._paced: deque[asyncio.Future[None]] = deque()
        self._next_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._told_at = float("-inf")
        self._board: RateBoard | None = None

    @property
    def rate(self) -> float | None:
        """Requests per second that may begin, None while the endpoint refuses none."""
        return self._pace.rate

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` after each change of ``limit``; what is returned ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def choose(self, *, auto: bool) -> None:
        """From now on, find the number of requests in flight, or leave it to those who send them."""
        if auto != (self._window is not None):
            self._window = Window(largest=self._largest) if auto else None
            self._begin(self._now())
            self._change_limit(self._window.limit if self._window is not None else self._largest)

    def join(self, state_dir: str, endpoint: EndpointSettings) -> None:
        """Share gate and pace with all processes that have this state directory."""
        gate = open_gate(state_dir, endpoint)
        if gate is not None:
            self.throttle.share(gate)
            self._board = open_board(state_dir, endpoint)

    # --- a request begins and ends ---------------------------------------------------------------------------------

    async def admit(self) -> None:
        """Wait until a request may begin, and count it as in flight. Its end is ``answered`` or ``leave``."""
        await self._take_turn()
        try:
            while True:
                await self.throttle.wait()
                if self._pace.rate is None:
                    return
                await self._wait_for_pace()
                if self.throttle.is_open:
                    return
        except BaseException:
            self.leave()
            raise

    def answered(self, sent_at: float) -> None:
        """A request that was sent at ``sent_at`` was answered, well or for good."""
        now = self._now()
        self.answers += 1
        took_s = now - sent_at
        self._busy_s += took_s
        self.in_flight -= 1
        if took_s > self._slow_s:
            self.hedge_after_s, self._hedge_until = self._slow_s, now + HEDGED_FOR_S
        if self._waiting:
            self._give_turns()
        if now >= self._due:
            if not self._due:
                self._begin(now)  # what was before the first answer says nothing about the endpoint
            self._look(now)

    def failed(self, error: TransferError, sent_at: float) -> None:
        """A request that was sent at ``sent_at`` failed in a way that may pass."""
        self.leave()
        now = self._now()
        if isinstance(error, Throttled):
            self._refused(now, sent_at, error.retry_after_s)
        elif error.code == "TimedOut":
            self._timed_out = True
        if now >= self._due:
            self._look(now)

    def leave(self) -> None:
        """A request is no longer in flight, and tells nothing."""
        self.in_flight -= 1
        if self._waiting:
            self._give_turns()

    # --- turns -----------------------------------------------------------------------------------------------------

    async def _take_turn(self) -> None:
        if self.in_flight < self.limit and not self._waiting:
            self.in_flight += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def _give_turns(self) -> None:
        while self._waiting and self.in_flight < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)

    # --- the pace --------------------------------------------------------------------------------------------------

    async def _wait_for_pace(self) -> None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._paced.append(turn)
        if self._timer is None:
            self._let_pass()
        await turn

    def _let_pass(self) -> None:
        """Let those begin whose time has come, and come back for the next one."""
        now = self._now()
        rate = self._pace.rate
        while self._paced and (rate is None or self._next_at <= now):
            turn = self._paced.popleft()
            if not turn.done():
                turn.set_result(None)
                if rate is not None:
                    gap_s = uniform(1 - JITTER, 1 + JITTER) / rate  # noqa: S311 - no secret
                    self._next_at = max(self._next_at, now - CATCH_UP_S) + gap_s
        self._timer = None
        if self._paced:
            self._timer = asyncio.get_running_loop().call_later(self._next_at - now, self._let_pass)

    # --- decisions -------------------------------------------------------------------------------------------------

    def _refused(self, now: float, sent_at: float, retry_after_s: float | None) -> None:
        first = self._pace.rate is None
        began, answers, *_ = self._began
        goodput = (self.answers - answers) / max(now - began, 0.01)
        self._pace.refuse(now, sent_at=sent_at, goodput=goodput, answers=self.answers)
        if retry_after_s:
            self.throttle.close(sent_at=sent_at, retry_after_s=retry_after_s)
        if first:
            self.open_to = 0
            self._next_at = now
            self._due = self._pace.due
            self._tell("slower", now)

    def _look(self, now: float) -> None:
        """See whether an interval is over, and decide for the next one."""
        if self.answers >= USUAL_FROM:
            self._slow_s = max(SLOW_S, SLOW_TIMES * self._busy_s / self.answers)
        if now >= self._hedge_until or self._pace.rate is not None:
            self.hedge_after_s = 0.0
        if self._pace.rate is not None:
            self._look_at_pace(now)
        else:
            self._look_at_window(now)

    def _look_at_pace(self, now: float) -> None:
        _, answers, busy_s, _ = self._began
        if self.answers > answers:
            self._latency_s = (self._busy_s - busy_s) / (self.answers - answers)
        if self._pace.look(now, answers=self.answers, latency_s=self._latency_s):
            self._begin(now)
            self._share_pace(now)
        if self._pace.rate is None:
            self.open_to = self.limit
            self._let_pass()
            self._tell("lifted", now)
        self._due = self._pace.due

    def _share_pace(self, now: float) -> None:
        if self._board is None:
            return
        if self._pace.rate is None:
            self._board.leave()
        else:
            self._pace.rate = self._board.share(now, self._pace.rate)

    def _look_at_window(self, now: float) -> None:
        began, answers, busy_s, cpu_s = self._began
        elapsed_s, count = now - began, self.answers - answers
        self._due = now + LOOK_AGAIN_S
        if self._settling and elapsed_s >= self._latency_s:
            self._begin(now)
        elif (
            self._window is not None
            and elapsed_s >= INTERVAL_S
            and (count >= self.limit or elapsed_s >= LONGEST_INTERVAL_S)
        ):
            self._latency_s = (self._busy_s - busy_s) / count if count else elapsed_s
            if elapsed_s >= ALL_ANSWERED * self._latency_s:
                sample = Sample(
                    goodput=count / elapsed_s,
                    in_flight=(self._busy_s - busy_s) / elapsed_s,
                    latency_s=self._latency_s,
                    busy=(self._cpu() - cpu_s) / elapsed_s,
                )
                self._decide(now, sample)

    def _decide(self, now: float, sample: Sample) -> None:
        assert self._window is not None  # noqa: S101 - who calls has looked
        if self._timed_out:
            self._window.time_out(now)
            self._tell("fewer", now)
        else:
            self._window.look(now, sample)
        self._begin(now)
        if self._window.limit != self.limit:
            self._settling = True
            self._change_limit(self._window.limit)

    def _begin(self, now: float) -> None:
        """Begin an interval. What is answered soon after a change was sent before it: see ``_settling``."""
        self._began = (now, self.answers, self._busy_s, self._cpu())
        self._settling = False
        self._timed_out = False

    def _change_limit(self, limit: int) -> None:
        self.limit = limit
        if self._pace.rate is None:
            self.open_to = limit
        self._give_turns()
        for listener in list(self._listeners):
            listener()

    def _tell(self, decision: Decision, now: float) -> None:
        if self.on_decision is not None and now - self._told_at >= TOLD_EVERY_S:
            self._told_at = now
            self.on_decision(decision, self.limit, self._pace.rate)
