"""A whole job (planner, journal, queue, worker, operation) over a store that answers at once and holds nothing.

usage: .venv/bin/python benchmarks/memory_job.py [--objects 1000000] [--operation delete|copy|upload] [--folder DIR]

Prints one JSON document: seconds, CPU microseconds per object (what the engine itself costs beyond the store's call) and the
highest resident memory of the process. ``copy`` and ``upload`` are one store call per object; ``delete`` is one per thousand.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from typing import cast

import uvloop

from bucket_brigade.engine.messages import WorkerSetup
from bucket_brigade.engine.stores import JobStores
from bucket_brigade.jobs.run import JobRun, Report
from bucket_brigade.journal.port import JobStatus
from bucket_brigade.journal.sqlite import create_journal
from bucket_brigade.model.job import NO_ATTRIBUTES, Job, ObjectAttributes, Operation
from bucket_brigade.model.location import LocalPath, S3Location
from bucket_brigade.model.transfer import JobId
from bucket_brigade.planning.build import build_planner
from bucket_brigade.s3.retrying_store import RetryingStore
from bucket_brigade.s3.store import (
    UNPINNED,
    Body,
    DeleteError,
    DeleteKey,
    ListedObject,
    ListPage,
    Pin,
    Store,
    Written,
)
from bucket_brigade.s3.governor import Governor
from bucket_brigade.settings.values import EndpointSettings, EngineSettings

SIZE = 4096
ETAG = '"0123456789abcdef0123456789abcdef"'
MODIFIED_NS = 1_767_225_600_000_000_000


class EmptyStore:
    """Lists ``count`` objects that are nowhere, and confirms whatever is done with them."""

    def __init__(self, count: int) -> None:
        self._count = count

    async def list_objects(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        start_after: str = "",
        token: str | None = None,
        page_size: int = 1000,
    ) -> ListPage:
        first = int(token or 0)
        last = min(first + page_size, self._count)
        objects = [
            ListedObject(f"{prefix}{number // 1000:06d}/{number:09d}", SIZE, ETAG, MODIFIED_NS)
            for number in range(first, last)
        ]
        return ListPage(objects, [], str(last) if last < self._count else None)

    async def delete_objects(self, bucket: str, keys: list[DeleteKey]) -> dict[int, DeleteError]:
        return {}

    async def copy_object(
        self,
        bucket: str,
        key: str,
        *,
        source_bucket: str,
        source_key: str,
        pin: Pin = UNPINNED,
        attributes: ObjectAttributes | None = None,
        tagging: bool = False,
        **_: object,
    ) -> Written:
        return Written(ETAG)

    async def put_object(
        self,
        bucket: str,
        key: str,
        body: Body,
        *,
        attributes: ObjectAttributes = NO_ATTRIBUTES,
        crc64nvme: int | None = None,
    ) -> Written:
        return Written(ETAG, crc64nvme=crc64nvme)


def make_job(operation: Operation, source: str) -> Job:
    bucket = S3Location(bucket="source", key="p/", recursive=True)
    target = S3Location(bucket="target", key="q/", recursive=True)
    return Job(
        id=JobId("20260101-000000-0000"),
        operation=operation,
        source=LocalPath(path=source, recursive=True) if operation is Operation.UPLOAD else bucket,
        target=None if operation is Operation.DELETE else target,
    )


async def run_job(job: Job, count: int, folder: str) -> Report:
    """Run the job to its end in this process."""
    engine = EngineSettings(processes=1)
    endpoint = EndpointSettings()
    store = RetryingStore(cast("Store", EmptyStore(count)), engine.retry, Governor(), None)

    async def open_store(_: EndpointSettings) -> RetryingStore:
        return store

    async def finish(_: JobStatus) -> None:
        return None

    path = os.path.join(folder, job.id)
    journal = await create_journal(path, job)
    planner = build_planner(job, store, single=None, catalog_path=None, batch_size=engine.batch_size)
    setup = WorkerSetup(
        worker="memory",
        job=job,
        engine=engine,
        source=endpoint,
        target=endpoint,
        every_transfer=False,
        state_dir=folder,
    )
    stores = JobStores(path, engine, open_store)
    run = JobRun(journal, planner, setup, folder=path, stores=stores, finish=finish, resumed=False)
    return await run.wait()


def write_files(folder: str, count: int) -> None:
    for number in range(count):
        if number % 1000 == 0:
            os.makedirs(os.path.join(folder, f"{number // 1000:06d}"))
        with open(os.path.join(folder, f"{number // 1000:06d}", f"{number:09d}"), "wb") as file:
            file.write(b"x" * SIZE)


def peak_memory_mb() -> float:
    """Return the highest resident memory of this process alone. (ru_maxrss would remember the parent's, before exec.)"""
    with open("/proc/self/status") as file:
        [line] = [line for line in file if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--operation", choices=["delete", "copy", "upload"], default="delete")
    parser.add_argument("--folder", help="where the journal (and the files of an upload) lie")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memory-job-", dir=options.folder) as folder:
        source = os.path.join(folder, "source")
        if options.operation == "upload":
            write_files(source, options.objects)
        job = make_job(Operation(options.operation), source)
        wall, cpu = time.perf_counter(), time.process_time()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            report = runner.run(run_job(job, options.objects, folder))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    document = {
        "operation": options.operation,
        "objects": options.objects,
        "done": report.counters.done,
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        "cpu_us_per_object": round(cpu / options.objects * 1e6, 1),
        "peak_memory_mb": round(peak_memory_mb(), 1),
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
