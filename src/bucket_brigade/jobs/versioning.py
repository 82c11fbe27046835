"""Whether the buckets of a job keep the versions that it means: asked before anything is changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from bucket_brigade.errors import ConfigError, TransferError
from bucket_brigade.model.job import Job, Operation, VersionsOf
from bucket_brigade.model.location import S3Location
from bucket_brigade.s3.bucket_values import Versioning
from bucket_brigade.settings.values import EndpointSettings

if TYPE_CHECKING:
    from bucket_brigade.s3.buckets import BucketControl

ControlOf = Callable[[EndpointSettings], Awaitable["BucketControl"]]


async def check_versioning(
    job: Job, source: EndpointSettings | None, target: EndpointSettings | None, control_of: ControlOf
) -> None:
    """Make sure that the past can be read, and that what is written over is kept. Deletions need neither.

    Raises:
        ConfigError: the bucket keeps no versions, or does not say whether it does where that decides what would be lost.
    """
    if job.operation is Operation.DELETE or not isinstance(job.source, S3Location) or source is None:
        return
    if job.versions.which is VersionsOf.AS_OF:
        state = await _versioning(job.source, source, control_of, must_know=job.versions.in_place)
        if state is Versioning.NEVER:
            raise ConfigError(
                f"{_url(job.source)} keeps no versions, so what was in it then is not known",
                remedy=f"From now on it would: brigade bucket set {_url(job.source)} --versioning on",
            )
        if state is Versioning.SUSPENDED and job.versions.in_place:
            raise _not_kept(job.source, "suspended")
    if job.versions.which is VersionsOf.ALL and isinstance(job.target, S3Location) and target is not None:
        state = await _versioning(job.target, target, control_of, must_know=True)
        if state is not Versioning.ENABLED:
            raise _not_kept(job.target, "suspended" if state is Versioning.SUSPENDED else "off")


async def _versioning(
    location: S3Location, endpoint: EndpointSettings, control_of: ControlOf, *, must_know: bool
) -> Versioning | None:
    try:
        return await (await control_of(endpoint)).versioning(location.bucket)
    except TransferError as error:
        if not must_know:
            return None
        raise ConfigError(
            f"{_url(location)} does not say whether it keeps versions: {error}",
            remedy="Allow s3:GetBucketVersioning; a store that has no versions cannot keep a history.",
        ) from error


def _not_kept(location: S3Location, state: str) -> ConfigError:
    return ConfigError(
        f"the versioning of {_url(location)} is {state}: each version would replace the one before",
        remedy=f"brigade bucket set {_url(location)} --versioning on",
    )


def _url(location: S3Location) -> str:
    return f"{location.endpoint}://{location.bucket}"
