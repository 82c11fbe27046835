"""The contract of the store port: two hundred awkward keys go through every request byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import pytest

from bucket_brigade.errors import TransferError
from bucket_brigade.s3.store import DeleteKey, Store
from tests.contract.actions import list_all, read
from tests.contract.quirks import Quirks
from tests.samples import AWKWARD_KEYS, Sample

pytestmark = pytest.mark.asyncio(loop_scope="session")


def test_there_are_two_hundred_different_ones() -> None:
    assert len(AWKWARD_KEYS) >= 200
    assert len({sample.name for sample in AWKWARD_KEYS}) == len({sample.key for sample in AWKWARD_KEYS})
    assert all(1 <= len(sample.key.encode()) <= 1024 for sample in AWKWARD_KEYS)


async def test_awkward_keys_are_written_listed_read_copied_and_deleted(
    store: Store, bucket: str, quirks: Quirks
) -> None:
    """Each key's content is its own name, so that two keys that become one show."""

    async def write(key: str) -> None:
        await store.put_object(bucket, key, key.encode())

    async def read_back(key: str) -> None:
        assert await read(store, bucket, key, len(key.encode())) == key.encode()
        assert (await store.head_object(bucket, key)).size == len(key.encode())

    refused = await _refused_by(write, AWKWARD_KEYS)
    assert refused == quirks.refused_keys
    kept = [sample for sample in AWKWARD_KEYS if sample.name not in refused]

    listed = {entry.key: entry.size for entry in await list_all(store, bucket, page_size=50)}
    assert listed == {sample.key: len(sample.key.encode()) for sample in kept}
    assert await _refused_by(read_back, kept) == set()

    await _copies_are_equal(store, bucket, kept)

    errors = await store.delete_objects(bucket, [DeleteKey(sample.key) for sample in kept])
    assert {kept[index].name: error for index, error in errors.items()} == {}
    left = {entry.key for entry in await list_all(store, bucket)}
    assert left == set()


async def _copies_are_equal(store: Store, bucket: str, samples: list[Sample]) -> None:
    """Copy each key, awkward as a source, to a tame one and back to itself behind a prefix: awkward as a target."""

    async def copy(sample: Sample) -> None:
        size = len(sample.key.encode())
        await store.copy_object(bucket, f"copy-of/{sample.name}", source_bucket=bucket, source_key=sample.key)
        assert await read(store, bucket, f"copy-of/{sample.name}", size) == sample.key.encode()
        await store.delete_object(bucket, f"copy-of/{sample.name}")

    await asyncio.gather(*(copy(sample) for sample in samples))


async def _refused_by(request: Callable[[str], Awaitable[None]], samples: Iterable[Sample]) -> set[str]:
    """Return the names of the samples for which the request fails. One at a time: their order decides who is first."""
    refused = set()
    for sample in samples:
        try:
            await request(sample.key)
        except (TransferError, AssertionError):
            refused.add(sample.name)
    return refused
