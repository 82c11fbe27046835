"""The report of a job: files beside its journal, written from the journal, at any time and with flat memory."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence

import aiofiles
import msgspec

from bucket_brigade.journal.port import BatchRecord, JobStatus
from bucket_brigade.local.oserrors import translated
from bucket_brigade.model.outcome import Failure, State

REPORT = "report.json"
FAILURES = "failures.csv"
OBJECTS = "objects.csv"

FAILURE_COLUMNS = ("state", "source", "target", "code", "message", "request_id", "attempts")
OBJECT_COLUMNS = ("state", "source", "target", "logical", "size", "etag", "version_id")


def report_document(status: JobStatus) -> dict[str, object]:
    """Return what report.json says: the job, its state and its counters. Times are nanoseconds since the epoch."""
    return {
        "job": msgspec.to_builtins(status.job),
        "state": str(status.state),
        "reason": status.reason,
        "counters": msgspec.to_builtins(status.counters),
        "planning_done": status.planning_done,
        "open_batches": status.open_batches,
        "started_ns": status.started_ns,
        "finished_ns": status.finished_ns,
    }


async def write_report(folder: str, status: JobStatus) -> str:
    """Write report.json; return its path."""
    path = os.path.join(folder, REPORT)
    encoded = msgspec.json.format(msgspec.json.encode(report_document(status)), indent=2)
    await _replace(path, _once(encoded + b"\n"))
    return path


async def write_failures(folder: str, failures: AsyncIterator[Failure]) -> str:
    """Write failures.csv, a line for each object that failed or was skipped for a reason; return its path."""
    path = os.path.join(folder, FAILURES)
    await _replace(path, _failure_lines(failures))
    return path


async def write_objects(folder: str, batches: AsyncIterator[BatchRecord]) -> str:
    """Write objects.csv, a line for each planned object; return its path."""
    path = os.path.join(folder, OBJECTS)
    await _replace(path, _object_lines(batches))
    return path


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _failure_lines(failures: AsyncIterator[Failure]) -> AsyncIterator[bytes]:
    yield _csv([FAILURE_COLUMNS])
    async for failure in failures:
        state = State(failure.state).name.lower()
        yield _csv(
            [
                (
                    state,
                    failure.source,
                    failure.target,
                    failure.code,
                    failure.message,
                    failure.request_id,
                    failure.attempts,
                )
            ]
        )


async def _object_lines(batches: AsyncIterator[BatchRecord]) -> AsyncIterator[bytes]:
    yield _csv([OBJECT_COLUMNS])
    async for batch in batches:
        yield _csv(
            (State(state).name.lower(), t.source, t.target, t.logical or "", t.size, t.etag, t.version_id or "")
            for t, state in zip(batch.transfers, batch.states, strict=True)
        )


def _csv(rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


async def _replace(path: str, chunks: AsyncIterator[bytes]) -> None:
    """Write a file whole or not at all; readable by its owner alone, as everything in a job's folder. LocalError, DiskFull."""
    with translated(f"write the report {path}"):
        descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".report-")
        try:
            async with aiofiles.open(descriptor, "wb") as file:
                async for chunk in chunks:
                    await file.write(chunk)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
