"""Change the attributes of objects where they are, by the cheapest request that does it.

Tags, access control and locks have requests of their own; everything else is part of the object and needs a copy onto itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from bucket_brigade.errors import TransferError
from bucket_brigade.model.acl import parse_grants
from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes
from bucket_brigade.model.outcome import Done, Failed, Outcome, State
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.outcomes import OBJECT_GONE, of_source, outcome_of
from bucket_brigade.operations.port import BatchView, BucketSide, Stage
from bucket_brigade.s3.store import Acl, Grant, ObjectHead, Pin

BESIDE_THE_OBJECT = frozenset({"acl", "tagging", "lock_mode", "retain_until", "legal_hold"})
GRANT_FIELDS = {
    "grant_full_control": "FULL_CONTROL",
    "grant_read": "READ",
    "grant_read_acp": "READ_ACP",
    "grant_write_acp": "WRITE_ACP",
}
_SECOND_NS = 1_000_000_000


def needs_rewriting(asked: ObjectAttributes) -> bool:
    """Return whether only a copy of the object onto itself can set these attributes."""
    beside = BESIDE_THE_OBJECT | GRANT_FIELDS.keys()
    return any(getattr(asked, name) is not None for name in asked.__struct_fields__ if name not in beside)


class SetStage:
    """Sets what stands beside an object: tags, access control, retention and legal hold."""

    takes = State.PENDING
    leads_to = State.DONE
    chunk_size = 1

    def __init__(self, source: BucketSide, asked: ObjectAttributes) -> None:
        self._source = source
        self._asked = asked

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        """Change these objects."""
        return [await self._set(batch.transfers[index]) for index in indices]

    async def _set(self, transfer: Transfer) -> Outcome:
        asked, store = self._asked, self._source.store
        bucket, version_id = transfer.source_bucket or self._source.bucket, transfer.version_id
        try:
            if asked.tagging is not None:
                await of_source(store.put_object_tags(bucket, transfer.source, asked.tagging, version_id=version_id))
            if (acl := await self._acl(bucket, transfer)) is not None:
                await of_source(store.put_object_acl(bucket, transfer.source, acl, version_id=version_id))
            if asked.lock_mode is not None or asked.legal_hold is not None:
                await of_source(store.put_object_lock(bucket, transfer.source, asked, version_id=version_id))
        except TransferError as error:
            return outcome_of(error, gone=OBJECT_GONE)
        return Done(max(transfer.size, 0))

    async def _acl(self, bucket: str, transfer: Transfer) -> Acl | str | None:
        """Return the access control to set: a canned one, or the grants that were named, under the object's owner."""
        if self._asked.acl is not None:
            return self._asked.acl
        grants = tuple(
            Grant(permission, **grantee)
            for field, permission in GRANT_FIELDS.items()
            for grantee in parse_grants(getattr(self._asked, field) or "")
        )
        if not grants:
            return None
        present = await of_source(
            self._source.store.get_object_acl(bucket, transfer.source, version_id=transfer.version_id)
        )
        return Acl(present.owner, grants)


class RewriteStage:
    """Copies objects onto themselves through a copying stage.

    A copy changes the ETag of what was written in parts, so one whose answer, or whose run, was lost is recognized by what it
    was to bring about.
    """

    def __init__(self, copy: Stage, source: BucketSide, asked: ObjectAttributes, *, submitted_ns: int) -> None:
        self.takes, self.leads_to, self.chunk_size = copy.takes, copy.leads_to, copy.chunk_size
        self._copy = copy
        self._source = source
        self._asked = asked
        self._submitted_ns = submitted_ns

    async def execute(self, batch: BatchView, indices: Sequence[int]) -> list[Outcome]:
        """Rewrite these objects."""
        return [await self._rewrite(batch, index) for index in indices]

    async def _rewrite(self, batch: BatchView, index: int) -> Outcome:
        [outcome] = await self._copy.execute(batch, [index])
        if isinstance(outcome, Failed) and outcome.code == "SourceChanged":
            transfer = batch.transfers[index]
            try:
                head = await self._source.store.head_object(
                    transfer.source_bucket or self._source.bucket,
                    transfer.source,
                    pin=Pin(version_id=transfer.version_id),
                )
            except TransferError:
                return outcome
            if self._is_done(transfer, head):
                return Done(head.size)
        return outcome

    def _is_done(self, transfer: Transfer, head: ObjectHead) -> bool:
        ours = head.size == transfer.size and head.modified_ns >= self._submitted_ns // _SECOND_NS * _SECOND_NS
        return ours and has_attributes(head.attributes, self._asked)


def has_attributes(found: ObjectAttributes, asked: ObjectAttributes) -> bool:
    """Return whether what a HEAD tells is what was asked for, as far as a HEAD tells it."""
    untold = {"acl", "tagging", "checksum_algorithm", "sse_kms_context", *GRANT_FIELDS}
    for name in asked.__struct_fields__:
        wanted, present = getattr(asked, name), getattr(found, name)
        if wanted is None or name in untold:
            continue
        if name == "storage_class":
            present = present or "STANDARD"
        if name == "metadata":
            wanted, present = dict(wanted), dict(present or ())
        if wanted != present:
            return False
    return asked != NO_ATTRIBUTES
