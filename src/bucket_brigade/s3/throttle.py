"""One gate for all requests to one endpoint: when the endpoint asks for less, nobody starts a request for a while.

While a job runs, the gate is eight bytes of a file that all its processes map: the instant, on the system's monotonic clock, at
which it opens. So worker processes, and other runs with the same state directory, hold back together.
"""

from __future__ import annotations

import asyncio
import hashlib
import mmap
import os
import time
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING

from bucket_brigade.settings.private import make_private_folder
from bucket_brigade.settings.values import EndpointSettings

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 20.0
CALM_S = 5.0
"""After this long without being throttled, the next pause begins small again."""

LONGEST_BELIEVED_S = 900.0
"""A gate that is to open later than this was closed before the machine was started anew, when the clock began again."""

GATES = "gates"
_GATE_BYTES = 8


if TYPE_CHECKING:
    Gate = memoryview[float]
else:
    Gate = memoryview  # generic at run time from Python 3.14 on
"""One double, writable: when the gate opens, 0 while it is open."""


class Throttle:
    """Shared by all stores of one endpoint; each ``Throttled`` closes it for a pause that grows.

    ``is_open`` is all that a request costs while nothing is wrong. Many requests in flight are throttled at once: those
    that were sent before the gate closed do not close it further.

    Args:
        now: seconds of a monotonic clock, the same for all who share the gate.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self.pauses = 0
        self._gate: Gate = memoryview(array("d", [0.0]))
        self._now = now
        self._opened_at = 0.0
        self._pause_s = 0.0

    def share(self, gate: Gate) -> None:
        """Use a gate that other processes use too."""
        gate[0] = max(gate[0], self._gate[0])
        self._gate = gate

    @property
    def is_open(self) -> bool:
        """Whether a request may start now."""
        return not self._gate[0]

    def close(self, *, sent_at: float, retry_after_s: float | None = None) -> None:
        """Close the gate because a request that was sent at ``sent_at`` (of the same clock) was throttled."""
        now = self._now()
        asked = now + (retry_after_s or 0.0)
        opens_at = max(self._gate[0], self._opened_at)
        if sent_at < opens_at:
            # It was under way before the last pause ended: that one answers it, unless the endpoint asks for longer.
            if asked > opens_at:
                self._shut_until(asked)
            return
        calm = now - opens_at > CALM_S
        self._pause_s = FIRST_PAUSE_S if calm else min(LONGEST_PAUSE_S, self._pause_s * 2 or FIRST_PAUSE_S)
        self._shut_until(max(now + self._pause_s, asked))
        self.pauses += 1

    def _shut_until(self, instant: float) -> None:
        self._gate[0] = self._opened_at = instant

    def remaining_s(self) -> float:
        """Return for how long the gate stays closed, 0 when it is open."""
        opens_at = self._gate[0]
        left = opens_at - self._now()
        if left <= 0 or left > LONGEST_BELIEVED_S:
            self._gate[0] = 0.0
            return 0.0
        self._opened_at = opens_at
        return left

    async def wait(self) -> None:
        """Wait until the gate is open."""
        while not self.is_open:
            left = self.remaining_s()
            if left > 0:
                await asyncio.sleep(left)


def gate_path(state_dir: str, endpoint: EndpointSettings) -> str:
    """Return the file that stands for an endpoint, seen with these credentials, in a state directory."""
    who = endpoint.access_key_id or endpoint.profile or ""
    identity = "\0".join((endpoint.endpoint_url or "", endpoint.region or "", who))
    return os.path.join(state_dir, GATES, hashlib.blake2s(identity.encode(), digest_size=8).hexdigest())


def open_gate(state_dir: str, endpoint: EndpointSettings) -> Gate | None:
    """Return the gate of an endpoint that all processes with this state directory share, None where it cannot be written."""
    return open_shared(gate_path(state_dir, endpoint), _GATE_BYTES)


def open_shared(path: str, size: int) -> Gate | None:
    """Return ``size`` bytes of memory, as floats, that all who open this file share; None where it cannot be written."""
    try:
        make_private_folder(os.path.dirname(path))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        if os.fstat(descriptor).st_size < size:
            os.ftruncate(descriptor, size)
        return memoryview(mmap.mmap(descriptor, size)).cast("d")
    except OSError:
        return None
    finally:
        os.close(descriptor)
