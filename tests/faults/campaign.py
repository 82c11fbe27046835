"""Jobs of the installed command that are killed with SIGKILL at random instants, and resumed until they are done."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.integration.program import Program

MAX_RUNS = 12
RUN_TIMEOUT_S = 90.0
STARTED = '"event": "job started"'

Kill = Callable[[subprocess.Popen[bytes]], None]


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the program and its worker processes together, as a power failure would."""
    os.killpg(process.pid, signal.SIGKILL)


def kill_parent(process: subprocess.Popen[bytes]) -> None:
    """Kill only the process that holds the journal: its workers have to notice."""
    process.kill()


def children_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the worker processes."""
    try:
        return [int(word) for word in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def run_with_kills(
    program: Program, words: list[str], chance: random.Random, *, kills: int, span_s: float, kill: Kill = kill_group
) -> str:
    """Run a job, kill it ``kills`` times at random instants, and resume it to its end; return its id.

    Two of three kills come within ``span_s`` after the job has begun to move objects, the others at any instant from the
    start of the process on. What was begun before the journal was there has had no effect, and is begun again.
    """
    for _ in range(MAX_RUNS):
        jobs = program.job_ids()
        begun_before = program.said(STARTED)
        process = program.start(*(["resume", jobs[-1]] if jobs else words))
        try:
            if kills:
                _reach_an_instant(program, process, chance, begun_before, span_s)
            code = process.wait(0 if kills else RUN_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            kill(process) if kills else kill_group(process)
            process.wait()
            assert kills, f"brigade {' '.join(words)} did not end:\n{program.tail()}"
            kills -= 1
            continue
        assert code == 0 or (code == 2 and _is_done(program)), f"exit code {code}\n{program.tail()}"
        return program.job_ids()[-1]
    raise AssertionError(f"the job never ended:\n{program.tail()}")


def _reach_an_instant(
    program: Program, process: subprocess.Popen[bytes], chance: random.Random, begun_before: int, span_s: float
) -> None:
    anywhere = chance.random() < 1 / 3
    wait_s = chance.uniform(0.05, 1.0 + span_s) if anywhere else chance.uniform(0.0, span_s)
    if not anywhere:
        program.wait_until_said(STARTED, process, times=begun_before + 1)
    until = time.monotonic() + wait_s
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)


def _is_done(program: Program) -> bool:
    """A kill between the last write and the exit leaves nothing to resume."""
    jobs = program.job_ids()
    return bool(jobs) and program.status(jobs[-1])["state"] == "done"


def expect_all_done(program: Program, job_id: str, count: int) -> None:
    """Every object is counted exactly once, and as done."""
    counters = program.status(job_id)["counters"]
    assert (counters["planned"], counters["done"], counters["failed"]) == (count, count, 0)
    assert counters["skipped"] == counters["vanished"] == 0
