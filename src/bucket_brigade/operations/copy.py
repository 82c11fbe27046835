"""Copy on the server, within one endpoint. Above ``copy_limit_bytes`` as a multipart copy that carries everything over."""

from __future__ import annotations

from collections.abc import Sequence

from bucket_brigade.errors import NotFound, TransferError
from bucket_brigade.model.job import NO_ATTRIBUTES
from bucket_brigade.model.outcome import Done, Outcome, State
from bucket_brigade.model.parts import MAX_PART_BYTES, Part, fit_part_size_bytes, plan_parts
from bucket_brigade.model.transfer import UNKNOWN_SIZE, Transfer
from bucket_brigade.operations.attributes import carried_over, inherited, overlay, replaces_metadata
from bucket_brigade.operations.multipart import MultipartTarget, MultipartUploads, once_more_if_spoiled, run_together
from bucket_brigade.operations.outcomes import OBJECT_GONE, outcome_of
from bucket_brigade.operations.planned import head_as_planned
from bucket_brigade.operations.port import BatchView, BucketSide, Context
from bucket_brigade.operations.receipts import prove_by_head
from bucket_brigade.s3.store import ObjectHead, PartReceipt, Pin

COPY_PART_BYTES = 256 << 20
"""No byte passes through us, so parts are large: fewer requests. The limit tests lower it with ``copy_limit_bytes``."""


class CopyStage:
    """One CopyObject (or one multipart copy) for each transfer, proven by ETag or HEAD."""

    takes = State.PENDING
    chunk_size = 1

    def __init__(self, context: Context, source: BucketSide, target: BucketSide, *, leads_to: State) -> None:
        options = context.job.options
        self.leads_to = leads_to
        self._source = source
        self._target = target
        self._asked = options.attributes
        self._limit_bytes = options.copy_limit_bytes
        self._part_size_bytes = max(options.part_size_bytes, min(COPY_PART_BYTES, options.copy_limit_bytes))
        self._part_concurrency = context.part_concurrency
        self._uploads = MultipartUploads(context.ledger)

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        """Copy these transfers one after the other."""
        return [await self._copy(batch, index) for index in indices]

    async def _copy(self, batch: BatchView, index: int) -> Outcome:
        transfer = batch.transfers[index]
        try:
            size = transfer.size
            head: ObjectHead | None = None
            if size == UNKNOWN_SIZE:
                head = await head_as_planned(self._source, transfer)
                size = head.size
            if size > self._limit_bytes:
                await self._copy_in_parts(batch, index, transfer, head or await head_as_planned(self._source, transfer))
            else:
                await self._copy_whole(transfer, size, head)
        except TransferError as error:
            return await self._outcome_of(error, transfer)
        return Done(size)

    async def _outcome_of(self, error: TransferError, transfer: Transfer) -> Outcome:
        """A 404 to a copy may mean either side: only the source's own HEAD says that it has vanished."""
        if isinstance(error, NotFound) and error.code in OBJECT_GONE:
            try:
                await head_as_planned(self._source, transfer)
            except TransferError as found:
                return outcome_of(found)
        return outcome_of(error)

    async def _copy_whole(self, transfer: Transfer, size: int, head: ObjectHead | None) -> None:
        source_bucket = transfer.source_bucket or self._source.bucket
        attributes = None if self._asked == NO_ATTRIBUTES else self._asked
        if replaces_metadata(self._asked):
            head = head or await head_as_planned(self._source, transfer)
            attributes = overlay(inherited(head), self._asked)
        etag = transfer.etag or (head.etag if head else "")
        written = await self._target.store.copy_object(
            self._target.bucket,
            transfer.target,
            source_bucket=source_bucket,
            source_key=transfer.source,
            pin=Pin(etag, transfer.version_id),
            attributes=attributes,
            tagging=self._asked.tagging is not None,
        )
        if written.etag != etag:
            await self._prove(transfer, size)

    async def _prove(self, transfer: Transfer, size: int) -> None:
        """Another ETag is no proof (multipart source, KMS): compare sizes, and make sure the source is still what was planned."""
        await prove_by_head(self._target.store, self._target.bucket, transfer.target, size=size, crc64nvme=None)
        if transfer.etag and transfer.version_id is None:
            await head_as_planned(self._source, transfer)

    async def _copy_in_parts(self, batch: BatchView, index: int, transfer: Transfer, head: ObjectHead) -> None:
        source_bucket = transfer.source_bucket or self._source.bucket
        attributes = await carried_over(
            self._source.store, source_bucket, transfer.source, head, self._asked, version_id=transfer.version_id
        )
        pin = Pin(head.etag, transfer.version_id)
        part_size = min(fit_part_size_bytes(head.size, self._part_size_bytes), MAX_PART_BYTES)
        target = MultipartTarget(
            store=self._target.store,
            endpoint=self._target.endpoint,
            bucket=self._target.bucket,
            key=transfer.target,
            attributes=attributes,
            size=head.size,
            fingerprint=f"{head.etag}:{head.size}",
            batch_id=batch.id,
            index=index,
        )

        async def attempt(go_on: bool) -> None:
            await self._copy_parts(target, transfer, part_size, pin, resumable=go_on)

        await once_more_if_spoiled(attempt, resumable=batch.begun_before)

    async def _copy_parts(
        self, target: MultipartTarget, transfer: Transfer, part_size: int, pin: Pin, *, resumable: bool
    ) -> None:
        row, upload_id, held = await self._uploads.open(target, part_size, resumable=resumable, checksum=False)
        parts = plan_parts(target.size, part_size)

        async def copy_next() -> None:
            for part in parts:
                present = held.get(part.number)
                if present is None or present.size != part.length:
                    held[part.number] = await self._copy_part(target, upload_id, transfer, part, pin)

        try:
            await run_together(copy_next, self._part_concurrency)
            await self._target.store.complete_multipart_upload(
                target.bucket, target.key, upload_id, [held[number] for number in sorted(held)], size=target.size
            )
        except TransferError:
            await self._uploads.give_up(target, row, upload_id)
            raise
        await self._uploads.finished(row)
        await prove_by_head(target.store, target.bucket, target.key, size=target.size, crc64nvme=None)

    async def _copy_part(
        self, target: MultipartTarget, upload_id: str, transfer: Transfer, part: Part, pin: Pin
    ) -> PartReceipt:
        written = await target.store.upload_part_copy(
            target.bucket,
            target.key,
            upload_id,
            part.number,
            source_bucket=transfer.source_bucket or self._source.bucket,
            source_key=transfer.source,
            start=part.start,
            length=part.length,
            pin=pin,
        )
        return PartReceipt(number=part.number, etag=written.etag, size=part.length)
