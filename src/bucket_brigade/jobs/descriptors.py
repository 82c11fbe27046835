"""Before a job begins: does this process have the descriptors that its concurrency needs?"""

from __future__ import annotations

import msgspec
import structlog

from bucket_brigade.errors import ConfigError
from bucket_brigade.local.descriptors import LEAST_TRANSFERS, raise_limit, transfers_within
from bucket_brigade.settings.values import EngineSettings


def fit_to_descriptors(engine: EngineSettings) -> EngineSettings:
    """Return the settings with a concurrency that the limit on open descriptors allows, raised before as far as it can be.

    A concurrency that finds itself (0) stays so: ``s3.open.max_connections`` bounds it.

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
        return engine
    structlog.get_logger().warning(
        "concurrency lowered", asked=engine.concurrency, concurrency=fitting, open_files_limit=limit
    )
    return msgspec.structs.replace(engine, concurrency=fitting)
