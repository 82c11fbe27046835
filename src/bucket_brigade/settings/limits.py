"""The limits of a running job: how they are written, and what they mean at a time of day.

A bandwidth is ``20MiB``, ``off``, or a timetable like rclone's: ``08:00,10M 18:00,off``. A bare ``10M`` is taken as rclone takes
it, in powers of 1,024.
"""

from __future__ import annotations

import os
import re

import msgspec

from bucket_brigade.errors import ConfigError
from bucket_brigade.settings.private import replace_private_file
from bucket_brigade.settings.units import parse_size

FILE = "limits.json"
OFF = "off"
LEAST_BANDWIDTH = 1024

_ENTRY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d),(\S+)", re.ASCII)
_BARE_UNIT = re.compile(r"(\d[\d_]*(?:\.\d+)?)([KMGT])", re.ASCII | re.IGNORECASE)

Timetable = tuple[tuple[int, int | None], ...]
"""Minute of the day, and the bytes per second from then on (None: no limit); by minute, never empty."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a job may take, all its worker processes together unless said otherwise.

    Attributes:
        max_bandwidth: bytes of bodies per second, sent and received each; text, see ``parse_bandwidth``.
        max_requests_per_second: 0 for no limit.
        concurrency: transfers in flight in each worker process; 0 finds the number by itself.
    """

    max_bandwidth: str = OFF
    max_requests_per_second: int = 0
    concurrency: int = 0


def parse_bandwidth(text: str) -> Timetable:
    """Return what a bandwidth says.

    Raises:
        ConfigError: it is neither a size, nor ``off``, nor a timetable of them.
    """
    words = text.split()
    if len(words) == 1 and "," not in words[0]:
        return ((0, _bytes_per_s(words[0])),)
    entries: dict[int, int | None] = {}
    for word in words:
        match = _ENTRY.fullmatch(word)
        if match is None:
            raise _unreadable(text)
        entries[int(match[1]) * 60 + int(match[2])] = _bytes_per_s(match[3])
    if not entries:
        raise _unreadable(text)
    return tuple(sorted(entries.items()))


def bandwidth_at(timetable: Timetable, minute: int) -> int | None:
    """Return the bytes per second at a minute of the day: before the first entry, the last one of the day before holds."""
    found = timetable[-1][1]
    for begins, bytes_per_s in timetable:
        if begins <= minute:
            found = bytes_per_s
    return found


def check_bandwidth(text: str) -> str | None:
    """Return what is wrong with a bandwidth, or None."""
    try:
        parse_bandwidth(text)
    except ConfigError as error:
        return f"is no bandwidth: {error}"
    return None


def _bytes_per_s(word: str) -> int | None:
    if word.lower() == OFF:
        return None
    bare = _BARE_UNIT.fullmatch(word)
    size = parse_size(f"{bare[1]}{bare[2]}iB" if bare else word)
    if size < LEAST_BANDWIDTH:
        raise ConfigError(f"{word!r} is less than 1 KiB/s", remedy="Write off for no limit.")
    return size


def _unreadable(text: str) -> ConfigError:
    return ConfigError(f"{text!r} is no bandwidth", remedy="Write 20MiB, off, or a timetable: 08:00,10M 18:00,off")


def write_limits(folder: str, limits: Limits) -> None:
    """Say in the folder of a running job what it may take: its processes look there twice a second."""
    content = msgspec.json.format(msgspec.json.encode(limits), indent=1) + b"\n"
    replace_private_file(os.path.join(folder, FILE), content)


def read_limits(folder: str) -> Limits | None:
    """Return what the job in ``folder`` may take in its present or last run; None where that is unknown."""
    try:
        with open(os.path.join(folder, FILE), "rb") as file:
            limits = msgspec.json.decode(file.read(), type=Limits)
        parse_bandwidth(limits.max_bandwidth)
    except (OSError, msgspec.DecodeError, ConfigError):
        return None
    return limits
