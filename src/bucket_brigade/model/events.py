"""Observable facts of a running job: what the log, the progress display and the Python API are told.

Events are dropped rather than waited for: no sink may slow a job down or make its memory grow.
"""

from __future__ import annotations

import msgspec

from bucket_brigade.model.outcome import Counters
from bucket_brigade.model.transfer import JobId


class JobStarted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The job runs (again, if ``resumed``)."""

    job_id: JobId
    operation: str
    source: str
    target: str
    resumed: bool


class PlanningFinished(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The source has been read to its end: ``planned`` objects of ``planned_bytes`` bytes."""

    job_id: JobId
    planned: int
    planned_bytes: int


class BatchFinished(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A batch is over and journaled."""

    job_id: JobId
    batch_id: int
    worker: str
    counters: Counters


class TransferFinished(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One object is done, skipped or vanished (``state``); sent only when somebody listens at debug level."""

    job_id: JobId
    source: str
    target: str
    size: int
    state: str


class TransferFailed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One object failed, for good."""

    job_id: JobId
    source: str
    target: str
    code: str
    message: str
    request_id: str
    attempts: int


class Warned(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Something a person should know, that is no failure of an object. ``message`` is one sentence."""

    job_id: JobId
    code: str
    message: str


class Governed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The governor of an endpoint changed what it asks of it; told every ten seconds at most.

    Attributes:
        worker: in whose process.
        decision: ``slower`` (the endpoint refuses requests), ``lifted`` (it takes them again), ``fewer`` (time-outs).
        concurrency: requests in flight from now on, at most.
        requests_per_s: requests begun per second from now on, None for no limit.
    """

    job_id: JobId
    worker: str
    endpoint: str
    decision: str
    concurrency: int
    requests_per_s: float | None


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """All counters, rates over the last interval, and the time left.

    Attributes:
        objects_per_s, bytes_per_s: over the last interval.
        eta_s: seconds, None while planning goes on or nothing moves.
        elapsed_s: since this run began.
        concurrency: transfers that may be in flight just now, in all processes.
    """

    job_id: JobId
    counters: Counters
    planning_done: bool
    in_flight: int
    objects_per_s: float
    bytes_per_s: float
    eta_s: float | None
    elapsed_s: float
    concurrency: int = 0


class JobFinished(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The run is over; ``state`` is the job's state now, ``reason`` why it stopped where it was interrupted."""

    job_id: JobId
    state: str
    reason: str
    counters: Counters
    elapsed_s: float


Event = (
    JobStarted
    | PlanningFinished
    | BatchFinished
    | TransferFinished
    | TransferFailed
    | Warned
    | Governed
    | Progress
    | JobFinished
)
