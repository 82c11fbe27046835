"""``--no-clobber`` and ``--if-unchanged``: what is at the target is replaced only where that was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from tests.fakes.faulty_store import Call, Fault, FaultyStore, When
from tests.unit.operations.world import SOURCE, TARGET, World, execute_one, failed, listed

from bucket_brigade.errors import NotSupported
from bucket_brigade.model.job import Operation, Overwrite
from bucket_brigade.model.location import LocalPath, S3Location
from bucket_brigade.model.outcome import Done, Outcome, Skipped
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.build import build_operation
from bucket_brigade.operations.port import BucketSide, Stage
from bucket_brigade.s3.governor import Governor
from bucket_brigade.s3.retrying_store import RetryingStore
from bucket_brigade.s3.store import Store
from bucket_brigade.settings.values import RetrySettings

SIZES = [10, 2500]
"""One below and one above the limit from which objects are moved in parts (copies: three thousand)."""


def stage_of(
    world: World,
    operation: Operation,
    overwrite: Overwrite,
    *,
    folder: Path | None = None,
    store: Store | None = None,
    enforced: bool | None = None,
    submitted_ns: int = 2**62,
) -> Stage:
    """The first stage of a job as it is really built, submitted long after all that is at the target."""
    place = LocalPath(path=str(folder), recursive=True)
    world.job = msgspec.structs.replace(
        world.job,
        operation=operation,
        source=place if operation is Operation.UPLOAD else S3Location(bucket=SOURCE, recursive=True),
        target=place if operation is Operation.DOWNLOAD else S3Location(bucket=TARGET, recursive=True),
        options=msgspec.structs.replace(world.job.options, overwrite=overwrite),
        created_ns=submitted_ns,
    )
    sides = [BucketSide(store or world.store, "s3", bucket, enforced) for bucket in (SOURCE, TARGET)]
    return cast("Stage", build_operation(world.context, sides[0], sides[1]).stages[0])


def skipped(outcome: Outcome) -> str:
    assert isinstance(outcome, Skipped), outcome
    return outcome.code


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("operation", [Operation.COPY, Operation.RELAY])
async def test_what_is_there_stays_and_what_is_not_is_written(operation: Operation, size: int) -> None:
    world = World()
    present = await listed(world.store, "present", b"n" * size)
    absent = await listed(world.store, "absent", b"n" * size)
    await world.store.put_object(TARGET, "present", b"old")
    stage = stage_of(world, operation, Overwrite.NEVER)
    assert skipped(await execute_one(stage, present)) == "Exists"
    assert await execute_one(stage, absent) == Done(size)
    assert (world.content("present"), world.content("absent")) == (b"old", b"n" * size)
    assert world.uploads() == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("operation", [Operation.COPY, Operation.RELAY])
@pytest.mark.parametrize("overwrite", [Overwrite.NEVER, Overwrite.IF_UNCHANGED])
async def test_what_appears_after_the_look_is_not_replaced(
    operation: Operation, overwrite: Overwrite, size: int
) -> None:
    world = World()
    transfer = await listed(world.store, "f", b"n" * size)

    async def somebody_writes(call: Call) -> None:
        await world.store.put_object(TARGET, "f", b"theirs")

    writes = (
        "copy_object" if operation is Operation.COPY else "put_object" if size < 2000 else "complete_multipart_upload"
    )
    faulty = FaultyStore(world.store, [Fault(operation=writes, does=somebody_writes, key="f")])
    outcome = await execute_one(stage_of(world, operation, overwrite, store=cast("Store", faulty)), transfer)
    code = outcome.code if isinstance(outcome, Skipped) else failed(outcome).code
    assert code == ("Exists" if overwrite is Overwrite.NEVER else "TargetChanged")
    assert world.content("f") == b"theirs"
    assert world.uploads() == []


async def test_a_store_that_enforces_conditions_is_not_looked_at_before() -> None:
    world = World()
    absent, present = [await listed(world.store, key, b"new") for key in ("absent", "present")]
    await world.store.put_object(TARGET, "present", b"old")
    stage = stage_of(world, Operation.RELAY, Overwrite.NEVER, enforced=True)
    world.store.requests.clear()
    assert await execute_one(stage, absent) == Done(3)
    assert "head_object" not in world.store.requests
    assert skipped(await execute_one(stage, present)) == "Exists"
    assert await execute_one(stage, absent, begun_before=True) == Done(3)
    assert world.content("present") == b"old"


async def test_what_was_there_at_submission_is_replaced_and_what_came_later_is_not() -> None:
    world = World()
    transfer = await listed(world.store, "f", b"new")
    await world.store.put_object(TARGET, "f", b"old")
    assert await execute_one(stage_of(world, Operation.COPY, Overwrite.IF_UNCHANGED), transfer) == Done(3)
    later = stage_of(world, Operation.COPY, Overwrite.IF_UNCHANGED, submitted_ns=1)
    assert failed(await execute_one(later, transfer)).code == "TargetChanged"


@pytest.mark.parametrize("operation", [Operation.COPY, Operation.RELAY])
async def test_what_a_killed_attempt_wrote_is_done(operation: Operation) -> None:
    world = World()
    transfer = await listed(world.store, "f", b"new")
    await world.store.put_object(TARGET, "f", b"new")
    stage = stage_of(world, operation, Overwrite.NEVER)
    assert await execute_one(stage, transfer, begun_before=True) == Done(3)
    assert skipped(await execute_one(stage, transfer)) == "Exists"
    await world.store.put_object(TARGET, "f", b"not")
    assert skipped(await execute_one(stage, transfer, begun_before=True)) == "Exists"


async def test_an_upload_recognizes_what_its_killed_attempt_wrote(tmp_path: Path) -> None:
    world = World()
    (tmp_path / "f").write_bytes(b"new")
    status = (tmp_path / "f").stat()
    transfer = Transfer("f", "f", 3, "", status.st_mtime_ns)
    stage = stage_of(world, Operation.UPLOAD, Overwrite.NEVER, folder=tmp_path)
    assert await execute_one(stage, transfer) == Done(3)
    assert skipped(await execute_one(stage, transfer)) == "Exists"
    assert await execute_one(stage, transfer, begun_before=True) == Done(3)
    (tmp_path / "f").write_bytes(b"two")
    assert skipped(await execute_one(stage, transfer, begun_before=True)) == "Exists"


async def test_a_lost_answer_to_our_own_write_is_no_conflict() -> None:
    world = World()
    transfer = await listed(world.store, "f", b"new")
    lost = Fault(operation="put_object", does=ConnectionResetError(), key="f", when=When.AFTER)
    retrying = retried(FaultyStore(world.store, [lost]))
    assert await execute_one(stage_of(world, Operation.RELAY, Overwrite.NEVER, store=retrying), transfer) == Done(3)
    assert world.happened().count("put_object") == 1


def retried(store: object) -> Store:
    from bucket_brigade.errors import ConnectionLost

    class Translating:
        """The client's part: what is lost on the wire is a ConnectionLost."""

        def __getattr__(self, name: str) -> Any:
            method = getattr(store, name)

            async def call(*args: Any, **options: Any) -> Any:
                try:
                    return await method(*args, **options)
                except ConnectionResetError as error:
                    raise ConnectionLost("reset") from error

            return call

    return RetryingStore(cast("Store", Translating()), RetrySettings(base_delay_s=0.0), Governor())


async def test_a_store_without_conditions_is_only_looked_at() -> None:
    world = World()
    transfer = await listed(world.store, "f", b"new")
    refusing = Fault(operation="put_object", does=NotSupported("no conditions"), times=1)
    stage = stage_of(world, Operation.RELAY, Overwrite.NEVER, store=cast("Store", FaultyStore(world.store, [refusing])))
    assert await execute_one(stage, transfer) == Done(3)
    assert skipped(await execute_one(stage, transfer)) == "Exists"


@pytest.mark.parametrize("size", SIZES)
async def test_files_that_are_there_stay(tmp_path: Path, size: int) -> None:
    world = World()
    present = await listed(world.store, "present", b"n" * size)
    absent = await listed(world.store, "absent", b"n" * size)
    (tmp_path / "present").write_bytes(b"old")
    stage = stage_of(world, Operation.DOWNLOAD, Overwrite.NEVER, folder=tmp_path)
    assert skipped(await execute_one(stage, present)) == "Exists"
    assert await execute_one(stage, absent) == Done(size)
    assert await execute_one(stage, absent, begun_before=True) == Done(size)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"present": b"old", "absent": b"n" * size}


@pytest.mark.parametrize("size", SIZES)
async def test_a_file_that_appears_while_it_is_fetched_stays(tmp_path: Path, size: int) -> None:
    world = World()
    transfer = await listed(world.store, "f", b"n" * size)

    async def somebody_writes(call: Call) -> None:
        (tmp_path / "f").write_bytes(b"theirs")

    faulty = FaultyStore(world.store, [Fault(operation="get_object", does=somebody_writes, when=When.AFTER)])
    stage = stage_of(world, Operation.DOWNLOAD, Overwrite.NEVER, folder=tmp_path, store=cast("Store", faulty))
    assert skipped(await execute_one(stage, transfer)) == "Exists"
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"theirs"]


async def test_a_file_that_changed_since_submission_is_kept(tmp_path: Path) -> None:
    world = World()
    transfer = await listed(world.store, "f", b"new")
    (tmp_path / "f").write_bytes(b"old")
    later = stage_of(world, Operation.DOWNLOAD, Overwrite.IF_UNCHANGED, folder=tmp_path, submitted_ns=1)
    assert failed(await execute_one(later, transfer)).code == "TargetChanged"
    before = stage_of(world, Operation.DOWNLOAD, Overwrite.IF_UNCHANGED, folder=tmp_path)
    assert await execute_one(before, transfer) == Done(3)
    assert (tmp_path / "f").read_bytes() == b"new"
