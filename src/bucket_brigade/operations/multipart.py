"""Writing one object in parts: journaled before it is created, resumed by ListParts, aborted when it fails.

An interrupted upload (cancellation, ``kill -9``) is left open on purpose: its id is in the journal, ``resume`` goes on with
it and ``cancel`` aborts it. A failed one is aborted at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from bucket_brigade.errors import ChecksumMismatch, NotFound, PermanentError, TransferError
from bucket_brigade.journal.port import UploadIntent, UploadRow
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.model.parts import Part, fit_part_size_bytes, plan_parts
from bucket_brigade.model.transfer import BatchId
from bucket_brigade.operations.budget import ByteBudget
from bucket_brigade.operations.port import UploadLedger
from bucket_brigade.operations.receipts import etag_is_md5_of, prove_by_head, prove_part
from bucket_brigade.s3.checksums import combine_parts, crc64nvme, decode_crc
from bucket_brigade.s3.store import PartReceipt, Store, Written

FillPart = Callable[[Part, memoryview], Awaitable[None]]
"""Fills the buffer with the bytes of the part, verified as far as the source allows."""

Concede = Callable[[Callable[[ObjectAttributes], Awaitable[str]]], Awaitable[str]]

Result = TypeVar("Result")

SPOILED_CODES = frozenset({"NoSuchUpload", "BadDigest", "InvalidPart", "InvalidPartOrder", "EntityTooSmall"})
CLOCK_TOLERANCE_NS = 900 * 10**9
ABORT_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class MultipartTarget:
    """The object to be written in parts.

    Attributes:
        endpoint: the name of the store's endpoint, for the journal.
        fingerprint: of the source's state: an upload begun from another state is never continued.
        batch_id, index: the transfer that it belongs to.
        concede: makes the attempt to create it with fewer attributes where the store refuses some.
    """

    store: Store
    endpoint: str
    bucket: str
    key: str
    attributes: ObjectAttributes
    size: int
    fingerprint: str
    batch_id: BatchId
    index: int
    concede: Concede | None = None

    @property
    def algorithm(self) -> str | None:
        """The checksum algorithm of the upload, where it is another one than CRC64NVME."""
        asked = self.attributes.checksum_algorithm
        return None if asked == "CRC64NVME" else asked


class MultipartUploads:
    """Opens, continues and ends multipart uploads, each recorded in the journal before the store hears of it."""

    def __init__(self, ledger: UploadLedger) -> None:
        self._ledger = ledger

    async def open(
        self, target: MultipartTarget, part_size: int, *, resumable: bool, checksum: bool = True
    ) -> tuple[UploadRow, str, dict[int, PartReceipt]]:
        """Return the journal's row, the upload's id and the parts that the store already holds.

        Args:
            target: the object.
            part_size: in bytes; an upload with another one is not continued.
            resumable: an earlier attempt may have left an upload in the journal: go on with it if it fits.
            checksum: ask the store for a full-object CRC64NVME.
        """
        if resumable:
            found = await self._continue(target, part_size)
            if found is not None:
                return found
        row = await self._ledger.record_upload(_intent(target, part_size))

        async def create(attributes: ObjectAttributes) -> str:
            return await target.store.create_multipart_upload(
                target.bucket, target.key, attributes=attributes, checksum=checksum
            )

        try:
            upload_id = await (create(target.attributes) if target.concede is None else target.concede(create))
        except PermanentError as error:
            if error.attempts == 1:
                await self._ledger.end_upload(row)
            raise
        # After any other error, and after earlier attempts, the store may have created it: the row stays, and whoever reads it
        # looks for the upload.
        await self._ledger.name_upload(row, upload_id)
        return row, upload_id, {}

    async def finished(self, row: UploadRow) -> None:
        """Forget a completed upload."""
        await self._ledger.end_upload(row)

    async def give_up(self, target: MultipartTarget, row: UploadRow, upload_id: str) -> None:
        """Abort the upload and forget it; where the abort fails too, the journal keeps it for ``brigade gc``."""
        try:
            async with asyncio.timeout(ABORT_TIMEOUT_S):
                await target.store.abort_multipart_upload(target.bucket, target.key, upload_id)
        except (TransferError, TimeoutError):
            return
        await self._ledger.end_upload(row)

    async def _continue(
        self, target: MultipartTarget, part_size: int
    ) -> tuple[UploadRow, str, dict[int, PartReceipt]] | None:
        record = await self._ledger.find_upload(target.batch_id, target.index)
        if record is None:
            return None
        intent = record.intent
        if not intent.upload_id:
            await abort_unnamed(target.store, intent)
        elif (intent.fingerprint, intent.part_size_bytes, intent.key) == (target.fingerprint, part_size, target.key):
            try:
                parts = await target.store.list_parts(target.bucket, target.key, intent.upload_id)
            except NotFound:  # gone; should only this answer say so, it is not left behind
                await target.store.abort_multipart_upload(intent.bucket, intent.key, intent.upload_id)
            else:
                return record.row, intent.upload_id, {part.number: part for part in parts}
        else:
            await target.store.abort_multipart_upload(intent.bucket, intent.key, intent.upload_id)
        await self._ledger.end_upload(record.row)
        return None


def _intent(target: MultipartTarget, part_size: int) -> UploadIntent:
    return UploadIntent(
        batch_id=target.batch_id,
        index=target.index,
        endpoint=target.endpoint,
        bucket=target.bucket,
        key=target.key,
        part_size_bytes=part_size,
        fingerprint=target.fingerprint,
        begun_ns=time.time_ns(),
    )


class MultipartWriter:
    """Writes objects in parts from bytes that pass through us, several parts at a time, within the byte budget."""

    def __init__(
        self, ledger: UploadLedger, budget: ByteBudget, *, part_size_bytes: int, part_concurrency: int
    ) -> None:
        self._uploads = MultipartUploads(ledger)
        self._budget = budget
        self._part_size_bytes = part_size_bytes
        self._part_concurrency = part_concurrency

    async def write(
        self,
        target: MultipartTarget,
        fill: FillPart,
        *,
        resumable: bool,
        source_checksums: Mapping[str, str] = MappingProxyType({}),
        before_complete: Callable[[], None] | None = None,
    ) -> Written:
        """Write the object and return its receipt, proven by CRC and size.

        Args:
            target: the object.
            fill: gives the bytes of a part.
            resumable: an earlier attempt may have left an upload in the journal.
            source_checksums: what the source's store states of the whole object (``ObjectHead.checksums``).
            before_complete: raises where the source is no longer what was read.

        Raises:
            TransferError: the object was not written; no part of it is left at the store.
        """

        async def attempt(go_on: bool) -> Written:
            return await self._write(target, fill, go_on, source_checksums, before_complete)

        return await once_more_if_spoiled(attempt, resumable=resumable)

    async def _write(
        self,
        target: MultipartTarget,
        fill: FillPart,
        resumable: bool,
        source_checksums: Mapping[str, str],
        before_complete: Callable[[], None] | None,
    ) -> Written:
        part_size = fit_part_size_bytes(target.size, self._part_size_bytes)
        row, upload_id, held = await self._uploads.open(target, part_size, resumable=resumable)
        try:
            crcs = await self._send_parts(target, upload_id, part_size, held, fill)
            crc = _combine(target.size, part_size, crcs)
            _compare_with_source(target.key, source_checksums, crc)
            if before_complete is not None:
                before_complete()
            receipts = [held[number] for number in sorted(held)]
            written = await target.store.complete_multipart_upload(
                target.bucket,
                target.key,
                upload_id,
                receipts,
                size=target.size,
                crc64nvme=crc,
                algorithm=target.algorithm,
            )
        except TransferError:
            await self._uploads.give_up(target, row, upload_id)
            raise
        await self._uploads.finished(row)
        if written.crc64nvme != crc:
            await prove_by_head(target.store, target.bucket, target.key, size=target.size, crc64nvme=crc)
        return written

    async def _send_parts(
        self, target: MultipartTarget, upload_id: str, part_size: int, held: dict[int, PartReceipt], fill: FillPart
    ) -> dict[int, int]:
        """Send what is missing; complete ``held``; return each part's CRC64NVME."""
        crcs: dict[int, int] = {}
        parts = plan_parts(target.size, part_size)

        async def send_next() -> None:
            for part in parts:
                present = held.get(part.number)
                if present is not None and present.size == part.length and present.crc64nvme is not None:
                    crcs[part.number] = present.crc64nvme
                    continue
                async with self._budget.buffer(part.length) as buffer:
                    await fill(part, buffer)
                    crc = crcs[part.number] = crc64nvme(buffer)
                    if present is not None and present.size == part.length and etag_is_md5_of(present.etag, buffer):
                        continue
                    written = await target.store.upload_part(
                        target.bucket,
                        target.key,
                        upload_id,
                        part.number,
                        buffer,
                        crc64nvme=crc,
                        algorithm=target.algorithm,
                    )
                    prove_part(target.key, part.number, written, crc)
                held[part.number] = PartReceipt(
                    number=part.number,
                    etag=written.etag,
                    size=part.length,
                    crc64nvme=crc,
                    checksum=written.checksum,
                )

        await run_together(send_next, self._part_concurrency)
        return crcs


async def once_more_if_spoiled(attempt: Callable[[bool], Awaitable[Result]], *, resumable: bool) -> Result:
    """Run ``attempt(resumable)``; if its upload turns out to be gone or damaged, run it once more, from the beginning.

    An upload may be ended by a lifecycle rule, or hold what is left of a request that a killed run had under way.
    """
    try:
        return await attempt(resumable)
    except PermanentError as error:
        if error.code not in SPOILED_CODES:
            raise
    return await attempt(False)


async def run_together(work: Callable[[], Awaitable[None]], count: int) -> None:
    """Run ``count`` copies of ``work`` to their end; the first expected failure cancels the others and is raised as it is."""

    async def one() -> None:
        await work()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(one())
    except BaseExceptionGroup as failures:
        expected, others = failures.split(TransferError)
        if others is not None or expected is None:
            raise
        raise _first(expected) from None


def _first(group: BaseExceptionGroup[TransferError]) -> TransferError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, TransferError)  # noqa: S101 - what split() returned
    return error


def _combine(size: int, part_size: int, crcs: dict[int, int]) -> int:
    return combine_parts((crcs[part.number], part.length) for part in plan_parts(size, part_size))


def _compare_with_source(key: str, source_checksums: Mapping[str, str], crc: int) -> None:
    stated = source_checksums.get("CRC64NVME")
    if stated is not None and decode_crc(stated) != crc:
        raise ChecksumMismatch(f"The source states another CRC64NVME for {key} than its bytes have ({crc:016x}).")


async def abort_unnamed(store: Store, intent: UploadIntent) -> None:
    """Abort what may have been created for an intent whose answer never reached the journal.

    It cannot be told by its id, so every upload of the same key that began around then is given up: the key is ours to write.
    """
    for upload in await _uploads_of_key(store, intent.bucket, intent.key):
        if abs(upload[1] - intent.begun_ns) <= CLOCK_TOLERANCE_NS:
            await store.abort_multipart_upload(intent.bucket, intent.key, upload[0])


async def _uploads_of_key(store: Store, bucket: str, key: str) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    markers: tuple[str, str] | None = None
    while True:
        try:
            page = await store.list_multipart_uploads(bucket, prefix=key, markers=markers)
        except NotFound as error:
            if error.code != "NoSuchUpload":  # which rclone serve s3 answers in place of an empty list
                raise
            return found
        found.extend((upload.upload_id, upload.initiated_ns) for upload in page.uploads if upload.key == key)
        markers = page.next_markers
        if markers is None or (page.uploads and page.uploads[-1].key > key):
            return found
