"""System calls that fail as told."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def strace(tmp_path: Path, *injections: str) -> tuple[str, ...]:
    """Return the words before a command whose system calls fail as told; skip the test where strace cannot do it."""
    if shutil.which("strace") is None:
        pytest.skip("there is no strace here (Debian: apt-get install strace) to make system calls fail")
    words = ("strace", "-f", "-qq", "-o", str(tmp_path / "strace.log"), *injections)
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace here")
    return words
