"""The contract of the store port: two hundred awkward keys go through every request byte for byte."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import pytest

from bucket_brigade.errors import SourceChanged, TransferError
from bucket_brigade.s3.store import DeleteKey, Store
from tests.contract.actions import list_all, read
from tests.contract.quirks import Quirks
from tests.samples import AWKWARD_KEYS, Sample

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_awkward_keys_are_written_and_read_back(store: Store, bucket: str, quirks: Quirks) -> None:
    """Byte for byte, all but those that a server is known not to hold."""
    refused = await _refused(AWKWARD_KEYS, lambda sample: _write(store, bucket, sample))
    listed = {entry.key for entry in await list_all(store, bucket)}
    written = [sample for sample in AWKWARD_KEYS if sample.name not in refused]
    altered = {sample.name for sample in written if sample.key not in listed or not await _holds(store, bucket, sample)}

    assert refused == quirks.keys.refused
    assert altered == quirks.keys.altered


async def test_awkward_keys_are_listed_as_they_were_written(store: Store, bucket: str, quirks: Quirks) -> None:
    samples = await _write_sound_ones(store, bucket, quirks)

    listed = [(entry.key, entry.size) for entry in await list_all(store, bucket, page_size=50)]

    assert listed == sorted((sample.key, len(sample.key.encode())) for sample in samples)


async def test_awkward_keys_are_copied(store: Store, bucket: str, quirks: Quirks) -> None:
    samples = await _write_sound_ones(store, bucket, quirks)

    async def copy(sample: Sample) -> None:
        await store.copy_object(bucket, f"copies/{sample.name}", source_bucket=bucket, source_key=sample.key)
        content = await read(store, bucket, f"copies/{sample.name}", len(sample.key.encode()))
        assert content == sample.key.encode()

    assert await _refused(samples, copy) == quirks.keys.uncopyable


async def test_awkward_keys_are_targets_of_copies(store: Store, bucket: str, quirks: Quirks) -> None:
    await store.put_object(bucket, "the source", b"content")
    samples = _sound_ones(quirks)

    for sample in samples:
        await store.copy_object(bucket, sample.key, source_bucket=bucket, source_key="the source")

    listed = {entry.key: entry.size for entry in await list_all(store, bucket)}
    assert listed == {"the source": 7} | {sample.key: 7 for sample in samples}


async def test_awkward_keys_are_deleted_one_by_one(store: Store, bucket: str, quirks: Quirks) -> None:
    for sample in await _write_sound_ones(store, bucket, quirks):
        await store.delete_object(bucket, sample.key)

    assert await list_all(store, bucket) == []


async def test_awkward_keys_are_deleted_in_one_request(store: Store, bucket: str, quirks: Quirks) -> None:
    samples = await _write_sound_ones(store, bucket, quirks)

    errors = await store.delete_objects(bucket, [DeleteKey(sample.key) for sample in samples])

    assert {samples[index].name: error for index, error in errors.items()} == {}
    assert await list_all(store, bucket) == []


async def _write(store: Store, bucket: str, sample: Sample) -> None:
    # The content is the key itself, so that two keys that become one show.
    await store.put_object(bucket, sample.key, sample.key.encode())


async def _holds(store: Store, bucket: str, sample: Sample) -> bool:
    content = sample.key.encode()
    try:
        return await read(store, bucket, sample.key, len(content)) == content and (
            await store.head_object(bucket, sample.key)
        ).size == len(content)
    except SourceChanged:
        return False


def _sound_ones(quirks: Quirks) -> list[Sample]:
    return [sample for sample in AWKWARD_KEYS if sample.name not in quirks.keys.refused | quirks.keys.altered]


async def _write_sound_ones(store: Store, bucket: str, quirks: Quirks) -> list[Sample]:
    samples = _sound_ones(quirks)
    for sample in samples:
        await _write(store, bucket, sample)
    return samples


async def _refused(samples: Iterable[Sample], request: Callable[[Sample], Awaitable[None]]) -> set[str]:
    """Return the names of the samples for which the request fails. One at a time: who comes first decides."""
    refused = set()
    for sample in samples:
        try:
            await request(sample)
        except TransferError:
            refused.add(sample.name)
    return refused
