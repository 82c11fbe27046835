"""What the journal costs for each object, apart from everything else: plan, lease, checkpoint and complete N transfers.

usage: .venv/bin/python benchmarks/journal_cost.py [--objects 1000000] [--folder DIR]

The journal is on the disk of DIR (the default: the system's temporary folder), with its real commits. Only the time inside
journal calls counts; making the transfers does not.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from bucket_brigade.journal.port import Checkpoint, Journal, Lease
from bucket_brigade.journal.sqlite import create_journal
from bucket_brigade.model.job import Job, JobState, Operation
from bucket_brigade.model.location import LocalPath, S3Location
from bucket_brigade.model.outcome import Counters, State
from bucket_brigade.model.transfer import BATCH_SIZE, JobId, Transfer

GOAL_US = 10.0
SIZE = 4096
BATCHES_AT_ONCE = 4
"""Open batches per lease; each gets one checkpoint half-way, more than a fast job makes (one in two seconds)."""


class Costs:
    """CPU and wall seconds by phase. CPU is of all threads of this process."""

    def __init__(self) -> None:
        self.cpu_s: defaultdict[str, float] = defaultdict(float)
        self.wall_s: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.cpu_s[name] += time.process_time() - cpu
        self.wall_s[name] += time.perf_counter() - wall


def make_batch(first: int, count: int) -> list[Transfer]:
    modified_ns = 1_767_225_600_000_000_000
    return [
        Transfer(
            f"{index // 1000:04d}/{index:08d}", f"k/{index // 1000:04d}/{index:08d}", SIZE, modified_ns=modified_ns
        )
        for index in range(first, first + count)
    ]


def checkpoint_of(lease: Lease, done: int) -> Checkpoint:
    states = bytes([State.DONE]) * done + bytes(len(lease.transfers) - done)
    return Checkpoint(
        batch_id=lease.batch_id, epoch=lease.epoch, states=states, counters=Counters(done=done, done_bytes=done * SIZE)
    )


async def plan(journal: Journal, objects: int, costs: Costs) -> None:
    for first in range(0, objects, BATCH_SIZE):
        batch = make_batch(first, min(BATCH_SIZE, objects - first))
        last = first + BATCH_SIZE >= objects
        with costs.phase("append"):
            await journal.append([batch], refused=[], cursor=str(first).encode(), exhausted=last)


async def execute(journal: Journal, costs: Costs) -> None:
    while True:
        with costs.phase("lease"):
            leases = await journal.lease("worker-0", BATCHES_AT_ONCE)
        if not leases:
            return
        halves = [checkpoint_of(lease, len(lease.transfers) // 2) for lease in leases]
        with costs.phase("checkpoint"):
            await journal.checkpoint(halves)
        for lease in leases:
            whole = checkpoint_of(lease, len(lease.transfers))
            with costs.phase("complete"):
                await journal.complete(whole)


async def measure(folder: str, objects: int) -> int:
    costs = Costs()
    job = Job(
        id=JobId("journal-cost"),
        operation=Operation.UPLOAD,
        source=LocalPath(path="/source/"),
        target=S3Location(endpoint="s3", bucket="sink", key="k/"),
    )
    journal = await create_journal(folder, job)
    try:
        await plan(journal, objects, costs)
        await execute(journal, costs)
        await journal.set_state(JobState.DONE)
        done = (await journal.status()).counters.done
    finally:
        await journal.close()
    size = sum(entry.stat().st_size for entry in os.scandir(folder))
    return tell(costs, objects, done, size)


def tell(costs: Costs, objects: int, done: int, size: int) -> int:
    print(f"{objects:,} transfers in batches of {BATCH_SIZE:,}; microseconds per object\n")
    print("| call | CPU | wall |\n|---|---:|---:|")
    for name in costs.cpu_s:
        print(f"| {name} | {costs.cpu_s[name] / objects * 1e6:.2f} | {costs.wall_s[name] / objects * 1e6:.2f} |")
    cpu_us, wall_us = (sum(phases.values()) / objects * 1e6 for phases in (costs.cpu_s, costs.wall_s))
    print(f"| **all** | **{cpu_us:.2f}** | **{wall_us:.2f}** |\n")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(f"journal: {size / 1e6:.0f} MB on disk, {size / objects:.0f} bytes per object; peak memory {peak_mb:.0f} MB")
    if done != objects:
        print(f"the journal counts {done:,} done")
        return 1
    print(f"goal: under {GOAL_US:g} us of wall time per object: {'met' if wall_us < GOAL_US else 'missed'}")
    return 0 if wall_us < GOAL_US else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--folder", help="where the journal goes; default: a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="journal-cost-", dir=options.folder) as folder:
        return asyncio.run(measure(os.path.join(folder, "job"), options.objects))


if __name__ == "__main__":
    sys.exit(main())
