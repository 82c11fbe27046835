"""Empties a bucket: every version and delete marker, every object, every multipart upload."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from bucket_brigade.errors import BrigadeError, JobFailed, NotSupported, PermanentError
from bucket_brigade.s3.listing import iterate_objects, iterate_versions
from bucket_brigade.s3.store import DeleteKey, Store
from bucket_brigade.s3.uploads import uploads_in_progress

_IN_FLIGHT = 8
_BATCH = 1000
_FEW = 3
_NO_VERSIONS = ("NotImplemented", "MethodNotAllowed")


async def empty_bucket(store: Store, bucket: str) -> int:
    """Delete everything in the bucket; return how many objects, versions and markers that were.

    Raises:
        JobFailed: some could not be deleted; the first ones are named.
        TransferError: the bucket cannot be listed, or a whole request failed.
    """
    await _abort_uploads(store, bucket)
    deleted = await _delete_versions(store, bucket)
    # A store without versions, or one that lists none for a bucket that never had any. All deletes are through by now.
    return deleted + await _delete_all(store, bucket, _objects(store, bucket))


async def is_long(store: Store, bucket: str) -> tuple[bool, bool]:
    """Return whether a bucket holds more than a page, so that emptying it should be a job; and whether it has versions."""
    try:
        versions = await store.list_object_versions(bucket)
    except PermanentError as error:
        if not (isinstance(error, NotSupported) or error.code in _NO_VERSIONS):
            raise
        return (await store.list_objects(bucket)).next_token is not None, False
    if versions.versions:
        return versions.next_markers is not None, True
    return (await store.list_objects(bucket)).next_token is not None, False


async def _delete_versions(store: Store, bucket: str) -> int:
    try:
        await store.list_object_versions(bucket, page_size=1)
    except PermanentError as error:
        if isinstance(error, NotSupported) or error.code in _NO_VERSIONS:
            return 0
        raise
    return await _delete_all(store, bucket, _versions(store, bucket))


async def _versions(store: Store, bucket: str) -> AsyncGenerator[list[DeleteKey]]:
    async with contextlib.aclosing(iterate_versions(store, bucket)) as pages:
        async for versions in pages:
            yield [DeleteKey(version.key, version.version_id) for version in versions]


async def _objects(store: Store, bucket: str) -> AsyncGenerator[list[DeleteKey]]:
    async with contextlib.aclosing(iterate_objects(store, bucket)) as pages:
        async for page in pages:
            yield [DeleteKey(listed.key) for listed in page.objects]


async def _delete_all(store: Store, bucket: str, pages: AsyncGenerator[list[DeleteKey]]) -> int:
    deleted = 0
    refused: list[str] = []
    room = asyncio.Semaphore(_IN_FLIGHT)

    async def delete(keys: list[DeleteKey]) -> None:
        nonlocal deleted
        try:
            errors = await store.delete_objects(bucket, keys)
        finally:
            room.release()
        deleted += len(keys) - len(errors)
        refused.extend(f"{keys[index].key} ({error.code})" for index, error in errors.items())

    async with contextlib.aclosing(pages), asyncio.TaskGroup() as group:
        async for page in pages:
            for start in range(0, len(page), _BATCH):
                await room.acquire()
                group.create_task(delete(page[start : start + _BATCH]))
    if refused:
        raise _not_all(bucket, refused)
    return deleted


def _not_all(bucket: str, refused: list[str]) -> BrigadeError:
    named = ", ".join(refused[:_FEW]) + (", …" if len(refused) > _FEW else "")
    message = f"{len(refused):,} objects in {bucket} could not be deleted: {named}"
    return JobFailed(message, remedy="Check the permissions and retention of these, then try again.")


async def _abort_uploads(store: Store, bucket: str) -> None:
    async with contextlib.aclosing(uploads_in_progress(store, bucket)) as pages:
        async for uploads in pages:
            for upload in uploads:
                await store.abort_multipart_upload(bucket, upload.key, upload.upload_id)
