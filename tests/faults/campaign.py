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
_TRANSFERRED = b'"event": "transfer finished"'
_LOOK_AGAIN_S = 0.002
_START_UP_S = 1.0

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
    program: Program, words: list[str], chance: random.Random, *, objects: int, kills: int, kill: Kill = kill_group
) -> str:
    """Run a job, kill it up to ``kills`` times at random instants, and resume it to its end; return its id.

    Most instants are random in the job's progress (the debug log tells of every transfer) and then a little later, so that
    they lie within the work on any machine; at least one always does. The others may be in the start-up, or in the end.
    What was begun before the journal was there has had no effect, and is begun again.
    """
    struck = 0
    for _ in range(MAX_RUNS):
        jobs = program.job_ids()
        log_end = program.log.stat().st_size if program.log.exists() else 0
        process = program.start(*(["resume", jobs[-1]] if jobs else words), "--log-level", "debug")
        try:
            if struck < kills:
                in_start_up = struck > 0 and chance.random() < 1 / 4
                transfers = 0 if in_start_up else chance.randrange(1, objects if struck else objects // 2)
                pause_s = _START_UP_S if in_start_up else chance.choice([0.0, 0.01, 0.3 if struck else 0.02])
                _wait_for(program.log, log_end, process, transfers)
                process.wait(pause_s * chance.random())
            code = process.wait(RUN_TIMEOUT_S if struck >= kills else 0)
        except subprocess.TimeoutExpired:
            kill(process) if struck < kills else kill_group(process)
            process.wait()
            assert struck < kills, f"brigade {' '.join(words)} did not end:\n{program.tail()}"
            struck += 1
            continue
        assert code == 0 or (code == 2 and _is_done(program)), f"exit code {code}\n{program.tail()}"
        assert struck, f"the job was over before it could be killed:\n{program.tail()}"
        return program.job_ids()[-1]
    raise AssertionError(f"the job never ended:\n{program.tail()}")


def _wait_for(log: Path, start: int, process: subprocess.Popen[bytes], transfers: int) -> None:
    """Wait until the log, from ``start`` on, tells of so many transfers, or the process has ended."""
    if not transfers:
        return
    with log.open("rb") as lines:
        lines.seek(start)
        told = 0
        while process.poll() is None:
            told += sum(_TRANSFERRED in line for line in lines.readlines())
            if told >= transfers:
                return
            time.sleep(_LOOK_AGAIN_S)


def _is_done(program: Program) -> bool:
    """A kill between the last write and the exit leaves nothing to resume."""
    jobs = program.job_ids()
    return bool(jobs) and program.status(jobs[-1])["state"] == "done"


def expect_all_done(program: Program, job_id: str, count: int) -> None:
    """Every object is counted exactly once, and as done."""
    counters = program.status(job_id)["counters"]
    assert (counters["planned"], counters["done"], counters["failed"]) == (count, count, 0)
    assert counters["skipped"] == counters["vanished"] == 0
