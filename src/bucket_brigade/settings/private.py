"""Folders and files of the state directory: they name buckets, keys and paths, and belong to their owner alone."""

from __future__ import annotations

import contextlib
import os
import tempfile


def make_private_folder(path: str) -> None:
    """Make a folder, and what is missing above it, with mode 0700 whatever the umask. One that is there stays as it is.

    ``os.makedirs`` would give its mode to the last folder only. Raises OSError.
    """
    above = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(above):
        make_private_folder(above)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
        return
    os.chmod(path, 0o700)


def private_opener(path: str, flags: int) -> int:
    """Open a file as ``open`` would, one that is made with mode 0600 (the ``opener`` of ``open``)."""
    return os.open(path, flags, 0o600)


def replace_private_file(path: str, content: bytes) -> None:
    """Write a file whole or not at all, with mode 0600; its folder is there. Raises OSError."""
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(path)), prefix=".")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
