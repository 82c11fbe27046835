"""What a file system knows of a file, as metadata of its object: in the names and formats of rclone, s3fs's read too. Pure.

``mtime`` is seconds since the epoch with a fraction, ``mode`` octal with the type of the file (``100644``), ``uid`` and ``gid``
decimal. s3fs writes its ``mode`` decimal: whichever reading makes a plain file is the right one.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping

import msgspec

MTIME, MODE, UID, GID = "mtime", "mode", "uid", "gid"
ITEMS: Mapping[str, tuple[str, ...]] = {"mtime": (MTIME,), "mode": (MODE,), "owner": (UID, GID)}
"""The items of metadata that hold what ``--preserve`` calls mtime, mode and owner."""

PERMISSIONS = 0o777
"""What is restored of a mode: setuid and its like, from an object that anybody may have written, would be an attack."""

_NS = 1_000_000_000
_MTIME = re.compile(r"(-?)(\d{1,11})(?:\.(\d{1,18}))?", re.ASCII)
_MAX_ID = 2**32 - 2


class FileStatus(msgspec.Struct, frozen=True):
    """What can be restored of a file besides its content; None is not known."""

    modified_ns: int | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


def encode_mtime(modified_ns: int) -> str:
    """Return nanoseconds since the epoch as seconds, with as many decimals as they need."""
    seconds, ns = divmod(abs(modified_ns), _NS)
    text = f"{seconds}.{ns:09d}".rstrip("0").rstrip(".") if ns else str(seconds)
    return "-" + text if modified_ns < 0 else text


def decode_mtime(text: str) -> int | None:
    """Return the nanoseconds since the epoch that ``mtime`` holds, or None where it holds something else."""
    match = _MTIME.fullmatch(text)
    if match is None:
        return None
    ns = int(match[2]) * _NS + int((match[3] or "0").ljust(9, "0")[:9])
    return -ns if match[1] else ns


def encode_mode(mode: int) -> str:
    """Return a mode, with the type of the file, as rclone writes it."""
    return f"{mode:o}"


def decode_mode(text: str) -> int | None:
    """Return the permissions that ``mode`` holds, octal or decimal; None where it is neither of a plain file."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 8:
        return None
    for base in (8, 10):
        try:
            mode = int(text, base)
        except ValueError:
            continue
        if stat.S_IFMT(mode) in (0, stat.S_IFREG):
            return mode & PERMISSIONS
    return None


def status_in(metadata: tuple[tuple[str, str], ...] | None) -> FileStatus:
    """Return what an object's metadata tell of the file that it was."""
    items = dict(metadata or ())
    return FileStatus(
        decode_mtime(items.get(MTIME, "")),
        decode_mode(items.get(MODE, "")),
        _id_in(items.get(UID, "")),
        _id_in(items.get(GID, "")),
    )


def _id_in(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= _MAX_ID else None
