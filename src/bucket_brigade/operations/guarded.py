"""What a write may replace: ``--no-clobber`` and ``--if-unchanged``, around any stage that writes.

The target is looked at first (unless the store is known to enforce conditions and the object is small), and the write is made
conditional on what was found, so that a store which enforces conditions
decides at the instant of the write. Where it refuses or ignores them, looking first is all there is; the log says which.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

import structlog

from bucket_brigade.errors import NotFound, NotSupported, TransferError
from bucket_brigade.local.paths import TargetFolder
from bucket_brigade.local.targets import status_of_target
from bucket_brigade.model.job import Job, Overwrite
from bucket_brigade.model.outcome import Done, Failed, Outcome, Skipped
from bucket_brigade.model.transfer import UNKNOWN_SIZE, Transfer
from bucket_brigade.operations.outcomes import OBJECT_GONE, outcome_of
from bucket_brigade.operations.port import BatchView, BucketSide, Stage
from bucket_brigade.s3.store import UNCONDITIONAL, Condition, ObjectHead, Store

SECOND_NS = 1_000_000_000
LOOK_FROM_BYTES = 1024 * 1024
"""From this size on a look costs less than a body that is refused."""

IsSame = Callable[[Transfer, ObjectHead], Awaitable[bool]]
"""Says whether the object at the target certainly has the content of the transfer's source."""

_EXISTS = "EEXIST"
_FALSE_CONDITION = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", _EXISTS})

Result = TypeVar("Result")

_log = structlog.get_logger("bucket_brigade.operations")


class ConditionalTarget:
    """A store whose writes carry the condition that is expected of their key; everything else goes through as it is."""

    def __init__(self, store: Store, *, enforced: bool | None) -> None:
        self._store = store
        self._sends = enforced is not False
        self._conditions: dict[str, Condition] = {}
        certainty = {True: "the store enforces them", False: "the store ignores them", None: "nobody knows yet"}
        _log.info("writes are conditional", conditions=certainty[enforced])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextlib.contextmanager
    def expecting(self, key: str, condition: Condition) -> Iterator[None]:
        """Make every write of ``key`` in this context depend on ``condition``."""
        self._conditions[key] = condition
        try:
            yield
        finally:
            self._conditions.pop(key, None)

    async def put_object(self, bucket: str, key: str, /, *args: Any, **options: Any) -> Any:
        """See Store."""
        return await self._conditionally(self._store.put_object, bucket, key, *args, **options)

    async def copy_object(self, bucket: str, key: str, /, **options: Any) -> Any:
        """See Store."""
        return await self._conditionally(self._store.copy_object, bucket, key, **options)

    async def complete_multipart_upload(self, bucket: str, key: str, /, *args: Any, **options: Any) -> Any:
        """See Store."""
        return await self._conditionally(self._store.complete_multipart_upload, bucket, key, *args, **options)

    async def _conditionally(
        self, write: Callable[..., Awaitable[Result]], bucket: str, key: str, *args: Any, **options: Any
    ) -> Result:
        condition = self._conditions.get(key, UNCONDITIONAL)
        if self._sends and condition is not UNCONDITIONAL:
            try:
                return await write(bucket, key, *args, condition=condition, **options)
            except NotSupported:
                self._sends = False
                _log.warning("the store refuses conditional writes; its objects are looked at beforehand only")
        return await write(bucket, key, *args, **options)


class GuardedStage:
    """A stage that writes to a bucket, and replaces only what it may.

    Args:
        stage: writes through ``target.store``.
        target: its store is a ConditionalTarget.
        job: says what may be replaced, and when it was submitted (by our clock; the store's is taken to agree).
        is_same: recognizes what an earlier, killed attempt of this job wrote.
    """

    def __init__(self, stage: Stage, target: BucketSide, job: Job, is_same: IsSame) -> None:
        self.takes, self.leads_to, self.chunk_size = stage.takes, stage.leads_to, stage.chunk_size
        self._stage = stage
        self._target = target
        self._store = cast("ConditionalTarget", target.store)
        self._may_replace = job.options.overwrite is Overwrite.IF_UNCHANGED
        self._submitted_ns = job.created_ns
        self._is_same = is_same

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        """Write these transfers, those that may be written."""
        return [await self._write(batch, index) for index in indices]

    async def _write(self, batch: BatchView, index: int) -> Outcome:
        transfer = batch.transfers[index]
        try:
            head = None if self._can_go_ahead(transfer) else await self._look(transfer.target)
            if head is not None and (verdict := await self._verdict(batch, transfer, head)) is not None:
                return verdict
        except TransferError as error:
            return outcome_of(error)
        condition = Condition(if_absent=True) if head is None else Condition(if_match=head.etag)
        with self._store.expecting(transfer.target, condition):
            [outcome] = await self._stage.execute(batch, [index])
        if isinstance(outcome, Failed) and outcome.code in _FALSE_CONDITION:
            return await self._refused(outcome, batch, transfer, head)
        return outcome

    def _can_go_ahead(self, transfer: Transfer) -> bool:
        """Say whether the store's own refusal is enough, and costs less than a look."""
        certain = self._target.enforces_conditions is True and not self._may_replace
        return certain and 0 <= transfer.size < LOOK_FROM_BYTES

    async def _look(self, key: str) -> ObjectHead | None:
        try:
            return await self._target.store.head_object(self._target.bucket, key)
        except NotFound as error:
            if error.code not in OBJECT_GONE:
                raise
            return None

    async def _verdict(self, batch: BatchView, transfer: Transfer, head: ObjectHead) -> Outcome | None:
        """Return what becomes of a transfer because of what is at its target; None lets it be written."""
        if self._may_replace and head.modified_ns < self._submitted_ns // SECOND_NS * SECOND_NS:
            return None
        if batch.begun_before and await self._is_same(transfer, head):
            return Done(head.size)
        return target_changed(transfer) if self._may_replace else exists(transfer)

    async def _refused(
        self, outcome: Failed, batch: BatchView, transfer: Transfer, expected: ObjectHead | None
    ) -> Outcome:
        """A copy has two conditions: that its target is what was seen, and its source what was planned."""
        try:
            found = await self._look(transfer.target)
            if found is not None and (verdict := await self._verdict(batch, transfer, found)) is not None:
                return verdict
        except TransferError as error:
            return outcome_of(error)
        if (found and found.etag) == (expected and expected.etag):
            if outcome.code != "PreconditionFailed":
                return outcome
            return Failed("SourceChanged", "The source changed since it was planned.", outcome.request_id)
        return target_changed(transfer) if self._may_replace else exists(transfer)


class GuardedFileStage:
    """A stage that writes files, and replaces only what it may. With ``NEVER``, ``folder`` must be one that never replaces."""

    def __init__(self, stage: Stage, folder: TargetFolder, job: Job) -> None:
        self.takes, self.leads_to, self.chunk_size = stage.takes, stage.leads_to, stage.chunk_size
        self._stage = stage
        self._folder = folder
        self._may_replace = job.options.overwrite is Overwrite.IF_UNCHANGED
        self._submitted_ns = job.created_ns

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        """Write these transfers, those that may be written."""
        return [await self._write(batch, index) for index in indices]

    async def _write(self, batch: BatchView, index: int) -> Outcome:
        transfer = batch.transfers[index]
        try:
            status = await asyncio.to_thread(status_of_target, self._folder, transfer.target)
        except TransferError as error:
            return outcome_of(error)
        if status is not None and (verdict := self._verdict(batch, transfer, status)) is not None:
            return verdict
        [outcome] = await self._stage.execute(batch, [index])
        if isinstance(outcome, Failed) and outcome.code == _EXISTS:
            return exists(transfer)
        return outcome

    def _verdict(self, batch: BatchView, transfer: Transfer, status: os.stat_result) -> Outcome | None:
        # The time of the last change of any kind: the time of modification is that of the source.
        if self._may_replace and status.st_ctime_ns < self._submitted_ns:
            return None
        # A file gets its name when it is complete, with the source's time.
        same_time = status.st_mtime_ns // SECOND_NS == transfer.modified_ns // SECOND_NS
        if batch.begun_before and status.st_size == transfer.size and same_time:
            return Done(max(transfer.size, 0))
        if transfer.target.endswith("/") and transfer.size in (0, UNKNOWN_SIZE):
            return None  # the marker of a folder, which may be there
        return target_changed(transfer) if self._may_replace else exists(transfer)


def exists(transfer: Transfer) -> Skipped:
    """Return the outcome of a transfer whose target is there already, with ``--no-clobber``."""
    return Skipped("Exists", f"The target has {transfer.target!r} already; it stays as it is (--no-clobber).")


def target_changed(transfer: Transfer) -> Failed:
    """Return the outcome of a transfer whose target was written since the job was submitted, with ``--if-unchanged``."""
    return Failed("TargetChanged", f"{transfer.target!r} was written at the target since the job was submitted.")
