"""Events of a job, and what the library notes by itself, as structured log lines on stderr.

Only the command configures structlog as a whole; a program that uses bucket-brigade as a library keeps its own configuration.
"""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import Any, assert_never

import msgspec
import structlog

from bucket_brigade.cli.redaction import redact
from bucket_brigade.model.events import (
    BatchFinished,
    Event,
    Governed,
    JobFinished,
    JobStarted,
    PlanningFinished,
    Progress,
    TransferFailed,
    TransferFinished,
    Warned,
)
from bucket_brigade.model.job import Job, JobState, Operation
from bucket_brigade.model.location import S3Location

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class StderrLines:
    """A structlog logger that writes lines to whatever ``sys.stderr`` is now: a live display puts itself in its place."""

    def msg(self, line: str) -> None:
        """Write one line."""
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    debug = info = warning = error = msg


def hide_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace secrets in every field (a structlog processor)."""
    for name, value in event.items():
        event[name] = redact(name, value)
    return event


def put_first(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Begin every line with when, how grave and what (a structlog processor)."""
    return {name: event[name] for name in ("timestamp", "level", "event")} | dict(event)


def route_notes_to_stderr(level: str = "info", *, as_json: bool = True, colors: bool = False) -> None:
    """Let the library's own notes (a checksum that was refused, a lane that is not used) go where logs go, as the log does.

    By default structlog prints on standard output, which is for data.
    """
    structlog.configure(
        processors=[*_processors(), _renderer(as_json=as_json, colors=colors)],
        logger_factory=lambda *_: StderrLines(),
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
    )


def _processors() -> list[Any]:
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    return [structlog.processors.add_log_level, stamp, hide_secrets, put_first]


def _renderer(*, as_json: bool, colors: bool) -> Any:
    if as_json:
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=18, sort_keys=False)


def make_logger(level: str, *, as_json: bool, colors: bool) -> Any:
    """Return a bound logger of ``level`` that writes JSON lines, or a readable form, to stderr."""
    return structlog.wrap_logger(
        StderrLines(),
        processors=[*_processors(), _renderer(as_json=as_json, colors=colors)],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        context_class=dict,
        cache_logger_on_first_use=True,
    ).bind()


class LogSink:
    """Logs the events of one job: jobs and batches at info, transfers at debug, failures as warnings.

    Progress events come as often as the display likes them; one is logged every ``interval_s`` seconds of the run.
    """

    def __init__(self, logger: Any, job: Job, *, interval_s: float) -> None:
        self._logger = logger.bind(job_id=job.id)
        self._job = job
        self._interval_s = interval_s
        self._logged: Progress | None = None

    def __call__(self, event: Event) -> None:
        """Log one event."""
        log = self._logger
        match event:
            case JobStarted():
                log.info("job started", **_fields(event))
            case PlanningFinished():
                log.info("planning finished", **_fields(event))
            case BatchFinished():
                log.info("batch finished", **_flat_counters(event))
            case TransferFinished():
                log.debug("transfer finished", **_fields(event))
            case TransferFailed():
                log.warning("transfer failed", **_object_of(self._job, event), **_fields(event))
            case Warned():
                log.warning("warning", **_fields(event))
            case Governed():
                log.info("endpoint governed", **_fields(event))
            case Progress():
                self._log_progress(event)
            case JobFinished():
                record = log.info if event.state == JobState.DONE else log.warning
                record("job finished", **_flat_counters(event))
            case _:
                assert_never(event)

    def _log_progress(self, event: Progress) -> None:
        before = self._logged
        elapsed_s = event.elapsed_s - (before.elapsed_s if before else 0.0)
        # A display's tick may come a moment early; without the tolerance every second interval would be skipped.
        if elapsed_s < self._interval_s * 0.95:
            return
        fields = _flat_counters(event)
        then = before.counters if before else None
        fields["objects_per_s"] = round((event.counters.settled - (then.settled if then else 0)) / elapsed_s, 1)
        fields["bytes_per_s"] = round((event.counters.done_bytes - (then.done_bytes if then else 0)) / elapsed_s)
        fields["eta_s"] = None if event.eta_s is None else round(event.eta_s)
        self._logger.info("progress", **fields)
        self._logged = msgspec.structs.replace(event, counters=msgspec.structs.replace(event.counters))


def _fields(event: Event) -> dict[str, Any]:
    fields: dict[str, Any] = {name: getattr(event, name) for name in event.__struct_fields__ if name != "job_id"}
    if "elapsed_s" in fields:
        fields["elapsed_s"] = round(fields["elapsed_s"], 3)
    return fields


def _flat_counters(event: BatchFinished | Progress | JobFinished) -> dict[str, Any]:
    fields = _fields(event)
    del fields["counters"]
    return fields | msgspec.structs.asdict(event.counters)


def _object_of(job: Job, event: TransferFailed) -> dict[str, str]:
    """Return bucket and key of the S3 object that a failure is about: the source, or an upload's target."""
    location, key = (job.target, event.target) if job.operation is Operation.UPLOAD else (job.source, event.source)
    if not isinstance(location, S3Location):
        return {}
    return {"bucket": location.bucket, "key": key}
