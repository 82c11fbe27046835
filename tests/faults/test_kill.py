"""``kill -9`` at any instant, then ``brigade resume``, ends with the same objects as an undisturbed run."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from bucket_brigade.s3.listing import iterate_objects, iterate_uploads
from bucket_brigade.s3.open import open_store
from bucket_brigade.s3.store import ListedObject, Store
from bucket_brigade.settings.values import EngineSettings
from tests.faults.campaign import Command, run_with_kills, write_config
from tests.servers import RunningServer

SMALL, BIG, BIG_BYTES = 250, 2, 17 << 20
KILLS = 3
SPAN_S = 2.5
ROUNDS = [
    pytest.param(seed, marks=[] if seed < 5 else [pytest.mark.slow], id=f"seed{seed}") for seed in range(50)
]


@pytest.fixture
def command(tmp_path: Path, ministack: RunningServer, rclone: RunningServer) -> Command:
    write_config(tmp_path / "config.toml", {"mini": ministack, "other": rclone})
    return Command(tmp_path / "config.toml", tmp_path / "state")


@pytest.fixture
async def mini(ministack: RunningServer) -> AsyncIterator[Store]:
    async with open_store(ministack.endpoint, engine=EngineSettings(concurrency=32)) as store:
        yield store


@pytest.fixture
async def other(rclone: RunningServer) -> AsyncIterator[Store]:
    async with open_store(rclone.endpoint, engine=EngineSettings(concurrency=32)) as store:
        yield store


def contents(chance: random.Random) -> dict[str, bytes]:
    """Return the objects of one round: many small ones, some that are moved in parts, one that is empty."""
    objects = {f"d{i % 7}/f{i:04}": chance.randbytes(chance.randrange(3000)) for i in range(SMALL)}
    objects |= {f"big{i}": chance.randbytes(BIG_BYTES + i) for i in range(BIG)}
    return objects | {"d0/empty": b""}


def write_tree(root: Path, objects: Mapping[str, bytes]) -> None:
    for name, content in objects.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def read_tree(root: Path) -> dict[str, bytes]:
    return {
        os.path.relpath(os.path.join(folder, name), root): Path(folder, name).read_bytes()
        for folder, _, names in os.walk(root)
        for name in names
    }


async def put_all(store: Store, bucket: str, prefix: str, objects: Mapping[str, bytes]) -> None:
    at_once = asyncio.Semaphore(16)

    async def put(name: str, content: bytes) -> None:
        async with at_once:
            await store.put_object(bucket, prefix + name, content)

    await asyncio.gather(*(put(name, content) for name, content in objects.items()))


async def read_all(store: Store, bucket: str, prefix: str) -> dict[str, bytes]:
    at_once = asyncio.Semaphore(16)

    async def read(entry: ListedObject) -> tuple[str, bytes]:
        content = bytearray(entry.size)
        async with at_once:
            await store.get_object(bucket, entry.key, memoryview(content))
        return entry.key[len(prefix) :], bytes(content)

    entries = [entry async for page in iterate_objects(store, bucket, prefix=prefix) for entry in page.objects]
    return dict(await asyncio.gather(*map(read, entries)))


async def uploads_left(store: Store, bucket: str) -> list[str]:
    return [upload.key async for page in iterate_uploads(store, bucket) for upload in page]


def expect_all_done(command: Command, job_id: str, count: int) -> None:
    """Every object is counted exactly once, and as done."""
    counters = command.status(job_id)["counters"]
    assert isinstance(counters, dict)
    assert (counters["planned"], counters["done"], counters["failed"]) == (count, count, 0)
    assert counters["skipped"] == counters["vanished"] == 0


@pytest.mark.parametrize("seed", ROUNDS)
async def test_a_killed_upload_is_resumed_to_the_same_objects(
    seed: int, command: Command, mini: Store, tmp_path: Path
) -> None:
    chance = random.Random(f"upload {seed}")
    objects, bucket = contents(chance), f"killed-upload-{seed}"
    write_tree(tmp_path / "source", objects)
    await mini.create_bucket(bucket)
    job_id = run_with_kills(
        command, ["cp", f"{tmp_path}/source/", f"mini://{bucket}/p/"], chance, kills=KILLS, span_s=SPAN_S
    )
    assert await read_all(mini, bucket, "p/") == objects
    assert await uploads_left(mini, bucket) == []
    expect_all_done(command, job_id, len(objects))


@pytest.mark.parametrize("seed", ROUNDS)
async def test_a_killed_download_is_resumed_to_the_same_files(
    seed: int, command: Command, mini: Store, tmp_path: Path
) -> None:
    chance = random.Random(f"download {seed}")
    objects, bucket = contents(chance), f"killed-download-{seed}"
    await mini.create_bucket(bucket)
    await put_all(mini, bucket, "p/", objects)
    job_id = run_with_kills(
        command, ["cp", f"mini://{bucket}/p/", f"{tmp_path}/target/"], chance, kills=KILLS, span_s=SPAN_S
    )
    assert read_tree(tmp_path / "target") == objects  # and so no temporary file is left
    expect_all_done(command, job_id, len(objects))


@pytest.mark.parametrize("seed", ROUNDS)
async def test_a_killed_copy_is_resumed_to_the_same_objects(seed: int, command: Command, mini: Store) -> None:
    chance = random.Random(f"copy {seed}")
    objects, bucket = contents(chance), f"killed-copy-{seed}"
    await mini.create_bucket(bucket)
    await put_all(mini, bucket, "p/", objects)
    job_id = run_with_kills(
        command, ["cp", f"mini://{bucket}/p/", f"mini://{bucket}/q/"], chance, kills=KILLS, span_s=SPAN_S
    )
    assert await read_all(mini, bucket, "q/") == objects
    assert await uploads_left(mini, bucket) == []
    expect_all_done(command, job_id, len(objects))


@pytest.mark.parametrize("seed", ROUNDS)
async def test_a_killed_relay_is_resumed_to_the_same_objects(
    seed: int, command: Command, mini: Store, other: Store
) -> None:
    chance = random.Random(f"relay {seed}")
    objects, bucket = contents(chance), f"killed-relay-{seed}"
    await other.create_bucket(bucket)
    await mini.create_bucket(bucket)
    await put_all(other, bucket, "p/", objects)
    job_id = run_with_kills(
        command, ["cp", f"other://{bucket}/p/", f"mini://{bucket}/p/"], chance, kills=KILLS, span_s=SPAN_S
    )
    assert await read_all(mini, bucket, "p/") == objects
    assert await uploads_left(mini, bucket) == []
    expect_all_done(command, job_id, len(objects))


@pytest.mark.parametrize("seed", ROUNDS)
async def test_a_killed_delete_is_resumed_until_nothing_is_left(seed: int, command: Command, mini: Store) -> None:
    chance = random.Random(f"delete {seed}")
    objects, bucket = contents(chance), f"killed-delete-{seed}"
    await mini.create_bucket(bucket)
    await put_all(mini, bucket, "p/", objects)
    await put_all(mini, bucket, "kept/", {"one": b"1"})
    job_id = run_with_kills(
        command, ["rm", f"mini://{bucket}/p/", "--recursive", "--yes"], chance, kills=KILLS, span_s=SPAN_S
    )
    assert await read_all(mini, bucket, "") == {"kept/one": b"1"}
    expect_all_done(command, job_id, len(objects))


@pytest.mark.parametrize("seed", ROUNDS[:3])
async def test_a_killed_move_loses_nothing(seed: int, command: Command, mini: Store, tmp_path: Path) -> None:
    chance = random.Random(f"move {seed}")
    objects, bucket = contents(chance), f"killed-move-{seed}"
    write_tree(tmp_path / "source", objects)
    await mini.create_bucket(bucket)
    job_id = run_with_kills(
        command, ["mv", f"{tmp_path}/source/", f"mini://{bucket}/p/"], chance, kills=KILLS, span_s=SPAN_S
    )
    assert await read_all(mini, bucket, "p/") == objects
    assert read_tree(tmp_path / "source") == {}
    expect_all_done(command, job_id, len(objects))
