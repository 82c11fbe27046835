"""Names, counts and times as a terminal shows them. Sizes and durations: ``settings.units``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
# Line separators, and the marks that make text run backwards.
_CONTROLS |= {code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def printable(name: str) -> str:
    """Return a key with control characters escaped, so that no key can move the cursor or forge a line."""
    return name if name.isprintable() else name.translate(_CONTROLS)


def format_count(count: int, noun: str) -> str:
    """Return ``1 object`` or ``12,345 objects``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def format_local_time(time_ns: int) -> str:
    """Return nanoseconds since the epoch as local date and time, as ``aws s3 ls`` does; a dash for zero."""
    if not time_ns:
        return "-"
    return dt.datetime.fromtimestamp(time_ns // 1_000_000_000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def align(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the rows as lines with their columns one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
