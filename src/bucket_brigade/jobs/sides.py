"""The two sides of a job as endpoints: names and overrides resolved against the settings in force."""

from __future__ import annotations

import msgspec

from bucket_brigade.errors import ConfigError
from bucket_brigade.model.job import EndpointOverrides, Job
from bucket_brigade.model.location import Location, S3Location
from bucket_brigade.settings.load import with_overrides
from bucket_brigade.settings.values import EndpointSettings, Settings


def endpoint_of(settings: Settings, name: str, overrides: EndpointOverrides | None = None) -> EndpointSettings:
    """Return the endpoint of this name as flags change it.

    Raises:
        ConfigError: no endpoint has this name in the configuration of this machine, or an override is refused.
    """
    endpoint = settings.endpoints.get(name)
    if endpoint is None:
        raise ConfigError(
            f"no endpoint is called {name}", remedy=f"Configure it in [endpoints.{name}], on this machine too."
        )
    return with_overrides(endpoint, overrides) if overrides is not None else endpoint


def side_endpoint(
    settings: Settings, location: Location | None, overrides: EndpointOverrides
) -> EndpointSettings | None:
    """Return the endpoint of one side of a job, None where that side is not a bucket."""
    if not isinstance(location, S3Location):
        return None
    return endpoint_of(settings, location.endpoint, overrides)


def job_endpoints(settings: Settings, job: Job) -> tuple[EndpointSettings | None, EndpointSettings | None]:
    """Return the endpoints of a job's source and target."""
    source = side_endpoint(settings, job.source, job.source_endpoint)
    target = side_endpoint(settings, job.target, job.target_endpoint)
    if source is None or target is None or not same_service(source, target):
        return source, target
    # A copy on the server is asked of the target's store, which must know the key and the owner of the source too.
    same_owner = source.expected_bucket_owner == target.expected_bucket_owner
    shared = msgspec.structs.replace(
        target,
        copy_source_sse_c_key=source.sse_c_key,
        copy_source_bucket_owner=None if same_owner else source.expected_bucket_owner or "",
    )
    return (shared if source == target else source), shared


def same_service(one: EndpointSettings | None, other: EndpointSettings | None) -> bool:
    """Return whether a server-side copy can go from one to the other: the same service, seen with the same credentials.

    Regions may differ, S3 copies between its regions by itself, and so may the keys of SSE-C
    and the owners of the buckets.
    """
    if one is None or other is None:
        return False
    return _service(one) == _service(other)


def _service(endpoint: EndpointSettings) -> EndpointSettings:
    return msgspec.structs.replace(
        endpoint,
        name="",
        region=None,
        payload_signing="auto",
        sse_c_key=None,
        copy_source_sse_c_key=None,
        expected_bucket_owner=None,
        copy_source_bucket_owner=None,
    )
