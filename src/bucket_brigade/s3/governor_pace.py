"""The rate at which an endpoint takes requests, found out by what it refuses. Pure: it is told of instants and counts.

An endpoint that throttles with a token bucket takes exactly its limit, and refuses the rest. So the part that it took in a short
span tells the limit; a little less than that is asked for, then slowly more, until it refuses again. What is added is in
proportion to the root of the rate, what is taken away to the rate itself, and who sends more is refused more often: two that
share an endpoint come to the same rate.
"""

from __future__ import annotations

import math

SHORTEST_EPOCH_S = 0.02
EPOCH_S = 0.1
LONGEST_EPOCH_S = 1.0
ENOUGH_ANSWERS = 20
"""An epoch lasts until it has so many answers, within its bounds; one that is mostly refused ends early."""

FIRST_RATE, FIRST_GUESS = 500.0, 1.25
"""The first rate is so much of what was answered so far, and not less. It is doubled until a good part of it is refused."""

CLEARLY_REFUSED = 0.1
"""With fewer refusals for each answer the limit may be far above: a bucket that others had emptied was filling. And how many
they are is chance: each counts for more where few requests are sent, so their number is not to decide how much is taken away."""

CUT, TAKEN_BACK_S, LARGEST_CUT = 0.06, 0.4, 4
"""A refusal takes away this part, but at least what so many seconds had added, and leaves no less than a quarter."""

STEP = 3.5
LARGEST_STEP, LEAST_STEP = 0.2, 2.0
"""A second adds ``STEP`` x the root of the rate, but no more than this part of it and a few."""

QUIET_S = 2.0
"""After so long without a refusal, what a second adds doubles every second: the limit is no longer where it was."""

USED = 0.8
LIFTED_AFTER_S = 2.0
"""A pace that nobody keeps up with for so long is none."""

LEAST_RATE = 2.0


class Pace:
    """Requests per second to one endpoint, None while nothing is refused.

    Attributes:
        rate: requests per second.
        refused: refusals in this epoch, of requests sent at the present rate.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        self.refused = 0
        self._searching = False
        self._set_at = 0.0
        self._quiet_since = 0.0
        self._used_at = 0.0
        self._began = 0.0
        self._answers = 0
        self._settled = True

    def refuse(self, now: float, *, sent_at: float, goodput: float, answers: int) -> None:
        """Take note of a refusal. The first one sets the rate to ``goodput``, the requests/s that were answered well so far."""
        if self.rate is None:
            self.rate = max(FIRST_RATE, goodput * FIRST_GUESS)
            self._used_at = now
            self._searching = True
            self._begin(now, answers, settle_s=now - sent_at)
            self._quiet_since = now
        elif sent_at >= self._set_at:
            self.refused += 1

    def look(self, now: float, *, answers: int, latency_s: float) -> bool:
        """Change the rate if the epoch is over, and tell whether it was.

        Args:
            now: monotonic seconds.
            answers: requests answered well since the beginning.
            latency_s: how long an answer takes: so old is what can be seen.
        """
        elapsed_s = now - self._began
        if not self._settled and elapsed_s >= 0:
            self._began, self._answers, self._settled = now, answers, True
            return False
        good = answers - self._answers
        if self.rate is None or not self._is_over(elapsed_s, good, latency_s):
            return False
        if self.refused:
            self.rate = self._cut(self.rate, good, elapsed_s)
            self._quiet_since = now
            self._searching = not good or (self._searching and self.refused < CLEARLY_REFUSED * good)
            self._begin(now, answers, settle_s=latency_s)
        else:
            self._grow(now, good, elapsed_s)
            self._begin(now, answers, settle_s=0.0)
        return True

    def _is_over(self, elapsed_s: float, good: int, latency_s: float) -> bool:
        mostly_refused = self.refused > max(good, ENOUGH_ANSWERS)
        if elapsed_s < max(SHORTEST_EPOCH_S if mostly_refused else EPOCH_S, latency_s):
            return False
        return good + self.refused >= ENOUGH_ANSWERS or elapsed_s >= LONGEST_EPOCH_S

    @property
    def due(self) -> float:
        """When to look next, at the earliest."""
        return self._began + SHORTEST_EPOCH_S if self._settled else self._began

    def _begin(self, now: float, answers: int, *, settle_s: float) -> None:
        """Begin an epoch; after a change for less, only when the answers to what was sent before have come."""
        self.refused = 0
        self._began = now + settle_s
        self._set_at = now if settle_s else self._set_at
        self._answers = answers
        self._settled = not settle_s

    def _cut(self, rate: float, good: int, elapsed_s: float) -> float:
        taken = rate
        if self.refused >= CLEARLY_REFUSED * good:
            # Where this process stood still, the first is too low; where it then made up for that, the second is.
            taken = min(rate, max(good / elapsed_s, rate * good / (good + self.refused)))
        part = max(CUT, TAKEN_BACK_S * _step(rate) / rate)
        return max(LEAST_RATE, rate / LARGEST_CUT, taken * (1.0 - part))

    def _grow(self, now: float, good: int, elapsed_s: float) -> None:
        assert self.rate is not None  # noqa: S101 - look() asked
        if good + 2 >= USED * self.rate * elapsed_s:
            self._used_at = now
            quiet_s = now - self._quiet_since
            faster = 2.0 ** min(16.0, max(0.0, quiet_s - QUIET_S))
            self.rate += self.rate if self._searching else min(_step(self.rate) * faster, self.rate) * elapsed_s
        elif now - self._used_at > LIFTED_AFTER_S:
            self.rate = None


def _step(rate: float) -> float:
    """Return what a second adds to a rate."""
    return min(STEP * math.sqrt(rate), LARGEST_STEP * rate + LEAST_STEP)
