"""Before a job begins: does this process have the descriptors that its concurrency needs?"""

from __future__ import annotations

import msgspec

from bucket_brigade.errors import ConfigError
from bucket_brigade.local.descriptors import LEAST_TRANSFERS, raise_limit, transfers_within
from bucket_brigade.settings.values import EngineSettings


def fit_to_descriptors(engine: EngineSettings) -> tuple[EngineSettings, str]:
    """Return the settings with a concurrency that the limit on open descriptors allows, and what to tell if that is a lower one.

    The limit is raised before, as far as it can be. A concurrency that finds itself (0) stays so: ``s3.open`` bounds it.

    Raises:
        ConfigError: too few for any work.
    """
    limit = raise_limit()
    fitting = transfers_within(limit)
    if fitting < LEAST_TRANSFERS:
        raise ConfigError(
            f"only {limit} files and connections may be open at a time (ulimit -n), which is too few",
            remedy="Raise the limit: `ulimit -n 1024`.",
        )
    if engine.concurrency <= fitting:
        return engine, ""
    told = f"{fitting} transfers at a time instead of {engine.concurrency}: only {limit} files may be open (ulimit -n)."
    return msgspec.structs.replace(engine, concurrency=fitting), told
