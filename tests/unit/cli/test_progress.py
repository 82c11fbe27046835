from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console
from tests.unit.cli.fake_run import JOB

from bucket_brigade.cli.progress import ProgressDisplay, completed_fraction, render
from bucket_brigade.model.events import Progress
from bucket_brigade.model.job import Job, Operation
from bucket_brigade.model.outcome import Counters

HALF = Progress(
    job_id=JOB.id,
    counters=Counters(planned=2000, planned_bytes=4 << 20, done=900, done_bytes=2 << 20, failed=2, retries=7),
    planning_done=True,
    in_flight=64,
    objects_per_s=1234.4,
    bytes_per_s=5.5 * (1 << 20),
    eta_s=75.0,
    elapsed_s=61.0,
)
DELETE: Job = msgspec.structs.replace(JOB, operation=Operation.DELETE, target=None)


def shown(job: Job, progress: Progress) -> str:
    console = Console(file=io.StringIO(), width=100)
    with console.capture() as capture:
        console.print(render(job, progress))
    return capture.get()


def test_the_display_tells_objects_bytes_rates_time_left_failures_and_retries() -> None:
    text = shown(JOB, HALF)
    for piece in (
        "50%",
        "902/2,000 objects",
        "2 MiB of 4 MiB",
        "5.5 MiB/s",
        "1,234 objects/s",
        "1m 15s left",
        "2 failed",
        "7 retries",
    ):
        assert piece in text
    assert len(text.splitlines()) == 2


def test_while_planning_goes_on_no_end_is_promised() -> None:
    planning = msgspec.structs.replace(HALF, planning_done=False, eta_s=None)
    text = shown(JOB, planning)
    assert "%" not in text
    assert "902/2,000+ objects" in text
    assert completed_fraction(JOB, planning) is None


def test_a_delete_counts_objects_and_no_bytes() -> None:
    assert completed_fraction(DELETE, HALF) == pytest.approx(902 / 2000)
    assert "MiB" not in shown(DELETE, HALF)


def test_skipped_objects_do_not_keep_the_bar_from_its_end() -> None:
    counters = Counters(planned=10, planned_bytes=100, skipped=10)
    assert completed_fraction(JOB, msgspec.structs.replace(HALF, counters=counters)) == 1.0


def test_the_display_is_gone_when_it_ends() -> None:
    out = io.StringIO()
    with ProgressDisplay(JOB, Console(file=out, force_terminal=True, width=80)) as display:
        display(HALF)
    assert out.getvalue().endswith(("\x1b[2K", "\x1b[?25h", "\x1b[1A\x1b[2K"))
