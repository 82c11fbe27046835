"""The stores of one job in one process, held to the limits that are set for the job, also while it runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable

from bucket_brigade.s3.job_limits import JobLimits, limits_of, open_clocks
from bucket_brigade.s3.retrying_store import RetryingStore
from bucket_brigade.settings.limits import FILE, read_limits, write_limits
from bucket_brigade.settings.values import EndpointSettings, EngineSettings


class JobStores:
    """Opens each endpoint of a job once, with its limits.

    Args:
        folder: of the job; empty where it has none, and nobody can set its limits.
        engine: the limits with which the run begins.
        open_store: opens what the limits are put before.
    """

    def __init__(
        self,
        folder: str,
        engine: EngineSettings,
        open_store: Callable[[EndpointSettings], Awaitable[RetryingStore]],
    ) -> None:
        self.limits = JobLimits(limits_of(engine), open_clocks(folder) if folder else None)
        self._folder = folder
        self._open_store = open_store
        self._stores: dict[EndpointSettings, RetryingStore] = {}
        self._seen: tuple[int, int] | None = None

    async def of(self, endpoint: EndpointSettings) -> RetryingStore:
        """Return the job's store of an endpoint."""
        if endpoint not in self._stores:
            self._stores[endpoint] = (await self._open_store(endpoint)).for_job(self.limits)
        return self._stores[endpoint]

    def publish(self) -> None:
        """Say in the job's folder what holds in this run: what was set in an earlier one is over."""
        with contextlib.suppress(OSError):  # a full disk does not keep a job from running
            write_limits(self._folder, self.limits.limits)
        self._seen = self._stamp()

    def look(self) -> None:
        """Take over what somebody has set since, and the time of day; to be called every second or so."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            limits = read_limits(self._folder)
            if limits is not None and limits != self.limits.limits:
                self.limits.set(limits)
        self.limits.tick()

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = os.stat(os.path.join(self._folder, FILE))
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns
