"""The public facade: submit, run, resume, cancel, status and report of durable jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import TracebackType

import msgspec

from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.journal.port import JobStatus
from bucket_brigade.model.events import Event
from bucket_brigade.model.job import EndpointOverrides, Job, JobState
from bucket_brigade.model.outcome import Counters, Failure
from bucket_brigade.s3.store import Store
from bucket_brigade.settings.values import Settings

EventSink = Callable[[Event], None]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a job did. ``failures`` holds the first 1,000; the files in ``folder`` hold all."""

    job: Job
    state: JobState
    reason: str
    counters: Counters
    failures: tuple[Failure, ...]
    folder: str
    elapsed_s: float


class JobRun:
    """One run of one job, in progress. ``async for event in run`` follows it; ``await run.wait()`` ends with its report."""

    job: Job

    def subscribe(self, sink: EventSink, *, transfers: bool = False) -> None:
        """Call ``sink`` with every event from now on, on the event loop; ``transfers`` adds TransferFinished for each object."""
        raise NotImplementedError

    def __aiter__(self) -> AsyncIterator[Event]:
        """Yield events until the job is over. A slow reader loses events (all but JobFinished), never speed."""
        raise NotImplementedError

    def stop(self, *, now: bool = False) -> None:
        """Stop leasing and let what is in flight finish within the grace time; ``now`` cancels it. Then resumable."""
        raise NotImplementedError

    async def wait(self) -> Report:
        """Return the report when the run is over, whatever its end. Raises JournalError, and PlanError for a failed listing."""
        raise NotImplementedError


class Brigade:
    """Runs durable jobs, and opens stores.

    ::

        async with Brigade() as brigade:
            run = await brigade.copy("s3://a/x/", "minio://b/y/", layout="hashed")
            report = await run.wait()
    """

    def __init__(self, settings: Settings | None = None) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Brigade:
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError

    async def submit(self, request: JobRequest) -> Job:
        """Check the request, create the job's folder and journal, and return the job; nothing runs yet.

        Raises:
            ConfigError: bad input, named, with what to do; nothing was changed.
        """
        raise NotImplementedError

    async def start(self, job_id: str, *, retry_failed: bool = False) -> JobRun:
        """Run (or resume) a submitted job. ``job_id`` may be any unique beginning of the id.

        Raises:
            JournalError: another run holds the journal, or it is damaged.
            ConfigError: no such job, or nothing is left to do.
        """
        raise NotImplementedError

    async def dry_run(self, request: JobRequest) -> AsyncIterator[tuple[str, str, int]]:
        """Yield (source, target, bytes; -1 unknown) of every transfer that the request would make; nothing is written."""
        raise NotImplementedError
        yield

    async def status(self, job_id: str) -> JobStatus:
        """Return how a job stands, running elsewhere or not (read-only, without the lock)."""
        raise NotImplementedError

    async def jobs(self) -> list[JobStatus]:
        """Return all jobs in the state directory, newest first."""
        raise NotImplementedError

    async def cancel(self, job_id: str) -> JobStatus:
        """End a job for good: signal the process that runs it, abort its multipart uploads, mark it cancelled."""
        raise NotImplementedError

    async def write_report(self, job_id: str, *, all_objects: bool = False) -> dict[str, str]:
        """Write report.json and failures.csv (and objects.csv with ``all_objects``) beside the journal; return their paths."""
        raise NotImplementedError

    def job_folder(self, job_id: str) -> str:
        """Return the folder with the job's journal, catalog and reports."""
        raise NotImplementedError

    async def store(self, endpoint: str = "s3", overrides: EndpointOverrides | None = None) -> Store:
        """Return the (retrying) store of a configured endpoint; it lives as long as this Brigade."""
        raise NotImplementedError
