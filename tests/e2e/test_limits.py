"""Limits of a job by the installed command: given by flags, shown by ``status``, changed by ``set-limit`` while the job runs."""

from __future__ import annotations

import time

import pytest

from tests.e2e.conftest import Command

FILES = 64
FILE_BYTES = 8192


def write_files(brigade: Command) -> None:
    for number in range(FILES):
        brigade.write(f"src/{number}", bytes(FILE_BYTES))


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_running_job_takes_what_set_limit_says(brigade: Command, bucket: str, processes: str) -> None:
    write_files(brigade)
    limits = ["--max-bandwidth", "8KiB", "--processes", processes]  # a minute's worth
    running = brigade.start("cp", "src", f"{bucket}/to/", *limits, "--json")
    assert running.stderr is not None
    while b"planning finished" not in running.stderr.readline():
        assert running.poll() is None
    job = brigade("status", "--json").document
    assert job["limits"] == {"max_bandwidth": "8KiB", "max_requests_per_second": 0, "concurrency": 0}
    time.sleep(1)
    assert job["counters"]["done"] < FILES / 2
    assert running.poll() is None
    said = brigade("set-limit", job["job_id"], "--max-bandwidth", "off", "--concurrency", "3").out
    assert said == "bandwidth off, requests off, concurrency 3\n"
    began = time.monotonic()
    running.communicate(timeout=60)
    assert running.returncode == 0
    assert time.monotonic() - began < 20
    assert len(brigade.keys(f"{bucket}/to/")) == FILES


def test_requests_are_limited_from_the_first_listing_on(brigade: Command, bucket: str) -> None:
    write_files(brigade)
    began = time.monotonic()
    brigade("cp", "src", f"{bucket}/to/", "--max-requests-per-second", "20")
    assert time.monotonic() - began > FILES / 20 - 0.5


def test_limits_are_for_running_jobs_and_must_make_sense(brigade: Command, bucket: str) -> None:
    write_files(brigade)
    job = brigade("cp", "src", f"{bucket}/to/", "--json").document["job_id"]
    assert "does not run now" in brigade("set-limit", job, "--max-bandwidth", "1M", code=2).err
    assert "no limit is given" in brigade("set-limit", job, code=2).err
    assert "fast" in brigade("cp", "src", f"{bucket}/to/", "--max-bandwidth", "fast", code=2).err
    assert brigade("status", job, "--json").document["limits"] is None
