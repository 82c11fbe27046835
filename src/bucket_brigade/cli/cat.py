"""``brigade cat``: one object, or a range of it, to standard output; verified as it passes."""

from __future__ import annotations

import asyncio
import re
import sys
from collections import deque
from typing import Any, BinaryIO

import click

from bucket_brigade.cli.invocation import load, with_brigade
from bucket_brigade.cli.locating import explaining, open_store, parse_s3
from bucket_brigade.cli.options import common_options, endpoint_options
from bucket_brigade.cli.versions import as_of_option, version_as_of
from bucket_brigade.errors import ConfigError
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.model.location import S3Location
from bucket_brigade.model.parts import plan_parts
from bucket_brigade.s3.checksums import ReadDigest
from bucket_brigade.s3.store import Pin, Store

_RANGE = re.compile(r"(?:bytes=)?(\d*)-(\d*)", re.ASCII)


@click.command()
@click.argument("source")
@click.option("--range", "byte_range", metavar="FIRST-LAST", help="Only these bytes, as in HTTP: 0-99, 100- or -50.")
@click.option("--version-id", metavar="ID", help="This version of the object.")
@as_of_option
@endpoint_options
@common_options
@click.pass_context
def cat(
    ctx: click.Context, /, source: str, byte_range: str | None, version_id: str | None, as_of: str | None, **flags: Any
) -> None:
    """Write the object SOURCE to standard output, in order, while the next ranges are already on their way."""
    loaded = load(ctx)
    location = parse_s3(source, loaded.settings, version_id=version_id, listing=False)
    if location.recursive or not location.key:
        raise ConfigError(f"{source} is not one object", remedy="Name one key; `brigade cp` takes many.")
    if byte_range is not None:
        parse_range(byte_range, 1)
    if version_id is not None and as_of is not None:
        raise ConfigError("--version-id and --as-of mean different versions", remedy="Give one of them.")
    transfer, engine = loaded.settings.transfer, loaded.settings.engine
    ahead = max(1, min(engine.part_concurrency, engine.memory_bytes // transfer.part_size_bytes))

    async def stream(brigade: Brigade) -> None:
        store = await open_store(brigade, location, flags)
        out = sys.stdout.buffer
        with explaining(location):
            meant = location if as_of is None else await version_as_of(store, location, as_of)
            await write_object(store, meant, byte_range, out, range_bytes=transfer.part_size_bytes, ahead=ahead)

    with_brigade(loaded.settings, stream)


def parse_range(text: str, size: int) -> tuple[int, int]:
    """Return (start, end) of ``first-last``, ``first-`` or ``-last_n`` within ``size`` bytes; the end is exclusive.

    Raises:
        ConfigError: not a range, or one that begins behind the end.
    """
    match = _RANGE.fullmatch(text.strip())
    if match is None or match[1] == match[2] == "" or (match[1] and match[2] and int(match[1]) > int(match[2])):
        raise ConfigError(f"--range: {text!r} is not a range", remedy="Write 0-99, 100- or -50 (the last 50 bytes).")
    if not match[1]:
        return max(0, size - int(match[2])), size
    end = min(size, int(match[2]) + 1) if match[2] else size
    return int(match[1]), end


async def write_object(
    store: Store, location: S3Location, byte_range: str | None, out: BinaryIO, *, range_bytes: int, ahead: int
) -> None:
    """Write the object to ``out`` in ranges of ``range_bytes``, of which ``ahead`` are read ahead; memory is their product.

    All ranges are pinned to the state that HEAD told. Where the store states a checksum of the whole object, it must match.

    Raises:
        TransferError: of the store; ChecksumMismatch after the last byte, which has been written by then.
        ConfigError: the range begins behind the end of the object.
    """
    head = await store.head_object(location.bucket, location.key, pin=Pin("", location.version_id))
    start, end = parse_range(byte_range, head.size) if byte_range is not None else (0, head.size)
    if start > head.size or (start == head.size and byte_range is not None):
        raise ConfigError(f"{location} has only {head.size:,} bytes", remedy="Begin the range before its end.")
    whole = (start, end) == (0, head.size)
    digest = ReadDigest(head, in_order=True) if whole else None
    pin = Pin(head.etag, location.version_id or head.version_id)
    if whole and head.size <= range_bytes:
        await _write(out, *await _read(store, location, None, head.size, pin), digest)
        end = start
    async with asyncio.TaskGroup() as group:
        coming: deque[asyncio.Task[tuple[int, memoryview]]] = deque()
        for part in plan_parts(end - start, range_bytes) if end > start else ():
            coming.append(group.create_task(_read(store, location, start + part.start, part.length, pin)))
            if len(coming) >= ahead:
                await _write(out, *await coming.popleft(), digest)
        while coming:
            await _write(out, *await coming.popleft(), digest)
    if digest is not None:
        digest.verify(str(location))


async def _read(store: Store, location: S3Location, start: int | None, length: int, pin: Pin) -> tuple[int, memoryview]:
    buffer = memoryview(bytearray(length))
    await store.get_object(location.bucket, location.key, buffer, start=start, pin=pin)
    return start or 0, buffer


async def _write(out: BinaryIO, start: int, chunk: memoryview, digest: ReadDigest | None) -> None:
    if digest is not None:
        digest.add(start, chunk)
    # The reader of our output may be slow, and the ranges ahead should arrive meanwhile: hence the thread.
    await asyncio.to_thread(_write_all, out, chunk)


def _write_all(out: BinaryIO, chunk: memoryview) -> None:
    out.write(chunk)
    out.flush()
