"""Full disks: of the target, the journal, catalogs, reports, standard output. All goes on when there is space again."""

from __future__ import annotations

import dataclasses
import os
import random
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bucket_brigade.s3.store import Store
from tests.faults.small_disk import SmallDisk, small_disk
from tests.integration.buckets import put_all, read_all
from tests.integration.program import BRIGADE, Program
from tests.samples import make_tree, read_tree
from tests.servers import RunningServer

ONE_PROCESS = {"processes": 1, "batch_size": 50, "checkpoint_interval_s": "200ms"}
INTERRUPTED = 130


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def inside(brigade: Program, disk: SmallDisk) -> Program:
    """The program where it sees the disk."""
    return dataclasses.replace(brigade, within=disk.enter)


@pytest.fixture
def brigade(program: Program, rclone: RunningServer) -> Program:
    program.configure({"other": rclone}, checksum="when_required", engine=ONE_PROCESS)
    return program


def contents(count: int, size: int) -> dict[str, bytes]:
    chance = random.Random(f"disk {count}")
    return {f"d{i % 3}/f{i:03}": chance.randbytes(chance.randrange(1, size)) for i in range(count)}


async def test_a_full_target_keeps_the_old_files_and_the_job_goes_on_when_there_is_space(
    inside: Program, bucket: str, other: Store, disk: SmallDisk
) -> None:
    objects = {**contents(40, 60_000), "d1/large": random.Random(1).randbytes(6 << 20)}
    await other.create_bucket(bucket)
    await put_all(other, bucket, "", objects)
    old = dict.fromkeys(objects, b"old")
    make_tree(disk.path / "t", old)
    large = ["--part-size", "5MiB", "--multipart-threshold", "5MiB"]
    ended = inside("cp", f"other://{bucket}/", f"{disk.root}/t/", *large, code=INTERRUPTED)
    assert "No space left on device" in ended.out.decode() + ended.err
    found = read_tree(disk.path / "t")
    assert found.keys() == objects.keys(), "no temporary file is left, no old file is gone"
    assert all(content in (b"old", objects[name]) for name, content in found.items())
    [job_id] = inside.job_ids()
    status = inside.status(job_id)
    assert (status["state"], status["counters"]["failed"]) == ("interrupted", 0)
    assert status["counters"]["done"] < sum(found[name] == content for name, content in objects.items()) + 1
    disk.remount("size=64m")
    resume = shlex.split(ended.last_line)
    assert resume[:2] == ["brigade", "resume"]
    inside(*resume[1:])
    assert read_tree(disk.path / "t") == objects


async def test_a_full_journal_stops_the_job_before_anything_unrecorded_is_done(
    inside: Program, bucket: str, other: Store, disk: SmallDisk, tmp_path: Path
) -> None:
    objects = {f"folder-{i % 7}/{'long-name-' * 8}{i:05}": b"%d" % i for i in range(6000)}
    make_tree(tmp_path / "source", objects)
    await other.create_bucket(bucket)
    words = ("cp", f"{tmp_path}/source/", f"other://{bucket}/", "--state-dir", f"{disk.root}/state")
    ended = inside(*words, code=1)
    assert "No space is left for the journal" in ended.err
    assert "bug in" not in ended.err
    assert "Traceback" not in ended.err
    resume = shlex.split(ended.last_line)
    stored = await read_all(other, bucket)
    disk.remount("size=64m")
    counters = inside("status", resume[2], "--state-dir", f"{disk.root}/state", "--json").document["counters"]
    assert 0 < counters["planned"] < len(objects)
    assert stored.items() <= objects.items()
    assert counters["done"] <= len(stored) <= counters["planned"], "only what is journaled was touched"
    inside(*resume[1:])
    assert await read_all(other, bucket) == objects


async def test_a_journal_that_cannot_even_be_made_has_no_effect(
    inside: Program, bucket: str, other: Store, disk: SmallDisk, tmp_path: Path
) -> None:
    make_tree(tmp_path / "source", contents(5, 100))
    await other.create_bucket(bucket)
    disk.fill()
    ended = inside("cp", f"{tmp_path}/source/", f"other://{bucket}/", "--state-dir", f"{disk.root}/state", code=1)
    assert "pace" in ended.err
    assert "bug in" not in ended.err
    assert await read_all(other, bucket) == {}


async def test_a_catalog_that_finds_no_space_leaves_a_job_that_goes_on(
    inside: Program, bucket: str, other: Store, disk: SmallDisk, tmp_path: Path
) -> None:
    objects = contents(30, 100)
    make_tree(tmp_path / "source", objects)
    await other.create_bucket(bucket)
    catalog = disk.path / "catalog.gz"
    catalog.write_bytes(b"the old one")
    disk.fill()
    layout = ["--layout", "hashed", "--catalog", f"{disk.root}/catalog.gz"]
    ended = inside("cp", f"{tmp_path}/source/", f"other://{bucket}/", *layout, code=3)
    assert "No space left on device" in ended.err
    assert "bug in" not in ended.err
    [job_id] = inside.job_ids()
    assert ended.last_line == f"brigade resume {job_id}"
    assert inside.status(job_id)["state"] == "interrupted"
    assert sorted(os.listdir(disk.path)) == ["catalog.gz", "filler"]
    assert catalog.read_bytes() == b"the old one"
    disk.make_space()
    inside("resume", job_id)
    inside("cp", f"other://{bucket}/", f"{tmp_path}/back/", "--catalog", f"{disk.root}/catalog.gz")
    assert read_tree(tmp_path / "back") == objects


async def test_a_report_that_finds_no_space_is_told_and_is_no_bug(
    inside: Program, bucket: str, other: Store, disk: SmallDisk, tmp_path: Path
) -> None:
    make_tree(tmp_path / "source", contents(5, 100))
    await other.create_bucket(bucket)
    state = ["--state-dir", f"{disk.root}/state"]
    inside("cp", f"{tmp_path}/source/", f"other://{bucket}/", *state)
    [job_id] = os.listdir(disk.path / "state/jobs")
    disk.fill()
    ended = inside("report", job_id, *state, code=None)
    assert ended.code not in (0, INTERRUPTED)
    assert "bug in" not in ended.err
    disk.make_space()
    inside("report", job_id, *state)


@pytest.mark.parametrize(
    "words",
    [("cat", "URL"), ("cp", "URL", "-"), ("status", "--json", "JOB")],
    ids=lambda words: words[0],
)
async def test_a_full_disk_behind_standard_output_is_told_and_is_no_bug(
    brigade: Program, bucket: str, other: Store, tmp_path: Path, words: tuple[str, ...]
) -> None:
    await other.create_bucket(bucket)
    await other.put_object(bucket, "key", random.Random(2).randbytes(100_000))
    brigade("cp", f"other://{bucket}/key", str(tmp_path / "file"))
    named = {"URL": f"other://{bucket}/key", "JOB": brigade.job_ids()[0]}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*BRIGADE, *(named.get(word, word) for word in words)],
            env=brigade.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode not in (0, 2), done.stderr
    assert "No space left on device" in done.stderr
    assert "bug in" not in done.stderr
    assert "Traceback" not in done.stderr
