"""Answers that say "done" and prove nothing: rows 3, 4 and 5 of the fault table."""

from __future__ import annotations

import pytest

from tests.faults.hostile import Fault
from tests.faults.hostile.faults import (
    EMPTY_200,
    EMPTY_AFTER_EFFECT,
    ERROR_IN_200,
    ERROR_IN_200_AFTER_EFFECT,
    HTML_200,
    HTML_AFTER_EFFECT,
    NO_ETAG,
    refuse,
)
from tests.faults.hostile.messages import Answer, Request
from tests.faults.world import IN_PARTS, World, big_object, done, failed_codes, small_objects


def of(fault: Fault) -> object:
    """Name a parameter by its fault."""
    return pytest.param(fault, id=fault.name)


@pytest.mark.parametrize(
    "fault", [of(ERROR_IN_200), of(ERROR_IN_200_AFTER_EFFECT), of(EMPTY_200), of(HTML_AFTER_EFFECT)]
)
async def test_row_3_an_error_inside_the_200_of_a_copy_is_tried_again(world: World, fault: Fault) -> None:
    objects = small_objects()
    world.s3.script.add(fault, "CopyObject", times=3)
    done(await world.copy(objects), len(objects))
    assert world.written == objects


@pytest.mark.parametrize("operation", ["UploadPartCopy", "CompleteMultipartUpload"])
@pytest.mark.parametrize("fault", [of(ERROR_IN_200), of(ERROR_IN_200_AFTER_EFFECT)])
async def test_row_3_an_error_inside_the_200_of_a_copy_in_parts_is_tried_again(
    world: World, fault: Fault, operation: str
) -> None:
    objects = {"big": big_object()}
    world.s3.script.add(fault, operation, times=2)
    done(await world.copy(objects, options=IN_PARTS), 1)
    assert world.written == objects


@pytest.mark.parametrize("fault", [of(EMPTY_200), of(HTML_200), of(EMPTY_AFTER_EFFECT), of(NO_ETAG)])
async def test_row_4_a_put_that_is_answered_without_an_etag_is_no_success(world: World, fault: Fault) -> None:
    objects = small_objects()
    world.s3.script.add(fault, "PutObject", times=3)
    done(await world.upload(objects), len(objects))
    assert world.written == objects


async def test_row_4_an_object_that_never_gets_an_etag_is_a_failure_although_all_others_are_done(world: World) -> None:
    objects = small_objects()
    world.s3.script.add(EMPTY_200, "PutObject", where="k003", times=None)
    report = await world.upload(objects)
    assert (report.counters.done, report.counters.failed) == (len(objects) - 1, 1)
    assert "d1/k003" not in world.written


async def test_row_4_a_page_of_html_is_no_empty_bucket(world: World) -> None:
    objects = small_objects()
    world.s3.script.add(HTML_200, "ListObjectsV2", times=2)
    world.s3.script.add(EMPTY_200, "ListObjectsV2", times=2)
    done(await world.delete(objects), len(objects))
    assert world.left == {}


def _told(key: str, instead: str) -> Fault:
    """A bulk delete that says something else about this key than that it was deleted."""

    def mangle(_request: Request, answer: Answer, _chance: object) -> Answer:
        row = f"<Deleted><Key>{key}</Key></Deleted>"
        assert row in answer.body.decode()
        return answer.changed(body=answer.body.decode().replace(row, instead).encode())

    return Fault(name=f"tells of {key}", mangle=mangle)


async def test_row_5_a_key_that_a_bulk_delete_does_not_mention_is_asked_for_again(world: World) -> None:
    objects = small_objects(12)
    world.s3.script.add(_told("d0/k002", ""), "DeleteObjects")
    done(await world.delete(objects), len(objects))
    assert world.s3.requests["DeleteObjects"] == 2
    assert world.left == {}


async def test_row_5_a_key_that_is_never_mentioned_fails_by_name(world: World) -> None:
    objects = small_objects(12)
    world.s3.script.add(_told("d0/k002", ""), "DeleteObjects")
    world.s3.script.add(refuse(403, "AccessDenied"), "DeleteObjects", times=None)
    report = await world.delete(objects)
    assert failed_codes(report) == {"d0/k002": "AccessDenied"}
    assert report.counters.done == len(objects) - 1


@pytest.mark.parametrize("code", ["InternalError", "SlowDown"])
async def test_row_5_a_key_refused_for_now_inside_a_200_is_asked_for_again(world: World, code: str) -> None:
    objects = small_objects(12)
    world.s3.script.add(_told("d0/k002", f"<Error><Key>d0/k002</Key><Code>{code}</Code></Error>"), "DeleteObjects")
    done(await world.delete(objects), len(objects))


async def test_row_5_a_key_refused_for_good_inside_a_200_fails_alone(world: World) -> None:
    objects = small_objects(12)
    refused = "<Error><Key>d0/k002</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
    world.s3.script.add(_told("d0/k002", refused), "DeleteObjects")
    report = await world.delete(objects)
    assert failed_codes(report) == {"d0/k002": "AccessDenied"}
    assert report.counters.done == len(objects) - 1
