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
    return (
        side_endpoint(settings, job.source, job.source_endpoint),
        side_endpoint(settings, job.target, job.target_endpoint),
    )


def same_service(one: EndpointSettings | None, other: EndpointSettings | None) -> bool:
    """Return whether a server-side copy can go from one to the other: the same service, seen with the same credentials.

    Regions may differ: S3 copies between its regions by itself.
    """
    if one is None or other is None:
        return False
    return msgspec.structs.replace(one, name="", region=None) == msgspec.structs.replace(other, name="", region=None)
