"""Files of lines, plain or gzip, read in one pass with a place to come back to. Manifests and catalogs are such files."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple, cast

from bucket_brigade.errors import ConfigError

MAX_LINE_BYTES = 64 * 1024
"""A key of 1,024 bytes needs 6 KiB at most, escaped; a longer line is not what it seems, and would fill the memory."""

_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One line without its end. ``end`` is the offset (in the unpacked text, in bytes) of the line behind it."""

    number: int
    end: int
    content: bytes


def read_lines(path: str, *, after: int = 0, number: int = 0) -> Iterator[Line]:
    """Yield the lines of a file that begin at byte ``after``; ``number`` lines stand before that.

    Raises:
        ConfigError: the file cannot be read, is damaged or cut off, or a line is too long to be one.
    """
    with _reading(path) as file:
        if after:
            file.seek(after)
        at = after
        while content := _next(file, path, number):
            number, at = number + 1, at + len(content)
            if number == 1 and content.startswith(_BYTE_ORDER_MARK):
                content = content[len(_BYTE_ORDER_MARK) :]
            yield Line(number, at, content.rstrip(b"\r\n"))


def damaged(path: str, number: int, reason: str, *, remedy: str = "") -> ConfigError:
    """Return the error for one broken line."""
    return ConfigError(f"{path}, line {number:,}: {reason}", remedy=remedy or "Mend or remove that line.")


def _next(file: BinaryIO, path: str, number: int) -> bytes:
    try:
        content = file.readline(MAX_LINE_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        reason = f"the compressed file is damaged or cut off after it ({error})"
        raise damaged(path, number, reason, remedy="Make or fetch the file again.") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(content) == MAX_LINE_BYTES and not content.endswith(b"\n"):
        raise damaged(path, number + 1, f"it is longer than {MAX_LINE_BYTES:,} bytes")
    return content


@contextmanager
def _reading(path: str) -> Iterator[BinaryIO]:
    try:
        raw = open(path, "rb")  # noqa: SIM115 - closed below, whatever wraps it
    except OSError as error:
        raise _unreadable(path, error) from error
    with raw:
        try:
            packed = raw.peek(2)[:2] == _GZIP_MAGIC
        except OSError as error:
            raise _unreadable(path, error) from error
        yield cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if packed else raw


def _unreadable(path: str, error: OSError) -> ConfigError:
    reason = error.strerror or type(error).__name__
    return ConfigError(f"cannot read {path}: {reason}", remedy="Name a file that exists and is readable.")
