"""The state directory: one folder for each job."""

from __future__ import annotations

import os

from bucket_brigade.errors import ConfigError
from bucket_brigade.journal.folder import DATABASE_NAME

JOBS = "jobs"
CATALOG = "catalog.jsonl.gz"


def jobs_dir(state_dir: str) -> str:
    """Return the folder that holds the folders of all jobs."""
    return os.path.join(state_dir, JOBS)


def find_job_folder(state_dir: str, job_id: str) -> str:
    """Return the folder of the one job whose id begins with ``job_id``, or the folder that it names itself.

    Raises:
        ConfigError: there is none, or more than one.
    """
    if job_id and os.path.isfile(os.path.join(job_id, DATABASE_NAME)):
        return os.path.abspath(job_id)
    try:
        # A name with a dot is a journal that a submission, killed in the middle, had not finished.
        names = [name for name in os.listdir(jobs_dir(state_dir)) if not name.startswith(".")]
    except FileNotFoundError:
        names = []
    if job_id in names:
        return os.path.join(jobs_dir(state_dir), job_id)
    matching = sorted(name for name in names if job_id and name.startswith(job_id))
    if len(matching) == 1:
        return os.path.join(jobs_dir(state_dir), matching[0])
    if matching:
        raise ConfigError(f"{job_id} could be {', '.join(matching[:5])}", remedy="Name one of them in full.")
    raise ConfigError(
        f"no job is called {job_id!r} in {state_dir}",
        remedy="`brigade jobs` lists them; --state-dir names another folder.",
    )
