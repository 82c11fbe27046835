"""A run may die between CreateMultipartUpload and the journal's note of the id: what the store has then must go."""

from __future__ import annotations

import time

import pytest

from bucket_brigade.journal.port import UploadIntent
from bucket_brigade.model.job import NO_ATTRIBUTES
from bucket_brigade.model.transfer import BatchId
from bucket_brigade.operations.multipart import abort_unnamed
from tests.integration.buckets import store_of, uploads_left


@pytest.mark.parametrize("server", ["ministack", "rclone"])
@pytest.mark.parametrize("created", [True, False], ids=["created", "not-created"])
async def test_an_upload_whose_id_is_unknown_is_found_by_its_key_and_aborted(
    server: str, created: bool, bucket: str, request: pytest.FixtureRequest
) -> None:
    intent = UploadIntent(
        batch_id=BatchId(1),
        index=0,
        endpoint="x",
        bucket=bucket,
        key="a b/ü",
        part_size_bytes=5 << 20,
        fingerprint="",
        begun_ns=time.time_ns(),
    )
    async with store_of(request.getfixturevalue(server)) as store:
        await store.create_bucket(bucket)
        if created:
            await store.create_multipart_upload(bucket, intent.key, attributes=NO_ATTRIBUTES)
            assert await uploads_left(store, bucket) == [intent.key]
        await abort_unnamed(store, intent)
        assert await uploads_left(store, bucket) == []
