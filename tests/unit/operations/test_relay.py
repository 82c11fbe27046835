from __future__ import annotations

import pytest
from tests.fakes.faulty_store import Call, Fault, FaultyStore, When
from tests.samples import patterned_bytes
from tests.unit.operations.world import (
    PART_BYTES,
    SOURCE,
    TARGET,
    World,
    execute,
    execute_one,
    failed,
    listed,
    side,
    small_store,
    unsized,
)

from bucket_brigade.errors import NotFound, StoreUnavailable
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.model.outcome import Done, State, Vanished
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.relay import RelayStage
from bucket_brigade.s3.store import Store


def stage(world: World, source: Store) -> RelayStage:
    return RelayStage(world.context, side(source, SOURCE), side(world.store, TARGET), leads_to=State.DONE)


@pytest.mark.parametrize("size", [0, 1, 2 * PART_BYTES - 1, 2 * PART_BYTES, 5 * PART_BYTES + 1])
@pytest.mark.parametrize("size_is_known", [True, False])
async def test_an_object_of_any_size_crosses_whole(size: int, size_is_known: bool) -> None:
    world, source = World(), small_store()
    transfer = await listed(source, "f", patterned_bytes(size), target="to/f")
    assert await execute_one(stage(world, source), transfer if size_is_known else unsized(transfer)) == Done(size)
    assert world.content("to/f") == patterned_bytes(size)
    assert world.uploads() == []
    assert world.budget.held_bytes == 0


async def test_metadata_and_tags_cross_but_not_encryption_and_storage_class() -> None:
    asked = ObjectAttributes(cache_control="no-store")
    world, source = World(asked=asked), small_store()
    of_source = ObjectAttributes(
        content_type="x/y", metadata=(("a", "b"),), tagging=(("t", "1"),), sse="aws:kms", storage_class="STANDARD_IA"
    )
    for key, size in (("small", 10), ("large", 5000)):
        await source.put_object(SOURCE, key, patterned_bytes(size), attributes=of_source)
    await execute(stage(world, source), Transfer("small", "small", 10), Transfer("large", "large", 5000))
    for key in ("small", "large"):
        kept = world.store.buckets[TARGET].current(key)
        assert kept is not None
        assert kept.tags == (("t", "1"),)
        assert (kept.attributes.content_type, kept.attributes.cache_control) == ("x/y", "no-store")
        assert kept.attributes.metadata == (("a", "b"),)
        assert (kept.attributes.sse, kept.attributes.storage_class) == (None, None)


@pytest.mark.parametrize("size", [100, 5000])
async def test_bytes_that_are_not_the_sources_are_not_kept(size: int) -> None:
    world, source = World(), small_store()
    transfer = await listed(source, "f", patterned_bytes(size))

    async def flip(call: Call) -> None:
        call.arguments["into"][0] ^= 1

    faulty = FaultyStore(source, [Fault(operation="get_object", does=flip, when=When.AFTER)])
    assert failed(await execute_one(stage(world, faulty.as_store), transfer)).code == "ChecksumMismatch"
    assert world.content("f") is None
    assert world.uploads() == []


@pytest.mark.parametrize("size", [100, 5000])
async def test_a_source_that_changed_is_a_failure(size: int) -> None:
    world, source = World(), small_store()
    transfer = await listed(source, "f", patterned_bytes(size))
    await source.put_object(SOURCE, "f", patterned_bytes(size, seed=1))
    assert failed(await execute_one(stage(world, source), transfer)).code == "SourceChanged"
    assert world.content("f") is None


async def test_a_source_that_fails_in_the_middle_leaves_no_upload() -> None:
    world, source = World(), small_store()
    transfer = await listed(source, "f", patterned_bytes(5000))
    faulty = FaultyStore(source, [Fault(operation="get_object", does=StoreUnavailable("500", status=500), skip=2)])
    assert failed(await execute_one(stage(world, faulty.as_store), transfer)).code == "StoreUnavailable"
    assert world.uploads() == []


async def test_a_source_that_is_gone_has_vanished() -> None:
    transfers = [Transfer("f", "f", 3, '"e"'), Transfer("g", "g", 9000, '"e"'), Transfer("h", "h")]
    assert await execute(stage(World(), small_store()), *transfers) == [Vanished()] * 3


async def test_a_target_that_answers_404_fails_the_transfer_and_loses_nothing() -> None:
    world, source = World(), small_store()
    transfer = await listed(source, "f", b"content", target="to/f")
    refusing = FaultyStore(world.store, [Fault(operation="put_object", does=NotFound("no", code="NoSuchKey"))]).as_store
    relay = RelayStage(world.context, side(source, SOURCE), side(refusing, TARGET), leads_to=State.DONE)
    assert failed(await execute_one(relay, transfer)).code == "NoSuchKey"
