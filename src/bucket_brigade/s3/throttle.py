"""One gate for all requests to one endpoint: when the endpoint asks for less, nobody starts a request for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 20.0
CALM_S = 5.0
"""After this long without being throttled, the next pause begins small again."""


class Throttle:
    """Shared by all stores of one endpoint in this process; each ``Throttled`` closes it for a pause that grows.

    ``is_open`` is all that a request costs while nothing is wrong. Many requests in flight are throttled at once: those
    that were sent before the gate closed do not close it further.

    Args:
        now: seconds of a monotonic clock.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self.is_open = True
        self.pauses = 0
        self._now = now
        self._opens_at = 0.0
        self._pause_s = 0.0

    def close(self, *, sent_at: float, retry_after_s: float | None = None) -> None:
        """Close the gate because a request that was sent at ``sent_at`` (of the same clock) was throttled."""
        now = self._now()
        asked = now + (retry_after_s or 0.0)
        if sent_at < self._opens_at:
            # It was under way before the last pause ended: that one answers it, unless the endpoint asks for longer.
            if asked > self._opens_at:
                self._opens_at, self.is_open = asked, False
            return
        calm = now - self._opens_at > CALM_S
        self._pause_s = FIRST_PAUSE_S if calm else min(LONGEST_PAUSE_S, self._pause_s * 2)
        self._opens_at = max(now + self._pause_s, asked)
        self.is_open = False
        self.pauses += 1

    def remaining_s(self) -> float:
        """Return for how long the gate stays closed, 0 when it is open."""
        left = self._opens_at - self._now()
        if left <= 0:
            self.is_open = True
            return 0.0
        return left

    async def wait(self) -> None:
        """Wait until the gate is open."""
        while not self.is_open:
            left = self.remaining_s()
            if left > 0:
                await asyncio.sleep(left)
