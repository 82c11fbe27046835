from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.fakes.faulty_store import Call, Fault, FaultyStore, When
from tests.samples import patterned_bytes
from tests.unit.operations.world import PART_BYTES, SOURCE, TARGET, World, execute_one, failed, listed, side

from bucket_brigade.errors import AccessDenied, ChecksumMismatch, SourceChanged
from bucket_brigade.model.outcome import Done
from bucket_brigade.model.parts import GIB, MAX_PART_BYTES, MIB
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.stream import (
    PARTS_OF_ONE_SIZE,
    StreamInStage,
    StreamOutStage,
    growing_part_size_bytes,
    read_ordered,
)
from bucket_brigade.s3.store import UNPINNED, Pin, Store


@contextmanager
def standard_input(content: bytes) -> Iterator[None]:
    """Give the program this standard input."""
    ours, theirs = os.pipe()
    saved = os.dup(0)
    os.dup2(ours, 0)
    os.close(ours)

    def feed() -> None:
        with os.fdopen(theirs, "wb") as pipe:
            pipe.write(content)

    feeding = threading.Thread(target=feed)
    feeding.start()
    try:
        yield
    finally:
        while os.read(0, 1 << 16):
            pass
        os.dup2(saved, 0)
        os.close(saved)
        feeding.join()


@contextmanager
def standard_output() -> Iterator[list[bytes]]:
    """Catch what the program writes to standard output."""
    ours, theirs = os.pipe()
    saved = os.dup(1)
    os.dup2(theirs, 1)
    os.close(theirs)
    caught: list[bytes] = []

    def drain() -> None:
        with os.fdopen(ours, "rb") as pipe:
            caught.append(pipe.read())

    draining = threading.Thread(target=drain)
    draining.start()
    try:
        yield caught
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        draining.join()


def stage_in(world: World, store: Store | None = None) -> StreamInStage:
    return StreamInStage(world.context, side(store or world.store, TARGET))


TO_F = Transfer("-", "f")


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 9 * PART_BYTES + 1])
async def test_a_stream_of_any_length_becomes_an_object(size: int) -> None:
    world = World()
    with standard_input(patterned_bytes(size)):
        assert await execute_one(stage_in(world), TO_F) == Done(size)
    assert world.content("f") == patterned_bytes(size)
    assert world.uploads() == []
    assert world.budget.held_bytes == 0


async def test_a_failed_stream_leaves_no_upload() -> None:
    world = World()
    denied = Fault(operation="upload_part", does=AccessDenied("no", code="AccessDenied"), skip=1)
    store = FaultyStore(world.store, [denied])
    with standard_input(patterned_bytes(5000)):
        assert failed(await execute_one(stage_in(world, store.as_store), TO_F)).code == "AccessDenied"
    assert world.uploads() == []


async def test_a_cancelled_stream_leaves_no_upload_because_it_cannot_be_read_again() -> None:
    world = World()
    begun = asyncio.Event()

    async def wait(_call: Call) -> None:
        begun.set()
        await asyncio.Event().wait()

    store = FaultyStore(world.store, [Fault(operation="upload_part", does=wait, skip=1)])
    with standard_input(patterned_bytes(2 * PART_BYTES)):
        running = asyncio.create_task(execute_one(stage_in(world, store.as_store), TO_F))
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert world.uploads() == []
    assert world.budget.held_bytes == 0


async def test_a_stream_that_arrived_short_is_a_failure() -> None:
    world = World()

    async def truncate(call: Call) -> None:
        await world.store.put_object(TARGET, call.key, b"short")

    store = FaultyStore(world.store, [Fault(operation="complete_multipart_upload", does=truncate, when=When.AFTER)])
    with standard_input(patterned_bytes(5000)):
        assert failed(await execute_one(stage_in(world, store.as_store), TO_F)).code == "SizeMismatch"


def test_parts_grow_so_that_ten_thousand_hold_terabytes_and_none_is_too_large() -> None:
    sizes = [growing_part_size_bytes(number, 8 * MIB) for number in range(1, 10_001)]
    assert sizes[:PARTS_OF_ONE_SIZE] == [8 * MIB] * PARTS_OF_ONE_SIZE
    assert sizes == sorted(sizes)
    assert sum(sizes) > 7 * 1024 * GIB
    assert growing_part_size_bytes(10_000, 5 * GIB) == MAX_PART_BYTES
    assert growing_part_size_bytes(10_000, 64 * MIB) == MAX_PART_BYTES


async def test_parts_that_have_grown_count_with_their_whole_size_in_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bucket_brigade.operations.stream.PARTS_OF_ONE_SIZE", 2)
    world = World(memory_bytes=8 * PART_BYTES, part_concurrency=8)
    most = 0

    async def watch(call: Call) -> None:
        nonlocal most
        most = max(most, world.budget.held_bytes)
        flying.append(len(call.arguments["body"]))
        assert sum(flying) <= world.budget.held_bytes

    async def landed(call: Call) -> None:
        flying.remove(len(call.arguments["body"]))

    flying: list[int] = []
    script = [
        Fault(operation="upload_part", does=watch, times=None),
        Fault(operation="upload_part", does=landed, when=When.AFTER, times=None),
    ]
    size = (1 + 1 + 2 + 2 + 4 + 4 + 8 + 8) * PART_BYTES
    with standard_input(patterned_bytes(size)):
        assert await execute_one(stage_in(world, FaultyStore(world.store, script).as_store), TO_F) == Done(size)
    assert world.content("f") == patterned_bytes(size)
    assert most <= 8 * PART_BYTES


# --- out -----------------------------------------------------------------------------------------------------------------


async def read(store: Store, *, pin: Pin = UNPINNED, ahead: int = 3) -> bytes:
    chunks = read_ordered(store, SOURCE, "f", pin=pin, part_size_bytes=PART_BYTES, ahead=ahead)
    return b"".join([bytes(chunk) async for chunk in chunks])


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, 9 * PART_BYTES + 1])
async def test_an_object_goes_to_standard_output_whole(size: int) -> None:
    world = World()
    transfer = await listed(world.store, "f", patterned_bytes(size))
    with standard_output() as caught:
        outcome = await execute_one(StreamOutStage(world.context, side(world.store, SOURCE)), transfer)
    assert outcome == Done(size)
    assert caught == [patterned_bytes(size)]


async def test_ranges_that_arrive_out_of_order_are_written_in_order() -> None:
    world = World()
    await listed(world.store, "f", patterned_bytes(6000))

    async def later(_call: Call) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    store = FaultyStore(world.store, [Fault(operation="get_object", does=later, times=2)])
    assert await read(store.as_store) == patterned_bytes(6000)


async def test_no_more_ranges_are_fetched_than_the_budget_allows() -> None:
    world = World(memory_bytes=2 * PART_BYTES, part_concurrency=8)
    await listed(world.store, "f", patterned_bytes(9000))
    flying, most = 0, 0

    async def begun(_call: Call) -> None:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0)

    async def ended(_call: Call) -> None:
        nonlocal flying
        flying -= 1

    script = [
        Fault(operation="get_object", does=begun, times=None),
        Fault(operation="get_object", does=ended, when=When.AFTER, times=None),
    ]
    store = FaultyStore(world.store, script)
    stage = StreamOutStage(world.context, side(store.as_store, SOURCE))
    with standard_output():
        assert await execute_one(stage, Transfer("f", "-")) == Done(9000)
    assert most == 2


async def test_a_damaged_byte_is_told_at_the_end() -> None:
    world = World()
    await listed(world.store, "f", patterned_bytes(5000))

    async def flip(call: Call) -> None:
        call.arguments["into"][0] ^= 1

    store = FaultyStore(world.store, [Fault(operation="get_object", does=flip, when=When.AFTER, skip=1)])
    with pytest.raises(ChecksumMismatch):
        await read(store.as_store)


async def test_an_object_replaced_between_two_ranges_is_a_failure() -> None:
    world = World()
    await listed(world.store, "f", patterned_bytes(5000))

    async def replace(_call: Call) -> None:
        await world.store.put_object(SOURCE, "f", patterned_bytes(5000, seed=1))

    store = FaultyStore(world.store, [Fault(operation="get_object", does=replace, skip=2)])
    with pytest.raises(SourceChanged):
        await read(store.as_store)


async def test_a_reader_that_leaves_early_leaves_no_request_behind() -> None:
    world = World()
    await listed(world.store, "f", patterned_bytes(5000))
    chunks = read_ordered(world.store, SOURCE, "f", pin=UNPINNED, part_size_bytes=PART_BYTES, ahead=3)
    async for chunk in chunks:
        assert bytes(chunk) == patterned_bytes(5000)[:PART_BYTES]
        break
    await chunks.aclose()  # the fixtures look for tasks that are left
