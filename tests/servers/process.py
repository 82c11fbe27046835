"""Child processes that serve: started on a free loopback port, awaited until they answer, and never left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO

START_TIMEOUT_S = 30.0
_START_ATTEMPTS = 3
_PR_SET_PDEATHSIG = 1


class ServerDidNotStart(Exception):
    """The server ended, or did not answer in time; the message ends with its log."""


@contextlib.contextmanager
def serving(
    command: Callable[[int], Sequence[str]],
    *,
    folder: str,
    environment: Callable[[int], Mapping[str, str]] | None = None,
) -> Iterator[int]:
    """Run ``command(port)`` as a server on loopback and yield the port once it accepts connections.

    ``environment(port)`` is added to a bare environment without AWS settings. The log is ``folder/server.log``. The whole
    process group is killed on the way out, and by the kernel (on Linux) should this process die first.
    """
    log_path = os.path.join(folder, "server.log")
    with open(log_path, "ab") as log:
        process, port = _start(command, environment or (lambda _port: {}), log, log_path)
        try:
            yield port
        finally:
            _stop(process)


def _start(
    command: Callable[[int], Sequence[str]],
    environment: Callable[[int], Mapping[str, str]],
    log: IO[bytes],
    log_path: str,
) -> tuple[subprocess.Popen[bytes], int]:
    # Somebody else may take the free port between our look and the server's bind: then it ends, and another is tried.
    for _ in range(_START_ATTEMPTS):
        port = _free_port()
        process = subprocess.Popen(
            command(port),
            env={**_bare_environment(), **environment(port)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        try:
            if _accepts(process, port):
                return process, port
        except BaseException:
            _stop(process)
            raise
        _stop(process)
    with open(log_path, "rb") as written:
        raise ServerDidNotStart(f"{command(0)[0]} did not start:\n{written.read()[-4000:].decode(errors='replace')}")


def _accepts(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return process.poll() is None
        time.sleep(0.02)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    # At once, and all of the group: these servers have nothing to save, and waiting for idle connections takes seconds.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _bare_environment() -> dict[str, str]:
    return {name: value for name in ("PATH", "HOME", "LANG", "TMPDIR") if (value := os.environ.get(name))}


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
