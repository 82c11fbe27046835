"""Two in-memory stores, a journal and small limits: what the stages of an operation are run in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from tests.fakes.memory_journal import MemoryJournal
from tests.fakes.memory_store import MemoryStore

from bucket_brigade.local.blocking import BlockingCalls
from bucket_brigade.model.job import NO_ATTRIBUTES, Job, ObjectAttributes, Operation, TransferOptions
from bucket_brigade.model.location import LocalPath, S3Location
from bucket_brigade.model.outcome import Failed, Outcome
from bucket_brigade.model.parts import MIB
from bucket_brigade.model.transfer import BatchId, JobId, Transfer
from bucket_brigade.operations.budget import ByteBudget
from bucket_brigade.operations.port import BatchView, BucketSide, Context, Stage
from bucket_brigade.s3.store import Store

SOURCE, TARGET = "source", "target"
PART_BYTES = 1000
"""Parts of a thousand bytes, and everything from two thousand on in parts: no test needs megabytes."""


def small_store(*, states_checksums: bool = True) -> MemoryStore:
    return MemoryStore(SOURCE, TARGET, min_part_bytes=1, states_checksums=states_checksums)


@dataclass
class World:
    store: MemoryStore = field(default_factory=small_store)
    asked: ObjectAttributes = NO_ATTRIBUTES
    memory_bytes: int = MIB
    part_concurrency: int = 4

    def __post_init__(self) -> None:
        options = TransferOptions(
            part_size_bytes=PART_BYTES,
            multipart_threshold_bytes=2 * PART_BYTES,
            copy_limit_bytes=3 * PART_BYTES,
            attributes=self.asked,
        )
        self.job = Job(
            id=JobId("20260101-000000-test"),
            operation=Operation.UPLOAD,
            source=LocalPath(path="/", recursive=True),
            target=S3Location(bucket=TARGET, recursive=True),
            options=options,
        )
        self.journal = MemoryJournal(self.job)
        self.budget = ByteBudget(self.memory_bytes)

    @property
    def context(self) -> Context:
        return Context(
            job=self.job,
            budget=self.budget,
            files=BlockingCalls(),
            ledger=self.journal,
            part_concurrency=self.part_concurrency,
        )

    def content(self, key: str, bucket: str = TARGET) -> bytes | None:
        version = self.store.buckets[bucket].current(key)
        return version.body if version is not None else None

    def uploads(self) -> list[str]:
        """Keys of the multipart uploads that are open at the store, and in the ledger."""
        at_store = [upload.key for bucket in self.store.buckets.values() for upload in bucket.uploads.values()]
        return at_store + [f"journaled {intent.key}" for intent in self.journal.uploads.values()]

    def happened(self) -> list[str]:
        return [effect.operation for effect in self.store.effects]


def side(store: Store, bucket: str) -> BucketSide:
    return BucketSide(store, "s3", bucket)


async def execute(stage: Stage, *transfers: Transfer, begun_before: bool = False) -> list[Outcome]:
    batch = BatchView(BatchId(1), transfers, begun_before)
    return await stage.execute(batch, range(len(transfers)))


async def execute_one(stage: Stage, transfer: Transfer, *, begun_before: bool = False) -> Outcome:
    [outcome] = await execute(stage, transfer, begun_before=begun_before)
    return outcome


def failed(outcome: Outcome) -> Failed:
    assert isinstance(outcome, Failed), outcome
    return outcome


def codes(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.code if isinstance(outcome, Failed) else type(outcome).__name__ for outcome in outcomes]


async def listed(store: MemoryStore, key: str, content: bytes, bucket: str = SOURCE, target: str = "") -> Transfer:
    """Put an object, and return its transfer as a listing would have made it."""
    await store.put_object(bucket, key, content)
    head = await store.head_object(bucket, key)
    store.effects.clear()
    return Transfer(key, target or key, head.size, head.etag, head.modified_ns)


def unsized(transfer: Transfer) -> Transfer:
    """The same transfer as a manifest that gives only a key would have made it."""
    return msgspec.structs.replace(transfer, size=-1, etag="", modified_ns=0)
