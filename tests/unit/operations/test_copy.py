from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.faulty_store import Call, Fault, FaultyStore, When
from tests.samples import patterned_bytes
from tests.unit.operations.world import (
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

from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes
from bucket_brigade.model.outcome import Done, State, Vanished
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations import copy as copy_module
from bucket_brigade.operations.attributes import overlay
from bucket_brigade.operations.copy import CopyStage
from bucket_brigade.s3.store import Store

LIMIT = 3000


def stage(world: World, store: Store | None = None) -> CopyStage:
    return CopyStage(
        world.context, side(store or world.store, SOURCE), side(store or world.store, TARGET), leads_to=State.DONE
    )


@pytest.mark.parametrize("size", [0, 1, LIMIT, LIMIT + 1, 3 * LIMIT + 1])
@pytest.mark.parametrize("size_is_known", [True, False])
@pytest.mark.parametrize("states_checksums", [True, False])
async def test_an_object_of_any_size_is_copied(size: int, size_is_known: bool, states_checksums: bool) -> None:
    world = World(store=small_store(states_checksums=states_checksums))
    transfer = await listed(world.store, "f", patterned_bytes(size), target="to/f")
    assert await execute_one(stage(world), transfer if size_is_known else unsized(transfer)) == Done(size)
    assert world.content("to/f") == patterned_bytes(size)
    assert world.happened()[0] == ("copy_object" if size <= LIMIT else "create_multipart_upload")
    assert world.uploads() == []


words = st.text("abcxyz", min_size=1, max_size=3)
pairs = st.lists(st.tuples(words, words), max_size=2, unique_by=lambda pair: pair[0]).map(tuple)
attributes = st.builds(
    ObjectAttributes,
    content_type=st.none() | words,
    cache_control=st.none() | words,
    content_language=st.none() | words,
    metadata=st.none() | pairs,
    storage_class=st.sampled_from([None, "GLACIER_IR", "STANDARD_IA"]),
    sse=st.sampled_from([None, "AES256"]),
    tagging=st.none() | pairs,
    website_redirect=st.sampled_from([None, "/elsewhere"]),
)


@given(of_source=attributes, asked=attributes)
@settings(max_examples=60)
async def test_a_copy_comes_out_the_same_above_and_below_the_limit(
    of_source: ObjectAttributes, asked: ObjectAttributes
) -> None:
    world = World(asked=asked)
    transfers = []
    for key, size in (("small", 10), ("large", LIMIT + 1)):
        written = await world.store.put_object(SOURCE, key, patterned_bytes(size), attributes=of_source)
        transfers.append(Transfer(key, key, size, written.etag))
    assert await execute(stage(world), *transfers) == [Done(10), Done(LIMIT + 1)]
    small, large = [world.store.buckets[TARGET].current(key) for key in ("small", "large")]
    assert small is not None
    assert large is not None
    assert small.tags == large.tags
    assert _told(small.attributes) == _told(large.attributes)
    assert small.attributes.storage_class == asked.storage_class  # the target's own, unless the job asks
    assert small.attributes.website_redirect == asked.website_redirect  # which CopyObject by itself never carries
    expected = overlay(of_source, asked)
    assert (small.attributes.content_type, small.tags) == (expected.content_type, expected.tagging or ())


def _told(kept: ObjectAttributes) -> ObjectAttributes:
    """What a HEAD tells: no difference between no metadata and empty metadata."""
    return msgspec.structs.replace(kept, tagging=None, metadata=kept.metadata or None)


@pytest.mark.parametrize("size", [100, LIMIT + 1])
async def test_a_source_that_changed_since_it_was_listed_is_a_failure(size: int) -> None:
    world = World()
    transfer = await listed(world.store, "f", patterned_bytes(size))
    await world.store.put_object(SOURCE, "f", patterned_bytes(size, seed=1))
    assert failed(await execute_one(stage(world), transfer)).code == "SourceChanged"
    assert world.content("f") is None
    assert world.uploads() == []


async def test_a_source_replaced_between_two_parts_is_a_failure_without_an_upload_left() -> None:
    world = World(part_concurrency=1)
    transfer = await listed(world.store, "f", patterned_bytes(3 * LIMIT))

    async def replace(_call: Call) -> None:
        await world.store.put_object(SOURCE, "f", patterned_bytes(3 * LIMIT, seed=1))

    store = FaultyStore(world.store, [Fault(operation="upload_part_copy", does=replace, skip=1)])
    assert failed(await execute_one(stage(world, store.as_store), transfer)).code == "SourceChanged"
    assert world.content("f") is None
    assert world.uploads() == []


async def test_a_copy_that_is_not_there_afterwards_is_a_failure() -> None:
    world = World()
    # The ETag of an object in parts differs from its copy's, so the stage has to look.
    upload_id = await world.store.create_multipart_upload(SOURCE, "f")
    part = await world.store.upload_part(SOURCE, "f", upload_id, 1, b"content")
    [receipt] = await world.store.list_parts(SOURCE, "f", upload_id)
    assert receipt.etag == part.etag
    await world.store.complete_multipart_upload(SOURCE, "f", upload_id, [receipt], size=7)
    head = await world.store.head_object(SOURCE, "f")
    transfer = Transfer("f", "f", head.size, head.etag)

    async def lose(call: Call) -> None:
        await world.store.delete_object(TARGET, call.key)

    store = FaultyStore(world.store, [Fault(operation="copy_object", does=lose, when=When.AFTER)])
    assert failed(await execute_one(stage(world, store.as_store), transfer)).code == "TargetMissing"
    assert await execute_one(stage(world), transfer) == Done(7)


async def test_a_source_that_is_gone_has_vanished() -> None:
    transfers = [Transfer("f", "f", 3, '"e"'), Transfer("g", "g", 9000, '"e"'), Transfer("h", "h")]
    assert await execute(stage(World()), *transfers) == [Vanished()] * 3


async def test_a_missing_bucket_stops_the_job() -> None:
    world = World()
    transfer = await listed(world.store, "f", b"1")
    del world.store.buckets[TARGET]
    assert failed(await execute_one(stage(world), transfer)).fatal


async def test_one_version_is_copied_though_a_newer_one_is_there() -> None:
    world = World()
    world.store.buckets[SOURCE].versioned = True
    old = await world.store.put_object(SOURCE, "f", patterned_bytes(5000))
    await world.store.put_object(SOURCE, "f", b"newer")
    transfer = msgspec.structs.replace(Transfer("f", "f"), version_id=old.version_id)
    assert await execute_one(stage(world), transfer) == Done(5000)
    assert world.content("f") == patterned_bytes(5000)


async def test_objects_of_other_buckets_are_copied_from_there() -> None:
    world = World()
    transfer = await listed(world.store, "f", b"1", bucket=TARGET, target="copied")
    transfer = msgspec.structs.replace(transfer, source_bucket=TARGET)
    assert await execute_one(stage(world), transfer) == Done(1)
    assert world.content("copied") == b"1"


def test_parts_of_a_copy_are_large_unless_the_limit_is_small() -> None:
    assert copy_module.COPY_PART_BYTES >= 64 << 20
    assert overlay(NO_ATTRIBUTES, NO_ATTRIBUTES) == NO_ATTRIBUTES
