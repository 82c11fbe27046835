from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import msgspec
import pytest
from tests.fakes.faulty_store import Call, Fault, FaultyStore, When, hang
from tests.samples import make_tree, patterned_bytes, read_tree
from tests.unit.operations.world import PART_BYTES, SOURCE, World, execute, execute_one, failed, listed, side, unsized

from bucket_brigade.errors import ConnectionLost, DiskFull
from bucket_brigade.local.paths import TargetFolder
from bucket_brigade.model.outcome import Done, State, Vanished
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.download import DownloadStage
from bucket_brigade.operations.outcomes import outcome_of
from bucket_brigade.s3.store import Store


def stage(world: World, root: Path, store: Store | None = None) -> DownloadStage:
    return DownloadStage(
        world.context, side(store or world.store, SOURCE), TargetFolder(str(root)), leads_to=State.DONE
    )


async def flip_a_byte(call: Call) -> None:
    call.arguments["into"][0] ^= 1


@pytest.mark.parametrize("size", [0, 1, 2 * PART_BYTES - 1, 2 * PART_BYTES, 7 * PART_BYTES + 1])
@pytest.mark.parametrize("size_is_known", [True, False])
async def test_an_object_of_any_size_arrives_whole_with_its_time(
    tmp_path: Path, size: int, size_is_known: bool
) -> None:
    world = World()
    transfer = await listed(world.store, "a/f", patterned_bytes(size))
    modified_ns = transfer.modified_ns
    transfer = transfer if size_is_known else unsized(transfer)
    assert await execute_one(stage(world, tmp_path), transfer) == Done(size)
    assert read_tree(tmp_path) == {"a/f": patterned_bytes(size)}
    assert os.stat(tmp_path / "a/f").st_mtime_ns == modified_ns
    assert world.budget.held_bytes == 0


@pytest.mark.parametrize("size", [100, 5000])
async def test_a_failed_download_leaves_the_old_file_and_nothing_else(tmp_path: Path, size: int) -> None:
    make_tree(tmp_path, {"f": b"old"})
    world = World()
    transfer = await listed(world.store, "f", patterned_bytes(size))
    lost = Fault(operation="get_object", does=ConnectionLost("reset"), skip=int(size > 100))
    store = FaultyStore(world.store, [lost])
    assert failed(await execute_one(stage(world, tmp_path, store.as_store), transfer)).code == "ConnectionLost"
    assert read_tree(tmp_path) == {"f": b"old"}


@pytest.mark.parametrize("size", [100, 5000])
async def test_bytes_with_another_checksum_are_not_kept(tmp_path: Path, size: int) -> None:
    make_tree(tmp_path, {"f": b"old"})
    world = World()
    transfer = await listed(world.store, "f", patterned_bytes(size))
    flipped = Fault(operation="get_object", does=flip_a_byte, when=When.AFTER)
    store = FaultyStore(world.store, [flipped])
    assert failed(await execute_one(stage(world, tmp_path, store.as_store), transfer)).code == "ChecksumMismatch"
    assert read_tree(tmp_path) == {"f": b"old"}


@pytest.mark.parametrize("size", [100, 5000])
async def test_an_object_that_changed_since_it_was_listed_is_a_failure(tmp_path: Path, size: int) -> None:
    world = World()
    transfer = await listed(world.store, "f", patterned_bytes(size))
    await world.store.put_object(SOURCE, "f", patterned_bytes(size, seed=1))
    assert failed(await execute_one(stage(world, tmp_path), transfer)).code == "SourceChanged"
    assert read_tree(tmp_path) == {}


async def test_an_object_replaced_between_two_ranges_is_a_failure(tmp_path: Path) -> None:
    world = World()
    transfer = await listed(world.store, "f", patterned_bytes(5000))

    async def replace(_call: Call) -> None:
        await world.store.put_object(SOURCE, "f", patterned_bytes(5000, seed=1))

    store = FaultyStore(world.store, [Fault(operation="get_object", does=replace, skip=2)])
    assert failed(await execute_one(stage(world, tmp_path, store.as_store), unsized(transfer))).code == "SourceChanged"
    assert read_tree(tmp_path) == {}


async def test_an_object_that_is_gone_has_vanished(tmp_path: Path) -> None:
    transfers = [Transfer("f", "f", 3, '"e"'), Transfer("g", "g", 5000, '"e"'), Transfer("h", "h")]
    assert await execute(stage(World(), tmp_path), *transfers) == [Vanished()] * 3


async def test_a_target_folder_that_is_gone_is_a_failure_and_not_a_vanished_source(tmp_path: Path) -> None:
    world = World()
    small = await listed(world.store, "small", b"1")
    large = await listed(world.store, "large", patterned_bytes(5000))
    target = tmp_path / "target"
    download = stage(world, target)
    os.rmdir(target)
    outcomes = await execute(download, small, large)
    assert [failed(outcome).code for outcome in outcomes] == ["ENOENT", "ENOENT"]


async def test_folder_markers_become_folders_and_only_if_they_are_empty(tmp_path: Path) -> None:
    world = World()
    marker = await listed(world.store, "a/", b"")
    unknown = unsized(await listed(world.store, "b/", b""))
    full = await listed(world.store, "c/", b"content")
    hidden = unsized(await listed(world.store, "d/", b"content that no listing told of"))
    outcomes = await execute(stage(world, tmp_path), marker, unknown, full, hidden)
    assert outcomes[:2] == [Done(0), Done(0)]
    assert [failed(outcome).code for outcome in outcomes[2:]] == ["BadKey", "BadKey"]
    assert (tmp_path / "a").is_dir()
    assert (tmp_path / "b").is_dir()


async def test_a_file_and_a_folder_of_one_name_exclude_each_other_by_name(tmp_path: Path) -> None:
    world = World()
    transfers = [await listed(world.store, key, b"1") for key in ("a", "a/b", "c/d", "c")]
    outcomes = await execute(stage(world, tmp_path), *transfers)
    assert (outcomes[0], outcomes[2]) == (Done(1), Done(1))
    assert [failed(outcomes[i]).code for i in (1, 3)] == ["BadKey", "BadKey"]
    assert read_tree(tmp_path) == {"a": b"1", "c/d": b"1"}


@pytest.mark.parametrize("key", ["../escape", "/etc/passwd", "a/../../b", "a//b", ".", "..", "nul\0", "a/", "n" * 256])
async def test_a_hostile_key_is_refused_by_name_and_the_next_one_goes_on(tmp_path: Path, key: str) -> None:
    world = World()
    hostile = await listed(world.store, key, b"evil")
    outcomes = await execute(stage(world, tmp_path / "in"), hostile, await listed(world.store, "good", b"1"))
    assert failed(outcomes[0]).code == "BadKey"
    assert outcomes[1] == Done(1)
    assert read_tree(tmp_path) == {"in/good": b"1"}


async def test_a_link_in_the_target_is_never_written_through(tmp_path: Path) -> None:
    world = World()
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    os.symlink(tmp_path / "out", tmp_path / "in/link")
    transfer = await listed(world.store, "link/f", b"1")
    assert failed(await execute_one(stage(world, tmp_path / "in"), transfer)).code == "BadKey"
    assert os.listdir(tmp_path / "out") == []


async def test_a_cancelled_download_leaves_no_temporary_file(tmp_path: Path) -> None:
    world = World()
    transfer = await listed(world.store, "f", patterned_bytes(5000))
    store = FaultyStore(world.store, [Fault(operation="get_object", does=hang, skip=2)])
    running = asyncio.create_task(execute_one(stage(world, tmp_path, store.as_store), transfer))
    while len(store.calls) < 4:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert os.listdir(tmp_path) == []
    assert world.budget.held_bytes == 0


async def test_a_version_is_read_even_when_a_newer_one_is_there(tmp_path: Path) -> None:
    world = World()
    world.store.buckets[SOURCE].versioned = True
    old = await world.store.put_object(SOURCE, "f", b"old")
    await world.store.put_object(SOURCE, "f", b"newer")
    transfer = msgspec.structs.replace(Transfer("f", "f"), version_id=old.version_id)
    assert await execute_one(stage(world, tmp_path), transfer) == Done(3)
    assert read_tree(tmp_path) == {"f": b"old"}


def test_a_full_disk_stops_the_job() -> None:
    assert failed(outcome_of(DiskFull("full", code=errno.errorcode[errno.ENOSPC]))).fatal
