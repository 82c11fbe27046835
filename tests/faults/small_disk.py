"""A disk of a megabyte: a tmpfs in a mount namespace of its own."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_HOLD = 'mount -t tmpfs -o size=1m none "$1" && while echo ready && read -r line; do eval "$line"; done'


class SmallDisk:
    """A disk that only the processes of its namespace see.

    Attributes:
        root: its path in the namespace.
        path: its path from here: below ``/proc/PID/root``, where the kernel shows the holder's mounts to others.
        enter: the words before a command that runs in the namespace.
    """

    def __init__(self, holder: subprocess.Popen[str], mount_point: Path) -> None:
        self._holder = holder
        self.root = mount_point
        self.path = Path(f"/proc/{holder.pid}/root{mount_point}")
        self.enter = ("nsenter", "--user", "--mount", "--preserve-credentials", f"--target={holder.pid}")

    def remount(self, options: str) -> None:
        """Change it: ``size=64m``, ``ro``, ``rw``."""
        self._tell(f"mount -o remount,{options} '{self.root}'")

    def fill(self) -> None:
        """Take all the space that is left."""
        with contextlib.suppress(OSError), (self.path / "filler").open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass

    def make_space(self) -> None:
        (self.path / "filler").unlink()

    def _tell(self, command: str) -> None:
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.write(f"{command}\n")
        self._holder.stdin.flush()
        assert self._holder.stdout.readline() == "ready\n"


@contextlib.contextmanager
def small_disk(mount_point: Path) -> Iterator[SmallDisk]:
    """Mount one at ``mount_point``, or skip the test where nobody lets us."""
    mount_point.mkdir()
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare here to mount a small disk with")
    with subprocess.Popen(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", _HOLD, "sh", str(mount_point)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        if holder.stdout.readline() != "ready\n":
            pytest.skip(f"this system does not let us mount a small disk: {holder.stderr and holder.stderr.read()}")
        try:
            yield SmallDisk(holder, mount_point)
        finally:
            holder.kill()
