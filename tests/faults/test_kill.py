"""``kill -9`` at any instant, then ``brigade resume``, ends with the same objects as an undisturbed run.

Five seeds for each operation, fifty with ``--slow``. Every seed has its own instants of death; one in five lets MiniStack
compute CRC64NVME, which takes its pure Python a quarter of a second for each MiB, the others go without.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from bucket_brigade.s3.store import Store
from tests.faults.campaign import expect_all_done, kill_group, kill_parent, run_with_kills
from tests.integration.buckets import put_all, read_all, uploads_left
from tests.integration.program import Program
from tests.samples import make_tree, read_tree
from tests.servers import RunningServer

SMALL = 250
BIG_BYTES = 5 << 20
KILLS = 2
IN_PARTS = ("--part-size", "5MiB", "--multipart-threshold", "5MiB")
ENGINE = {"batch_size": 40, "concurrency": 8, "checkpoint_interval_s": "200ms"}
"""Small batches and many checkpoints: as many different states to die in as a job a hundred times the size."""


def seeds(count: int) -> list[object]:
    """Return ``count`` seeds for every run, and fifty with ``--slow``."""
    return [
        pytest.param(seed, marks=[] if seed < count else [pytest.mark.slow], id=f"seed{seed}") for seed in range(50)
    ]


def contents(chance: random.Random) -> dict[str, bytes]:
    """Return the objects of one round: many small ones, some that are moved in parts, one that is empty."""
    objects = {f"d{i % 7}/f{i:04}": chance.randbytes(chance.randrange(3000)) for i in range(SMALL)}
    objects |= {f"big{i}": chance.randbytes(BIG_BYTES + i * 100_001) for i in range(2)}
    return objects | {"d0/empty": b""}


@pytest.fixture
def brigade(
    program: Program, ministack: RunningServer, rclone: RunningServer, request: pytest.FixtureRequest
) -> Program:
    """The program, with MiniStack as ``mini`` and rclone as ``other``."""
    checksum = "auto" if request.node.callspec.params["seed"] % 5 == 0 else "when_required"
    program.configure({"mini": ministack, "other": rclone}, checksum=checksum, engine=ENGINE)
    return program


def survive(brigade: Program, words: list[str], chance: random.Random, objects: Mapping[str, bytes]) -> str:
    return run_with_kills(brigade, words, chance, objects=len(objects), kills=KILLS)


@pytest.mark.parametrize("seed", seeds(5))
async def test_a_killed_upload_is_resumed_to_the_same_objects(
    seed: int, brigade: Program, bucket: str, mini: Store, tmp_path: Path
) -> None:
    chance = random.Random(f"upload {seed}")
    objects = contents(chance)
    make_tree(tmp_path / "source", objects)
    await mini.create_bucket(bucket)
    job_id = survive(brigade, ["cp", f"{tmp_path}/source/", f"mini://{bucket}/p/", *IN_PARTS], chance, objects)
    assert await read_all(mini, bucket, "p/") == objects
    assert await uploads_left(mini, bucket) == []
    expect_all_done(brigade, job_id, len(objects))


@pytest.mark.parametrize("seed", seeds(5))
async def test_a_killed_download_is_resumed_to_the_same_files(
    seed: int, brigade: Program, bucket: str, other: Store, tmp_path: Path
) -> None:
    chance = random.Random(f"download {seed}")
    objects = contents(chance)
    await other.create_bucket(bucket)
    await put_all(other, bucket, "p/", objects)
    job_id = survive(brigade, ["cp", f"other://{bucket}/p/", f"{tmp_path}/target/", *IN_PARTS], chance, objects)
    assert read_tree(tmp_path / "target") == objects  # and so no temporary file is left
    expect_all_done(brigade, job_id, len(objects))


@pytest.mark.parametrize("seed", seeds(5))
async def test_a_killed_copy_is_resumed_to_the_same_objects(
    seed: int, brigade: Program, bucket: str, mini: Store
) -> None:
    chance = random.Random(f"copy {seed}")
    objects = contents(chance)
    await mini.create_bucket(bucket)
    await put_all(mini, bucket, "p/", objects)
    job_id = survive(brigade, ["cp", f"mini://{bucket}/p/", f"mini://{bucket}/q/"], chance, objects)
    assert await read_all(mini, bucket, "q/") == objects
    assert await uploads_left(mini, bucket) == []
    expect_all_done(brigade, job_id, len(objects))


@pytest.mark.parametrize("seed", seeds(5))
async def test_a_killed_relay_is_resumed_to_the_same_objects(
    seed: int, brigade: Program, bucket: str, mini: Store, other: Store
) -> None:
    chance = random.Random(f"relay {seed}")
    objects = contents(chance)
    await other.create_bucket(bucket)
    await mini.create_bucket(bucket)
    await put_all(other, bucket, "p/", objects)
    job_id = survive(brigade, ["cp", f"other://{bucket}/p/", f"mini://{bucket}/p/", *IN_PARTS], chance, objects)
    assert await read_all(mini, bucket, "p/") == objects
    assert await uploads_left(mini, bucket) == []
    expect_all_done(brigade, job_id, len(objects))


@pytest.mark.parametrize("seed", seeds(5))
async def test_a_killed_delete_is_resumed_until_nothing_is_left(
    seed: int, brigade: Program, bucket: str, other: Store
) -> None:
    chance = random.Random(f"delete {seed}")
    objects = {f"d{i % 40}/f{i:04}": b"x" for i in range(SMALL * 8)}
    await other.create_bucket(bucket)
    await put_all(other, bucket, "p/", objects)
    await put_all(other, bucket, "kept/", {"one": b"1"})
    job_id = survive(brigade, ["rm", f"other://{bucket}/p/", "--recursive", "--yes"], chance, objects)
    assert await read_all(other, bucket) == {"kept/one": b"1"}
    expect_all_done(brigade, job_id, len(objects))


@pytest.mark.parametrize("seed", seeds(3))
async def test_a_killed_move_loses_nothing(
    seed: int, brigade: Program, bucket: str, mini: Store, tmp_path: Path
) -> None:
    chance = random.Random(f"move {seed}")
    objects = contents(chance)
    make_tree(tmp_path / "source", objects)
    await mini.create_bucket(bucket)
    job_id = survive(brigade, ["mv", f"{tmp_path}/source/", f"mini://{bucket}/p/", *IN_PARTS], chance, objects)
    assert await read_all(mini, bucket, "p/") == objects
    assert read_tree(tmp_path / "source") == {}
    assert await uploads_left(mini, bucket) == []
    expect_all_done(brigade, job_id, len(objects))


@pytest.mark.parametrize("seed", seeds(2))
async def test_a_killed_upload_with_random_prefixes_writes_no_object_twice(
    seed: int, brigade: Program, bucket: str, other: Store, tmp_path: Path
) -> None:
    """The prefixes are journaled before the first byte is sent: a second run uses the same ones."""
    chance = random.Random(f"random layout {seed}")
    objects = {name: content for name, content in contents(chance).items() if not name.startswith("big")}
    make_tree(tmp_path / "source", objects)
    await other.create_bucket(bucket)
    words = [
        "cp",
        f"{tmp_path}/source/",
        f"other://{bucket}/p/",
        "--layout",
        "random",
        "--catalog",
        f"{tmp_path}/names",
    ]
    job_id = survive(brigade, words, chance, objects)
    assert len(await read_all(other, bucket)) == len(objects)
    expect_all_done(brigade, job_id, len(objects))
    brigade("cp", "--catalog", f"{tmp_path}/names", f"other://{bucket}/p/", f"{tmp_path}/back/")
    assert read_tree(tmp_path / "back") == objects


@pytest.mark.parametrize("seed", seeds(1))
@pytest.mark.parametrize("only_the_parent", [False, True], ids=["all-at-once", "parent"])
async def test_a_killed_upload_by_two_processes_is_resumed_to_the_same_objects(
    seed: int, only_the_parent: bool, brigade: Program, bucket: str, mini: Store, tmp_path: Path
) -> None:
    """Workers whose parent was killed end by themselves; what they had under way is done again."""
    chance = random.Random(f"two processes {seed} {only_the_parent}")
    objects = {f"d{i % 7}/f{i:04}": chance.randbytes(chance.randrange(2000)) for i in range(1200)}
    objects |= {f"big{i}": chance.randbytes(BIG_BYTES + i) for i in range(2)}
    make_tree(tmp_path / "source", objects)
    await mini.create_bucket(bucket)
    words = ["cp", f"{tmp_path}/source/", f"mini://{bucket}/p/", "--processes", "2", *IN_PARTS]
    kill = kill_parent if only_the_parent else kill_group
    job_id = run_with_kills(brigade, words, chance, objects=len(objects), kills=KILLS, kill=kill)
    assert await read_all(mini, bucket, "p/") == objects
    assert await uploads_left(mini, bucket) == []
    expect_all_done(brigade, job_id, len(objects))
