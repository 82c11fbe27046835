"""Sizes, durations and points in time, as people write and read them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal

from bucket_brigade.errors import ConfigError

_SIZE_UNITS = {"": 1, "b": 1} | {
    prefix + suffix: base**power
    for power, prefix in enumerate("kmgtp", start=1)
    for suffix, base in (("b", 1000), ("ib", 1024))
}
_DURATION_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_NUMBER = r"\d[\d_]*(?:\.\d+)?"
_SIZE = re.compile(rf"({_NUMBER})\s*([a-zA-Z]*)", re.ASCII)
_DURATION = re.compile(rf"({_NUMBER})\s*(ms|s|m|h|d|w)\s*", re.ASCII)
_PLAIN_NUMBER = re.compile(_NUMBER, re.ASCII)

NS_PER_S = 1_000_000_000


def parse_size(text: str) -> int:
    """Return a size in bytes: ``8MiB`` and ``64 KiB`` are powers of 1,024, ``8MB`` of 1,000, a plain number is bytes.

    Raises:
        ConfigError: not a size, no whole number of bytes, or a bare ``8M``, which programs read in two ways.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"{text!r} is not a size", remedy="Write it like 8MiB, 500MB or 1048576.")
    number, unit = match[1], match[2].lower()
    if unit not in _SIZE_UNITS:
        if unit + "b" in _SIZE_UNITS:
            letter = unit[0].upper()
            remedy = f"Write {number}{letter}iB (powers of 1,024) or {number}{letter}B (powers of 1,000)."
            raise ConfigError(f"{text!r} can mean two sizes", remedy=remedy)
        raise ConfigError(f"{text!r} has an unknown unit", remedy="Units are B, KiB, MiB, GiB, TiB, KB, MB, GB, TB.")
    size = Decimal(number) * _SIZE_UNITS[unit]
    if size != int(size):
        raise ConfigError(f"{text!r} is no whole number of bytes", remedy="Write a whole number, like 1536KiB.")
    return int(size)


def parse_duration(text: str) -> float:
    """Return a duration in seconds: ``250ms``, ``90`` (seconds), ``2m``, ``1h30m``, ``30d``, ``2w``.

    Raises:
        ConfigError: not a duration.
    """
    stripped = text.strip()
    if _PLAIN_NUMBER.fullmatch(stripped):
        return float(stripped)
    seconds, at = 0.0, 0
    while at < len(stripped):
        match = _DURATION.match(stripped, at)
        if match is None:
            break
        seconds += float(match[1]) * _DURATION_UNITS_S[match[2]]
        at = match.end()
    if not stripped or at < len(stripped):
        raise ConfigError(f"{text!r} is not a duration", remedy="Write it like 30s, 5m, 1h30m or 7d.")
    return seconds


def parse_time(text: str, *, now_ns: int) -> int:
    """Return a point in time, in nanoseconds since the epoch.

    ``30d`` is that long before ``now_ns``; ``2026-01-31`` and ``2026-01-31T12:00:00`` are UTC unless they name a zone.

    Raises:
        ConfigError: neither an age nor an ISO date.
    """
    stripped = text.strip()
    if not _PLAIN_NUMBER.fullmatch(stripped):
        try:
            return now_ns - round(parse_duration(stripped) * NS_PER_S)
        except ConfigError:
            pass
    try:
        return ns_of(datetime.fromisoformat(stripped))
    except ValueError:
        remedy = "Write an age like 30d or 12h, or a date like 2026-01-31 or 2026-01-31T12:00:00Z."
        raise ConfigError(f"{text!r} is neither an age nor a date", remedy=remedy) from None


def ns_of(moment: datetime | date) -> int:
    """Return nanoseconds since the epoch; a date is its midnight, and what names no zone is UTC."""
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    elif moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * NS_PER_S + since.microseconds * 1000


def format_size(size: int) -> str:
    """Return a size for people: ``512 B``, ``8 MiB``, ``1.4 GiB``."""
    amount, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        # 1023.95 would be rounded to "1024.0" of the smaller unit.
        if abs(amount) < 1023.95:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} {unit}" if amount == int(amount) else f"{amount:.1f} {unit}"


def format_duration(seconds: float) -> str:
    """Return a duration for people, of two units at most: ``0.4 s``, ``42 s``, ``3m 07s``, ``2h 05m``, ``4d 06h``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h {whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d {whole % 86_400 // 3600:02}h"


def format_time(moment_ns: int) -> str:
    """Return a point in time as ISO 8601 in UTC, to the second: ``2026-01-31T12:00:00Z``."""
    return datetime.fromtimestamp(moment_ns // NS_PER_S, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
