"""Histories are carried over whole, in order and once, whatever is there already and wherever it was interrupted."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.faulty_store import Fault, FaultyStore, When, hang
from tests.fakes.memory_store import MemoryStore
from tests.samples import patterned_bytes
from tests.unit.operations.world import SOURCE, TARGET, World, execute_one, failed, side

from bucket_brigade.errors import AccessDenied, ConnectionLost, NotFound
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.model.outcome import Done, Skipped, State, Vanished
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.copy import CopyStage
from bucket_brigade.operations.histories import PAGE_SIZE, oldest_first
from bucket_brigade.operations.history import HistoryStage, RestoreStage
from bucket_brigade.operations.port import Stage
from bucket_brigade.operations.relay import RelayStage
from bucket_brigade.s3.governor import Governor
from bucket_brigade.s3.retrying_store import RetryingStore
from bucket_brigade.s3.store import PartReceipt, Pin, Store
from bucket_brigade.settings.values import RetrySettings

LONG_AGO, EVER_SINCE = 0, 1_900_000_000_000_000_000
"""When the job was submitted: before everything that the stores hold, or after it."""

SIZES = {"a": 10, "b": 10, "c": 1, "d": 0, "L": 2500, "M": 2500, "X": 5001}
"""Letters of a history: the content of a version by its letter; capitals are written in parts. ``-`` is a delete marker."""


def versioned(*, states_checksums: bool = True) -> MemoryStore:
    store = MemoryStore(SOURCE, TARGET, clock=time.time_ns, min_part_bytes=1, states_checksums=states_checksums)
    for bucket in store.buckets.values():
        bucket.versioned = True
    return store


def content(letter: str) -> bytes:
    return patterned_bytes(SIZES[letter], seed=ord(letter))


async def make(store: MemoryStore, bucket: str, key: str, history: str) -> None:
    for letter in history:
        if letter == "-":
            await store.delete_object(bucket, key)
        else:
            await store.put_object(bucket, key, content(letter))


async def history(store: Store, bucket: str, key: str) -> list[bytes | None]:
    """Return the contents of all versions, the oldest first; None is a delete marker."""
    found: list[bytes | None] = []
    async for version in oldest_first(store, bucket, key):
        if version.is_delete_marker:
            found.append(None)
            continue
        body = bytearray(version.size)
        await store.get_object(bucket, key, memoryview(body), pin=Pin(version_id=version.version_id))
        found.append(bytes(body))
    return found


def expected(history: str) -> list[bytes | None]:
    return [None if letter == "-" else content(letter) for letter in history]


def stage(
    world: World, source: Store, target: Store | None = None, *, since_ns: int = LONG_AGO, relay: bool = True
) -> HistoryStage:
    here, there = side(source, SOURCE), side(target or world.store, TARGET)
    write: Stage = (RelayStage if relay else CopyStage)(world.context, here, there, leads_to=State.DONE)
    return HistoryStage(write, here, there, since_ns=since_ns)


KEY = Transfer("k", "to/k", 12345)
histories_of_a_key = st.text("abcdLMX-", min_size=1, max_size=8)


@given(past=histories_of_a_key, there=st.integers(0, 8), relay=st.booleans(), states_checksums=st.booleans())
async def test_a_history_is_continued_where_the_target_has_its_beginning(
    past: str, there: int, relay: bool, states_checksums: bool
) -> None:
    world = World(store=versioned(states_checksums=states_checksums))
    source = versioned(states_checksums=states_checksums) if relay else world.store
    await make(source, SOURCE, "k", past)
    await make(source, SOURCE, "k2", "a-")  # a namesake
    await make(world.store, TARGET, "to/k", past[:there])
    for _ in range(2):  # once more changes nothing
        assert await execute_one(stage(world, source, relay=relay), KEY) == Done(12345)
        assert await history(world.store, TARGET, "to/k") == expected(past)
    assert world.uploads() == []


@given(past=histories_of_a_key, stop=st.integers(0, 20), relay=st.booleans())
async def test_a_run_that_was_killed_is_taken_up_where_it_was(past: str, stop: int, relay: bool) -> None:
    """The request that is under way when the run dies takes effect, or does not."""
    world = World(store=versioned())
    source = versioned() if relay else world.store
    await make(source, SOURCE, "k", past)
    for when in When:
        dying = FaultyStore(world.store, [Fault(operation="", does=hang, skip=stop, times=None, when=when)])
        dead = stage(world, source, dying.as_store, relay=relay)
        task = asyncio.create_task(execute_one(dead, KEY, begun_before=when is When.AFTER))
        for _ in range(500):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert await execute_one(stage(world, source, relay=relay), KEY, begun_before=True) == Done(12345)
    assert await history(world.store, TARGET, "to/k") == expected(past)
    # What the journal names in vain, or could not name any more, is looked for at the end of the job.
    named = {intent.key for intent in world.journal.uploads.values()}
    assert all(upload.key in named for upload in world.store.buckets[TARGET].uploads.values())


@pytest.mark.parametrize("other", ["b", "ab", "a-", "-", "acb", "aba", "abcb", "abc-"])
async def test_another_history_is_left_as_it_is(other: str) -> None:
    world, source = World(store=versioned()), versioned()
    await make(source, SOURCE, "k", "acc" if other == "acb" else "abc" if other in ("abcb", "abc-") else "aac")
    await make(world.store, TARGET, "to/k", other)
    outcome = failed(await execute_one(stage(world, source, since_ns=EVER_SINCE), KEY))
    assert outcome.code == "TargetHasHistory"
    assert "to/k" in outcome.message
    assert await history(world.store, TARGET, "to/k") == expected(other)


@pytest.mark.parametrize(
    ("operation", "past"), [("put_object", "ab"), ("delete_object", "a-b"), ("delete_object", "a-")]
)
async def test_a_request_that_was_made_twice_for_its_lost_answer_leaves_one_version(operation: str, past: str) -> None:
    world, source = World(store=versioned()), versioned()
    await make(source, SOURCE, "k", past)
    lost = Fault(operation=operation, does=ConnectionLost("no answer"), when=When.AFTER)
    faulty = FaultyStore(world.store, [lost])
    retrying = RetryingStore(faulty.as_store, RetrySettings(base_delay_s=0.0001), Governor())
    assert isinstance(await execute_one(stage(world, source, retrying), KEY), Done)
    assert await history(world.store, TARGET, "to/k") == expected(past)
    assert retrying.retries == 1


async def test_a_repetition_is_known_by_its_checksum_where_etags_differ_each_time() -> None:
    world, source = World(store=versioned()), versioned()
    await make(source, SOURCE, "k", "LX")
    await make(world.store, TARGET, "to/k", "L")
    target = side(world.store, TARGET)
    upload = await world.store.create_multipart_upload(TARGET, "to/k")
    part = await world.store.upload_part(TARGET, "to/k", upload, 1, content("L"))
    joined = PartReceipt(1, part.etag, SIZES["L"], part.crc64nvme)
    await world.store.complete_multipart_upload(TARGET, "to/k", upload, [joined], size=SIZES["L"])
    assert len({version.etag async for version in oldest_first(target.store, TARGET, "to/k")}) == 2
    assert isinstance(await execute_one(stage(world, source), KEY), Done)
    assert await history(world.store, TARGET, "to/k") == expected("LX")


async def test_no_version_overtakes_one_that_cannot_be_carried() -> None:
    world, source = World(store=versioned()), versioned()
    await make(source, SOURCE, "k", "abcd")
    denied = Fault(operation="get_object", does=AccessDenied("no", code="AccessDenied"), skip=2, times=None)
    outcome = failed(await execute_one(stage(world, FaultyStore(source, [denied]).as_store), KEY))
    third = [version async for version in oldest_first(source, SOURCE, "k")][2]
    assert outcome.code == "AccessDenied"
    assert f"Version {third.version_id}, number 3 of its history" in outcome.message
    assert await history(world.store, TARGET, "to/k") == expected("ab")


async def test_an_archived_version_is_named() -> None:
    world = World(store=versioned())
    await make(world.store, SOURCE, "k", "a")
    await world.store.put_object(SOURCE, "k", b"cold", attributes=ObjectAttributes(storage_class="GLACIER"))
    await make(world.store, SOURCE, "k", "b")
    outcome = failed(await execute_one(stage(world, world.store, relay=False), KEY))
    assert "number 2 of its history" in outcome.message
    assert await history(world.store, TARGET, "to/k") == expected("a")


async def test_a_version_that_vanishes_on_the_way_is_left_out() -> None:
    world, source = World(store=versioned()), versioned()
    await make(source, SOURCE, "k", "abc")
    second = [version async for version in oldest_first(source, SOURCE, "k")][1]

    async def remove(_: object) -> None:
        await source.delete_object(SOURCE, "k", version_id=second.version_id)

    faulty = FaultyStore(source, [Fault(operation="get_object", does=remove, skip=1)])
    assert isinstance(await execute_one(stage(world, faulty.as_store), KEY), Done)
    assert await history(world.store, TARGET, "to/k") == expected("ac")


async def test_a_version_of_which_a_part_is_not_found_has_not_vanished() -> None:
    world, source = World(store=versioned()), versioned()
    await make(source, SOURCE, "k", "abc")
    missing = Fault(operation="get_object", does=NotFound("no", code="NoSuchKey"), skip=1)
    outcome = failed(await execute_one(stage(world, FaultyStore(source, [missing]).as_store), KEY))
    assert (outcome.code, "number 2" in outcome.message) == ("SourceUnreadable", True)
    assert await history(world.store, TARGET, "to/k") == expected("a")


async def test_a_key_without_any_version_has_vanished() -> None:
    assert await execute_one(stage(World(store=versioned()), versioned()), KEY) == Vanished()


async def test_versions_that_cannot_be_compared_are_taken_for_ours_only_if_they_can_be() -> None:
    """Written in other parts, by a store that states no checksum: only since the job began can it have been the job."""
    for since_ns, code in ((LONG_AGO, ""), (EVER_SINCE, "TargetHasHistory")):
        world, source = World(store=versioned(states_checksums=False)), versioned(states_checksums=False)
        parts = FaultyStore(source, []).as_store
        await make(source, SOURCE, "k", "L")
        first = await execute_one(stage(world, parts), KEY)
        assert isinstance(first, Done)
        await make(source, SOURCE, "k", "a")
        outcome = await execute_one(stage(world, source, since_ns=since_ns), KEY)
        assert (failed(outcome).code if code else outcome) == (code or Done(12345))


async def test_a_target_that_keeps_no_versions_is_found_out() -> None:
    world, source = World(store=versioned()), versioned()
    world.store.buckets[TARGET].versioned = False
    await make(source, SOURCE, "k", "abc")
    assert failed(await execute_one(stage(world, source, since_ns=EVER_SINCE), KEY)).code == "TargetHasHistory"


async def test_a_history_of_many_pages_comes_in_its_order() -> None:
    store = versioned()
    count = 2 * PAGE_SIZE + 3
    for number in range(count):
        await store.put_object(SOURCE, "k", str(number).encode())
    await make(store, SOURCE, "k/2", "abc")
    found = [version.etag async for version in oldest_first(store, SOURCE, "k")]
    put = [(await store.put_object(TARGET, "x", str(number).encode())).etag for number in range(count)]
    assert found == put


# --- restoring ---------------------------------------------------------------------------------------------------------


def restoring(world: World, store: Store | None = None, *, since_ns: int = LONG_AGO) -> RestoreStage:
    here = side(store or world.store, SOURCE)
    return RestoreStage(CopyStage(world.context, here, here, leads_to=State.DONE), here, since_ns=since_ns)


async def first_version(world: World, key: str = "k") -> Transfer:
    first, *_ = [version async for version in oldest_first(world.store, SOURCE, key)]
    return Transfer(key, key, first.size, first.etag, first.modified_ns, first.version_id)


@pytest.mark.parametrize("past", ["ab", "a-", "LM", "X-a"])
async def test_an_old_version_is_written_over_the_present_one(past: str) -> None:
    world = World(store=versioned())
    await make(world.store, SOURCE, "k", past)
    transfer = await first_version(world)
    assert await execute_one(restoring(world), transfer) == Done(transfer.size)
    assert await history(world.store, SOURCE, "k") == expected(past + past[0])


async def test_what_is_there_already_is_not_restored_again() -> None:
    """By the job itself before it was killed, or by another one."""
    world = World(store=versioned())
    await make(world.store, SOURCE, "k", "ab")
    transfer = await first_version(world)
    for _ in range(2):
        assert await execute_one(restoring(world), transfer) == Done(transfer.size)
    outcome = await execute_one(restoring(world, since_ns=EVER_SINCE), transfer)
    assert isinstance(outcome, Skipped)
    assert outcome.code == "AsItWas"
    assert await history(world.store, SOURCE, "k") == expected("aba")


async def test_the_same_content_under_other_metadata_is_not_what_was_there() -> None:
    world = World(store=versioned())
    await make(world.store, SOURCE, "k", "a")
    await world.store.put_object(SOURCE, "k", content("a"), attributes=ObjectAttributes(content_type="other/type"))
    assert isinstance(await execute_one(restoring(world), await first_version(world)), Done)
    assert (await world.store.head_object(SOURCE, "k")).attributes.content_type != "other/type"


async def test_what_did_not_exist_then_gets_one_marker_if_it_is_still_what_was_planned() -> None:
    world = World(store=versioned())
    await make(world.store, SOURCE, "k", "a")
    planned = msgspec.structs.replace(await first_version(world), version_id=None)
    for _ in range(2):
        assert await execute_one(restoring(world), planned) == Done()
    assert await history(world.store, SOURCE, "k") == expected("a-")
    await make(world.store, SOURCE, "k", "b")
    assert failed(await execute_one(restoring(world), planned)).code == "SourceChanged"
    assert await history(world.store, SOURCE, "k") == expected("a-b")


async def test_a_marker_whose_answer_was_lost_is_not_a_failure() -> None:
    world = World(store=versioned())
    await make(world.store, SOURCE, "k", "a")
    planned = msgspec.structs.replace(await first_version(world), version_id=None)
    lost = Fault(operation="delete_object", does=NotFound("gone", code="NoSuchKey"), when=When.AFTER)
    assert await execute_one(restoring(world, FaultyStore(world.store, [lost]).as_store), planned) == Done()
    assert await history(world.store, SOURCE, "k") == expected("a-")
