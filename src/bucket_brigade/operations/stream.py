"""One object from standard input, of a length that nobody knows, and one object to standard output, in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Sequence

from bucket_brigade.errors import NotHonoured, TransferError
from bucket_brigade.local.streams import StandardInput, StandardOutput
from bucket_brigade.model.outcome import Done, Outcome, State
from bucket_brigade.model.parts import MAX_PART_BYTES, MAX_PARTS, Part, plan_parts
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.honouring import amend, must_look, prove_kept, withdrawn
from bucket_brigade.operations.multipart import MultipartTarget, MultipartUploads, run_together
from bucket_brigade.operations.outcomes import OBJECT_GONE, outcome_of
from bucket_brigade.operations.port import BatchView, BucketSide, Context
from bucket_brigade.operations.receipts import prove_by_head, prove_part, prove_put
from bucket_brigade.s3.checksums import ReadDigest, combine_parts, crc64nvme
from bucket_brigade.s3.store import PartReceipt, Pin, Store

PARTS_OF_ONE_SIZE = 1000


def growing_part_size_bytes(number: int, first_bytes: int) -> int:
    """Return the size of part ``number`` of a stream: doubled after every thousand parts, so that 8 MiB reach 8 TiB."""
    return min(first_bytes << ((number - 1) // PARTS_OF_ONE_SIZE), MAX_PART_BYTES)


class StreamInStage:
    """Standard input becomes an object. It cannot be read twice, so an interrupted upload is aborted, not kept."""

    takes = State.PENDING
    leads_to = State.DONE
    chunk_size = 1

    def __init__(self, context: Context, target: BucketSide) -> None:
        self._target = target
        self._uploads = MultipartUploads(context.ledger)
        self._options = context.job.options
        self._budget = context.budget
        self._part_concurrency = context.part_concurrency

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        """Upload the stream."""
        try:
            with contextlib.closing(StandardInput()) as stream:
                return [Done(await self._upload(batch, index, stream)) for index in indices]
        except TransferError as error:
            return [outcome_of(error)]

    async def _upload(self, batch: BatchView, index: int, stream: StandardInput) -> int:
        key, store = batch.transfers[index].target, self._target.store
        first = await stream.read(self._options.part_size_bytes)
        if len(first) == self._options.part_size_bytes:
            return await self._upload_in_parts(batch, index, stream, first)
        crc = crc64nvme(first)
        asked = self._options.attributes
        try:
            written = await store.put_object(self._target.bucket, key, first, attributes=asked, crc64nvme=crc)
        except NotHonoured as error:
            raise await withdrawn(store, self._target.bucket, key, error) from error
        await prove_put(store, self._target.bucket, key, written, first, crc)
        if must_look(asked):
            await prove_kept(store, self._target.bucket, key, written, asked)
        return len(first)

    async def _upload_in_parts(self, batch: BatchView, index: int, stream: StandardInput, first: memoryview) -> int:
        target = MultipartTarget(
            store=self._target.store,
            endpoint=self._target.endpoint,
            bucket=self._target.bucket,
            key=batch.transfers[index].target,
            attributes=self._options.attributes,
            size=0,
            fingerprint="stream",
            batch_id=batch.id,
            index=index,
        )
        row, upload_id, _ = await self._uploads.open(target, self._options.part_size_bytes, resumable=False)
        try:
            receipts = await self._send(target, upload_id, stream, first)
            size = sum(receipt.size for receipt in receipts)
            crc = combine_parts((receipt.crc64nvme or 0, receipt.size) for receipt in receipts)
            written = await target.store.complete_multipart_upload(
                target.bucket, target.key, upload_id, receipts, size=size, crc64nvme=crc, algorithm=target.algorithm
            )
        except BaseException:
            await self._uploads.give_up(target, row, upload_id)
            raise
        await self._uploads.finished(row)
        await prove_by_head(target.store, target.bucket, target.key, size=size, crc64nvme=crc)
        await amend(target.store, target.bucket, target.key, written, target.attributes)
        if must_look(target.attributes, in_parts=True):
            await prove_kept(target.store, target.bucket, target.key, written, target.attributes)
        return size

    async def _send(
        self, target: MultipartTarget, upload_id: str, stream: StandardInput, first: memoryview
    ) -> list[PartReceipt]:
        """Several parts are on their way at once; they are read one after the other."""
        receipts: list[PartReceipt] = []
        reading = asyncio.Lock()
        pending: deque[memoryview] = deque([first])
        numbers = iter(range(1, MAX_PARTS + 1))

        async def send(number: int, data: memoryview) -> None:
            crc = crc64nvme(data)
            written = await target.store.upload_part(
                target.bucket, target.key, upload_id, number, data, crc64nvme=crc, algorithm=target.algorithm
            )
            prove_part(target.key, number, written, crc)
            receipts.append(
                PartReceipt(number=number, etag=written.etag, size=len(data), crc64nvme=crc, checksum=written.checksum)
            )

        async def send_one() -> bool:
            async with contextlib.AsyncExitStack() as held:
                async with reading:
                    number = next(numbers, 0)
                    if not number:
                        raise too_long(target.key)
                    size = growing_part_size_bytes(number, self._options.part_size_bytes)
                    await held.enter_async_context(self._budget.claim(size))
                    data = pending.popleft() if pending else await stream.read(size)
                if data:
                    await send(number, data)
                return bool(data)

        async def send_all() -> None:
            while await send_one():
                pass

        await run_together(send_all, self._part_concurrency)
        return sorted(receipts, key=lambda receipt: receipt.number)


def too_long(key: str) -> TransferError:
    """Return the error for a stream that has more bytes than a multipart upload of these parts can hold."""
    return TransferError(
        f"The stream for {key} is longer than {MAX_PARTS} parts can hold.",
        code="EntityTooLarge",
        remedy="Use a larger --part-size.",
    )


class StreamOutStage:
    """An object goes to standard output, in order, while the next ranges are already on their way."""

    takes = State.PENDING
    leads_to = State.DONE
    chunk_size = 1

    def __init__(self, context: Context, source: BucketSide) -> None:
        self._source = source
        self._part_size_bytes = context.job.options.part_size_bytes
        fitting = context.budget.total_bytes // self._part_size_bytes
        self._ahead = max(1, min(context.part_concurrency, fitting))

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        """Write the object."""
        try:
            with contextlib.closing(StandardOutput()) as stream:
                return [Done(await self._download(batch.transfers[index], stream)) for index in indices]
        except TransferError as error:
            return [outcome_of(error, gone=OBJECT_GONE)]

    async def _download(self, transfer: Transfer, stream: StandardOutput) -> int:
        bucket = transfer.source_bucket or self._source.bucket
        pin = Pin(transfer.etag, transfer.version_id)
        size = 0
        async with contextlib.aclosing(
            read_ordered(
                self._source.store,
                bucket,
                transfer.source,
                pin=pin,
                part_size_bytes=self._part_size_bytes,
                ahead=self._ahead,
            )
        ) as chunks:
            async for chunk in chunks:
                await stream.write(chunk)
                size += len(chunk)
        return size


async def read_ordered(
    store: Store, bucket: str, key: str, *, pin: Pin, part_size_bytes: int, ahead: int
) -> AsyncGenerator[memoryview]:
    """Yield the object's bytes in order, fetched as ranges of ``part_size_bytes``, up to ``ahead`` of them at once.

    Verified against the full-object checksum where the store states one: after the last chunk, since nothing can be taken back.

    Raises:
        TransferError: as the store; ChecksumMismatch at the end.
    """
    head = await store.head_object(bucket, key, pin=pin)
    pinned = Pin(head.etag, pin.version_id)
    digest = ReadDigest(head, in_order=True)

    async def fetch(part: Part) -> memoryview:
        buffer = memoryview(bytearray(part.length))
        await store.get_object(bucket, key, buffer, start=part.start if head.size else None, pin=pinned)
        return buffer

    parts = plan_parts(head.size, part_size_bytes)
    fetches: deque[tuple[Part, asyncio.Task[memoryview]]] = deque()
    try:
        while True:
            while len(fetches) < ahead and (part := next(parts, None)) is not None:
                fetches.append((part, asyncio.create_task(fetch(part))))
            if not fetches:
                break
            part, task = fetches.popleft()
            chunk = await task
            digest.add(part.start, chunk)
            yield chunk
    finally:
        for _, task in fetches:
            task.cancel()
        await asyncio.gather(*(task for _, task in fetches), return_exceptions=True)
    digest.verify(key)
