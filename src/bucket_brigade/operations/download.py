"""Download: an object becomes a file, written under a temporary name and renamed when it is complete and verified."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bucket_brigade.errors import TransferError
from bucket_brigade.local.blocking import to_its_end
from bucket_brigade.local.paths import TargetFolder
from bucket_brigade.local.targets import TargetFile, write_small
from bucket_brigade.local.temporaries import job_tag
from bucket_brigade.model.outcome import Done, Outcome, State
from bucket_brigade.model.parts import fit_part_size_bytes, plan_parts
from bucket_brigade.model.transfer import UNKNOWN_SIZE, Transfer
from bucket_brigade.operations.archives import told_of_archive
from bucket_brigade.operations.multipart import run_together
from bucket_brigade.operations.outcomes import OBJECT_GONE, outcome_of
from bucket_brigade.operations.planned import head_as_planned
from bucket_brigade.operations.port import BatchView, BucketSide, Context
from bucket_brigade.operations.reading import WholeReader
from bucket_brigade.operations.restoring import Restorer
from bucket_brigade.s3.checksums import ReadDigest
from bucket_brigade.s3.store import ObjectHead, Pin


class DownloadStage:
    """One GET (or ranged GETs) for each object, pinned to the planned state and verified before the file gets its name."""

    takes = State.PENDING
    chunk_size = 1

    def __init__(self, context: Context, source: BucketSide, target: TargetFolder, *, leads_to: State) -> None:
        options = context.job.options
        self.leads_to = leads_to
        self._files = context.files
        self._source = source
        self._reader = WholeReader(source.store)
        self._target = target
        self._tag = job_tag(context.job.id)
        self._budget = context.budget
        self._threshold_bytes = options.multipart_threshold_bytes
        self._part_size_bytes = options.part_size_bytes
        self._part_concurrency = context.part_concurrency
        self._restore = Restorer(options)

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        """Download these transfers one after the other."""
        return [await self._download(batch.transfers[index]) for index in indices]

    async def _download(self, transfer: Transfer) -> Outcome:
        try:
            head: ObjectHead | None = None
            size = transfer.size
            if size == UNKNOWN_SIZE or size >= self._threshold_bytes:
                head = await head_as_planned(self._source, transfer)
                size = head.size
            if size == 0 and transfer.target.endswith("/"):
                self._target.make_folder(transfer.target)
                note = ""
            elif head is not None and size >= self._threshold_bytes:
                note = await self._download_in_parts(transfer, head)
            else:
                note = await self._download_whole(transfer, size, head)
        except TransferError as error:
            return outcome_of(await told_of_archive(error, self._source, transfer), gone=OBJECT_GONE)
        return Done(size, note=note)

    async def _download_whole(self, transfer: Transfer, size: int, head: ObjectHead | None) -> str:
        pin = Pin(transfer.etag or (head.etag if head else ""), transfer.version_id)
        bucket = transfer.source_bucket or self._source.bucket
        async with self._budget.buffer(size) as buffer:
            read = await self._reader.read(bucket, transfer.source, buffer, pin)
            modified_ns, restoring = self._restore.of(read, transfer)
            await self._files.run(
                write_small,
                self._target,
                transfer.target,
                buffer,
                tag=self._tag,
                modified_ns=modified_ns,
                finish=restoring,
            )
        return "" if restoring is None else restoring.note

    async def _download_in_parts(self, transfer: Transfer, head: ObjectHead) -> str:
        bucket = transfer.source_bucket or self._source.bucket
        pin = Pin(head.etag, transfer.version_id)
        digest = ReadDigest(head)
        parts = plan_parts(head.size, fit_part_size_bytes(head.size, self._part_size_bytes))
        file = TargetFile(self._target, transfer.target, tag=self._tag, size=head.size)

        async def fetch_next() -> None:
            for part in parts:
                async with self._budget.buffer(part.length) as buffer:
                    await self._source.store.get_object(bucket, transfer.source, buffer, start=part.start, pin=pin)
                    digest.add(part.start, buffer)
                    await to_its_end(asyncio.to_thread(file.write_at, part.start, buffer))

        with file:
            await run_together(fetch_next, self._part_concurrency)
            digest.verify(transfer.source)
            modified_ns, restoring = self._restore.of(head, transfer)
            file.commit(modified_ns, finish=restoring)
        return "" if restoring is None else restoring.note
