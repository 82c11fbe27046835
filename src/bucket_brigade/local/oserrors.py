"""Errors of the operating system, translated once where they enter."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from bucket_brigade.errors import DiskFull, LocalError, NotFound, TransferError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def errno_name(error: OSError) -> str:
    """Return the symbolic name, such as ``EACCES``; ``EIO`` for an error without a known number."""
    return errno.errorcode.get(error.errno or 0, "EIO")


def translate(error: OSError, action: str) -> TransferError:
    """Return the TransferError that says: ``action`` ("read 'a/b'") failed, and why; its code is the errno's name.

    A missing file is NotFound, no space (or quota) left is DiskFull, all else LocalError.
    """
    message = f"cannot {action}: {error.strerror or error}."
    code = errno_name(error)
    if error.errno == errno.ENOENT:
        return NotFound(message, code=code)
    if error.errno in _FULL:
        return DiskFull(message, code=code, remedy="Make space there, then resume the job.")
    return LocalError(message, code=code)


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Raise what the operating system refuses inside as the TransferError of ``translate``."""
    try:
        yield
    except OSError as exc:
        raise translate(exc, action) from exc
