"""Upload: a file becomes an object. Small ones in one PUT, from ``multipart_threshold_bytes`` on in parts."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Callable, Sequence

import msgspec

from bucket_brigade.errors import NotHonoured, SourceChanged, TransferError
from bucket_brigade.local.sources import (
    SourceFile,
    SourceFolder,
    read_as_planned,
    remove_source_file,
    status_of_source,
)
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.model.outcome import Done, Outcome, State, Vanished
from bucket_brigade.model.parts import Part
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.attributes import Preserve
from bucket_brigade.operations.filemeta import GID, ITEMS, MODE, MTIME, UID, encode_mode, encode_mtime
from bucket_brigade.operations.honouring import amend, must_look, prove_kept, withdrawn
from bucket_brigade.operations.multipart import MultipartTarget, MultipartWriter
from bucket_brigade.operations.outcomes import FILE_GONE, outcome_of
from bucket_brigade.operations.port import BatchView, BucketSide, Context
from bucket_brigade.operations.receipts import EtagHistory, prove_put
from bucket_brigade.s3.checksums import crc64nvme

DEFAULT_CONTENT_TYPE = "application/octet-stream"


class ContentTypes:
    """The attributes of an upload by its file's suffix; one value for each suffix, made once."""

    def __init__(self, asked: ObjectAttributes, *, guess: bool) -> None:
        self._asked = asked
        self._guess = guess and asked.content_type is None
        self._known: dict[str, ObjectAttributes] = {}
        self._by_type: dict[str | None, ObjectAttributes] = {}

    def of(self, path: str) -> ObjectAttributes:
        """Return what the object of this file is to get."""
        if not self._guess:
            return self._asked
        suffix = path[path.rfind(".") :] if "." in path else ""
        if "/" in suffix:
            suffix = ""
        known = self._known.get(suffix)
        if known is None:
            kind = mimetypes.guess_type("name" + suffix, strict=False)[0] or DEFAULT_CONTENT_TYPE
            known = self._by_type.setdefault(kind, msgspec.structs.replace(self._asked, content_type=kind))
            if len(self._known) < 1000:  # names are the user's: their suffixes may be without end
                self._known[suffix] = known
        return known


def describer(folder: SourceFolder, preserve: Preserve) -> Callable[[str, int], dict[str, str]] | None:
    """Return what describes a file (its path, its mtime in ns) for its object's metadata; None where nothing of it is kept.

    Only on demand: metadata that differ from object to object surprise who expects what ``aws s3`` writes.
    """
    names = preserve.names & ITEMS.keys()
    if not names or (not preserve.adds_mtime and not preserve.demanded):
        return None

    def describe(path: str, modified_ns: int) -> dict[str, str]:
        items = {MTIME: encode_mtime(modified_ns)} if "mtime" in names else {}
        if names - {"mtime"}:
            status = status_of_source(folder, path)
            if "mode" in names:
                items[MODE] = encode_mode(status.st_mode)
            if "owner" in names:
                items |= {UID: str(status.st_uid), GID: str(status.st_gid)}
        return items

    return describe


class UploadStage:
    """One PUT (or one multipart upload) for each file, proven by the store's receipt."""

    takes = State.PENDING
    chunk_size = 1

    def __init__(self, context: Context, source: SourceFolder, target: BucketSide, *, leads_to: State) -> None:
        options = context.job.options
        self._files = context.files
        self.leads_to = leads_to
        self._source = source
        self._target = target
        self._etags = EtagHistory()
        self._budget = context.budget
        self._threshold_bytes = options.multipart_threshold_bytes
        self._attributes = ContentTypes(options.attributes, guess=options.guess_content_type)
        self._looks = must_look(options.attributes)
        self._describe = describer(source, Preserve.of(options))
        self._multipart = MultipartWriter(
            context.ledger,
            context.budget,
            part_size_bytes=options.part_size_bytes,
            part_concurrency=context.part_concurrency,
        )

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        """Upload these transfers one after the other."""
        return [await self._upload(batch, index) for index in indices]

    async def _upload(self, batch: BatchView, index: int) -> Outcome:
        transfer = batch.transfers[index]
        try:
            if transfer.size < self._threshold_bytes and (done := await self._upload_whole(transfer)) is not None:
                return done
            with SourceFile.open(self._source, transfer.source) as file:
                await self._upload_in_parts(batch, index, transfer, file)
                return Done(file.size)
        except TransferError as error:
            return outcome_of(error, gone=FILE_GONE)

    async def _upload_whole(self, transfer: Transfer) -> Done | None:
        """Upload it with one PUT; return None where the file has grown too large for that since it was planned."""
        budget = self._budget
        held = max(transfer.size, 1)
        await budget.acquire(held)
        try:
            body = await self._files.run(
                read_as_planned,
                self._source,
                transfer.source,
                size=transfer.size,
                modified_ns=transfer.modified_ns,
            )
            if body is None:
                with SourceFile.open(self._source, transfer.source) as file:
                    if file.size >= self._threshold_bytes:
                        return None
                    body = file.read_whole()
                    file.check_unchanged()
            crc = crc64nvme(body)
            target = self._target
            attributes = self._attributes.of(transfer.source)
            if self._describe is not None:
                attributes = await self._described(attributes, transfer.source, transfer.modified_ns)
            try:
                written = await target.store.put_object(
                    target.bucket, transfer.target, body, attributes=attributes, crc64nvme=crc
                )
            except NotHonoured as error:
                raise await withdrawn(target.store, target.bucket, transfer.target, error) from error
            if written.crc64nvme != crc:
                await prove_put(target.store, target.bucket, transfer.target, written, body, crc, etags=self._etags)
            if self._looks:
                await prove_kept(target.store, target.bucket, transfer.target, written, attributes)
        finally:
            budget.release(held)
        return Done(len(body))

    async def _described(self, attributes: ObjectAttributes, path: str, modified_ns: int) -> ObjectAttributes:
        """Return the attributes with what is kept of the file itself, in rclone's names for it."""
        assert self._describe is not None  # noqa: S101 - narrows the type
        items = await self._files.run(self._describe, path, modified_ns)
        metadata = dict(items) | dict(attributes.metadata or ())
        return msgspec.structs.replace(attributes, metadata=tuple(sorted(metadata.items())))

    async def _upload_in_parts(self, batch: BatchView, index: int, transfer: Transfer, file: SourceFile) -> None:
        async def fill(part: Part, buffer: memoryview) -> None:
            if await asyncio.to_thread(file.read_at, part.start, buffer) != part.length:
                raise SourceChanged(f"{transfer.source!r} became shorter while it was read.")

        attributes = self._attributes.of(transfer.source)
        if self._describe is not None:
            attributes = await self._described(attributes, transfer.source, file.modified_ns)
        target = MultipartTarget(
            store=self._target.store,
            endpoint=self._target.endpoint,
            bucket=self._target.bucket,
            key=transfer.target,
            attributes=attributes,
            size=file.size,
            fingerprint=f"{file.size}:{file.modified_ns}",
            batch_id=batch.id,
            index=index,
        )
        written = await self._multipart.write(
            target, fill, resumable=batch.begun_before, before_complete=lambda: file.check_still_in_place(self._source)
        )
        await amend(target.store, target.bucket, target.key, written, attributes)
        if must_look(attributes, in_parts=True):
            await prove_kept(target.store, target.bucket, target.key, written, attributes)


class RemoveFilesStage:
    """The second half of moving files: removes each that is still the one that was uploaded."""

    takes = State.MOVED
    leads_to = State.DONE
    chunk_size = 100

    def __init__(self, source: SourceFolder) -> None:
        self._source = source

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        """Remove these transfers' files, in a thread."""
        return await asyncio.to_thread(lambda: [self._remove(batch.transfers[i]) for i in indices])

    def _remove(self, transfer: Transfer) -> Outcome:
        try:
            remove_source_file(self._source, transfer.source, size=transfer.size, modified_ns=transfer.modified_ns)
        except TransferError as error:
            outcome = outcome_of(error, gone=FILE_GONE)
            if not isinstance(outcome, Vanished):
                return outcome
        return Done(max(transfer.size, 0))
