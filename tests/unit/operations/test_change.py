"""Attributes are changed where objects are: by the cheapest request, and without losing what was not named."""

from __future__ import annotations

from typing import cast

import msgspec
import pytest
from tests.fakes.faulty_store import Call, Fault, FaultyStore, When
from tests.unit.operations.world import SOURCE, World, execute_one, failed, listed

from bucket_brigade.errors import ConfigError, SourceChanged
from bucket_brigade.model.acl import parse_grants
from bucket_brigade.model.job import PRESERVABLE, ObjectAttributes, Operation
from bucket_brigade.model.location import S3Location
from bucket_brigade.model.outcome import Done, Vanished
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.build import build_operation
from bucket_brigade.operations.change import has_attributes, needs_rewriting
from bucket_brigade.operations.port import BucketSide, Stage
from bucket_brigade.s3.store import Acl, Grant, Store


def stage_of(world: World, asked: ObjectAttributes, store: Store | None = None) -> Stage:
    world.job = msgspec.structs.replace(
        world.job,
        operation=Operation.SET,
        source=S3Location(bucket=SOURCE, recursive=True),
        target=None,
        options=msgspec.structs.replace(world.job.options, attributes=asked, preserve=PRESERVABLE[:7]),
    )
    return build_operation(world.context, BucketSide(store or world.store, "s3", SOURCE), None).stages[0]


async def test_tags_are_replaced_and_removed_by_one_request() -> None:
    world = World()
    transfer = await listed(world.store, "f", b"content")
    assert await execute_one(stage_of(world, ObjectAttributes(tagging=(("a", "1"),))), transfer) == Done(7)
    assert await world.store.get_object_tags(SOURCE, "f") == (("a", "1"),)
    assert world.happened() == ["put_object_tags"]
    await execute_one(stage_of(world, ObjectAttributes(tagging=())), transfer)
    assert await world.store.get_object_tags(SOURCE, "f") == ()


async def test_access_and_locks_have_requests_of_their_own() -> None:
    world = World()
    transfer = await listed(world.store, "f", b"content")
    asked = ObjectAttributes(acl="bucket-owner-full-control", legal_hold="ON")
    assert await execute_one(stage_of(world, asked), transfer) == Done(7)
    assert world.happened() == ["put_object_acl", "put_object_lock"]
    assert (await world.store.head_object(SOURCE, "f")).attributes.legal_hold == "ON"


async def test_grants_are_set_under_the_owner_that_the_object_has() -> None:
    world = World()
    transfer = await listed(world.store, "f", b"content")
    asked = ObjectAttributes(grant_read='id="one", uri="http://acs.amazonaws.com/groups/s3/LogDelivery"')
    await execute_one(stage_of(world, asked), transfer)
    assert await world.store.get_object_acl(SOURCE, "f") == Acl(
        "owner", (Grant("READ", id="one"), Grant("READ", uri="http://acs.amazonaws.com/groups/s3/LogDelivery"))
    )


@pytest.mark.parametrize("size", [10, 4000])
async def test_the_rest_is_a_copy_that_keeps_what_is_not_named(size: int) -> None:
    world = World()
    before = ObjectAttributes(content_type="text/plain", metadata=(("a", "1"),), tagging=(("t", "1"),))
    written = await world.store.put_object(SOURCE, "f", b"c" * size, attributes=before)
    transfer = Transfer("f", "f", size, written.etag)
    assert await execute_one(stage_of(world, ObjectAttributes(cache_control="no-cache")), transfer) == Done(size)
    head = await world.store.head_object(SOURCE, "f")
    assert (head.attributes.cache_control, head.attributes.content_type) == ("no-cache", "text/plain")
    assert dict(head.attributes.metadata or ()).items() >= {("a", "1")}
    assert await world.store.get_object_tags(SOURCE, "f") == (("t", "1"),)
    assert world.content("f", SOURCE) == b"c" * size


async def test_an_object_that_is_gone_has_vanished() -> None:
    world = World()
    for asked in (ObjectAttributes(tagging=()), ObjectAttributes(cache_control="no-cache")):
        assert await execute_one(stage_of(world, asked), Transfer("gone", "gone", 3, '"etag"')) == Vanished()


async def test_a_rewrite_whose_answer_was_lost_is_recognized_by_what_it_did() -> None:
    world = World()
    transfer = await listed(world.store, "f", b"c" * 4000)

    async def lost(call: Call) -> None:
        raise SourceChanged("another ETag than planned")

    fault = Fault(operation="complete_multipart_upload", does=lost, when=When.AFTER)
    asked = ObjectAttributes(cache_control="no-cache")
    stage = stage_of(world, asked, cast("Store", FaultyStore(world.store, [fault])))
    assert await execute_one(stage, transfer) == Done(4000)


async def test_an_object_that_somebody_else_wrote_is_not_taken_for_ours() -> None:
    world = World()
    transfer = await listed(world.store, "f", b"content")
    await world.store.put_object(SOURCE, "f", b"another")
    stage = stage_of(world, ObjectAttributes(cache_control="no-cache"))
    assert failed(await execute_one(stage, transfer)).code == "SourceChanged"


def test_what_needs_a_copy() -> None:
    assert not needs_rewriting(ObjectAttributes(acl="private", tagging=(), legal_hold="ON", grant_read='id="x"'))
    for asked in (
        ObjectAttributes(metadata=()),
        ObjectAttributes(storage_class="STANDARD"),
        ObjectAttributes(sse="AES256"),
    ):
        assert needs_rewriting(asked)


def test_what_a_head_confirms() -> None:
    found = ObjectAttributes(metadata=(("a", "1"),), content_type="text/plain")
    assert has_attributes(found, ObjectAttributes(metadata=(("a", "1"),), storage_class="STANDARD", tagging=()))
    assert not has_attributes(found, ObjectAttributes(content_type="text/html"))


def test_grantees_are_read_as_the_headers_have_them() -> None:
    assert parse_grants("id=\"a\", uri=http://x ,emailAddress='b@c'") == [
        {"id": "a"},
        {"uri": "http://x"},
        {"email": "b@c"},
    ]
    with pytest.raises(ConfigError):
        parse_grants("everybody")
