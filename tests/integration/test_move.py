"""A move deletes a source only after its copy was verified, and only if it is still what was copied."""

from __future__ import annotations

from pathlib import Path

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
