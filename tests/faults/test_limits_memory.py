"""The byte budget holds: many large objects at a time, under a fixed limit on all that a process may map (``ulimit -v``)."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.bottomless_server import BottomlessServer, bottomless_server
from tests.integration.program import Program
from tests.servers import RunningServer

MIB = 1 << 20
COUNT, SIZE = 24, 24 * MIB
"""All are in flight at a time: 576 MiB."""

PARTS = ["--part-size", "5MiB", "--multipart-threshold", "16MiB", "--processes", "1", "--concurrency", "64"]
LIMIT_MIB = 350
ONE_HEAP = "MALLOC_ARENA_MAX=1"
"""Else every thread reserves 64 MiB of addresses, which it hardly uses, and they count as well."""


@pytest.fixture
async def server() -> AsyncIterator[BottomlessServer]:
    async with bottomless_server(COUNT, SIZE) as server:
        yield server


@pytest.fixture
async def second() -> AsyncIterator[BottomlessServer]:
    async with bottomless_server(COUNT, SIZE) as server:
        yield server


@pytest.fixture
def brigade(program: Program, server: BottomlessServer, second: BottomlessServer) -> Program:
    endpoints = {
        name: RunningServer(name=name, endpoint=one.endpoint(name), enforces=frozenset())
        for name, one in (("one", server), ("two", second))
    }
    program.configure(endpoints, engine={"memory_bytes": "48MiB"})
    limited = ("sh", "-c", f'ulimit -v {LIMIT_MIB * 1024} && exec env {ONE_HEAP} "$@"', "sh")
    return dataclasses.replace(program, within=limited)


@pytest.mark.parametrize(
    ("words", "given", "taken"),
    [(["TREE/", "two://bucket/"], 0, 1), (["one://bucket/", "two://bucket/"], 1, 1), (["one://bucket/", "TO/"], 1, 0)],
    ids=["upload", "relay", "download"],
)
async def test_large_objects_move_within_the_budget(
    brigade: Program,
    server: BottomlessServer,
    second: BottomlessServer,
    tmp_path: Path,
    words: list[str],
    given: int,
    taken: int,
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(COUNT):
        (tree / f"large{number}").touch()
        os.truncate(tree / f"large{number}", SIZE)
    named = [word.replace("TREE", str(tree)).replace("TO", str(tmp_path / "to")) for word in words]
    ended = await asyncio.to_thread(brigade, "cp", "--recursive", *named, *PARTS, "--json", timeout_s=120)
    counters = ended.document["counters"]
    assert (counters["done"], counters["done_bytes"], counters["failed"]) == (COUNT, COUNT * SIZE, 0)
    assert server.given == given * COUNT * SIZE
    assert second.taken // COUNT // SIZE == taken


async def test_the_limit_is_one_that_is_felt(brigade: Program) -> None:
    """With a budget beyond the limit the same job cannot work: what was tested above is the budget."""
    words = ["cp", "--recursive", "one://bucket/", "two://bucket/", *PARTS, "--memory", "2GiB"]
    ended = await asyncio.to_thread(brigade, *words, code=None, timeout_s=120)
    assert ended.code not in (0, 2)
    assert "emory" in ended.err
