"""Catalogs of a job: written from its journal, delivered where the user wants them, and read for downloads."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator

import aiofiles

from bucket_brigade.errors import ConfigError
from bucket_brigade.jobs.direct import transfer_now
from bucket_brigade.jobs.folders import CATALOG
from bucket_brigade.journal.port import BatchRecord, Journal
from bucket_brigade.local.oserrors import translated
from bucket_brigade.model.job import Job, Operation
from bucket_brigade.model.location import LocalPath, Location, S3Location
from bucket_brigade.model.outcome import State
from bucket_brigade.model.parts import MIB
from bucket_brigade.model.transfer import JobId, Transfer
from bucket_brigade.operations.port import BucketSide
from bucket_brigade.operations.stream import read_ordered
from bucket_brigade.planning.catalog import CatalogEntry, CatalogHeader, CatalogWriter
from bucket_brigade.s3.store import UNPINNED, Store
from bucket_brigade.settings.private import private_opener
from bucket_brigade.settings.values import EngineSettings

CHUNK_BYTES = 8 * MIB


async def write_catalog(job: Job, journal: Journal, folder: str) -> str:
    """Write the catalog of all objects that were moved, beside the journal; return its path. LocalError, DiskFull."""
    path = os.path.join(folder, CATALOG)
    target = job.target
    if not isinstance(target, S3Location):
        raise ConfigError("only a job that writes to a bucket has a catalog", remedy="Leave --catalog out.")
    header = CatalogHeader(
        job_id=job.id, layout=job.layout, bucket=target.bucket, prefix=target.key, endpoint=target.endpoint
    )
    with translated(f"write the catalog {path}"):
        async with CatalogWriter(path, header) as catalog:
            async for batch in journal.batches():
                await catalog.write(list(_entries(batch)))
    return path


def _entries(batch: BatchRecord) -> Iterator[CatalogEntry]:
    for transfer, state in zip(batch.transfers, batch.states, strict=True):
        if state == State.DONE:
            yield CatalogEntry(transfer.logical or transfer.target, transfer.target, transfer.size)


async def deliver_catalog(
    path: str, location: Location, store: Store | None, journal: Journal, engine: EngineSettings
) -> None:
    """Put a copy of the catalog where the user wants it: a file, or an object. TransferError where that is refused.

    In parts where it is large; ``journal`` remembers that upload.
    """
    if isinstance(location, LocalPath):
        with translated(f"write the catalog {location.path}"):
            await asyncio.to_thread(_copy_whole, path, location.path)
    elif isinstance(location, S3Location) and store is not None:
        status = os.stat(path)
        upload = Job(id=JobId(CATALOG), operation=Operation.UPLOAD, source=LocalPath(path=path), target=location)
        transfer = Transfer(os.path.basename(path), location.key, status.st_size, "", status.st_mtime_ns)
        side = BucketSide(store, location.endpoint, location.bucket)
        await transfer_now(upload, transfer, None, side, engine, ledger=journal)


def _copy_whole(path: str, target: str) -> None:
    """Copy a file beside ``target``, and give it that name when it is whole and on disk."""
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(target) or ".", prefix=".catalog-")
    try:
        with open(descriptor, "wb") as copy, open(path, "rb") as original:
            shutil.copyfileobj(original, copy, MIB)
            copy.flush()
            os.fsync(copy.fileno())
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


async def fetch_catalog(location: Location, store: Store | None, folder: str) -> str:
    """Return the path of a catalog on disk, fetched into ``folder`` where it lies in a bucket. TransferError."""
    if isinstance(location, LocalPath):
        return location.path
    if not isinstance(location, S3Location) or store is None:
        raise ConfigError(f"{location} is no catalog", remedy="Name a file or an object.")
    path = os.path.join(folder, "read-" + CATALOG)
    with translated(f"write {path}"):
        async with aiofiles.open(path, "wb", opener=private_opener) as file:
            chunks = read_ordered(
                store, location.bucket, location.key, pin=UNPINNED, part_size_bytes=CHUNK_BYTES, ahead=4
            )
            async for chunk in chunks:
                await file.write(chunk)
    return path
