"""Whole histories, written version by version in their order; and the past of a key, brought back over its present."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace

import msgspec

from bucket_brigade.errors import NotFound, PermanentError, PreconditionFailed, TransferError
from bucket_brigade.model.outcome import Done, Failed, Outcome, Skipped, State, Vanished
from bucket_brigade.model.transfer import BATCH_SIZE, Transfer
from bucket_brigade.operations.histories import Comparer, Continuation, count_versions, oldest_first
from bucket_brigade.operations.multipart import CLOCK_TOLERANCE_NS
from bucket_brigade.operations.outcomes import OBJECT_GONE, SourceGone, outcome_of
from bucket_brigade.operations.planned import head_as_planned
from bucket_brigade.operations.port import BatchView, BucketSide, Stage
from bucket_brigade.s3.store import DeleteKey, ListedVersion, ObjectHead


class HistoryStage:
    """One transfer is one key with all its versions and delete markers, the oldest first.

    It goes on where the target's history is the beginning of the source's, whatever wrote that: so a resumed job, and a second
    one, write what is missing and nothing twice. A version that cannot be written ends its key: none may overtake it.

    Args:
        write: copies or relays one version.
        source, target: the two buckets; the target's must keep versions.
        since_ns: when the job was submitted.
    """

    takes = State.PENDING
    leads_to = State.DONE
    chunk_size = 1

    def __init__(self, write: Stage, source: BucketSide, target: BucketSide, *, since_ns: int) -> None:
        self._write = write
        self._source = source
        self._target = target
        self._comparer = Comparer(source, target, since_ns=since_ns)

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        """Carry these histories over, one after the other."""
        return [await self._execute(batch, index) for index in indices]

    async def _execute(self, batch: BatchView, index: int) -> Outcome:
        try:
            return await self._carry_over(batch, index)
        except TransferError as error:
            return outcome_of(error)

    async def _carry_over(self, batch: BatchView, index: int) -> Outcome:
        transfer = batch.transfers[index]
        async with contextlib.aclosing(self._history(transfer)) as of_source:
            found = await self._compare(of_source, transfer)
            if found.following is None:
                return Done(max(transfer.size, 0)) if found.matched else Vanished()
            written, notes = found.matched, dict[str, None]()
            async for version in _chained(found.following, of_source):
                outcome = await self._write_one(batch, index, version)
                if isinstance(outcome, Failed):
                    return _named(outcome, version, written)
                if isinstance(outcome, Done):
                    written += 1
                    notes |= {outcome.note: None} if outcome.note else {}
        await self._prove(transfer, written)
        return Done(max(transfer.size, 0), note=" ".join(notes))

    def _history(self, transfer: Transfer) -> AsyncGenerator[ListedVersion]:
        return oldest_first(self._source.store, transfer.source_bucket or self._source.bucket, transfer.source)

    async def _compare(self, of_source: AsyncIterator[ListedVersion], transfer: Transfer) -> Continuation:
        """Return how far the target is, rid of what was written to it twice."""
        found = await self._comparer.compare(of_source, transfer.target)
        if found.surplus:
            keys = [DeleteKey(transfer.target, version.version_id) for version in found.surplus[:BATCH_SIZE]]
            errors = await self._target.store.delete_objects(self._target.bucket, keys)
            for error in errors.values():
                raise PermanentError(
                    f"A version of {transfer.target} was written twice, and cannot be removed: {error.message}",
                    code=error.code,
                )
        return found

    async def _write_one(self, batch: BatchView, index: int, version: ListedVersion) -> Outcome:
        transfer = batch.transfers[index]
        if version.is_delete_marker:
            await self._target.store.delete_object(self._target.bucket, transfer.target)
            return Done()
        one = msgspec.structs.replace(
            transfer,
            size=version.size,
            etag=version.etag,
            modified_ns=version.modified_ns,
            version_id=version.version_id,
        )
        transfers = (*batch.transfers[:index], one, *batch.transfers[index + 1 :])
        [outcome] = await self._write.execute(replace(batch, transfers=transfers), [index])
        match outcome:
            case Skipped(code=code, message=message):
                return Failed(code=code, message=message)
            case Vanished() if await self._is_there(one):
                return Failed(code="SourceUnreadable", message="It is listed, and can only be read in part.")
        return outcome

    async def _is_there(self, version: Transfer) -> bool:
        try:
            await head_as_planned(self._source, version)
        except SourceGone:
            return False
        return True

    async def _prove(self, transfer: Transfer, written: int) -> None:
        """Count what the target has now; where that is another number than was written, compare both histories again."""
        if await count_versions(self._target.store, self._target.bucket, transfer.target) == written:
            return
        async with contextlib.aclosing(self._history(transfer)) as of_source:
            found = await self._compare(of_source, transfer)
        if found.matched < written:
            raise PermanentError(
                f"The target lists {found.matched} versions of {transfer.target} where {written} were written.",
                code="VersionsMissing",
                remedy="Look whether its versioning is suspended, or something deletes old versions.",
            )


async def _chained(first: ListedVersion, others: AsyncIterator[ListedVersion]) -> AsyncIterator[ListedVersion]:
    yield first
    async for version in others:
        yield version


def _named(failed: Failed, version: ListedVersion, written: int) -> Failed:
    message = (
        f"Version {version.version_id}, number {written + 1} of its history, was not written, "
        f"and so none of the later ones: {failed.message}"
    )
    return msgspec.structs.replace(failed, message=message)


class RestoreStage:
    """Writes old versions over the present ones of the same keys, where these differ.

    A transfer without a version means a key that is to be deleted, by a delete marker.

    Args:
        write: copies one version.
        bucket: where the keys are.
        since_ns: when the job was submitted.
    """

    takes = State.PENDING
    leads_to = State.DONE
    chunk_size = 1

    def __init__(self, write: Stage, bucket: BucketSide, *, since_ns: int) -> None:
        self._write = write
        self._bucket = bucket
        self._since_ns = since_ns - CLOCK_TOLERANCE_NS

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        """Bring these keys back to what they were."""
        return [await self._execute(batch, index) for index in indices]

    async def _execute(self, batch: BatchView, index: int) -> Outcome:
        transfer = batch.transfers[index]
        try:
            if transfer.version_id is None:
                return await self._delete(transfer)
            there = await self._as_it_was(transfer)
        except TransferError as error:
            return outcome_of(error)
        if there is not None:
            return there
        [outcome] = await self._write.execute(batch, [index])
        return outcome

    async def _as_it_was(self, transfer: Transfer) -> Outcome | None:
        """Return the outcome where the present object is like the old version in everything that a HEAD tells."""
        current = await self._current(transfer.target)
        if current is None or (current.etag, current.size) != (transfer.etag, transfer.size):
            return None
        old = await head_as_planned(self._bucket, transfer)
        if old.attributes != current.attributes or old.tag_count != current.tag_count:
            return None
        if current.modified_ns >= self._since_ns:  # the run before was interrupted behind this one
            return Done(max(transfer.size, 0))
        return Skipped("AsItWas", "It is again what it was then.")

    async def _delete(self, transfer: Transfer) -> Outcome:
        """Put a marker over what did not exist then, if it is still what was planned, and not over another marker."""
        current = await self._current(transfer.source)
        if current is None:
            return Done()
        if current.etag != transfer.etag:
            return _changed(transfer)
        try:
            await self._bucket.store.delete_object(self._bucket.bucket, transfer.source, if_match=transfer.etag)
        except (PreconditionFailed, NotFound):
            return Done() if await self._current(transfer.source) is None else _changed(transfer)
        return Done()

    async def _current(self, key: str) -> ObjectHead | None:
        try:
            return await self._bucket.store.head_object(self._bucket.bucket, key)
        except NotFound as error:
            if error.code not in OBJECT_GONE:
                raise
            return None


def _changed(transfer: Transfer) -> Failed:
    return Failed(
        code="SourceChanged",
        message=f"{transfer.source} did not exist then, and was written again since this job was planned: it is kept.",
    )
