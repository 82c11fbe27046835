from __future__ import annotations

import json
from typing import Any

import pytest
import structlog
from tests.unit.cli.fake_run import JOB

from bucket_brigade.cli.logging import LogSink, make_logger, route_notes_to_stderr
from bucket_brigade.model.events import (
    BatchFinished,
    Event,
    JobFinished,
    JobStarted,
    PlanningFinished,
    Progress,
    TransferFailed,
    TransferFinished,
    Warned,
)
from bucket_brigade.model.outcome import Counters

FAILED = TransferFailed(
    job_id=JOB.id,
    source="a.txt",
    target="2026/a.txt",
    code="AccessDenied",
    message="refused for https://host/a?X-Amz-Signature=hush",
    request_id="REQ1",
    attempts=3,
)


def progress_at(elapsed_s: float, done: int = 0) -> Progress:
    return Progress(
        job_id=JOB.id,
        counters=Counters(planned=100, done=done, done_bytes=done * 10),
        planning_done=True,
        in_flight=4,
        objects_per_s=0.0,
        bytes_per_s=0.0,
        eta_s=12.3,
        elapsed_s=elapsed_s,
    )


def logged(events: list[Event], capsys: pytest.CaptureFixture[str], level: str = "info") -> list[dict[str, Any]]:
    sink = LogSink(make_logger(level, as_json=True, colors=False), JOB, interval_s=10.0)
    for event in events:
        sink(event)
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_a_failure_is_a_warning_with_bucket_key_code_request_and_attempts(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = logged([FAILED], capsys)
    assert line["level"] == "warning"
    assert line["event"] == "transfer failed"
    assert (line["bucket"], line["key"], line["code"]) == ("photos", "2026/a.txt", "AccessDenied")
    assert (line["request_id"], line["attempts"], line["job_id"]) == ("REQ1", 3, JOB.id)
    assert "hush" not in str(line)
    assert line["timestamp"].endswith("Z")


def test_jobs_and_batches_are_info_and_transfers_debug(capsys: pytest.CaptureFixture[str]) -> None:
    counters = Counters(planned=1, done=1)
    events: list[Event] = [
        JobStarted(job_id=JOB.id, operation="upload", source="/data/", target="s3://photos/2026/", resumed=False),
        PlanningFinished(job_id=JOB.id, planned=1, planned_bytes=1),
        TransferFinished(job_id=JOB.id, source="a", target="b", size=1, state="done"),
        BatchFinished(job_id=JOB.id, batch_id=1, worker="w1", counters=counters),
        Warned(job_id=JOB.id, code="Symlink", message="skipped"),
        JobFinished(job_id=JOB.id, state="done", reason="", counters=counters, elapsed_s=1.23456),
    ]
    names = [line["event"] for line in logged(events, capsys)]
    assert names == ["job started", "planning finished", "batch finished", "warning", "job finished"]
    assert "transfer finished" in [line["event"] for line in logged(events, capsys, "debug")]
    assert [line["event"] for line in logged(events, capsys, "error")] == []
    assert logged(events[3:4], capsys)[0]["done"] == 1


def test_progress_is_logged_once_an_interval_with_its_own_rates(capsys: pytest.CaptureFixture[str]) -> None:
    lines = logged([progress_at(second / 2, done=second) for second in range(70)], capsys)
    assert [line["elapsed_s"] for line in lines] == [9.5, 19.0, 28.5]
    assert lines[1]["objects_per_s"] == 2.0
    assert lines[1]["bytes_per_s"] == 20
    assert lines[1]["eta_s"] == 12
    assert lines[1]["planned"] == 100


def test_an_interrupted_job_ends_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    event = JobFinished(job_id=JOB.id, state="interrupted", reason="SIGTERM", counters=Counters(), elapsed_s=1.0)
    assert logged([event], capsys)[0]["level"] == "warning"


def test_names_that_are_not_unicode_can_be_logged(capsys: pytest.CaptureFixture[str]) -> None:
    event = Warned(job_id=JOB.id, code="NotUtf8", message="bad\udcff name")
    assert logged([event], capsys)[0]["message"] == "bad\udcff name"


def test_the_readable_form_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    LogSink(make_logger("info", as_json=False, colors=False), JOB, interval_s=10.0)(FAILED)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "transfer failed" in error


def test_the_configuration_of_the_program_around_us_is_not_touched(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config(), structlog.is_configured()
    make_logger("error", as_json=True, colors=False).error("ours")
    assert (structlog.get_config(), structlog.is_configured()) == before


def test_what_the_library_notes_goes_to_stderr_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    route_notes_to_stderr()
    try:
        structlog.get_logger("bucket_brigade.s3").warning("noted", url="https://host/a?X-Amz-Signature=hush")
    finally:
        structlog.reset_defaults()
    captured = capsys.readouterr()
    assert captured.out == "", "standard output is for data"
    assert json.loads(captured.err)["event"] == "noted"
    assert "hush" not in captured.err


def test_notes_of_the_library_keep_to_the_level_and_the_form_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    route_notes_to_stderr("warning", as_json=False)
    try:
        structlog.get_logger("bucket_brigade.operations").info("nobody asked for this")
        structlog.get_logger("bucket_brigade.operations").warning("noted", store="s3")
    finally:
        structlog.reset_defaults()
    error = capsys.readouterr().err
    assert "nobody asked" not in error
    assert "noted" in error
    assert not error.startswith("{")
