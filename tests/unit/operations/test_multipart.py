from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec
import pytest
from tests.fakes.faulty_store import Call, Fault, FaultyStore, When, hang
from tests.fakes.memory_store import MemoryStore
from tests.samples import patterned_bytes
from tests.unit.operations.world import PART_BYTES, TARGET, World, small_store

from bucket_brigade.errors import AccessDenied, ChecksumMismatch, ConnectionLost, NotFound, TransferError
from bucket_brigade.journal.port import UploadIntent
from bucket_brigade.model.job import NO_ATTRIBUTES
from bucket_brigade.model.parts import Part
from bucket_brigade.model.transfer import BatchId
from bucket_brigade.operations.multipart import MultipartTarget, MultipartWriter, run_together
from bucket_brigade.s3.store import Store, Written

SIZE = 3500
CONTENT = patterned_bytes(SIZE, seed=1)
FINGERPRINT = "state-1"


def target_in(store: Store, *, size: int = SIZE, fingerprint: str = FINGERPRINT) -> MultipartTarget:
    return MultipartTarget(store, "s3", TARGET, "f", NO_ATTRIBUTES, size, fingerprint, BatchId(1), 7)


def writer(world: World) -> MultipartWriter:
    return MultipartWriter(
        world.journal, world.budget, part_size_bytes=PART_BYTES, part_concurrency=world.part_concurrency
    )


async def fill(part: Part, buffer: memoryview) -> None:
    buffer[:] = CONTENT[part.start : part.start + part.length]


async def write(world: World, store: Store | None = None, *, resumable: bool = False) -> Written:
    return await writer(world).write(target_in(store or world.store), fill, resumable=resumable)


async def leave_behind(
    world: World, parts: dict[int, bytes], *, fingerprint: str = FINGERPRINT, named: bool = True
) -> str:
    """An upload as a killed run would have left it, with some parts."""
    intent = UploadIntent(
        batch_id=BatchId(1),
        index=7,
        endpoint="s3",
        bucket=TARGET,
        key="f",
        part_size_bytes=PART_BYTES,
        fingerprint=fingerprint,
        begun_ns=1_700_000_000_000_000_000,  # when the store's clock begins
    )
    row = await world.journal.record_upload(intent)
    upload_id = await world.store.create_multipart_upload(TARGET, "f")
    if named:
        await world.journal.name_upload(row, upload_id)
    for number, body in parts.items():
        await world.store.upload_part(TARGET, "f", upload_id, number, body)
    world.store.effects.clear()
    world.store.requests.clear()
    return upload_id


def part_of(number: int) -> bytes:
    return CONTENT[(number - 1) * PART_BYTES : number * PART_BYTES]


def expect_whole(world: World) -> None:
    assert world.content("f") == CONTENT
    assert world.uploads() == []
    assert world.budget.held_bytes == 0


async def test_the_intent_is_journaled_before_the_store_hears_of_it() -> None:
    world = World()
    seen: list[list[str]] = []

    async def look(call: Call) -> None:
        seen.append([record.intent.upload_id for record in await world.journal.open_uploads()])

    script = [Fault(operation="create_multipart_upload", does=look), Fault(operation="upload_part", does=look)]
    await write(world, FaultyStore(world.store, script).as_store)
    assert seen == [[""], ["upload-1"]]
    assert world.happened() == ["create_multipart_upload", *["upload_part"] * 4, "complete_multipart_upload"]
    expect_whole(world)


async def test_an_upload_goes_on_with_the_parts_that_the_store_holds() -> None:
    world = World()
    await leave_behind(world, {1: part_of(1), 3: part_of(3)})
    await write(world, resumable=True)
    assert world.happened() == ["upload_part", "upload_part", "complete_multipart_upload"]
    expect_whole(world)


async def test_an_upload_that_only_lacked_its_completion_is_completed() -> None:
    world = World()
    await leave_behind(world, {number: part_of(number) for number in (1, 2, 3, 4)})
    await write(world, resumable=True)
    assert world.happened() == ["complete_multipart_upload"]
    expect_whole(world)


async def test_parts_of_another_size_are_sent_again() -> None:
    world = World()
    await leave_behind(world, {1: part_of(1)[:-1], 4: part_of(4)})
    await write(world, resumable=True)
    assert world.happened().count("upload_part") == 3
    expect_whole(world)


async def test_parts_without_a_checksum_are_proven_by_their_md5_or_sent_again() -> None:
    world = World(store=small_store(states_checksums=False))
    await leave_behind(world, {1: part_of(1), 2: bytes(PART_BYTES)})
    await write(world, resumable=True)
    assert world.happened().count("upload_part") == 3  # all but the first
    expect_whole(world)


@pytest.mark.parametrize("code", ["BadDigest", "InvalidPart", "InvalidPartOrder", "EntityTooSmall", "NoSuchUpload"])
async def test_a_spoiled_upload_begins_anew_once(code: str) -> None:
    world = World()
    await leave_behind(world, {1: part_of(1)})
    spoiled = Fault(operation="complete_multipart_upload", does=ChecksumMismatch("damaged", code=code))
    await write(world, FaultyStore(world.store, [spoiled]).as_store, resumable=True)
    assert world.happened().count("abort_multipart_upload") == 1
    assert world.happened().count("upload_part") == 3 + 4
    expect_whole(world)


async def test_an_upload_from_another_state_of_the_source_is_aborted_and_not_continued() -> None:
    world = World()
    await leave_behind(world, {1: bytes(PART_BYTES)}, fingerprint="state-0")
    await write(world, resumable=True)
    assert world.happened()[:2] == ["abort_multipart_upload", "create_multipart_upload"]
    expect_whole(world)


async def test_an_upload_with_another_part_size_is_aborted_and_not_continued() -> None:
    world = World()
    await leave_behind(world, {1: part_of(1)})
    [record] = await world.journal.open_uploads()
    world.journal.uploads[record.row] = msgspec.structs.replace(record.intent, part_size_bytes=500)
    await write(world, resumable=True)
    assert world.happened()[0] == "abort_multipart_upload"
    expect_whole(world)


async def test_an_upload_that_the_store_has_forgotten_begins_anew() -> None:
    world = World()
    upload_id = await leave_behind(world, {1: part_of(1)})
    await world.store.abort_multipart_upload(TARGET, "f", upload_id)
    await write(world, resumable=True)
    expect_whole(world)


async def test_an_upload_whose_name_was_never_journaled_is_found_and_aborted() -> None:
    world = World()
    await leave_behind(world, {}, named=False)
    await world.store.create_multipart_upload(TARGET, "f-other")  # of another key: not ours to abort
    await write(world, resumable=True)
    assert world.content("f") == CONTENT
    assert world.uploads() == ["f-other"]


async def test_an_upload_of_the_same_key_from_another_time_is_left_alone() -> None:
    world = World()
    await leave_behind(world, {}, named=False)
    [record] = await world.journal.open_uploads()
    world.journal.uploads[record.row] = msgspec.structs.replace(record.intent, begun_ns=record.intent.begun_ns * 2)
    await write(world, resumable=True)
    assert world.uploads() == ["f"]


async def test_an_upload_that_vanishes_in_the_middle_begins_anew_once() -> None:
    world = World(part_concurrency=1)

    async def expire(call: Call) -> None:
        await world.store.abort_multipart_upload(TARGET, "f", call.arguments["upload_id"])

    store = FaultyStore(world.store, [Fault(operation="upload_part", does=expire, skip=2)])
    await write(world, store.as_store)
    assert world.happened().count("create_multipart_upload") == 2
    expect_whole(world)


@pytest.mark.parametrize(
    "error", [NotFound("gone", code="NoSuchUpload"), ChecksumMismatch("damaged", code="BadDigest")]
)
async def test_an_upload_that_is_spoiled_twice_is_a_failure(error: TransferError) -> None:
    world = World()
    store = FaultyStore(world.store, [Fault(operation="complete_multipart_upload", does=error, times=None)])
    with pytest.raises(type(error)):
        await write(world, store.as_store)
    assert world.happened().count("create_multipart_upload") == 2
    assert world.uploads() == []
    assert world.content("f") is None


@pytest.mark.parametrize("operation", ["upload_part", "complete_multipart_upload"])
async def test_a_failed_upload_is_aborted(operation: str) -> None:
    world = World()
    denied = AccessDenied("no", code="AccessDenied")
    store = FaultyStore(world.store, [Fault(operation=operation, does=denied)])
    with pytest.raises(AccessDenied):
        await write(world, store.as_store)
    assert world.happened().count("create_multipart_upload") == 1
    assert world.uploads() == []
    assert world.budget.held_bytes == 0


async def test_an_upload_that_cannot_even_be_aborted_stays_in_the_ledger() -> None:
    world = World()
    denied = AccessDenied("no", code="AccessDenied")
    script = [Fault(operation="upload_part", does=denied), Fault(operation="abort_multipart_upload", does=denied)]
    with pytest.raises(AccessDenied):
        await write(world, FaultyStore(world.store, script).as_store)
    assert world.uploads() == ["f", "journaled f"]


async def test_a_creation_that_was_refused_leaves_nothing_in_the_ledger() -> None:
    world = World()
    denied = Fault(operation="create_multipart_upload", does=AccessDenied("no", code="AccessDenied"))
    with pytest.raises(AccessDenied):
        await write(world, FaultyStore(world.store, [denied]).as_store)
    assert world.uploads() == []


async def test_a_creation_whose_answer_was_lost_stays_in_the_ledger_until_it_is_looked_for() -> None:
    world = World(store=MemoryStore(TARGET, min_part_bytes=1, clock=_now))
    lost = Fault(operation="create_multipart_upload", does=ConnectionLost("reset"), when=When.AFTER)
    with pytest.raises(ConnectionLost):
        await write(world, FaultyStore(world.store, [lost]).as_store)
    assert world.uploads() == ["f", "journaled f"]
    await write(world, resumable=True)
    expect_whole(world)


def _now() -> int:
    import time

    return time.time_ns()


async def test_a_cancelled_upload_is_kept_for_the_next_run() -> None:
    world = World()
    store = FaultyStore(world.store, [Fault(operation="upload_part", does=hang, skip=2)])
    running = asyncio.create_task(write(world, store.as_store))
    while sum(call.operation == "upload_part" for call in store.calls) < 3:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert world.uploads() == ["f", "journaled f"]
    assert world.budget.held_bytes == 0
    before = world.happened().count("upload_part")
    await write(world, resumable=True)
    assert world.happened().count("upload_part") == 4
    assert before >= 1
    expect_whole(world)


async def test_an_object_that_is_not_what_was_sent_is_a_failure() -> None:
    world = World(store=small_store(states_checksums=False))

    async def truncate(call: Call) -> None:
        await world.store.put_object(TARGET, call.key, CONTENT[:-1])

    store = FaultyStore(world.store, [Fault(operation="complete_multipart_upload", does=truncate, when=When.AFTER)])
    with pytest.raises(ChecksumMismatch) as caught:
        await write(world, store.as_store)
    assert caught.value.code == "SizeMismatch"


async def test_a_part_that_the_store_states_another_checksum_for_is_a_failure() -> None:
    world = World()

    class Lying(MemoryStore):
        async def upload_part(self, *args: object, **kwargs: object) -> Written:
            written = await super().upload_part(*args, **kwargs)  # type: ignore[arg-type]
            return msgspec.structs.replace(written, crc64nvme=1)

    world.store = Lying(TARGET, min_part_bytes=1)
    with pytest.raises(ChecksumMismatch):
        await write(world)
    assert world.uploads() == []


async def test_the_same_bytes_are_never_joined_under_another_size() -> None:
    world = World()
    bigger = replace(target_in(world.store), size=SIZE + 1)

    async def short(part: Part, buffer: memoryview) -> None:
        raise ChecksumMismatch(f"part {part.number} has {len(buffer)} bytes")

    with pytest.raises(ChecksumMismatch):
        await writer(world).write(bigger, short, resumable=False)
    assert world.uploads() == []


async def test_of_several_failures_one_is_raised_as_it_is() -> None:
    async def fail() -> None:
        raise ConnectionLost("reset")

    with pytest.raises(ConnectionLost):
        await run_together(fail, 3)


async def test_a_bug_is_not_taken_for_a_failed_transfer() -> None:
    async def crash() -> None:
        raise ZeroDivisionError

    with pytest.raises(BaseExceptionGroup):
        await run_together(crash, 2)


async def test_parts_may_be_in_flight_up_to_the_budget_only() -> None:
    world = World(memory_bytes=2 * PART_BYTES, part_concurrency=8)
    most = 0

    async def watch(part: Part, buffer: memoryview) -> None:
        nonlocal most
        most = max(most, world.budget.held_bytes)
        await fill(part, buffer)

    await writer(world).write(target_in(world.store), watch, resumable=False)
    assert most == 2 * PART_BYTES
    expect_whole(world)
