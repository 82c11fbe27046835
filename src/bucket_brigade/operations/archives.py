"""Archived objects: whether one can be read, saying so of those that cannot, asking for them, and waiting until they can.

The classes and the header are described at https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects.html.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum

from bucket_brigade.errors import PermanentError, TransferError
from bucket_brigade.model.job import Unarchive
from bucket_brigade.model.outcome import Done, Failed, Outcome, Skipped, State
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.outcomes import OBJECT_GONE, outcome_of
from bucket_brigade.operations.planned import head_as_planned
from bucket_brigade.operations.port import BatchView, BucketSide, Stage
from bucket_brigade.s3.store import ObjectHead, Pin

ARCHIVE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
NOT_READABLE = "InvalidObjectState"
ARCHIVED_CODES = frozenset({NOT_READABLE, "ObjectNotInActiveTierError"})

HEADS_AT_ONCE = 32
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0

_ONGOING = re.compile(r'ongoing-request="(true|false)"')
_EXPIRES = re.compile(r'expiry-date="([^"]*)"')

Sleep = Callable[[float], Awaitable[None]]


class Archive(Enum):
    """How an object stands to the archive."""

    READABLE = "not archived"
    ARCHIVED = "archived"
    RESTORING = "being restored"
    RESTORED = "restored"


def archive_state(head: ObjectHead) -> Archive:
    """Return how an object stands, from its storage class, its tier in intelligent tiering, and ``x-amz-restore``."""
    ongoing = _ONGOING.search(head.restore)
    if ongoing is not None:
        return Archive.RESTORING if ongoing[1] == "true" else Archive.RESTORED
    archived = head.attributes.storage_class in ARCHIVE_CLASSES or bool(head.archive_status)
    return Archive.ARCHIVED if archived else Archive.READABLE


def readable_until(head: ObjectHead) -> str:
    """Return the date, as the store writes it, until which a restored object is readable; "" where it tells none."""
    expires = _EXPIRES.search(head.restore)
    return expires[1] if expires else ""


async def told_of_archive(error: TransferError, source: BucketSide, transfer: Transfer) -> TransferError:
    """Return the error, or where it says that the source is archived, one that names the class and what to do."""
    if error.code not in ARCHIVED_CODES:
        return error
    bucket = transfer.source_bucket or source.bucket
    try:
        head = await source.store.head_object(bucket, transfer.source, pin=Pin(version_id=transfer.version_id))
    except TransferError:
        return error
    where = head.archive_status or head.attributes.storage_class or "an archive class"
    restoring = archive_state(head) is Archive.RESTORING
    state = "is being restored" if restoring else "is not restored"
    told = PermanentError(
        f"{transfer.source} is in {where} and {state}: it cannot be read.",
        code=NOT_READABLE,
        status=error.status,
        request_id=error.request_id,
        remedy="Wait until it is restored, and resume."
        if restoring
        else f"Restore it with: brigade unarchive {source.endpoint}://{bucket}/{transfer.source}",
    )
    told.attempts = error.attempts
    return told


class UnarchiveStage:
    """Asks for archived objects (RestoreObject). With ``wait`` in the job, another stage waits for them."""

    takes = State.PENDING
    chunk_size = 1

    def __init__(self, source: BucketSide, asked: Unarchive, *, leads_to: State) -> None:
        self.leads_to = leads_to
        self._source = source
        self._asked = asked

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        """Ask for these objects."""
        return [await self._ask(batch.transfers[index]) for index in indices]

    async def _ask(self, transfer: Transfer) -> Outcome:
        try:
            head = await head_as_planned(self._source, transfer)
            match archive_state(head):
                case Archive.READABLE:
                    storage_class = head.attributes.storage_class or "STANDARD"
                    return Skipped("NotArchived", f"It is in {storage_class} and can be read as it is.")
                case Archive.RESTORED:
                    return Skipped("Restored", f"It is readable until {readable_until(head) or 'a date not told'}.")
                case Archive.ARCHIVED:
                    await ask_for(self._source, transfer, self._asked)
        except TransferError as error:
            return outcome_of(error, gone=OBJECT_GONE)
        return Done(head.size)


async def ask_for(source: BucketSide, transfer: Transfer, asked: Unarchive) -> None:
    """Ask for one archived object to be readable. TransferError."""
    bucket = transfer.source_bucket or source.bucket
    await source.store.restore_object(
        bucket, transfer.source, days=asked.days, tier=asked.tier, version_id=transfer.version_id
    )


class AwaitRestoredStage:
    """Waits for objects that were asked for: one slot looks at all of a batch in turns, so that waiting costs nothing else."""

    takes = State.MOVED
    leads_to = State.DONE
    chunk_size = 1000

    def __init__(self, source: BucketSide, *, sleep: Sleep = asyncio.sleep) -> None:
        self._source = source
        self._sleep = sleep

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        """Return when each of these objects can be read, or never will."""
        outcomes = await await_restored(self._source, batch.transfers, indices, sleep=self._sleep)
        return [outcomes[index] for index in indices]


async def await_restored(
    source: BucketSide, transfers: Sequence[Transfer], indices: Sequence[int], *, sleep: Sleep = asyncio.sleep
) -> dict[int, Outcome]:
    """Look at archived objects until each can be read; return a Done or a failure for each index."""
    outcomes: dict[int, Outcome] = {}
    at_once = asyncio.Semaphore(HEADS_AT_ONCE)
    pause_s = FIRST_PAUSE_S

    async def look(index: int) -> None:
        async with at_once:
            try:
                head = await head_as_planned(source, transfers[index])
            except TransferError as error:
                outcomes[index] = outcome_of(error, gone=OBJECT_GONE)
                return
        state = archive_state(head)
        if state is Archive.ARCHIVED:
            outcomes[index] = Failed("NotRestored", "The store does not restore it although it was asked to.")
        elif state is not Archive.RESTORING:
            outcomes[index] = Done(head.size)

    waiting = list(indices)
    while True:
        await asyncio.gather(*(look(index) for index in waiting))
        waiting = [index for index in waiting if index not in outcomes]
        if not waiting:
            return outcomes
        await sleep(pause_s)
        pause_s = min(LONGEST_PAUSE_S, pause_s * 1.5)


class UnarchivingStage:
    """A stage that reads a bucket, for which archived objects are restored first (``--unarchive``).

    Everything that can be read is moved; what cannot is asked for, all at once; then those are waited for and moved.
    """

    def __init__(self, stage: Stage, source: BucketSide, asked: Unarchive, *, sleep: Sleep = asyncio.sleep) -> None:
        self.takes, self.leads_to = stage.takes, stage.leads_to
        self.chunk_size = 1000
        self._stage = stage
        self._source = source
        self._asked = asked
        self._sleep = sleep

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        """Move these transfers, whatever has to be restored for it."""
        outcomes = await self._run(batch, indices)
        archived = [index for index in indices if _is_archived(outcomes[index])]
        asked = [index for index in archived if await self._ask(batch, index, outcomes)]
        if asked:
            restored = await await_restored(self._source, batch.transfers, asked, sleep=self._sleep)
            readable = [index for index in asked if isinstance(restored[index], Done)]
            outcomes |= restored | await self._run(batch, readable)
        return [outcomes[index] for index in indices]

    async def _run(self, batch: BatchView, indices: Sequence[int]) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        pending = iter(indices)

        async def work() -> None:
            for index in pending:
                [outcomes[index]] = await self._stage.execute(batch, [index])

        async with asyncio.TaskGroup() as group:
            for _ in range(min(len(indices), HEADS_AT_ONCE)):
                group.create_task(work())
        return outcomes

    async def _ask(self, batch: BatchView, index: int, outcomes: dict[int, Outcome]) -> bool:
        """Ask for one object; say whether it is on its way. A refusal is its outcome."""
        try:
            await ask_for(self._source, batch.transfers[index], self._asked)
        except PermanentError as error:
            if error.code != NOT_READABLE:  # which a store answers that has restored it by now
                outcomes[index] = outcome_of(error, gone=OBJECT_GONE)
                return False
        except TransferError as error:
            outcomes[index] = outcome_of(error, gone=OBJECT_GONE)
            return False
        return True


def _is_archived(outcome: Outcome) -> bool:
    return isinstance(outcome, Failed) and outcome.code == NOT_READABLE
