"""File descriptors: jobs work under ``ulimit -n 256``, whatever concurrency is asked for; with far too few none begins."""

from __future__ import annotations

import dataclasses
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from bucket_brigade.local.descriptors import LEAST_TRANSFERS, RESERVED, transfers_within
from bucket_brigade.s3.store import Store
from tests.integration.buckets import read_all
from tests.integration.program import Program
from tests.samples import make_tree, read_tree
from tests.servers import RunningServer

PARTS = ["--part-size", "5MiB", "--multipart-threshold", "5MiB"]
CROWDED = {"processes": 1, "concurrency": 200, "part_concurrency": 16, "memory_bytes": "256MiB"}


def under(limit: int, program: Program) -> Program:
    """The program where it may have ``limit`` descriptors and cannot raise that."""
    return dataclasses.replace(program, within=("sh", "-c", f'ulimit -n {limit} && exec "$@"', "sh"))


@pytest.fixture
def brigade(program: Program, rclone: RunningServer) -> Program:
    program.configure({"other": rclone}, checksum="when_required", engine=CROWDED)
    return program


async def test_many_folders_files_and_parts_move_under_256_descriptors(
    brigade: Program, bucket: str, other: Store, tmp_path: Path
) -> None:
    chance = random.Random("descriptors")
    objects = {f"folder{i:03}/sub{i % 3}/file": chance.randbytes(100 + i) for i in range(600)}
    objects |= {f"large{i}": chance.randbytes(11 << 20) for i in range(3)}
    make_tree(tmp_path / "source", objects)
    await other.create_bucket(bucket)
    few = under(256, brigade)
    ended = few("cp", f"{tmp_path}/source/", f"other://{bucket}/", *PARTS)
    assert "37 transfers at a time instead of 200" in ended.err
    assert await read_all(other, bucket) == objects
    few("cp", f"other://{bucket}/", f"{tmp_path}/back/", *PARTS, "--concurrency", "auto")
    assert read_tree(tmp_path / "back") == objects
    few("mv", f"other://{bucket}/", f"other://{bucket}-2/", code=2)  # there is no such bucket: nothing was changed
    few("rm", "--recursive", "--yes", f"other://{bucket}/")
    assert await read_all(other, bucket) == {}


async def test_too_few_descriptors_are_an_error_before_anything_is_changed(
    brigade: Program, bucket: str, other: Store, tmp_path: Path
) -> None:
    make_tree(tmp_path / "source", {"a": b"1"})
    await other.create_bucket(bucket)
    ended = under(RESERVED, brigade)("cp", f"{tmp_path}/source/", f"other://{bucket}/", code=2)
    assert "ulimit -n" in ended.err
    assert await read_all(other, bucket) == {}
    assert brigade.job_ids() == []


RAISE = """
import resource
from bucket_brigade.local.descriptors import raise_limit
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
limit = raise_limit()
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (limit, hard)
print(limit, hard)
"""


def test_a_soft_limit_is_raised_as_far_as_the_hard_one_allows() -> None:
    done = subprocess.run([sys.executable, "-c", RAISE], capture_output=True, text=True, check=True, env=os.environ)
    limit, hard = map(int, done.stdout.split())
    assert limit == (min(hard, 16_384) if hard > 0 else 16_384)


def test_the_usual_limits_allow_the_usual_concurrency() -> None:
    assert transfers_within(1024) > 64
    assert LEAST_TRANSFERS < transfers_within(256) < 64
