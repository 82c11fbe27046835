"""File descriptors: how many this process may have open, and how many transfers at a time that allows."""

from __future__ import annotations

import resource

WANTED = 16_384
"""Far more than 1,024 transfers need; the limit is not raised further."""

RESERVED = 144
"""Of a process, whatever its transfers do: 64 folders kept open, 34 of a walk, the journal, the loop, sockets of workers…"""

OF_EACH_TRANSFER = 3
"""A connection, a file and its folder; or a connection to each side."""

LEAST_TRANSFERS = 4


def raise_limit() -> int:
    """Raise the limit on open descriptors (``ulimit -n``) as far as this process may by itself, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft if soft != resource.RLIM_INFINITY else WANTED
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # macOS allows less than it says
        return soft
    return wanted


def transfers_within(limit: int) -> int:
    """Return how many transfers at a time ``limit`` descriptors allow; below ``LEAST_TRANSFERS`` there is no work to be done."""
    return (limit - RESERVED) // OF_EACH_TRANSFER


def transfers_at_once() -> int:
    """Return how many transfers at a time this process has descriptors for."""
    return max(LEAST_TRANSFERS, transfers_within(raise_limit()))
