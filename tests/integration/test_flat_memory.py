"""A job's memory does not grow with the number of its objects, and the engine costs microseconds for each.

The whole job runs in a process of its own (``benchmarks/memory_job.py``): planner, journal on disk, queue, worker and operation,
over a store that lists objects which are nowhere.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MEMORY_JOB = Path(__file__).parents[2] / "benchmarks" / "memory_job.py"
LIMIT_MB = 250
NOISE_MB = 10


def run_job(operation: str, count: int, folder: Path) -> Any:
    done = subprocess.run(
        [sys.executable, str(MEMORY_JOB), "--operation", operation, "--objects", str(count), "--folder", str(folder)],
        capture_output=True,
        check=True,
        timeout=600,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("operation", ["delete", "copy"])
@pytest.mark.parametrize(
    ("few", "many"),
    [
        pytest.param(50_000, 150_000, id="150k"),
        pytest.param(200_000, 1_000_000, id="1M", marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
    ],
)
def test_memory_is_bounded_and_does_not_grow_with_the_objects(
    operation: str, few: int, many: int, tmp_path: Path
) -> None:
    small, large = run_job(operation, few, tmp_path), run_job(operation, many, tmp_path)
    assert (small["done"], large["done"]) == (few, many)
    assert large["peak_memory_mb"] < LIMIT_MB
    assert large["peak_memory_mb"] - small["peak_memory_mb"] < NOISE_MB
