"""Whether the object at a target certainly has the content of a transfer's source: no more than "yes", and "nobody knows"."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bucket_brigade.local.sources import SourceFile, SourceFolder
from bucket_brigade.model.parts import MIB
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.planned import head_as_planned
from bucket_brigade.operations.port import BucketSide
from bucket_brigade.s3.checksums import crc64nvme, encode_crc
from bucket_brigade.s3.store import ObjectHead

_CHECKSUM = "CRC64NVME"


async def never_same(transfer: Transfer, head: ObjectHead) -> bool:
    """Say that nobody knows: a stream cannot be read again."""
    return False


def same_file(folder: SourceFolder) -> Callable[[Transfer, ObjectHead], Awaitable[bool]]:
    """Return what compares objects with files below ``folder``, by the checksum that the store states."""

    async def compare(transfer: Transfer, head: ObjectHead) -> bool:
        if head.size != transfer.size or _CHECKSUM not in head.checksums:
            return False
        return head.checksums[_CHECKSUM] == await asyncio.to_thread(_checksum_of, folder, transfer.source)

    return compare


def same_object(source: BucketSide) -> Callable[[Transfer, ObjectHead], Awaitable[bool]]:
    """Return what compares objects with those of ``source``, by checksum or ETag."""

    async def compare(transfer: Transfer, head: ObjectHead) -> bool:
        origin = await head_as_planned(source, transfer)
        if origin.size != head.size:
            return False
        if _CHECKSUM in origin.checksums and _CHECKSUM in head.checksums:
            return origin.checksums[_CHECKSUM] == head.checksums[_CHECKSUM]
        return origin.etag == head.etag

    return compare


def _checksum_of(folder: SourceFolder, path: str) -> str:
    crc, offset = 0, 0
    buffer = memoryview(bytearray(MIB))
    with SourceFile.open(folder, path) as file:
        while count := file.read_at(offset, buffer):
            crc = crc64nvme(buffer[:count], crc)
            offset += count
        file.check_unchanged()
    return encode_crc(crc)
