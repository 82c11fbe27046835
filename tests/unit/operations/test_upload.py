from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.fakes.faulty_store import Call, Fault, FaultyStore
from tests.samples import make_tree, patterned_bytes
from tests.unit.operations.world import (
    PART_BYTES,
    TARGET,
    World,
    execute,
    execute_one,
    failed,
    side,
    small_store,
)

from bucket_brigade.errors import AccessDenied, ChecksumMismatch, SourceChanged
from bucket_brigade.local.sources import SourceFolder
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.model.outcome import Done, State, Vanished
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.upload import DEFAULT_CONTENT_TYPE, ContentTypes, RemoveFilesStage, UploadStage
from bucket_brigade.s3.store import Store


def planned(root: Path, name: str) -> Transfer:
    status = os.stat(root / name)
    return Transfer(name, f"p/{name}", status.st_size, "", status.st_mtime_ns)


def stage(world: World, root: Path, store: Store | None = None, *, move: bool = False) -> UploadStage:
    leads_to = State.MOVED if move else State.DONE
    return UploadStage(world.context, SourceFolder(str(root)), side(store or world.store, TARGET), leads_to=leads_to)


@pytest.mark.parametrize("size", [0, 1, 2 * PART_BYTES - 1, 2 * PART_BYTES, 2 * PART_BYTES + 1, 7 * PART_BYTES])
async def test_a_file_of_any_size_arrives_whole(tmp_path: Path, size: int) -> None:
    make_tree(tmp_path, {"f": patterned_bytes(size)})
    world = World()
    assert await execute_one(stage(world, tmp_path), planned(tmp_path, "f")) == Done(size)
    assert world.content("p/f") == patterned_bytes(size)
    assert world.happened()[0] == ("put_object" if size < 2 * PART_BYTES else "create_multipart_upload")
    assert world.uploads() == []
    assert world.budget.held_bytes == 0


async def test_a_store_that_states_no_checksums_is_proven_by_etag_or_size(tmp_path: Path) -> None:
    make_tree(tmp_path, {"small": b"s", "large": patterned_bytes(5000)})
    world = World(store=small_store(states_checksums=False))
    assert await execute(stage(world, tmp_path), planned(tmp_path, "small"), planned(tmp_path, "large")) == [
        Done(1),
        Done(5000),
    ]
    assert world.store.requests["head_object"] == 1


async def test_a_file_that_grows_while_it_is_read_is_a_failure_and_leaves_no_upload(tmp_path: Path) -> None:
    make_tree(tmp_path, {"f": patterned_bytes(5000)})
    world = World()

    async def grow(_call: Call) -> None:
        with (tmp_path / "f").open("ab") as file:
            file.write(b"more")

    store = FaultyStore(world.store, [Fault(operation="upload_part", does=grow)])
    outcome = await execute_one(stage(world, tmp_path, store.as_store), planned(tmp_path, "f"))
    assert failed(outcome).code == "SourceChanged"
    assert world.content("p/f") is None
    assert world.uploads() == []


async def test_a_file_that_shrinks_while_it_is_read_is_a_failure(tmp_path: Path) -> None:
    make_tree(tmp_path, {"f": patterned_bytes(5000)})
    world = World(part_concurrency=1)

    async def shrink(_call: Call) -> None:
        os.truncate(tmp_path / "f", 1500)

    store = FaultyStore(world.store, [Fault(operation="upload_part", does=shrink)])
    assert (
        failed(await execute_one(stage(world, tmp_path, store.as_store), planned(tmp_path, "f"))).code
        == "SourceChanged"
    )
    assert world.content("p/f") is None
    assert world.uploads() == []


async def test_a_file_replaced_by_another_of_the_same_size_is_a_failure(tmp_path: Path) -> None:
    make_tree(tmp_path, {"f": patterned_bytes(5000), "other": patterned_bytes(5000, seed=1)})
    world = World()

    async def replace(_call: Call) -> None:
        os.replace(tmp_path / "other", tmp_path / "f")

    store = FaultyStore(world.store, [Fault(operation="upload_part", does=replace)])
    assert (
        failed(await execute_one(stage(world, tmp_path, store.as_store), planned(tmp_path, "f"))).code
        == "SourceChanged"
    )
    assert world.uploads() == []


async def test_a_file_that_changed_since_it_was_planned_goes_up_as_it_is_now(tmp_path: Path) -> None:
    make_tree(tmp_path, {"shrunk": b"12345", "grown": b"1"})
    world = World()
    transfers = [planned(tmp_path, "shrunk"), planned(tmp_path, "grown")]
    make_tree(tmp_path, {"shrunk": b"1", "grown": b"12345"})
    assert await execute(stage(world, tmp_path), *transfers) == [Done(1), Done(5)]
    assert (world.content("p/shrunk"), world.content("p/grown")) == (b"1", b"12345")


async def test_a_file_that_grew_into_parts_does_not_wait_for_the_bytes_it_holds_itself(tmp_path: Path) -> None:
    make_tree(tmp_path, {"f": patterned_bytes(1500)})
    world = World(memory_bytes=2000)
    transfer = planned(tmp_path, "f")
    make_tree(tmp_path, {"f": patterned_bytes(5000)})
    assert await execute_one(stage(world, tmp_path), transfer) == Done(5000)
    assert world.content("p/f") == patterned_bytes(5000)


async def test_a_file_that_is_gone_has_vanished(tmp_path: Path) -> None:
    make_tree(tmp_path, {"small": b"s", "large": patterned_bytes(5000)})
    world = World()
    transfers = [planned(tmp_path, "small"), planned(tmp_path, "large")]
    os.unlink(tmp_path / "small")
    os.unlink(tmp_path / "large")
    assert await execute(stage(world, tmp_path), *transfers) == [Vanished(), Vanished()]
    assert world.store.effects == []


async def test_a_file_that_was_swapped_for_a_link_is_not_followed(tmp_path: Path) -> None:
    make_tree(tmp_path, {"in/f": b"mine", "secret": b"not yours"})
    world = World()
    transfer = planned(tmp_path / "in", "f")
    os.unlink(tmp_path / "in/f")
    os.symlink(tmp_path / "secret", tmp_path / "in/f")
    assert failed(await execute_one(stage(world, tmp_path / "in"), transfer)).code == "SourceChanged"
    assert world.store.effects == []


async def test_one_failure_leaves_the_others_alone(tmp_path: Path) -> None:
    make_tree(tmp_path, {"a": b"1", "b": b"2", "c": b"3"})
    world = World()
    denied = Fault(operation="put_object", does=AccessDenied("no", code="AccessDenied", request_id="r1"), key="p/b")
    store = FaultyStore(world.store, [denied])
    outcomes = await execute(stage(world, tmp_path, store.as_store), *(planned(tmp_path, name) for name in "abc"))
    assert (outcomes[0], outcomes[2]) == (Done(1), Done(1))
    assert (failed(outcomes[1]).code, failed(outcomes[1]).request_id) == ("AccessDenied", "r1")


async def test_a_receipt_with_another_checksum_is_a_failure(tmp_path: Path) -> None:
    make_tree(tmp_path, {"f": patterned_bytes(5000)})
    world = World()
    bad = Fault(operation="upload_part", does=ChecksumMismatch("damaged", code="BadDigest"), times=None)
    store = FaultyStore(world.store, [bad])
    assert failed(await execute_one(stage(world, tmp_path, store.as_store), planned(tmp_path, "f"))).code == "BadDigest"
    assert world.uploads() == []


async def test_content_types_follow_the_suffix_unless_the_job_names_one(tmp_path: Path) -> None:
    make_tree(tmp_path, {"a.html": b"1", "b.d/no-suffix": b"2", "c.json": b"3"})
    world = World()
    await execute(stage(world, tmp_path), *(planned(tmp_path, name) for name in ("a.html", "b.d/no-suffix", "c.json")))
    kinds = [
        (await world.store.head_object(TARGET, f"p/{key}")).attributes.content_type
        for key in ("a.html", "b.d/no-suffix", "c.json")
    ]
    assert kinds == ["text/html", DEFAULT_CONTENT_TYPE, "application/json"]


@pytest.mark.parametrize(
    ("asked", "guess", "expected"),
    [(None, True, "text/html"), ("x/y", True, "x/y"), (None, False, None), ("x/y", False, "x/y")],
)
def test_a_content_type_is_guessed_only_where_none_is_given(
    asked: str | None, guess: bool, expected: str | None
) -> None:
    types = ContentTypes(ObjectAttributes(content_type=asked, cache_control="no-store"), guess=guess)
    assert types.of("x.html") == ObjectAttributes(content_type=expected, cache_control="no-store")
    assert types.of("x.html") is types.of("y.html")


async def test_attributes_are_set_on_small_and_large_objects_alike(tmp_path: Path) -> None:
    make_tree(tmp_path, {"small": b"s", "large": patterned_bytes(5000)})
    asked = ObjectAttributes(metadata=(("owner", "me"),), storage_class="GLACIER", tagging=(("a", "b"),))
    world = World(asked=asked)
    await execute(stage(world, tmp_path), planned(tmp_path, "small"), planned(tmp_path, "large"))
    heads = [await world.store.head_object(TARGET, f"p/{name}") for name in ("small", "large")]
    assert [(head.attributes.metadata, head.attributes.storage_class, head.tag_count) for head in heads] == [
        ((("owner", "me"),), "GLACIER", 1)
    ] * 2


async def test_moved_files_are_removed_only_while_they_are_what_was_uploaded(tmp_path: Path) -> None:
    make_tree(tmp_path, {"same": b"1", "changed": b"2", "gone": b"3"})
    world = World()
    transfers = [planned(tmp_path, name) for name in ("same", "changed", "gone")]
    assert await execute(stage(world, tmp_path, move=True), *transfers) == [Done(1)] * 3
    make_tree(tmp_path, {"changed": b"two"})
    os.unlink(tmp_path / "gone")
    outcomes = await execute(RemoveFilesStage(SourceFolder(str(tmp_path))), *transfers)
    assert (outcomes[0], outcomes[2]) == (Done(1), Done(1))
    assert failed(outcomes[1]).code == SourceChanged.__name__
    assert sorted(os.listdir(tmp_path)) == ["changed"]
