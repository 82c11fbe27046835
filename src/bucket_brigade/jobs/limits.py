"""The limits of a running job, seen from another process."""

from __future__ import annotations

import msgspec

from bucket_brigade.errors import ConfigError, JournalError
from bucket_brigade.journal.folder import runner_pid
from bucket_brigade.settings.limits import Limits, parse_bandwidth, read_limits, write_limits

LARGEST_CONCURRENCY = 10_000


def limits_in_force(folder: str) -> Limits | None:
    """Return what the job in ``folder`` may take, None where it does not run."""
    return read_limits(folder) if runner_pid(folder) is not None else None


def change_limits(
    folder: str,
    *,
    max_bandwidth: str | None = None,
    max_requests_per_second: int | None = None,
    concurrency: int | None = None,
) -> Limits:
    """Change limits of the job that runs in ``folder``, and return all of them; None leaves one as it is.

    Raises:
        ConfigError: the job does not run, or a limit makes no sense.
        JournalError: the job's folder cannot be written to.
    """
    limits = limits_in_force(folder)
    if limits is None:
        raise ConfigError(
            "the job does not run now, and limits are set for a run",
            remedy="Give them to `brigade resume`: it takes the same flags.",
        )
    given = {
        "max_bandwidth": max_bandwidth,
        "max_requests_per_second": max_requests_per_second,
        "concurrency": concurrency,
    }
    changed = msgspec.structs.replace(limits, **{name: value for name, value in given.items() if value is not None})
    parse_bandwidth(changed.max_bandwidth)
    if changed.max_requests_per_second < 0 or not 0 <= changed.concurrency <= LARGEST_CONCURRENCY:
        raise ConfigError(
            f"{changed.max_requests_per_second} requests/s or {changed.concurrency} in flight is no limit"
        )
    try:
        write_limits(folder, changed)
    except OSError as error:
        raise JournalError(f"The limits cannot be written to {folder}: {error.strerror}") from error
    return changed
