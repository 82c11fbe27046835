"""Sharded listings of real servers: every key once, in order where order is promised, whatever the server makes of StartAfter."""

from __future__ import annotations

import contextlib

import pytest

from bucket_brigade.planning.sharded import ShardedListingSource
from bucket_brigade.planning.sources import SourceEntry
from bucket_brigade.s3.shards import iterate_in_order
from bucket_brigade.s3.split_points import find_split_points
from tests.integration.buckets import bucket_name, put_all, store_of
from tests.servers import RunningServer

KEYS = sorted([f"p/{number % 7}/{number:04} é+%" for number in range(1100)])


@pytest.mark.parametrize("server", ["moto", "ministack", "rclone"])
async def test_shards_of_a_real_bucket_hold_every_key_once(server: str, request: pytest.FixtureRequest) -> None:
    running: RunningServer = request.getfixturevalue(server)
    bucket = bucket_name(request.node.name)
    async with store_of(running) as store:
        await store.create_bucket(bucket)
        await put_all(store, bucket, "", dict.fromkeys(KEYS, b""))

        points = await find_split_points(store, bucket, "p/", count=4)
        assert len(points) == 3

        source = ShardedListingSource(store, bucket, "p/", base="p/", shards=4)
        async with contextlib.aclosing(source.slices(b"")) as slices:
            found = [one.source async for piece in slices for one in piece.entries if isinstance(one, SourceEntry)]
        assert sorted(found) == KEYS

        pages = iterate_in_order(store, bucket, prefix="p/", page_size=100, shards=4)
        async with contextlib.aclosing(pages):
            assert [one.key async for page in pages for one in page.objects] == KEYS
