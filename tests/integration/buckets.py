"""Buckets filled and read back beside the program under test, through the library's own store."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping

from bucket_brigade.errors import NotFound
from bucket_brigade.s3.listing import iterate_objects, iterate_uploads
from bucket_brigade.s3.open import open_store
from bucket_brigade.s3.store import ListedObject, Store
from bucket_brigade.settings.values import EngineSettings
from tests.servers import RunningServer

_AT_ONCE = 32


@contextlib.asynccontextmanager
async def store_of(server: RunningServer) -> AsyncIterator[Store]:
    """Open a server's store for the test itself."""
    async with open_store(server.endpoint, engine=EngineSettings(concurrency=_AT_ONCE)) as store:
        yield store


def bucket_name(text: str) -> str:
    """Return a bucket name made from a test's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower().removeprefix("test_"))[-60:].strip("-")


async def put_all(store: Store, bucket: str, prefix: str, objects: Mapping[str, bytes]) -> None:
    """Put every object below the prefix."""
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def put(name: str, content: bytes) -> None:
        async with at_once:
            await store.put_object(bucket, prefix + name, content)

    await asyncio.gather(*(put(name, content) for name, content in objects.items()))


async def read_all(store: Store, bucket: str, prefix: str = "") -> dict[str, bytes]:
    """Return every object below the prefix: key without the prefix -> content."""
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def read(entry: ListedObject) -> tuple[str, bytes]:
        content = bytearray(entry.size)
        async with at_once:
            await store.get_object(bucket, entry.key, memoryview(content))
        return entry.key[len(prefix) :], bytes(content)

    entries = [entry async for page in iterate_objects(store, bucket, prefix=prefix) for entry in page.objects]
    return dict(await asyncio.gather(*map(read, entries)))


async def uploads_left(store: Store, bucket: str) -> list[str]:
    """Return the keys of multipart uploads that are still open."""
    try:
        return [upload.key async for page in iterate_uploads(store, bucket) for upload in page]
    except NotFound as error:
        if error.code != "NoSuchUpload":  # which rclone answers in place of an empty list
            raise
        return []
