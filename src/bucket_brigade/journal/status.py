"""How jobs stand, read without their locks: also while another process runs them."""

from __future__ import annotations

import asyncio
import os

import msgspec

from bucket_brigade.errors import JournalError
from bucket_brigade.journal.database import Database, errors_of, reading_database
from bucket_brigade.journal.folder import DATABASE_NAME, runner_pid
from bucket_brigade.journal.port import JobStatus
from bucket_brigade.journal.records import status_of
from bucket_brigade.model.job import JobState

CRASH_REASON = "The run ended without a word: a crash, kill -9 or a power failure."


async def read_status(folder: str) -> JobStatus:
    """Return how the job in ``folder`` stands. RUNNING is only said of a job that a process runs now.

    Raises:
        JournalError: there is no journal, or it cannot be read.
    """
    return await asyncio.to_thread(_read_status, folder)


async def list_jobs(state_dir: str) -> list[tuple[str, JobStatus | JournalError]]:
    """Return the folder of every job below ``state_dir`` and how it stands: newest first, then the unreadable with the reason.

    A ``state_dir`` that does not exist holds no jobs.
    """
    return await asyncio.to_thread(_list_jobs, state_dir)


def select_status(database: Database) -> JobStatus:
    """Return the job row as it is."""
    row = database.one("select_status")
    if row is None:
        raise JournalError(
            "The journal holds no job.",
            remedy="It was not made by bucket-brigade, or is damaged: submit the job again.",
        )
    return status_of(row)


def _read_status(folder: str) -> JobStatus:
    path = os.path.join(os.path.abspath(folder), DATABASE_NAME)
    with errors_of(path):
        # Asked before the row is read: a run that ends in between has written its last state by then.
        running = runner_pid(folder) is not None
        with reading_database(path) as database:
            status = database.read(select_status)
    if status.state is JobState.RUNNING and not running:
        return msgspec.structs.replace(status, state=JobState.INTERRUPTED, reason=CRASH_REASON)
    return status


def _list_jobs(state_dir: str) -> list[tuple[str, JobStatus | JournalError]]:
    readable: list[tuple[str, JobStatus]] = []
    unreadable: list[tuple[str, JobStatus | JournalError]] = []
    for folder in _job_folders(state_dir):
        try:
            readable.append((folder, _read_status(folder)))
        except JournalError as error:
            unreadable.append((folder, error))
    readable.sort(key=lambda entry: entry[1].job.created_ns, reverse=True)
    return [*readable, *unreadable]


def _job_folders(state_dir: str) -> list[str]:
    # A name with a dot is a journal that create_journal had not finished.
    with errors_of(state_dir):
        try:
            with os.scandir(state_dir) as entries:
                return sorted(entry.path for entry in entries if entry.is_dir() and not entry.name.startswith("."))
        except FileNotFoundError:
            return []
