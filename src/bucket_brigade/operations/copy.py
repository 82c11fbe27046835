"""Copy on the server, within one endpoint. Above ``copy_limit_bytes`` as a multipart copy that carries everything over."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bucket_brigade.errors import AccessDenied, NotFound, NotSupported, TransferError
from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes
from bucket_brigade.model.outcome import Done, Outcome, State
from bucket_brigade.model.parts import MAX_PART_BYTES, Part, fit_part_size_bytes, plan_parts
from bucket_brigade.model.transfer import UNKNOWN_SIZE, Transfer
from bucket_brigade.operations.archives import told_of_archive
from bucket_brigade.operations.attributes import Carried
from bucket_brigade.operations.carrying import Carrier
from bucket_brigade.operations.multipart import MultipartTarget, MultipartUploads, once_more_if_spoiled, run_together
from bucket_brigade.operations.outcomes import OBJECT_GONE, outcome_of
from bucket_brigade.operations.planned import head_as_planned
from bucket_brigade.operations.port import BatchView, BucketSide, Context
from bucket_brigade.operations.receipts import prove_by_head
from bucket_brigade.s3.store import ObjectHead, PartReceipt, Pin, Written

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
        self._carrier = Carrier(source, target, options, same_service=True)
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
                head = head or await head_as_planned(self._source, transfer)
                note = await self._copy_in_parts(batch, index, transfer, head)
            else:
                note = await self._copy_whole(transfer, size, head)
        except TransferError as error:
            return await self._outcome_of(await told_of_archive(error, self._source, transfer), transfer)
        return Done(size, note=note)

    async def _outcome_of(self, error: TransferError, transfer: Transfer) -> Outcome:
        """A 404 to a copy may mean either side: only the source's own HEAD says that it has vanished."""
        if isinstance(error, NotFound) and error.code in OBJECT_GONE:
            try:
                await head_as_planned(self._source, transfer)
            except TransferError as found:
                return outcome_of(found)
        return outcome_of(error)

    async def _copy_whole(self, transfer: Transfer, size: int, head: ObjectHead | None) -> str:
        carrier = self._carrier
        if carrier.copies_plainly:
            carried = await carrier.plainly(transfer)
        else:
            head = head or await head_as_planned(self._source, transfer)
            carried = await carrier.restated(transfer, head, with_tags=False)
        etag = transfer.etag or (head.etag if head else "")

        async def copy(attributes: ObjectAttributes) -> Written:
            return await self._copy_object(transfer, etag, attributes, carried)

        written = await carrier.write(carried, transfer.target, copy)
        if written.etag != etag:
            await self._prove(transfer, size)
        return await carrier.finish(carried, transfer, written)

    async def _copy_object(
        self, transfer: Transfer, etag: str, attributes: ObjectAttributes, carried: Carried
    ) -> Written:
        """Copy it, tags included where they are preserved; without them, and with a note, where they cannot be read or set."""
        carrier = self._carrier
        if not carrier.copies_plainly and attributes.metadata is None:
            attributes = msgspec.structs.replace(attributes, metadata=())  # that there is none has to be said

        async def copy(*, tagging: bool) -> Written:
            return await self._target.store.copy_object(
                self._target.bucket,
                transfer.target,
                source_bucket=transfer.source_bucket or self._source.bucket,
                source_key=transfer.source,
                pin=Pin(etag, transfer.version_id),
                attributes=None if attributes == NO_ATTRIBUTES else attributes,
                tagging=tagging,
            )

        restates_tags = attributes.tagging is not None or "tags" not in carrier.preserve.names
        try:
            return await copy(tagging=restates_tags)
        except (AccessDenied, NotSupported) as error:
            if restates_tags or carrier.preserve.demanded:
                raise
            try:
                written = await copy(tagging=True)
            except TransferError:
                raise error from None
            carried.notes.append(f"tags (the store refuses to copy them: {error.code})")
            return written

    async def _prove(self, transfer: Transfer, size: int) -> None:
        """Another ETag is no proof (multipart source, KMS): compare sizes, and make sure the source is still what was planned."""
        await prove_by_head(self._target.store, self._target.bucket, transfer.target, size=size, crc64nvme=None)
        if transfer.etag and transfer.version_id is None:
            await head_as_planned(self._source, transfer)

    async def _copy_in_parts(self, batch: BatchView, index: int, transfer: Transfer, head: ObjectHead) -> str:
        carried = await self._carrier.restated(transfer, head)
        pin = Pin(head.etag, transfer.version_id)
        part_size = min(fit_part_size_bytes(head.size, self._part_size_bytes), MAX_PART_BYTES)
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

        async def attempt(go_on: bool) -> Written:
            return await self._copy_parts(target, transfer, part_size, pin, resumable=go_on)

        written = await once_more_if_spoiled(attempt, resumable=batch.begun_before)
        return await self._carrier.finish(carried, transfer, written, in_parts=True)

    async def _copy_parts(
        self, target: MultipartTarget, transfer: Transfer, part_size: int, pin: Pin, *, resumable: bool
    ) -> Written:
        row, upload_id, held = await self._uploads.open(target, part_size, resumable=resumable, checksum=False)
        parts = plan_parts(target.size, part_size)

        async def copy_next() -> None:
            for part in parts:
                present = held.get(part.number)
                if present is None or present.size != part.length:
                    held[part.number] = await self._copy_part(target, upload_id, transfer, part, pin)

        try:
            await run_together(copy_next, self._part_concurrency)
            written = await self._target.store.complete_multipart_upload(
                target.bucket,
                target.key,
                upload_id,
                [held[number] for number in sorted(held)],
                size=target.size,
                algorithm=target.algorithm,
            )
        except TransferError:
            await self._uploads.give_up(target, row, upload_id)
            raise
        await self._uploads.finished(row)
        await prove_by_head(target.store, target.bucket, target.key, size=target.size, crc64nvme=None)
        return written

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
            algorithm=target.algorithm,
        )
        return PartReceipt(number=part.number, etag=written.etag, size=part.length, checksum=written.checksum)
