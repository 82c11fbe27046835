"""Jobs as tables, lines and JSON documents."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from bucket_brigade.cli.redaction import redact_text
from bucket_brigade.cli.text import format_local_time, printable
from bucket_brigade.journal.port import JobStatus
from bucket_brigade.model.job import Job, JobState, Operation, VersionsOf
from bucket_brigade.settings.units import format_duration, format_size, format_time

if TYPE_CHECKING:
    from rich.table import Table

_STATE_STYLES = {
    JobState.DONE: "green",
    JobState.RUNNING: "cyan",
    JobState.INTERRUPTED: "yellow",
    JobState.DONE_WITH_FAILURES: "red",
}

_COLUMNS = ("JOB", "CREATED", "STATE", "DONE", "FAILED", "OPERATION")
_WIDE = 110
"""Columns of a terminal from which on a table of jobs shows all it knows."""


def job_document(status: JobStatus) -> dict[str, Any]:
    """Return how a job stands, as JSON: times in UTC, sizes in bytes."""
    job = status.job
    return {
        "job_id": job.id,
        "state": status.state,
        "reason": redact_text(status.reason),
        "operation": job.operation,
        "move": job.move,
        "versions": _versions_words(job) or None,
        "source": str(job.source),
        "target": None if job.target is None else str(job.target),
        "layout": job.layout,
        "planning_done": status.planning_done,
        "open_batches": status.open_batches,
        "counters": msgspec.structs.asdict(status.counters),
        "created": _moment(job.created_ns),
        "started": _moment(status.started_ns),
        "finished": _moment(status.finished_ns),
    }


def _versions_words(job: Job) -> str:
    """Return which versions a job means, empty for the current ones."""
    match job.versions.which:
        case VersionsOf.ALL:
            return "all versions and delete markers"
        case VersionsOf.NONCURRENT:
            kept = f", but for the newest {job.versions.keep_last} of each key" if job.versions.keep_last else ""
            before = job.versions.noncurrent_before_ns
            return (
                "noncurrent versions"
                + (f", replaced before {format_time(before)}" if before is not None else "")
                + kept
            )
        case VersionsOf.MARKERS:
            return "the latest delete markers"
        case VersionsOf.AS_OF:
            return f"as of {format_time(job.versions.as_of_ns or 0)}"
        case _:
            return ""


def _moment(time_ns: int) -> str | None:
    return format_time(time_ns) if time_ns else None


def status_lines(status: JobStatus, folder: str, resume: str) -> list[str]:
    """Return how a job stands, for people; ``folder`` and ``resume`` are left out where they are empty."""
    job, counters = status.job, status.counters
    total = f"{counters.planned:,}" if status.planning_done else f"{counters.planned:,} planned so far"
    rows = [
        ("job", job.id),
        ("state", status.state.replace("_", " ") + (f": {redact_text(status.reason)}" if status.reason else "")),
        ("operation", ("move by " if job.move else "") + job.operation),
        ("versions", _versions_words(job)),
        ("source", printable(str(job.source))),
        ("target", "" if job.target is None else printable(str(job.target))),
        ("done", f"{counters.done:,} of {total}"),
        ("bytes", _bytes_line(status)),
        ("others", f"{counters.failed:,} failed, {counters.skipped:,} skipped, {counters.vanished:,} vanished"),
        ("retries", f"{counters.retries:,}"),
        ("created", format_local_time(job.created_ns)),
        ("ran for", _ran_for(status)),
        ("folder", folder),
        ("resume", resume),
    ]
    return [f"{name:<10} {text}" for name, text in rows if text]


def _bytes_line(status: JobStatus) -> str:
    if status.job.operation in (Operation.DELETE, Operation.SET, Operation.UNARCHIVE):
        return ""
    return f"{format_size(status.counters.done_bytes)} of {format_size(status.counters.planned_bytes)}"


def _ran_for(status: JobStatus) -> str:
    if not (status.started_ns and status.finished_ns):
        return ""
    return format_duration(max(0.0, (status.finished_ns - status.started_ns) / 1e9))


def write_job_table(statuses: Sequence[JobStatus]) -> None:
    """Print a line for each job, as wide as it needs to be where standard output is no terminal."""
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = 10_000
    console.print(job_table(statuses, width=console.width))


def job_table(statuses: Sequence[JobStatus], *, width: int) -> Table:
    """Return a table of jobs, a line each. Ids, which other verbs ask for, are whole in any ``width`` (columns)."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    # A job's id begins with the time when it was made: where there is little room, CREATED says nothing new.
    shown = [name for name in _COLUMNS if width >= _WIDE or name not in ("CREATED", "OPERATION")]
    for name in shown:
        table.add_column(name, no_wrap=True, justify="right" if name in ("DONE", "FAILED") else "left")
    table.columns[0].min_width = max((len(status.job.id) for status in statuses), default=0)
    table.add_column("FROM, TO", overflow="fold", min_width=20)
    for status in statuses:
        job, counters = status.job, status.counters
        cells: dict[str, str | Text] = {
            "JOB": job.id,
            "CREATED": format_local_time(job.created_ns),
            "STATE": Text(status.state.replace("_", " "), style=_STATE_STYLES.get(status.state, "")),
            "DONE": f"{counters.done:,}",
            "FAILED": Text(f"{counters.failed:,}", style="red" if counters.failed else ""),
            "OPERATION": job.operation,
        }
        sides = Text(printable(str(job.source) + ("" if job.target is None else f" → {job.target}")))
        table.add_row(*(cells[name] for name in shown), sides)
    return table
