"""What a run ends with: a few lines for people, or one JSON document."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from bucket_brigade.cli.exits import INTERRUPTED, OK, SOME_FAILED, USAGE
from bucket_brigade.cli.redaction import redact_text
from bucket_brigade.cli.text import format_count, printable
from bucket_brigade.jobs.brigade import Report
from bucket_brigade.jobs.run import may_be_empty
from bucket_brigade.model.job import Job, JobState, Operation, VersionsOf
from bucket_brigade.model.outcome import Failure, State
from bucket_brigade.settings.units import format_duration, format_size

SHOWN_NOTES = 3
SHOWN_FAILURES = 10
LISTED_FAILURES = 100

_EXIT_CODES = {
    JobState.DONE: OK,
    JobState.DONE_WITH_FAILURES: SOME_FAILED,
    JobState.INTERRUPTED: INTERRUPTED,
    JobState.CANCELLED: INTERRUPTED,
    JobState.RUNNING: INTERRUPTED,
    JobState.PLANNED: INTERRUPTED,
}
_PAST = {
    Operation.UPLOAD: "uploaded",
    Operation.DOWNLOAD: "downloaded",
    Operation.COPY: "copied",
    Operation.RELAY: "relayed",
    Operation.DELETE: "deleted",
    Operation.SET: "changed",
    Operation.UNARCHIVE: "asked for",
}

_IN_PLACE = frozenset({Operation.DELETE, Operation.SET, Operation.UNARCHIVE})


def exit_code(report: Report) -> int:
    """Return the exit code of a run: by the state in which it left its job, and 2 where the source was empty."""
    return USAGE if is_empty(report) else _EXIT_CODES[report.state]


def is_empty(report: Report) -> bool:
    """Say whether a job ended without having found anything to move: a wrong location or filter, most likely."""
    return report.state is JobState.DONE and not report.counters.planned and not may_be_empty(report.job)


def summary_document(report: Report, paths: Mapping[str, str], resume: str) -> dict[str, Any]:
    """Return what ``--json`` prints: sizes in bytes, times in seconds. ``failures`` holds the first ones only."""
    elapsed_s = max(report.elapsed_s, 1e-9)
    return {
        "job_id": report.job.id,
        "state": report.state,
        "reason": report.reason,
        "operation": report.job.operation,
        "move": report.job.move,
        "source": str(report.job.source),
        "target": None if report.job.target is None else str(report.job.target),
        "counters": msgspec.structs.asdict(report.counters),
        "elapsed_s": round(report.elapsed_s, 3),
        "objects_per_s": round(report.counters.settled / elapsed_s, 1),
        "bytes_per_s": round(report.counters.done_bytes / elapsed_s),
        "folder": report.folder,
        "reports": dict(paths),
        "not_carried": len(_notes(report.failures)),
        "failures": [failure_document(failure) for failure in report.failures[:LISTED_FAILURES]],
        "resume": resume or None,
        "exit_code": exit_code(report),
    }


def failure_document(failure: Failure) -> dict[str, Any]:
    """Return one failure (or skip with a reason) as JSON."""
    return {
        "source": failure.source,
        "target": failure.target,
        "state": State(failure.state).name.lower(),
        "code": failure.code,
        "message": redact_text(failure.message),
        "request_id": failure.request_id,
        "attempts": failure.attempts,
    }


def summary_lines(report: Report, paths: Mapping[str, str]) -> list[str]:
    """Return the summary for people."""
    counters = report.counters
    lines = [_done_line(report)]
    others = [
        f"{count:,} {noun}"
        for count, noun in (
            (counters.failed, "failed"),
            (counters.skipped, "skipped"),
            (counters.vanished, "vanished before their turn"),
            (len(_notes(report.failures)), "without all of their attributes (see failures.csv)"),
            (counters.retries, "retries"),
        )
        if count
    ]
    if others:
        lines.append("  " + ", ".join(others))
    if report.state is not JobState.DONE:
        lines.append(
            f"  {report.state.replace('_', ' ')}" + (f": {redact_text(report.reason)}" if report.reason else "")
        )
    lines += failure_lines(report.failures, counters.failed)
    lines += [f"  note: {_failure_line(failure)}" for failure in _notes(report.failures)[:SHOWN_NOTES]]
    lines.append(f"  job {report.job.id}, report {paths.get('report') or report.folder + os.sep}")
    return lines


def _done_line(report: Report) -> str:
    job, done, elapsed_s = report.job, report.counters.done, report.elapsed_s
    moved = 0 if job.operation in _IN_PLACE else report.counters.done_bytes
    line = f"{format_count(done, _noun(job))} {'moved' if job.move else _past(job)}"
    line += f", {format_size(moved)}" if moved else ""
    line += f" in {format_duration(elapsed_s)}"
    if not (elapsed_s > 0 and done):
        return line
    rates = [f"{format_size(int(moved / elapsed_s))}/s"] if moved else []
    return f"{line} ({', '.join([*rates, f'{done / elapsed_s:,.0f} objects/s'])})"


def _noun(job: Job) -> str:
    """Return what one transfer of a job is."""
    if job.versions.which is VersionsOf.MARKERS:
        return "delete marker"
    several = job.operation is Operation.DELETE and job.versions.which in (VersionsOf.ALL, VersionsOf.NONCURRENT)
    return "version" if several else "object"


def _past(job: Job) -> str:
    if job.versions.which is VersionsOf.MARKERS:
        return "removed"
    if job.versions.in_place:
        return "brought back"
    return _PAST[job.operation] + (" with all versions" if job.versions.which is VersionsOf.ALL and job.target else "")


def _notes(failures: tuple[Failure, ...]) -> list[Failure]:
    """Return what is done and could not be carried over whole, as far as the report holds it (its first 1,000 rows)."""
    return [failure for failure in failures if failure.code == "NotCarried" and failure.state != State.FAILED]


def failure_lines(failures: tuple[Failure, ...], failed: int) -> list[str]:
    """Return a line for each of the first failures, and one that says how many more there are."""
    told = [failure for failure in failures if failure.state == State.FAILED][:SHOWN_FAILURES]
    lines = [f"  failed: {_failure_line(failure)}" for failure in told]
    if failed > len(told):
        lines.append(f"  … and {failed - len(told):,} more, all in the report's failures.csv")
    return lines


def _failure_line(failure: Failure) -> str:
    request = f", request {failure.request_id}" if failure.request_id else ""
    attempts = f", {failure.attempts} attempts" if failure.attempts > 1 else ""
    return f"{printable(failure.source)}: {failure.code}: {redact_text(failure.message)}{request}{attempts}"
