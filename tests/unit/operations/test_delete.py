from __future__ import annotations

import msgspec
import pytest
from tests.fakes.faulty_store import Fault, FaultyStore
from tests.fakes.memory_store import MemoryStore
from tests.unit.operations.world import SOURCE, TARGET, World, codes, execute, execute_one, failed, listed, side

from bucket_brigade.errors import AccessDenied, ConnectionLost
from bucket_brigade.model.outcome import Done, Failed, State
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations import delete
from bucket_brigade.operations.delete import DeleteStage, RemoveSourceStage, delete_keys
from bucket_brigade.s3.store import DeleteError, DeleteKey, Store


class Refusing(MemoryStore):
    """Refuses keys, each with a list of codes, one for each request."""

    def __init__(self, refusals: dict[str, list[str]]) -> None:
        super().__init__(SOURCE)
        self.refusals = refusals
        self.asked: list[list[str]] = []

    async def delete_objects(self, bucket: str, keys: list[DeleteKey]) -> dict[int, DeleteError]:
        self.asked.append([key.key for key in keys])
        refused = {
            index: DeleteError(self.refusals[key.key].pop(0), "not now")
            for index, key in enumerate(keys)
            if self.refusals.get(key.key)
        }
        left = [key for index, key in enumerate(keys) if index not in refused]
        if left:
            await super().delete_objects(bucket, left)
        return refused


def of(key: str) -> Transfer:
    return Transfer(key, key, 3)


async def ask(store: Store, *keys: str) -> list[object]:
    found = await delete_keys(
        side(store, SOURCE), SOURCE, [DeleteKey(key) for key in keys], [3] * len(keys), first_pause_s=0
    )
    return list(found)


async def test_every_key_gets_its_own_answer() -> None:
    store = Refusing({"locked": ["AccessDenied"]})
    for key in ("a", "locked", "z"):
        await store.put_object(SOURCE, key, b"123")
    outcomes = await execute(DeleteStage(side(store, SOURCE)), of("a"), of("locked"), of("missing"), of("z"))
    assert codes(outcomes) == ["Done", "AccessDenied", "Done", "Done"]
    assert store.buckets[SOURCE].keys() == ["locked"]
    assert store.asked == [["a", "locked", "missing", "z"]]


async def test_keys_that_fail_for_now_are_asked_for_again_and_only_those() -> None:
    store = Refusing({"b": ["SlowDown", "InternalError"], "c": ["NoAnswer"]})
    assert await ask(store, "a", "b", "c") == [Done(3)] * 3
    assert store.asked == [["a", "b", "c"], ["b", "c"], ["b"]]


async def test_a_key_that_goes_on_failing_is_a_failure_in_the_end() -> None:
    store = Refusing({"b": ["SlowDown"] * 99})
    outcomes = await ask(store, "a", "b")
    assert outcomes[0] == Done(3)
    assert isinstance(outcomes[1], Failed)
    assert (outcomes[1].code, outcomes[1].attempts) == ("SlowDown", delete.ROUNDS)


async def test_a_request_that_fails_as_a_whole_fails_its_keys_and_none_that_is_through() -> None:
    inner = Refusing({"b": ["SlowDown"]})
    store = FaultyStore(inner, [Fault(operation="delete_objects", does=ConnectionLost("reset"), skip=1)])
    outcomes = await ask(store.as_store, "a", "b")
    assert outcomes[0] == Done(3)
    assert isinstance(outcomes[1], Failed)
    assert outcomes[1].code == "ConnectionLost"


async def test_each_bucket_of_a_manifest_has_its_own_request() -> None:
    world = World()
    here = await listed(world.store, "k", b"123")
    there = msgspec.structs.replace(await listed(world.store, "k", b"123", bucket=TARGET), source_bucket=TARGET)
    assert await execute(DeleteStage(side(world.store, SOURCE)), here, there) == [Done(3), Done(3)]
    assert world.content("k") is None
    assert world.content("k", SOURCE) is None


async def test_a_version_is_deleted_for_good() -> None:
    world = World()
    world.store.buckets[SOURCE].versioned = True
    old = await world.store.put_object(SOURCE, "f", b"old")
    await world.store.put_object(SOURCE, "f", b"new")
    transfer = msgspec.structs.replace(of("f"), version_id=old.version_id)
    await execute_one(DeleteStage(side(world.store, SOURCE)), transfer)
    assert [version.body for _, version, _ in world.store.buckets[SOURCE].history()] == [b"new"]


# --- the second half of a move -----------------------------------------------------------------------------------------


async def test_a_moved_source_is_deleted_while_it_is_what_was_copied() -> None:
    world = World()
    transfers = [await listed(world.store, key, b"123") for key in ("same", "changed", "resized", "gone")]
    await world.store.put_object(SOURCE, "changed", b"456")
    await world.store.put_object(SOURCE, "resized", b"4567")
    await world.store.delete_object(SOURCE, "gone")
    stage = RemoveSourceStage(side(world.store, SOURCE))
    assert (stage.takes, stage.leads_to) == (State.MOVED, State.DONE)
    assert codes(await execute(stage, *transfers)) == ["Done", "SourceChanged", "SourceChanged", "Done"]
    assert world.store.buckets[SOURCE].keys() == ["changed", "resized"]


async def test_a_source_that_changes_between_the_look_and_the_deletion_stays() -> None:
    world = World()
    transfer = await listed(world.store, "f", b"123")

    async def change(_call: object) -> None:
        await world.store.put_object(SOURCE, "f", b"456")

    store = FaultyStore(world.store, [Fault(operation="delete_objects", does=change)])
    outcome = await execute_one(RemoveSourceStage(side(store.as_store, SOURCE)), transfer)
    assert failed(outcome).code == "PreconditionFailed"
    assert world.content("f", SOURCE) == b"456"


async def test_a_source_of_which_no_state_is_known_stays() -> None:
    """Nobody could tell whether it was replaced after it had been copied."""
    world = World()
    await world.store.put_object(SOURCE, "f", b"123")
    outcome = await execute_one(RemoveSourceStage(side(world.store, SOURCE)), of("f"))
    assert failed(outcome).code == "SourceUnpinned"
    assert world.content("f", SOURCE) == b"123"


async def test_a_source_that_cannot_be_looked_at_stays() -> None:
    world = World()
    transfer = await listed(world.store, "f", b"123")
    store = FaultyStore(world.store, [Fault(operation="head_object", does=AccessDenied("no", code="AccessDenied"))])
    outcome = await execute_one(RemoveSourceStage(side(store.as_store, SOURCE)), transfer)
    assert failed(outcome).code == "AccessDenied"
    assert world.content("f", SOURCE) == b"123"


@pytest.mark.parametrize("versioned", [False, True])
async def test_a_move_that_was_interrupted_after_the_deletion_counts_as_done(versioned: bool) -> None:
    world = World()
    world.store.buckets[SOURCE].versioned = versioned
    transfer = await listed(world.store, "f", b"123")
    stage = RemoveSourceStage(side(world.store, SOURCE))
    assert await execute_one(stage, transfer) == Done(3)
    assert await execute_one(stage, transfer) == Done(3)
