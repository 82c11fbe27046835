"""A move deletes a source only after its copy was verified, and only if it is still what was copied."""

from __future__ import annotations

import csv
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from bucket_brigade.s3.store import Store
from tests.integration.buckets import put_all, read_all
from tests.integration.program import Program
from tests.samples import make_tree, read_tree
from tests.servers import RunningServer

TREE = {f"d{i % 3}/f{i}": f"content {i}".encode() for i in range(30)}
SOME_FAILED, INTERRUPTED = 3, 130


@pytest.fixture
def brigade(program: Program, ministack: RunningServer, rclone: RunningServer) -> Program:
    program.configure({"mini": ministack, "other": rclone})
    return program


async def test_files_move_into_a_bucket_and_back(brigade: Program, bucket: str, mini: Store, tmp_path: Path) -> None:
    make_tree(tmp_path / "source", TREE)
    await mini.create_bucket(bucket)

    brigade("mv", f"{tmp_path}/source/", f"mini://{bucket}/p/")
    assert read_tree(tmp_path / "source") == {}
    assert await read_all(mini, bucket, "p/") == TREE

    brigade("mv", f"mini://{bucket}/p/", f"{tmp_path}/target/")
    assert await read_all(mini, bucket) == {}
    assert read_tree(tmp_path / "target") == TREE


async def test_objects_move_between_prefixes_and_between_endpoints(
    brigade: Program, bucket: str, mini: Store, other: Store
) -> None:
    await mini.create_bucket(bucket)
    await other.create_bucket(bucket)
    await put_all(mini, bucket, "p/", TREE)

    brigade("mv", f"mini://{bucket}/p/", f"mini://{bucket}/q/")
    assert await read_all(mini, bucket) == {f"q/{name}": content for name, content in TREE.items()}

    brigade("mv", f"mini://{bucket}/q/", f"other://{bucket}/r/")
    assert await read_all(mini, bucket) == {}
    assert await read_all(other, bucket, "r/") == TREE


@pytest.mark.parametrize(
    ("source", "target"),
    [("disk", "mini"), ("mini", "disk"), ("mini", "mini"), ("other", "mini")],
    ids=["upload", "download", "copy", "relay"],
)
async def test_a_source_that_changed_between_its_copy_and_its_deletion_stays(
    source: str, target: str, brigade: Program, bucket: str, mini: Store, other: Store, tmp_path: Path
) -> None:
    """The job is stopped half-way; of what was copied by then, one is changed before it goes on."""
    sides: dict[str, Side] = {
        "disk": Disk(tmp_path),
        "mini": Bucket(mini, bucket, "mini"),
        "other": Bucket(other, bucket, "other"),
    }
    here, there = sides[source], sides[target]
    await mini.create_bucket(bucket)
    await other.create_bucket(bucket)
    tree = {f"d{i % 10}/f{i:04}": f"content {i}".encode() for i in range(1500)}
    await here.fill("source/", tree)
    process = brigade.start("mv", here.url("source/"), there.url("target/"), "--concurrency", "1")
    assert brigade.wait_until_said("planning finished", process)
    while not await there.content("target/"):
        assert process.poll() is None, brigade.tail()
    process.send_signal(signal.SIGTERM)
    assert process.wait(25) == INTERRUPTED, brigade.tail()
    copied = await there.content("target/")
    assert 0 < len(copied) < len(tree)
    assert (await here.content("source/")).keys() == tree.keys()  # nothing is deleted before its batch is copied
    changed = max(copied)
    await here.fill("source/", {changed: b"changed meanwhile"})

    [job_id] = brigade.job_ids()
    brigade("resume", job_id, code=SOME_FAILED)

    assert await here.content("source/") == {changed: b"changed meanwhile"}
    assert await there.content("target/") == tree
    with (brigade.state_dir / "jobs" / job_id / "failures.csv").open(newline="") as file:
        [failure] = csv.DictReader(file)
    assert failure["source"].endswith(changed)
    assert failure["code"] == "SourceChanged"


class Side(Protocol):
    """Where the objects of a move come from, or go to."""

    def url(self, folder: str) -> str: ...

    async def fill(self, folder: str, tree: dict[str, bytes]) -> None: ...

    async def content(self, folder: str) -> dict[str, bytes]: ...


@dataclass(frozen=True)
class Disk:
    """A side of a move that is a folder."""

    root: Path

    def url(self, folder: str) -> str:
        return f"{self.root}/{folder}"

    async def fill(self, folder: str, tree: dict[str, bytes]) -> None:
        make_tree(self.root / folder, tree)

    async def content(self, folder: str) -> dict[str, bytes]:
        return read_tree(self.root / folder)


@dataclass(frozen=True)
class Bucket:
    """A side of a move that is a prefix in a bucket."""

    store: Store
    name: str
    endpoint: str

    def url(self, prefix: str) -> str:
        return f"{self.endpoint}://{self.name}/{prefix}"

    async def fill(self, prefix: str, tree: dict[str, bytes]) -> None:
        await put_all(self.store, self.name, prefix, tree)

    async def content(self, prefix: str) -> dict[str, bytes]:
        return await read_all(self.store, self.name, prefix)
