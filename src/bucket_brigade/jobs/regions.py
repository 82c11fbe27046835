"""Buckets in other regions than the endpoint's: the job is told where they are, before anything is changed.

No redirect is followed: the region that the endpoint names is checked to be a name of one, and requests are addressed to it and
signed for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import structlog

from bucket_brigade.errors import ConfigError, TransferError, WrongRegion
from bucket_brigade.jobs.sides import side_endpoint
from bucket_brigade.model.job import EndpointOverrides, Job
from bucket_brigade.model.location import Location, S3Location
from bucket_brigade.s3.store import Store
from bucket_brigade.settings.values import EndpointSettings, Settings

_log = structlog.get_logger("bucket_brigade.jobs")

StoreOf = Callable[[EndpointSettings], Awaitable[Store]]


async def in_their_regions(job: Job, settings: Settings, store_of: StoreOf) -> Job:
    """Return the job with the regions in which its buckets are, where the endpoint tells them; else as it is."""
    return msgspec.structs.replace(
        job,
        source_endpoint=await _with_region(job.source, job.source_endpoint, settings, store_of),
        target_endpoint=await _with_region(job.target, job.target_endpoint, settings, store_of),
    )


async def _with_region(
    location: Location | None, overrides: EndpointOverrides, settings: Settings, store_of: StoreOf
) -> EndpointOverrides:
    endpoint = side_endpoint(settings, location, overrides)
    if endpoint is None or not isinstance(location, S3Location):
        return overrides
    try:
        await (await store_of(endpoint)).head_bucket(location.bucket)
    except WrongRegion as error:
        if not error.region:
            return overrides
        found = msgspec.structs.replace(overrides, region=error.region)
        try:
            side_endpoint(settings, location, found)
        except ConfigError:  # what the endpoint names is no region
            return overrides
        _log.info("bucket is in another region", bucket=location.bucket, region=error.region)
        return found
    except TransferError:
        return overrides
    return overrides
