"""What the network tells before anything is changed: credentials, buckets, and the one object of a single transfer."""

from __future__ import annotations

import os
from collections.abc import Awaitable
from typing import TYPE_CHECKING, TypeVar

from bucket_brigade.errors import AccessDenied, ConfigError, NotFound, TransferError
from bucket_brigade.model.acl import public_access
from bucket_brigade.model.job import CURRENT_VERSIONS, Job, ObjectAttributes
from bucket_brigade.model.location import LocalPath, S3Location
from bucket_brigade.model.transfer import UNKNOWN_SIZE
from bucket_brigade.operations.archives import ARCHIVED_CODES
from bucket_brigade.planning.sources import SourceEntry
from bucket_brigade.s3.bucket_values import PublicAccessBlock, public_acl_refusals
from bucket_brigade.s3.store import Pin, Store

if TYPE_CHECKING:
    from bucket_brigade.s3.buckets import BucketControl

Known = TypeVar("Known")

REFUSED_CREDENTIALS = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed"}
)


_OWNER_ONLY = frozenset({"private", "bucket-owner-read", "bucket-owner-full-control"})
"""Canned lists that a bucket with access control lists disabled takes all the same."""


async def check_source(job: Job, store: Store) -> None:
    """Make sure that a recursive source's bucket can be listed; where the job means versions, that these can be.

    Raises:
        ConfigError: there is no such bucket, or the credentials are refused.
    """
    source = job.source
    if not isinstance(source, S3Location):
        return
    try:
        if job.versions != CURRENT_VERSIONS:
            await store.list_object_versions(source.bucket, prefix=source.key, page_size=1)
        elif source.recursive:
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


async def check_access_control(job: Job, control: BucketControl) -> None:
    """Make sure that the access control list of a job would be taken, and mean what it says, before any object meets it.

    What may not be read is no reason to refuse.

    Raises:
        ConfigError: the bucket or its account blocks public access, or access control lists are disabled.
    """
    attributes, target = job.options.attributes, job.target or job.source
    if not (isinstance(target, S3Location) and sets_access_control(attributes)):
        return
    ownership = await _known(control.ownership(target.bucket))
    blocks = account = None
    public = public_access(attributes) is not None
    if public:
        blocks = await _known(control.public_access_block(target.bucket))
        account = await _known(account_block_of(control))
    reasons = public_acl_refusals(ownership, blocks, account)
    if reasons:
        raise ConfigError(
            f"{target.endpoint}://{target.bucket}: {'; '.join(reasons)}",
            remedy="Leave the access control list out and grant access by a bucket policy; "
            f"`brigade doctor {target.endpoint}://{target.bucket}/` shows what else would have to change.",
        )


def sets_access_control(attributes: ObjectAttributes) -> bool:
    """Tell whether attributes give an access control list that a bucket may refuse: more than its owner alone is in it."""
    grants = (
        attributes.grant_full_control,
        attributes.grant_read,
        attributes.grant_read_acp,
        attributes.grant_write_acp,
    )
    return (attributes.acl is not None and attributes.acl not in _OWNER_ONLY) or any(
        grant is not None for grant in grants
    )


async def account_block_of(control: BucketControl) -> PublicAccessBlock | None:
    """Return Block Public Access of the caller's account; None where the endpoint is not AWS, which alone has it."""
    from bucket_brigade.s3.addresses import is_aws
    from bucket_brigade.s3.identity import account_public_access_block, caller_identity

    if not is_aws(control.endpoint_url):
        return None
    identity = await caller_identity(control.endpoint, control.endpoint_url)
    return await account_public_access_block(control.endpoint, identity.account)


async def _known(reading: Awaitable[Known]) -> Known | None:
    try:
        return await reading
    except TransferError:
        return None


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
        try:
            status = os.stat(source.path)
        except OSError as error:
            raise ConfigError(f"{source.path} cannot be looked at: {error.strerror}", remedy="Name a file.") from error
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
    remedy = error.remedy or "Check the credentials, the region and the endpoint."
    if error.code not in ARCHIVED_CODES and (isinstance(error, AccessDenied) or error.code in REFUSED_CREDENTIALS):
        remedy += f" `brigade doctor {endpoint}://{bucket}/` finds out what is wrong."
    return ConfigError(f"{where}: {error}", remedy=remedy)
