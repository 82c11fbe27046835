"""Listings of millions of keys are planned, and walked through, in flat memory: pages come and go, nothing is gathered."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LIMIT_MB = 100
NOISE_MB = 8

PLAN = """
import asyncio, json, sys, time
sys.path.insert(0, sys.argv[3])
from benchmarks.memory_job import EmptyStore, make_job, peak_memory_mb
from bucket_brigade.model.job import Operation
from bucket_brigade.planning.build import build_planner

class Sink:
    planned = batches = 0
    async def append(self, batches, *, refused, cursor, exhausted):
        self.planned += sum(map(len, batches))
        self.batches += len(batches)

async def main(count, shards):
    planner = build_planner(
        make_job(Operation.DELETE, ""), EmptyStore(count), single=None, catalog_path=None, batch_size=1000, list_shards=shards
    )
    sink = Sink()
    begun = time.perf_counter()
    await planner.run(sink, b"")
    return {"planned": sink.planned, "peak_memory_mb": peak_memory_mb(), "seconds": time.perf_counter() - begun}

print(json.dumps(asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))))
"""


def plan(count: int) -> Any:
    root = str(Path(__file__).parents[2])
    words = [sys.executable, "-c", PLAN, str(count), "1", root]
    done = subprocess.run(words, capture_output=True, check=True, timeout=1200)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("few", "many"),
    [
        pytest.param(100_000, 1_000_000, id="1M"),
        pytest.param(1_000_000, 10_000_000, id="10M", marks=[pytest.mark.slow, pytest.mark.timeout(1200)]),
    ],
)
def test_a_listing_is_planned_in_flat_memory(few: int, many: int) -> None:
    small, large = plan(few), plan(many)
    assert (small["planned"], large["planned"]) == (few, many)
    assert large["peak_memory_mb"] < LIMIT_MB
    assert large["peak_memory_mb"] - small["peak_memory_mb"] < NOISE_MB, f"{small} {large}"
