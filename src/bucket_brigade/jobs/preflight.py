"""What the network tells before anything is changed: credentials, buckets, and the one object of a single transfer."""

from __future__ import annotations

import os

from bucket_brigade.errors import AccessDenied, ConfigError, NotFound, TransferError
from bucket_brigade.model.job import Job
from bucket_brigade.model.location import LocalPath, S3Location
from bucket_brigade.model.transfer import UNKNOWN_SIZE
from bucket_brigade.planning.sources import SourceEntry
from bucket_brigade.s3.store import Pin, Store

REFUSED_CREDENTIALS = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed"}
)


async def check_source(job: Job, store: Store) -> None:
    """Make sure that a recursive source's bucket can be listed.

    Raises:
        ConfigError: there is no such bucket, or the credentials are refused.
    """
    source = job.source
    if isinstance(source, S3Location) and source.recursive:
        try:
            await store.list_objects(source.bucket, prefix=source.key, page_size=1)
        except TransferError as error:
            raise explained(error, source.endpoint, source.bucket) from error


async def check_target(job: Job, store: Store) -> None:
    """Make sure that the target's bucket is there. Who may write but not look is not refused.

    Raises:
        ConfigError: there is no such bucket, or the credentials are refused.
    """
    target = job.target
    if isinstance(target, S3Location):
        try:
            await store.head_bucket(target.bucket)
        except AccessDenied:
            await _check_credentials(target, store)
        except TransferError as error:
            raise explained(error, target.endpoint, target.bucket) from error


async def _check_credentials(target: S3Location, store: Store) -> None:
    """Tell refused credentials from a missing permission: an answer to HEAD has no code, one to a listing has."""
    try:
        await store.list_objects(target.bucket, page_size=1)
    except TransferError as error:
        if error.code in REFUSED_CREDENTIALS:
            raise explained(error, target.endpoint, target.bucket) from error


async def look_at(job: Job, store: Store | None) -> SourceEntry:
    """Return the one entry of a job that moves a single file or object.

    Raises:
        ConfigError: it does not exist, or cannot be looked at.
    """
    source = job.source
    if isinstance(source, S3Location) and store is not None:
        try:
            head = await store.head_object(source.bucket, source.key, pin=Pin(version_id=source.version_id))
        except TransferError as error:
            raise explained(error, source.endpoint, source.bucket, source.key) from error
        name = source.key.rpartition("/")[2]
        return SourceEntry(name, source.key, head.size, head.etag, head.modified_ns, source.version_id)
    if isinstance(source, LocalPath):
        status = os.stat(source.path)
        name = os.path.basename(source.path)
        return SourceEntry(name, name, status.st_size, "", status.st_mtime_ns)
    return SourceEntry("-", "-", UNKNOWN_SIZE)


def explained(error: TransferError, endpoint: str, bucket: str, key: str = "") -> ConfigError:
    """Return the error of a first look as bad input: what is wrong, and what to do."""
    where = f"{endpoint}://{bucket}/{key}"
    if isinstance(error, NotFound) and key and error.code != "NoSuchBucket":
        remedy = f"Look with `brigade ls {endpoint}://{bucket}/`; for everything below a prefix end it with / or add --recursive."
        return ConfigError(f"{where} does not exist", remedy=remedy)
    if isinstance(error, NotFound):
        return ConfigError(
            f"the bucket {endpoint}://{bucket} does not exist",
            remedy=f"Create it with `brigade mb {endpoint}://{bucket}`, or check the endpoint.",
        )
    return ConfigError(
        f"{where}: {error}", remedy=error.remedy or "Check the credentials, the region and the endpoint."
    )
