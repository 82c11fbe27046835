"""Archived objects are asked for, waited for, and then moved."""

from __future__ import annotations

import dataclasses

import pytest
from tests.unit.operations.world import SOURCE, TARGET, World, execute, execute_one, failed, listed, side

from bucket_brigade.model.job import ObjectAttributes, Unarchive
from bucket_brigade.model.outcome import Done, Skipped, State, Vanished
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.archives import (
    Archive,
    AwaitRestoredStage,
    UnarchiveStage,
    UnarchivingStage,
    archive_state,
    readable_until,
)
from bucket_brigade.operations.relay import RelayStage
from bucket_brigade.s3.store import ObjectHead

UNTIL = 'ongoing-request="false", expiry-date="Fri, 21 Dec 2029 00:00:00 GMT"'


async def archived(world: World, *keys: str) -> list[Transfer]:
    transfers = [await listed(world.store, key, b"content") for key in keys]
    for key in keys:
        await world.store.put_object(SOURCE, key, b"content", attributes=ObjectAttributes(storage_class="GLACIER"))
    world.store.effects.clear()
    return transfers


def finish_restoring(world: World) -> None:
    """What S3 does within hours."""
    bucket = world.store.buckets[SOURCE]
    for key, version, _ in list(bucket.history()):
        if version.restore:
            bucket.replace(key, version, dataclasses.replace(version, restore=UNTIL))


async def test_archived_objects_are_asked_for_and_others_are_not() -> None:
    world = World()
    [cold] = await archived(world, "cold")
    warm = await listed(world.store, "warm", b"content")
    stage = UnarchiveStage(side(world.store, SOURCE), Unarchive(days=3), leads_to=State.DONE)
    done, skipped, gone = await execute(stage, cold, warm, Transfer("gone", "gone", 1))
    assert (done, gone) == (Done(7), Vanished())
    assert isinstance(skipped, Skipped)
    assert skipped.code == "NotArchived"
    assert world.happened() == ["restore_object"]
    finish_restoring(world)
    again = await execute_one(stage, cold)
    assert isinstance(again, Skipped)
    assert again.code == "Restored"
    assert "2029" in again.message


async def test_waiting_ends_when_all_can_be_read() -> None:
    world = World()
    transfers = await archived(world, "a", "b", "c")
    await execute(UnarchiveStage(side(world.store, SOURCE), Unarchive(), leads_to=State.MOVED), *transfers)
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            finish_restoring(world)

    stage = AwaitRestoredStage(side(world.store, SOURCE), sleep=sleep)
    assert await execute(stage, *transfers) == [Done(7)] * 3
    assert waited == sorted(waited)
    assert len(waited) == 3


async def test_what_is_not_restored_after_all_is_a_failure() -> None:
    world = World()
    [cold] = await archived(world, "cold")
    assert failed(await execute_one(AwaitRestoredStage(side(world.store, SOURCE)), cold)).code == "NotRestored"


async def test_a_transfer_restores_what_it_cannot_read() -> None:
    world = World()
    cold = await archived(world, "a", "b")
    warm = await listed(world.store, "warm", b"content")

    async def sleep(seconds: float) -> None:
        assert world.content("warm") == b"content", "what can be read does not wait"
        finish_restoring(world)

    relay = RelayStage(world.context, side(world.store, SOURCE), side(world.store, TARGET), leads_to=State.DONE)
    stage = UnarchivingStage(relay, side(world.store, SOURCE), Unarchive(), sleep=sleep)
    assert await execute(stage, *cold, warm) == [Done(7)] * 3
    assert [world.content(key) for key in ("a", "b")] == [b"content"] * 2


async def test_without_that_an_archived_object_is_a_clear_failure() -> None:
    world = World()
    [cold] = await archived(world, "cold")
    relay = RelayStage(world.context, side(world.store, SOURCE), side(world.store, TARGET), leads_to=State.DONE)
    assert failed(await execute_one(relay, cold)).code == "InvalidObjectState"


@pytest.mark.parametrize(
    ("head", "state"),
    [
        (ObjectHead(size=1, etag="e"), Archive.READABLE),
        (ObjectHead(size=1, etag="e", attributes=ObjectAttributes(storage_class="GLACIER_IR")), Archive.READABLE),
        (ObjectHead(size=1, etag="e", attributes=ObjectAttributes(storage_class="DEEP_ARCHIVE")), Archive.ARCHIVED),
        (ObjectHead(size=1, etag="e", archive_status="ARCHIVE_ACCESS"), Archive.ARCHIVED),
        (ObjectHead(size=1, etag="e", restore='ongoing-request="true"'), Archive.RESTORING),
        (ObjectHead(size=1, etag="e", restore=UNTIL), Archive.RESTORED),
    ],
)
def test_how_an_object_stands(head: ObjectHead, state: Archive) -> None:
    assert archive_state(head) is state


def test_the_date_is_told_as_the_store_writes_it() -> None:
    assert readable_until(ObjectHead(size=1, etag="e", restore=UNTIL)) == "Fri, 21 Dec 2029 00:00:00 GMT"
