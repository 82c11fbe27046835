"""Ten thousand versions are planned and deleted side by side, to the last one, in as few requests as S3 allows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.fakes.memory_store import MemoryStore

from bucket_brigade.jobs.build import build_job
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.model.outcome import Done
from bucket_brigade.model.transfer import BatchId, Refused, Transfer
from bucket_brigade.operations.delete import DeleteStage
from bucket_brigade.operations.port import BatchView, BucketSide
from bucket_brigade.planning.build import build_planner
from bucket_brigade.settings.values import EndpointSettings, Settings

SETTINGS = Settings(endpoints={"s3": EndpointSettings()}, state_dir="/nowhere")


class DeletingSink:
    """A queue whose batches are deleted as soon as they are planned."""

    def __init__(self, store: MemoryStore) -> None:
        self.deleted = 0
        self._stage = DeleteStage(BucketSide(store, "s3", "bucket"))

    async def append(
        self, batches: Sequence[Sequence[Transfer]], *, refused: Sequence[Refused], cursor: bytes, exhausted: bool
    ) -> None:
        assert not refused
        for batch in batches:
            view = BatchView(BatchId(1), tuple(batch), begun_before=False)
            outcomes = await self._stage.execute(view, range(len(batch)))
            assert all(isinstance(outcome, Done) for outcome in outcomes)
            self.deleted += len(outcomes)


@pytest.mark.parametrize("keys", [20, 2500])
async def test_ten_thousand_versions_are_emptied(keys: int) -> None:
    store = MemoryStore("bucket")
    store.buckets["bucket"].versioned = True
    for number in range(10_000):
        key = f"k{number % keys:05}"
        if number % 5 == 4:
            await store.delete_object("bucket", key)
        else:
            await store.put_object("bucket", key, b"1")
    job = build_job(JobRequest(verb="rm", source="s3://bucket/", all_versions=True), SETTINGS)
    sink = DeletingSink(store)

    await build_planner(job, store, single=None, catalog_path=None, batch_size=1000).run(sink, b"")

    assert sink.deleted == 10_000
    assert store.requests["delete_objects"] <= 12
    await store.delete_bucket("bucket")
