"""Delete: up to 1,000 keys a request, every key's own answer reconciled. Also the second half of a move."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bucket_brigade.errors import TransferError
from bucket_brigade.model.outcome import Done, Failed, Outcome, State, Vanished
from bucket_brigade.model.transfer import BATCH_SIZE, Transfer
from bucket_brigade.operations.outcomes import OBJECT_GONE, outcome_of
from bucket_brigade.operations.port import BatchView, BucketSide
from bucket_brigade.s3.store import DeleteError, DeleteKey, ObjectHead, Pin

RETRIED_CODES = frozenset({"InternalError", "SlowDown", "ServiceUnavailable", "OperationAborted", "NoAnswer"})
"""A key refused with one of these is asked for again; any other refusal is final (per-key errors in a 200)."""

ROUNDS = 5
FIRST_PAUSE_S = 0.2
HEADS_AT_ONCE = 32


class DeleteStage:
    """Removes keys by DeleteObjects. A key that is missing already counts as removed, as S3 has it."""

    takes = State.PENDING
    leads_to = State.DONE
    chunk_size = BATCH_SIZE

    def __init__(self, source: BucketSide) -> None:
        self._source = source

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        """Delete these transfers' sources in one request for each bucket."""
        transfers = [batch.transfers[i] for i in indices]
        buckets = {transfer.source_bucket for transfer in transfers}
        if len(buckets) == 1:
            return await self._delete(buckets.pop(), transfers)
        outcomes: dict[int, Outcome] = {}
        for bucket in buckets:
            group = [i for i, transfer in enumerate(transfers) if transfer.source_bucket == bucket]
            outcomes.update(zip(group, await self._delete(bucket, [transfers[i] for i in group]), strict=True))
        return [outcomes[i] for i in range(len(transfers))]

    async def _delete(self, bucket: str | None, transfers: Sequence[Transfer]) -> list[Outcome]:
        keys = map(DeleteKey, [one.source for one in transfers], [one.version_id for one in transfers])
        sizes = [one.size if one.size > 0 else 0 for one in transfers]
        return await delete_keys(self._source, bucket or self._source.bucket, list(keys), sizes)


class RemoveSourceStage:
    """The second half of a move: deletes each source that is still the object that was copied."""

    takes = State.MOVED
    leads_to = State.DONE
    chunk_size = BATCH_SIZE

    def __init__(self, source: BucketSide) -> None:
        self._source = source
        self._at_once = asyncio.Semaphore(HEADS_AT_ONCE)

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        """HEAD every source, then delete those that are unchanged."""
        outcomes: dict[int, Outcome] = {}
        for bucket, group in _by_bucket(batch.transfers, indices, self._source.bucket).items():
            found = await asyncio.gather(*(self._look(bucket, batch.transfers[i]) for i in group))
            outcomes.update((i, outcome) for i, outcome in zip(group, found, strict=True) if outcome is not None)
            unchanged = [i for i in group if i not in outcomes]
            keys = [_pinned_key(batch.transfers[i]) for i in unchanged]
            sizes = [max(batch.transfers[i].size, 0) for i in unchanged]
            removed = await delete_keys(self._source, bucket, keys, sizes)
            outcomes.update(zip(unchanged, removed, strict=True))
        return [outcomes[i] for i in indices]

    async def _look(self, bucket: str, transfer: Transfer) -> Outcome | None:
        """Return the outcome of a source that must stay, or is gone already; None for one that is to be deleted."""
        if not transfer.etag and transfer.version_id is None:
            return _unpinned(transfer)
        async with self._at_once:
            try:
                head = await self._source.store.head_object(
                    bucket, transfer.source, pin=Pin(version_id=transfer.version_id)
                )
            except TransferError as error:
                outcome = outcome_of(error, gone=OBJECT_GONE)
                # Gone: an earlier attempt was here. Deleting it once more would add a delete marker.
                return Done(max(transfer.size, 0)) if isinstance(outcome, Vanished) else outcome
        return None if _is_planned(head, transfer) else _kept(transfer)


def _is_planned(head: ObjectHead, transfer: Transfer) -> bool:
    return (not transfer.etag or head.etag == transfer.etag) and (transfer.size < 0 or head.size == transfer.size)


def _kept(transfer: Transfer) -> Failed:
    return Failed(
        code="SourceChanged",
        message=f"{transfer.source} was copied, but has changed since: the source is kept. Move it again to move its new state.",
    )


def _unpinned(transfer: Transfer) -> Failed:
    return Failed(
        code="SourceUnpinned",
        message=f"{transfer.source} was copied, but the source is kept: nothing tells whether it has changed since.",
    )


def _pinned_key(transfer: Transfer) -> DeleteKey:
    if transfer.version_id is not None:  # it never changes, and stores compare the ETag with the current version's
        return DeleteKey(transfer.source, transfer.version_id)
    return DeleteKey(transfer.source, None, transfer.etag)


def _by_bucket(transfers: Sequence[Transfer], indices: Sequence[int], default: str) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for i in indices:
        groups.setdefault(transfers[i].source_bucket or default, []).append(i)
    return groups


async def delete_keys(
    side: BucketSide, bucket: str, keys: list[DeleteKey], sizes: list[int], *, first_pause_s: float = FIRST_PAUSE_S
) -> list[Outcome]:
    """Delete the keys; ask again, after a pause, for those that the store could not delete just now."""
    outcomes: list[Outcome] = list(map(Done, sizes))
    left = list(range(len(keys)))
    errors: dict[int, DeleteError] = {}
    for round_number in range(ROUNDS):
        if not left:
            return outcomes
        if round_number:
            await asyncio.sleep(first_pause_s * 2**round_number)
        try:
            errors = await side.store.delete_objects(bucket, [keys[i] for i in left] if round_number else keys)
        except TransferError as error:
            failed = outcome_of(error)
            for i in left:
                outcomes[i] = failed
            return outcomes
        if round_number:  # refused before, and deleted now
            for i in left:
                outcomes[i] = Done(sizes[i])
        for position, error_of_key in errors.items():
            outcomes[left[position]] = _refused(keys[left[position]], error_of_key, round_number + 1)
        left = [left[position] for position, error in errors.items() if error.code in RETRIED_CODES]
    return outcomes


def _refused(key: DeleteKey, error: DeleteError, attempts: int) -> Failed:
    return Failed(
        code=error.code,
        message=f"The store did not delete {key.key}: {error.message or error.code}.",
        attempts=attempts,
        blames_store=True,
    )
