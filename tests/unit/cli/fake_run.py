"""A facade that runs jobs of made-up events, for the parts of the command that only watch and stop a run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bucket_brigade.jobs.brigade import Report
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.model.events import Event
from bucket_brigade.model.job import Job, JobState, Operation
from bucket_brigade.model.location import LocalPath, S3Location
from bucket_brigade.model.outcome import Counters, Failure
from bucket_brigade.model.transfer import JobId

JOB = Job(
    id=JobId("20260101-abc"),
    operation=Operation.UPLOAD,
    source=LocalPath(path="/data", recursive=True),
    target=S3Location(bucket="photos", key="2026/", recursive=True),
)


def make_report(state: JobState = JobState.DONE, *, job: Job = JOB, failures: tuple[Failure, ...] = ()) -> Report:
    return Report(
        job=job,
        state=state,
        reason="" if state is JobState.DONE else "it was stopped",
        counters=Counters(planned=3, planned_bytes=30, done=3 - len(failures), done_bytes=20, failed=len(failures)),
        failures=failures,
        folder="/state/20260101-abc",
        elapsed_s=2.0,
    )


class FakeRun:
    def __init__(self, report: Report, events: list[Event], *, until_stopped: bool) -> None:
        self.job = report.job
        self.stops: list[bool] = []
        self.waiting = asyncio.Event()
        self._report = report
        self._events = events
        self._stopped = asyncio.Event()
        self._until_stopped = until_stopped
        self._sinks: list[Callable[[Event], None]] = []
        self.transfers_wanted = False

    def subscribe(self, sink: Callable[[Event], None], *, transfers: bool = False) -> None:
        self._sinks.append(sink)
        self.transfers_wanted |= transfers

    def stop(self, *, now: bool = False) -> None:
        self.stops.append(now)
        if now or len(self.stops) > 1 or not self._until_stopped:
            self._stopped.set()

    async def wait(self) -> Report:
        for event in self._events:
            for sink in self._sinks:
                sink(event)
        self.waiting.set()
        if self._until_stopped:
            await self._stopped.wait()
        return self._report


class FakeBrigade:
    """Submits nothing, and starts the one run that it was given."""

    def __init__(
        self, report: Report | None = None, events: list[Event] | None = None, *, until_stopped: bool = False
    ) -> None:
        self.run = FakeRun(report or make_report(), events or [], until_stopped=until_stopped)
        self.submitted: list[JobRequest] = []
        self.retried_failed = False

    async def submit(self, request: JobRequest) -> Job:
        self.submitted.append(request)
        return self.run.job

    async def start(self, job_id: str, *, retry_failed: bool = False) -> FakeRun:
        assert job_id == self.run.job.id
        self.retried_failed = retry_failed
        return self.run

    async def write_report(self, job_id: str, *, all_objects: bool = False) -> dict[str, str]:
        return {"report": f"/state/{job_id}/report.json", "failures": f"/state/{job_id}/failures.csv"}
