"""Rates and time left, from counters that grow."""

from __future__ import annotations

import time
from collections import deque

import msgspec

from bucket_brigade.model.events import Progress
from bucket_brigade.model.outcome import Counters
from bucket_brigade.model.transfer import JobId

WINDOW_S = 15.0


class Ticker:
    """Makes Progress events; rates are over the last ``WINDOW_S`` seconds."""

    def __init__(self, job_id: JobId) -> None:
        self._job_id = job_id
        self._begun_s = time.monotonic()
        self._samples: deque[tuple[float, int, int]] = deque()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._begun_s

    def progress(self, counters: Counters, *, planning_done: bool, in_flight: int, concurrency: int = 0) -> Progress:
        """Return the event for the counters of this moment."""
        now = time.monotonic()
        self._samples.append((now, counters.settled, counters.done_bytes))
        while len(self._samples) > 2 and now - self._samples[0][0] > WINDOW_S:
            self._samples.popleft()
        then, settled, done_bytes = self._samples[0]
        passed = now - then
        objects_per_s = (counters.settled - settled) / passed if passed > 0 else 0.0
        bytes_per_s = (counters.done_bytes - done_bytes) / passed if passed > 0 else 0.0
        return Progress(
            job_id=self._job_id,
            counters=msgspec.structs.replace(counters),
            planning_done=planning_done,
            in_flight=in_flight,
            objects_per_s=objects_per_s,
            bytes_per_s=bytes_per_s,
            eta_s=_eta_s(counters, objects_per_s, bytes_per_s) if planning_done else None,
            elapsed_s=self.elapsed_s,
            concurrency=concurrency,
        )


def _eta_s(counters: Counters, objects_per_s: float, bytes_per_s: float) -> float | None:
    """Return the longer of what the objects and what the bytes that are left will take; None while nothing moves."""
    estimates = []
    if objects_per_s > 0:
        estimates.append((counters.planned - counters.settled) / objects_per_s)
    if bytes_per_s > 0 and not counters.failed and not counters.skipped:
        estimates.append(max(counters.planned_bytes - counters.done_bytes, 0) / bytes_per_s)
    return max(estimates) if estimates else None
