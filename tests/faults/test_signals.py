"""SIGTERM and SIGINT drain within the grace time, a second one stops at once; a worker that dies is replaced."""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bucket_brigade.s3.store import Store
from tests.faults.campaign import STARTED, children_of, expect_all_done, kill_group
from tests.integration.buckets import read_all, uploads_left
from tests.integration.program import Program
from tests.samples import make_tree
from tests.servers import RunningServer

SLOW = {"batch_size": 40, "concurrency": 2, "checkpoint_interval_s": "200ms"}
"""Two transfers at a time: a few thousand objects take seconds."""

INTERRUPTED = 130


@pytest.fixture
def brigade(program: Program, rclone: RunningServer, ministack: RunningServer) -> Program:
    program.configure({"other": rclone, "mini": ministack}, checksum="when_required", engine=SLOW)
    return program


def write_source(folder: Path, count: int) -> dict[str, bytes]:
    chance = random.Random("signals")
    objects = {f"d{i % 50}/f{i:05}": chance.randbytes(chance.randrange(500)) for i in range(count)}
    make_tree(folder, objects)
    return objects


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_a_signal_lets_transfers_finish_and_names_the_command_that_goes_on(
    number: signal.Signals, brigade: Program, bucket: str, other: Store, tmp_path: Path
) -> None:
    objects = write_source(tmp_path / "source", 4000)
    await other.create_bucket(bucket)
    process = brigade.start("cp", f"{tmp_path}/source/", f"other://{bucket}/p/")
    assert brigade.wait_until_said("batch finished", process)
    process.send_signal(number)
    assert process.wait(25) == INTERRUPTED, brigade.tail()
    [job_id] = brigade.job_ids()
    status = brigade.status(job_id)
    assert status["state"] == "interrupted"
    stored = await read_all(other, bucket, "p/")
    assert 0 < len(stored) < len(objects)
    assert status["counters"]["done"] == len(stored)  # drained: nothing is done that is not counted
    last_line = brigade.log.read_text().splitlines()[-1]
    assert last_line.startswith("brigade resume ")
    resumed = subprocess.run(
        [sys.executable, "-m", *shlex.split(last_line.replace("brigade", "bucket_brigade", 1))],
        env=brigade.environment,
        check=False,
        timeout=90,
        capture_output=True,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert await read_all(other, bucket, "p/") == objects
    expect_all_done(brigade, job_id, len(objects))


async def test_a_second_signal_stops_in_the_middle_of_a_part_and_leaves_a_job_that_goes_on(
    brigade: Program, bucket: str, mini: Store, ministack: RunningServer, tmp_path: Path
) -> None:
    """MiniStack takes 1.3 seconds to look at a part of 5 MiB: the first signal waits for it, the second does not."""
    brigade.configure({"mini": ministack}, checksum="crc64nvme", engine=SLOW)
    objects = {f"big{i}": random.Random(i).randbytes(11 << 20) for i in range(2)}
    make_tree(tmp_path / "source", objects)
    await mini.create_bucket(bucket)
    words = ["--part-size", "5MiB", "--multipart-threshold", "5MiB"]
    process = brigade.start("cp", f"{tmp_path}/source/", f"mini://{bucket}/p/", *words)
    assert brigade.wait_until_said(STARTED, process)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    assert brigade.wait_until_said("stopping", process)
    process.send_signal(signal.SIGTERM)
    asked = time.monotonic()
    assert process.wait(20) == INTERRUPTED, brigade.tail()
    assert time.monotonic() - asked < 5
    [job_id] = brigade.job_ids()
    brigade("resume", job_id)
    assert await read_all(mini, bucket, "p/") == objects
    assert await uploads_left(mini, bucket) == []
    expect_all_done(brigade, job_id, len(objects))


async def test_a_worker_process_that_is_killed_is_replaced_and_nothing_is_lost(
    brigade: Program, bucket: str, other: Store, tmp_path: Path
) -> None:
    objects = write_source(tmp_path / "source", 6000)
    await other.create_bucket(bucket)
    process = brigade.start("cp", f"{tmp_path}/source/", f"other://{bucket}/p/", "--processes", "2")
    try:
        assert brigade.wait_until_said(f'-{process.pid}-1"', process), "the second process never finished a batch"
        [worker] = children_of(process)
        os.kill(worker, signal.SIGKILL)
        assert process.wait(90) == 0, brigade.tail()
    finally:
        if process.poll() is None:
            kill_group(process)
            process.wait()
    assert brigade.said("WorkerDied") or brigade.said("died"), brigade.tail()
    [job_id] = brigade.job_ids()
    assert await read_all(other, bucket, "p/") == objects
    expect_all_done(brigade, job_id, len(objects))


async def test_a_signal_reaches_the_worker_processes_too(
    brigade: Program, bucket: str, other: Store, tmp_path: Path
) -> None:
    objects = write_source(tmp_path / "source", 8000)
    await other.create_bucket(bucket)
    process = brigade.start("cp", f"{tmp_path}/source/", f"other://{bucket}/p/", "--processes", "2")
    assert brigade.wait_until_said(f'-{process.pid}-1"', process)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal: to the whole group
    assert process.wait(25) == INTERRUPTED, brigade.tail()
    [job_id] = brigade.job_ids()
    stored = await read_all(other, bucket, "p/")
    assert brigade.status(job_id)["counters"]["done"] == len(stored) < len(objects)
    brigade("resume", job_id, "--processes", "1", "--concurrency", "32")
    assert await read_all(other, bucket, "p/") == objects
    expect_all_done(brigade, job_id, len(objects))
