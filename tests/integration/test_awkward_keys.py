"""Two hundred awkward keys: byte for byte wherever no disk is involved; on disk reproduced, or refused by name.

The content of every object is its own key, so that two keys that became one show.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bucket_brigade.s3.store import Store
from tests.contract.quirks import Quirks
from tests.integration.buckets import put_all, read_all
from tests.integration.program import Program
from tests.samples import AWKWARD_KEYS, read_tree
from tests.servers import RunningServer

ALL = {sample.key: sample.key.encode() for sample in AWKWARD_KEYS}
RCLONE = Quirks.of("rclone").keys
SOUND_ON_RCLONE = {
    sample.key: sample.key.encode() for sample in AWKWARD_KEYS if sample.name not in RCLONE.refused | RCLONE.altered
}
SOME_FAILED = 3


@pytest.fixture
def brigade(program: Program, ministack: RunningServer, rclone: RunningServer) -> Program:
    program.configure({"mini": ministack, "other": rclone})
    return program


def named_failures(brigade: Program) -> dict[str, tuple[str, str]]:
    """Return what the newest job's report says of every object that failed: source -> (code, reason)."""
    job_id = brigade.job_ids()[-1]
    with (brigade.state_dir / "jobs" / job_id / "failures.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["source"] for row in rows}) == len(rows)
    return {row["source"]: (row["code"], row["message"]) for row in rows if row["state"] == "failed"}


async def test_they_are_copied_and_deleted_byte_for_byte(brigade: Program, bucket: str, mini: Store) -> None:
    source, target = bucket, f"{bucket}-2"
    await mini.create_bucket(source)
    await mini.create_bucket(target)
    await put_all(mini, source, "", ALL)

    brigade("cp", f"mini://{source}/", f"mini://{target}/")
    assert await read_all(mini, target) == ALL

    brigade("rm", f"mini://{target}/", "--recursive", "--yes")
    assert await read_all(mini, target) == {}
    assert await read_all(mini, source) == ALL


async def test_they_are_relayed_byte_for_byte_as_far_as_the_target_can_hold_them(
    brigade: Program, bucket: str, mini: Store, other: Store
) -> None:
    """What rclone cannot hold is refused by name; what it alters without a word is in the table of its quirks."""
    await mini.create_bucket(bucket)
    await other.create_bucket(bucket)
    await put_all(mini, bucket, "", ALL)

    brigade("cp", f"mini://{bucket}/", f"other://{bucket}/", code=SOME_FAILED)

    stored = await read_all(other, bucket)
    assert {key: stored.get(key) for key in SOUND_ON_RCLONE} == SOUND_ON_RCLONE
    failures = named_failures(brigade)
    refused = {sample.name for sample in AWKWARD_KEYS if sample.key in failures}
    assert RCLONE.refused <= refused <= RCLONE.refused | RCLONE.altered
    assert all(code and reason for code, reason in failures.values())


async def test_they_are_relayed_back_byte_for_byte(brigade: Program, bucket: str, mini: Store, other: Store) -> None:
    await mini.create_bucket(bucket)
    await other.create_bucket(bucket)
    await put_all(other, bucket, "", SOUND_ON_RCLONE)

    brigade("cp", f"other://{bucket}/", f"mini://{bucket}/")
    assert await read_all(mini, bucket) == SOUND_ON_RCLONE

    brigade("rm", f"other://{bucket}/", "--recursive", "--yes")
    assert await read_all(other, bucket) == {}


async def test_on_disk_each_is_reproduced_or_refused_by_name_and_comes_up_again(
    brigade: Program, bucket: str, mini: Store, tmp_path: Path
) -> None:
    await mini.create_bucket(bucket)
    await put_all(mini, bucket, "", ALL)
    outside = tmp_path / "outside"
    target = outside / "target"
    target.mkdir(parents=True)

    brigade("cp", f"mini://{bucket}/", f"{target}/", code=SOME_FAILED)

    files = read_tree(target)
    failures = named_failures(brigade)
    assert not files.keys() & failures.keys()
    assert files == {key: content for key, content in ALL.items() if key not in failures}
    assert all(code and reason for code, reason in failures.values())
    assert {code for code, _ in failures.values()} <= {"BadKey", "ENAMETOOLONG"}
    assert {sample.key for sample in AWKWARD_KEYS if _is_plain(sample.key)} <= files.keys()
    assert [path.name for path in outside.iterdir()] == ["target"]

    await mini.create_bucket(f"{bucket}-2")
    brigade("cp", f"{target}/", f"mini://{bucket}-2/")
    assert await read_all(mini, f"{bucket}-2") == files


def _is_plain(key: str) -> bool:
    """Return whether every common file system can hold the key as a path."""
    parts = key.split("/")
    return all(part not in {"", ".", ".."} and len(part.encode()) <= 255 for part in parts)
