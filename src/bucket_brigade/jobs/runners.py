"""Before a job is run, again or no more: is it over, does somebody run it, and what did the last run leave behind?"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time

from bucket_brigade.errors import ConfigError, JournalError, TransferError
from bucket_brigade.journal.folder import runner_pid
from bucket_brigade.journal.port import JobStatus
from bucket_brigade.local.temporaries import job_tag, remove_stale_temporaries
from bucket_brigade.model.job import Job, JobState
from bucket_brigade.model.location import LocalPath, StandardStream

CANCEL_TIMEOUT_S = 60.0
_ENDED = frozenset({JobState.DONE, JobState.CANCELLED})


def refuse_if_over(status: JobStatus, *, retry_failed: bool) -> None:
    """Refuse to run a job for which there is nothing to do, or that cannot be run again. ConfigError."""
    job = status.job
    if status.state in _ENDED or (status.state is JobState.DONE_WITH_FAILURES and not retry_failed):
        remedy = "Submit it again to run it anew."
        if status.state is JobState.DONE_WITH_FAILURES:
            remedy = (
                f"`brigade resume {job.id} --retry-failed` tries the {status.counters.failed:,} failed objects again."
            )
        raise ConfigError(f"the job {job.id} is over ({status.state})", remedy=remedy)
    if status.started_ns and isinstance(job.source, StandardStream):
        raise ConfigError(
            f"the job {job.id} read standard input, which cannot be read again", remedy="Run the command again."
        )


def remove_temporaries(job: Job) -> None:
    """Remove what a run that was killed left in the target folder."""
    if isinstance(job.target, LocalPath):
        folder = job.target.path if job.target.recursive else os.path.dirname(job.target.path)
        if os.path.isdir(folder):
            with contextlib.suppress(TransferError):  # found again, and told, when the folder is written to
                remove_stale_temporaries(folder, job_tag(job.id))


async def stop_runner(folder: str) -> None:
    """Ask the process that runs a job to stop, and wait for it. ConfigError: it is this one. JournalError: it does not stop."""
    pid = runner_pid(folder)
    if pid is None:
        return
    if pid == os.getpid():
        raise ConfigError("this process runs the job", remedy="Stop the run first: JobRun.stop().")
    os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + CANCEL_TIMEOUT_S
    while runner_pid(folder) is not None:
        if time.monotonic() > until:
            raise JournalError(
                f"Process {pid} still runs the job.", remedy=f"End it with `kill -9 {pid}`, then cancel again."
            )
        await asyncio.sleep(0.2)
