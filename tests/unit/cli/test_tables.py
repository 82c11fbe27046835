"""The table of `brigade jobs`: what other verbs ask for is never cut off."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bucket_brigade.cli.tables import job_table
from bucket_brigade.journal.port import JobStatus
from bucket_brigade.model.job import Job, JobState, Operation
from bucket_brigade.model.location import LocalPath, S3Location
from bucket_brigade.model.outcome import Counters

JOB_ID = "20261122-165701-73fc"


@pytest.mark.parametrize("width", [80, 109, 110, 200])
def test_ids_are_whole_in_any_width_and_where_from_and_to_is_told(width: int) -> None:
    job = Job(
        id=JOB_ID,
        operation=Operation.UPLOAD,
        source=LocalPath(path="/tmp/photos"),
        target=S3Location(endpoint="s3", bucket="photos", key="2026/"),
        created_ns=1_800_000_000_000_000_000,
    )
    status = JobStatus(
        job=job,
        state=JobState.DONE_WITH_FAILURES,
        reason="",
        planning_done=True,
        open_batches=0,
        counters=Counters(planned=1_000_000, done=999_999, failed=1),
        started_ns=0,
        finished_ns=0,
        epoch=1,
    )
    output = io.StringIO()
    Console(file=output, width=width).print(job_table([status], width=width))
    header, *lines = output.getvalue().splitlines()
    assert lines[0].startswith(JOB_ID)
    assert "/tmp/photos" in output.getvalue()
    assert max(map(len, [header, *lines])) <= width
