from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

import pytest
from tests.unit.cli.fake_run import JOB, FakeBrigade, make_report

from bucket_brigade.cli.invocation import Output, decide_output
from bucket_brigade.cli.running import run_request, run_submitted
from bucket_brigade.cli.summary import failure_lines, summary_lines
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.model.job import JobState
from bucket_brigade.model.outcome import Failure
from bucket_brigade.settings.values import EndpointSettings, LogSettings, Settings

REQUEST = JobRequest(verb="cp", source="/data/", target="s3://photos/2026/")
FAILURE = Failure(0, "a.txt", "2026/a.txt", "AccessDenied", "refused", "REQ1", 3)


def output_of(**changes: Any) -> Output:
    fields = {"progress": False, "log_level": "error", "json_log": True, "summary": True, "as_json": False}
    return Output(**{**fields, "log_interval_s": 10.0, **changes})


async def run(brigade: FakeBrigade, output: Output) -> int:
    return await run_request(brigade, REQUEST, output, lambda job_id: f"brigade resume {job_id} --state-dir /s")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "code"),
    [(JobState.DONE, 0), (JobState.DONE_WITH_FAILURES, 3), (JobState.INTERRUPTED, 130), (JobState.CANCELLED, 130)],
)
async def test_the_state_of_the_job_decides_the_exit_code(state: JobState, code: int) -> None:
    assert await run(FakeBrigade(make_report(state)), output_of()) == code


async def test_the_summary_tells_counts_rate_job_and_report(capsys: pytest.CaptureFixture[str]) -> None:
    await run(FakeBrigade(), output_of())
    captured = capsys.readouterr()
    assert "3 objects uploaded, 20 B in 2.0 s (10 B/s, 2 objects/s)" in captured.out
    assert f"job {JOB.id}, report /state/{JOB.id}/report.json" in captured.out
    assert captured.err == ""


async def test_json_is_one_document_with_everything(capsys: pytest.CaptureFixture[str]) -> None:
    report = make_report(JobState.DONE_WITH_FAILURES, failures=(FAILURE,))
    assert await run(FakeBrigade(report), output_of(as_json=True, summary=False)) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["counters"]["failed"] == 1
    assert document["failures"][0]["code"] == "AccessDenied"
    assert document["failures"][0]["state"] == "failed"
    assert (document["exit_code"], document["resume"], document["job_id"]) == (3, None, JOB.id)
    assert document["reports"]["report"].endswith("report.json")


async def test_an_object_on_standard_output_is_not_mixed_with_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    await run(FakeBrigade(), output_of(summary_on_stderr=True))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "3 objects" in captured.err


async def test_quiet_prints_nothing_but_that_objects_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(FakeBrigade(), output_of(summary=False)) == 0
    assert capsys.readouterr() == ("", "")
    await run(FakeBrigade(make_report(JobState.DONE_WITH_FAILURES, failures=(FAILURE,))), output_of(summary=False))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1 failed" in captured.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_signal_stops_gently_the_second_at_once_and_the_last_line_resumes(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    brigade = FakeBrigade(make_report(JobState.INTERRUPTED), until_stopped=True)
    running = asyncio.create_task(run(brigade, output_of()))
    await brigade.run.waiting.wait()
    os.kill(os.getpid(), number)
    while not brigade.run.stops:
        await asyncio.sleep(0)
    assert not running.done()
    os.kill(os.getpid(), number)
    assert await running == 130
    assert brigade.run.stops == [False, True]
    assert capsys.readouterr().err.splitlines()[-1] == f"brigade resume {JOB.id} --state-dir /s"


async def test_signals_are_given_back_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    await run(FakeBrigade(), output_of())
    assert signal.getsignal(signal.SIGTERM) == before


async def test_transfers_are_asked_for_at_debug_only() -> None:
    quiet, loud = FakeBrigade(), FakeBrigade()
    await run(quiet, output_of(log_level="info"))
    await run(loud, output_of(log_level="debug"))
    assert not quiet.run.transfers_wanted
    assert loud.run.transfers_wanted


async def test_resume_passes_on_that_failures_are_tried_again() -> None:
    brigade = FakeBrigade()
    await run_submitted(brigade, JOB.id, output_of(), lambda _: "", retry_failed=True)  # type: ignore[arg-type]
    assert brigade.retried_failed


def test_the_summary_names_the_first_failures_and_how_many_more_there_are() -> None:
    lines = failure_lines((FAILURE,), failed=1_000)
    assert lines[0] == "  failed: a.txt: AccessDenied: refused, request REQ1, 3 attempts"
    assert lines[1].startswith("  … and 999 more")
    forged = Failure(0, "a\n\x1b[2Jb", "", "X", "m")
    assert "\n" not in failure_lines((forged,), failed=1)[0]
    assert "\x1b" not in failure_lines((forged,), failed=1)[0]


def test_an_interrupted_job_says_so() -> None:
    assert "  interrupted: it was stopped" in summary_lines(make_report(JobState.INTERRUPTED), {})


# --- what is printed -------------------------------------------------------------------------------------------------


def decided(terminal: bool, *, level_is_given: bool = False, log: LogSettings | None = None, **flags: Any) -> Output:
    settings = Settings(endpoints={"s3": EndpointSettings()}, state_dir="/s", log=log or LogSettings())
    return decide_output(settings, level_is_given=level_is_given, flags=flags, stderr_is_terminal=terminal)


def test_without_a_terminal_the_log_is_json_lines_and_there_is_no_display() -> None:
    output = decided(False)
    assert (output.json_log, output.progress, output.log_level, output.summary) == (True, False, "info", True)


def test_on_a_terminal_the_display_stands_in_for_the_info_log() -> None:
    output = decided(True)
    assert (output.json_log, output.progress, output.log_level) == (False, True, "warning")
    assert decided(True, level_is_given=True).log_level == "info"
    assert decided(True, no_progress=True).log_level == "info"


def test_a_json_log_on_a_terminal_takes_the_place_of_the_display() -> None:
    assert not decided(True, log=LogSettings(format="json")).progress


def test_quiet_and_only_show_errors_leave_out_what_they_say() -> None:
    quiet, errors = decided(True, quiet=True), decided(True, only_show_errors=True)
    assert (quiet.progress, quiet.log_level, quiet.summary) == (False, "error", False)
    assert (errors.progress, errors.log_level, errors.summary) == (False, "warning", False)
    assert decided(True, quiet=True, as_json=True).as_json
