"""Keys stored under another name, and found again through the catalog."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from bucket_brigade.s3.store import Store
from tests.integration.buckets import read_all
from tests.integration.program import Program
from tests.samples import make_tree, read_tree
from tests.servers import RunningServer

PREFIX = {"hashed": re.compile(r"p/[01]{4}/[01]{4}/[01]{4}/[01]{8}/"), "random": re.compile(r"p/[^/]+/")}


def small_tree() -> dict[str, bytes]:
    chance = random.Random("layouts")
    names = [f"d{i % 5}/f{i:03}" for i in range(60)] + ["a b/ü+%.txt", "deep/er/est/leaf", "top"]
    return {name: chance.randbytes(chance.randrange(2000)) for name in names}


@pytest.mark.parametrize(("layout", "where"), [("hashed", "file"), ("random", "object")])
async def test_a_catalog_translates_in_both_directions_and_brings_the_tree_back(
    layout: str, where: str, program: Program, bucket: str, other: Store, rclone: RunningServer, tmp_path: Path
) -> None:
    program.configure({"other": rclone})
    tree = small_tree()
    make_tree(tmp_path / "source", tree)
    await other.create_bucket(bucket)
    catalog = str(tmp_path / "names.gz") if where == "file" else f"other://{bucket}/catalogs/names.gz"

    program("cp", f"{tmp_path}/source/", f"other://{bucket}/p/", "--layout", layout, "--catalog", catalog)

    stored = await read_all(other, bucket)
    stored.pop("catalogs/names.gz", None)
    assert all(PREFIX[layout].match(key) for key in stored)
    assert sorted(stored.values()) == sorted(tree.values())

    [leaf] = [key for key in stored if key.endswith("deep/er/est/leaf")]
    assert leaf in program("lookup", "p/deep/er/est/leaf", "--catalog", catalog).out.decode()
    assert "p/deep/er/est/leaf" in program("lookup", leaf, "--catalog", catalog).out.decode()
    listed = program("ls", "--catalog", catalog, "--recursive", "--json", f"other://{bucket}/p/").out.splitlines()
    assert {json.loads(line)["key"] for line in listed} == {f"p/{name}" for name in tree}

    program("cp", "--catalog", catalog, f"other://{bucket}/p/", f"{tmp_path}/back/")
    assert read_tree(tmp_path / "back") == tree


async def test_hashed_keys_are_the_same_in_every_run(
    program: Program, bucket: str, other: Store, rclone: RunningServer, tmp_path: Path
) -> None:
    program.configure({"other": rclone})
    make_tree(tmp_path / "source", small_tree())
    await other.create_bucket(bucket)
    words = ("cp", f"{tmp_path}/source/", f"other://{bucket}/p/", "--layout", "hashed")
    program(*words)
    first = await read_all(other, bucket)
    program(*words)
    assert await read_all(other, bucket) == first
