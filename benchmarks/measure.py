"""Run one program and tell what it and all its descendants cost."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

POLL_S = 0.02
FIRST_POLL_S = 0.002
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one run cost.

    Attributes:
        wall_s: from starting the program to its end, its own start-up included.
        cpu_s: user and system time of all its processes, as the kernel accounts it when they are reaped.
        peak_bytes: of the largest single process (its VmHWM, seen every 20 ms).
        peak_sum_bytes: the largest sum of resident memory over all its processes at one instant; shared pages count twice.
    """

    returncode: int
    wall_s: float
    cpu_s: float
    peak_bytes: int
    peak_sum_bytes: int


def become_subreaper() -> None:
    """Adopt orphaned descendants, so that the CPU time of a worker whose parent has gone is not lost (Linux)."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def run(argv: Sequence[str], *, env: Mapping[str, str], output: Path, cwd: Path, timeout_s: float) -> Usage:
    """Run a program to its end; stdout goes to ``output``, stderr to ``output`` + ``.err``. Kills it after ``timeout_s``."""
    others = set(_children(os.getpid()))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(output, "wb") as stdout, open(f"{output}.err", "wb") as stderr:
        start = time.perf_counter()
        process = subprocess.Popen(
            argv, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True
        )
        watch = _MemoryWatch(process.pid)
        watch.start()
        deadline = threading.Timer(timeout_s, _kill_group, args=(process.pid,))
        deadline.daemon = True
        deadline.start()
        try:
            process.wait()
            wall_s = time.perf_counter() - start
            _reap_orphans(others)
        finally:
            deadline.cancel()
            watch.stop()
            _kill_group(process.pid)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Usage(
        returncode=process.returncode,
        wall_s=wall_s,
        cpu_s=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        peak_bytes=watch.peak_bytes,
        peak_sum_bytes=watch.peak_sum_bytes,
    )


class _MemoryWatch(threading.Thread):
    """Follows a process tree through /proc. (ru_maxrss would not do: it starts at the size of whoever forked.)"""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self._root = root
        self._over = threading.Event()
        self.peak_bytes = 0
        self.peak_sum_bytes = 0

    def run(self) -> None:
        pause_s = FIRST_POLL_S
        while not self._over.wait(pause_s):
            pause_s = min(2 * pause_s, POLL_S)
            total = 0
            for pid in _tree(self._root):
                high, now = _resident(pid)
                self.peak_bytes = max(self.peak_bytes, high)
                total += now
            # One process: its own high-water mark is the truth, whatever was missed between two looks.
            self.peak_sum_bytes = max(self.peak_sum_bytes, total, self.peak_bytes)

    def stop(self) -> None:
        self._over.set()
        self.join()


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return found


def _tree(root: int) -> list[int]:
    pids = [root]
    for pid in pids:  # grows while it is walked
        pids += _children(pid)
    return pids


def _resident(pid: int) -> tuple[int, int]:
    """Return (VmHWM, VmRSS) in bytes; zeros when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0, 0
    fields = dict(line.split(":", 1) for line in text.splitlines() if line.startswith(("VmHWM", "VmRSS")))
    kib = [int(fields.get(name, "0").split()[0]) for name in ("VmHWM", "VmRSS")]
    return kib[0] * 1024, kib[1] * 1024


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _reap_orphans(known: set[int]) -> None:
    for pid in set(_children(os.getpid())) - known:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
