"""Relay: from one endpoint to another through memory, never the disk, with everything carried over that S3 keeps."""

from __future__ import annotations

from collections.abc import Sequence

from bucket_brigade.errors import TransferError
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.model.outcome import Done, Outcome, State
from bucket_brigade.model.parts import Part
from bucket_brigade.model.transfer import UNKNOWN_SIZE, Transfer
from bucket_brigade.operations.archives import told_of_archive
from bucket_brigade.operations.carrying import Carrier
from bucket_brigade.operations.multipart import MultipartTarget, MultipartWriter
from bucket_brigade.operations.outcomes import of_source, outcome_of
from bucket_brigade.operations.planned import head_as_planned
from bucket_brigade.operations.port import BatchView, BucketSide, Context
from bucket_brigade.operations.reading import WholeReader
from bucket_brigade.operations.receipts import EtagHistory, prove_put
from bucket_brigade.s3.checksums import crc64nvme
from bucket_brigade.s3.store import ObjectHead, Pin, Written


class RelayStage:
    """GET from the source, pinned and verified; PUT (or parts) to the target, proven."""

    takes = State.PENDING
    chunk_size = 1

    def __init__(self, context: Context, source: BucketSide, target: BucketSide, *, leads_to: State) -> None:
        options = context.job.options
        self.leads_to = leads_to
        self._source = source
        self._reader = WholeReader(source.store)
        self._etags = EtagHistory()
        self._target = target
        self._carrier = Carrier(source, target, options, same_service=False)
        self._threshold_bytes = options.multipart_threshold_bytes
        self._budget = context.budget
        self._multipart = MultipartWriter(
            context.ledger,
            context.budget,
            part_size_bytes=options.part_size_bytes,
            part_concurrency=context.part_concurrency,
        )

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        """Relay these transfers one after the other."""
        return [await self._relay(batch, index) for index in indices]

    async def _relay(self, batch: BatchView, index: int) -> Outcome:
        transfer = batch.transfers[index]
        try:
            size = transfer.size
            head: ObjectHead | None = None
            if size == UNKNOWN_SIZE or size >= self._threshold_bytes:
                head = await head_as_planned(self._source, transfer)
                size = head.size
            if size >= self._threshold_bytes and head is not None:
                note = await self._relay_in_parts(batch, index, transfer, head)
            else:
                note = await self._relay_whole(transfer, size, head)
        except TransferError as error:
            return outcome_of(await told_of_archive(error, self._source, transfer))
        return Done(size, note=note)

    async def _relay_whole(self, transfer: Transfer, size: int, head: ObjectHead | None) -> str:
        source_bucket = transfer.source_bucket or self._source.bucket
        pin = Pin(transfer.etag or (head.etag if head else ""), transfer.version_id)
        async with self._budget.buffer(size) as buffer:
            read = await of_source(self._reader.read(source_bucket, transfer.source, buffer, pin))
            crc = crc64nvme(buffer)
            carried = await self._carrier.restated(transfer, read)

            async def put(attributes: ObjectAttributes) -> Written:
                return await self._target.store.put_object(
                    self._target.bucket, transfer.target, buffer, attributes=attributes, crc64nvme=crc
                )

            written = await self._carrier.write(carried, transfer.target, put)
            if written.crc64nvme != crc:
                target = self._target
                await prove_put(target.store, target.bucket, transfer.target, written, buffer, crc, etags=self._etags)
        return await self._carrier.finish(carried, transfer, written)

    async def _relay_in_parts(self, batch: BatchView, index: int, transfer: Transfer, head: ObjectHead) -> str:
        source_bucket = transfer.source_bucket or self._source.bucket
        pin = Pin(head.etag, transfer.version_id)

        async def fill(part: Part, buffer: memoryview) -> None:
            await of_source(
                self._source.store.get_object(source_bucket, transfer.source, buffer, start=part.start, pin=pin)
            )

        carried = await self._carrier.restated(transfer, head)
        target = MultipartTarget(
            store=self._target.store,
            endpoint=self._target.endpoint,
            bucket=self._target.bucket,
            key=transfer.target,
            attributes=carried.attributes,
            size=head.size,
            fingerprint=f"{head.etag}:{head.size}",
            batch_id=batch.id,
            index=index,
            concede=lambda create: self._carrier.write(carried, transfer.target, create),
        )
        written = await self._multipart.write(
            target, fill, resumable=batch.begun_before, source_checksums=head.checksums
        )
        return await self._carrier.finish(carried, transfer, written, in_parts=True)
