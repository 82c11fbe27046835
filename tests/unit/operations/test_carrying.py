"""What copies and relays do about attributes that cannot be read, or that the target refuses."""

from __future__ import annotations

import msgspec
import pytest
from tests.fakes.faulty_store import Call, Fault, FaultyStore
from tests.fakes.memory_store import MemoryStore
from tests.samples import patterned_bytes
from tests.unit.operations.world import SOURCE, TARGET, World, execute_one, failed, side, small_store

from bucket_brigade.errors import AccessDenied, NotSupported, PermanentError
from bucket_brigade.model.job import DEFAULT_PRESERVE, PRESERVABLE, ObjectAttributes
from bucket_brigade.model.outcome import Done, Outcome, State
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.access import mapped_acl
from bucket_brigade.operations.copy import CopyStage
from bucket_brigade.operations.relay import RelayStage
from bucket_brigade.s3.store import Acl, Grant

SIZES = [10, 5000]
TAGGED = ObjectAttributes(content_type="x/y", tagging=(("t", "1"),))
EVERYBODY = Grant("READ", uri="http://acs.amazonaws.com/groups/global/AllUsers")


async def relay(
    size: int,
    *,
    of_source: ObjectAttributes = TAGGED,
    preserve: tuple[str, ...] = DEFAULT_PRESERVE,
    must: bool = False,
    source_faults: tuple[Fault, ...] = (),
    target_faults: tuple[Fault, ...] = (),
) -> tuple[World, Outcome]:
    world, source = World(), small_store()
    options = msgspec.structs.replace(world.job.options, preserve=preserve, must_preserve=must)
    world.job = msgspec.structs.replace(world.job, options=options)
    await source.put_object(SOURCE, "k", patterned_bytes(size), attributes=of_source)
    from_store = FaultyStore(source, list(source_faults)).as_store
    to_store = FaultyStore(world.store, list(target_faults)).as_store
    stage = RelayStage(world.context, side(from_store, SOURCE), side(to_store, TARGET), leads_to=State.DONE)
    return world, await execute_one(stage, Transfer("k", "k", size))


def refusing(field: str, error: PermanentError) -> tuple[Fault, ...]:
    """Refuse every write that names this attribute."""

    async def refuse(call: Call) -> None:
        if getattr(call.arguments["attributes"], field) is not None:
            raise error

    return tuple(
        Fault(operation=operation, does=refuse, times=None) for operation in ("put_object", "create_multipart_upload")
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("error", [NotSupported("no"), AccessDenied("no"), PermanentError("no", code="InvalidTag")])
async def test_tags_that_the_target_refuses_are_left_out_and_noted(size: int, error: PermanentError) -> None:
    world, outcome = await relay(size, target_faults=refusing("tagging", error))
    assert isinstance(outcome, Done)
    assert "tags" in outcome.note
    kept = world.store.buckets[TARGET].current("k")
    assert kept is not None
    assert (kept.tags, kept.attributes.content_type) == ((), "x/y")
    assert world.uploads() == []


@pytest.mark.parametrize("size", SIZES)
async def test_what_was_named_must_be_carried_over(size: int) -> None:
    faults = refusing("tagging", NotSupported("no"))
    world, outcome = await relay(size, preserve=("tags",), must=True, target_faults=faults)
    assert failed(outcome).code == "NotSupported"
    assert world.content("k") is None
    assert world.uploads() == []


@pytest.mark.parametrize("size", SIZES)
async def test_only_what_is_refused_is_left_out(size: int) -> None:
    rich = msgspec.structs.replace(TAGGED, storage_class="STANDARD_IA", sse="AES256")
    faults = refusing("storage_class", AccessDenied("no"))
    world, outcome = await relay(size, of_source=rich, preserve=PRESERVABLE, target_faults=faults)
    assert isinstance(outcome, Done)
    assert "storage-class" in outcome.note
    assert "tags" not in outcome.note
    kept = world.store.buckets[TARGET].current("k")
    assert kept is not None
    assert (kept.attributes.storage_class, kept.attributes.sse, kept.tags) == (None, "AES256", TAGGED.tagging)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("must", [False, True])
async def test_tags_that_may_not_be_read_are_noted_or_fail_and_never_dropped_silently(size: int, must: bool) -> None:
    unreadable = (Fault(operation="get_object_tags", does=AccessDenied("no"), times=None),)
    _, outcome = await relay(size, must=must, source_faults=unreadable)
    if must:
        assert failed(outcome).code == "NotCarried"
    else:
        assert isinstance(outcome, Done)
        assert "tags" in outcome.note


@pytest.mark.parametrize("kind", ["copy", "relay"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("preserve", "kept"), [(DEFAULT_PRESERVE, None), (PRESERVABLE, "/r"), (("metadata",), None)])
async def test_a_website_redirect_crosses_every_way_alike(
    kind: str, size: int, preserve: tuple[str, ...], kept: str | None
) -> None:
    source: MemoryStore = small_store()
    world = World(store=source) if kind == "copy" else World()
    world.job = msgspec.structs.replace(
        world.job, options=msgspec.structs.replace(world.job.options, preserve=preserve)
    )
    await source.put_object(SOURCE, "k", patterned_bytes(size), attributes=ObjectAttributes(website_redirect="/r"))
    ends = (side(source, SOURCE), side(world.store, TARGET))
    stage = (CopyStage if kind == "copy" else RelayStage)(world.context, *ends, leads_to=State.DONE)
    assert await execute_one(stage, Transfer("k", "k", size)) == Done(size)
    written = world.store.buckets[TARGET].current("k")
    assert written is not None
    assert written.attributes.website_redirect == kept


async def test_an_error_that_is_not_about_attributes_is_the_outcome() -> None:
    broken = (Fault(operation="put_object", does=AccessDenied("nothing may be written here"), times=None),)
    _, outcome = await relay(10, target_faults=broken)
    assert failed(outcome).code == "AccessDenied"


@pytest.mark.parametrize("kind", ["copy", "relay"])
async def test_an_archived_source_is_named_with_its_class_and_what_to_do(kind: str) -> None:
    source: MemoryStore = small_store()
    world = World(store=source) if kind == "copy" else World()
    await source.put_object(SOURCE, "k", b"x" * 10, attributes=ObjectAttributes(storage_class="DEEP_ARCHIVE"))
    ends = (side(source, SOURCE), side(world.store, TARGET))
    stage = (CopyStage if kind == "copy" else RelayStage)(world.context, *ends, leads_to=State.DONE)
    outcome = failed(await execute_one(stage, Transfer("k", "k", 10)))
    assert outcome.code == "InvalidObjectState"
    assert "DEEP_ARCHIVE" in outcome.message
    assert "brigade unarchive" in outcome.message


def test_the_owner_of_the_target_takes_the_place_of_the_owner_of_the_source() -> None:
    source = Acl("me", (Grant("FULL_CONTROL", id="me"), EVERYBODY, Grant("READ", id="partner")))
    mapped, lost = mapped_acl(source, "you", same_service=True)
    assert mapped == Acl("you", (Grant("FULL_CONTROL", id="you"), EVERYBODY, Grant("READ", id="partner")))
    assert lost == []
    mapped, lost = mapped_acl(source, "you", same_service=False)
    assert mapped.grants == (Grant("FULL_CONTROL", id="you"), EVERYBODY)
    assert len(lost) == 1
