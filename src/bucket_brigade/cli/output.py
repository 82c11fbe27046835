"""Standard output of the verbs that print: JSON lines, and text in buffered writes."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import msgspec

_FLUSH_AT_LINES = 1000


def write_json(document: Any) -> None:
    """Print one JSON document, indented, on standard output."""
    encoded = msgspec.json.format(msgspec.json.encode(document, enc_hook=str), indent=2)
    sys.stdout.flush()
    sys.stdout.buffer.write(encoded + b"\n")
    sys.stdout.buffer.flush()


def write_json_lines(documents: Iterable[Any]) -> None:
    """Print one JSON document a line."""
    with Lines() as lines:
        for document in documents:
            lines.write_json(document)


class Lines:
    """Lines to standard output, written a thousand at a time; at once where it is a terminal."""

    def __init__(self) -> None:
        self._out = sys.stdout.buffer
        self._pending: list[bytes] = []
        self._lines = 0
        self._flush_at = 1 if sys.stdout.isatty() else _FLUSH_AT_LINES
        self._encode = msgspec.json.Encoder(enc_hook=str).encode

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, BrokenPipeError):
            self.flush()

    def write(self, text: str) -> None:
        """Write one line of text."""
        self._append(text.encode("utf-8", "backslashreplace"))

    def write_all(self, text: str, *, lines: int) -> None:
        """Write the text of so many lines at once."""
        if lines:
            self._append(text.encode("utf-8", "backslashreplace"), lines=lines)

    def write_json(self, document: Any) -> None:
        """Write one document as a line of JSON."""
        self._append(self._encode(document))

    def flush(self) -> None:
        """Write out what is pending. Raises BrokenPipeError where the reader has gone."""
        pending, self._pending, self._lines = self._pending, [], 0
        if pending:
            self._out.write(b"\n".join(pending) + b"\n")
        self._out.flush()

    def _append(self, text: bytes, *, lines: int = 1) -> None:
        self._pending.append(text)
        self._lines += lines
        if self._lines >= self._flush_at:
            self.flush()
