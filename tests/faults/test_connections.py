"""Connections that break, stall, cut and alter: rows 23 to 30 and 33 of the fault table."""

from __future__ import annotations

import msgspec
import pytest

from bucket_brigade.errors import ChecksumMismatch
from tests.faults.hostile import Fault
from tests.faults.hostile.faults import (
    CLOSE_IDLE,
    CUT_ANSWER,
    FLIPPED_BIT,
    GARBAGE,
    LOST_ANSWER,
    LOST_ANSWER_POLITELY,
    NO_CHECKSUM,
    OVERLONG,
    RANGE_IGNORED,
    RESET_IN_BODY,
    RESET_ON_HEAD,
    SHORT_ANSWER,
    SHORT_HONESTLY,
    SHORT_UNANNOUNCED,
    STALL,
    STALL_BEFORE_EFFECT,
    STALL_IN_BODY,
    STOP_READING,
    TRICKLE,
    TRUNCATED,
    WRONG_RANGE,
)
from tests.faults.world import IN_PARTS, World, big_object, done, failed_codes, small_objects


def of(fault: Fault) -> object:
    """Name a parameter by its fault."""
    return pytest.param(fault, id=fault.name)


SENDING = [of(RESET_ON_HEAD), of(RESET_IN_BODY), of(LOST_ANSWER), of(LOST_ANSWER_POLITELY), of(GARBAGE)]
RECEIVING = [of(CUT_ANSWER), of(SHORT_ANSWER), of(TRUNCATED), of(SHORT_UNANNOUNCED), of(SHORT_HONESTLY), of(OVERLONG)]
SILENCE = [of(STALL), of(STALL_BEFORE_EFFECT)]


# --- row 23 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", SENDING)
async def test_row_23_a_connection_that_breaks_under_an_upload_costs_that_request_alone(
    world: World, fault: Fault
) -> None:
    objects = small_objects() | {"empty": b""}
    world.s3.script.add(fault, "PutObject", times=3)
    done(await world.upload(objects), len(objects))
    assert world.written == objects


@pytest.mark.parametrize("fault", SENDING)
async def test_row_23_a_connection_that_breaks_under_a_part_costs_that_part_alone(world: World, fault: Fault) -> None:
    objects = {"big": big_object()}
    world.s3.script.add(fault, "UploadPart", times=2)
    done(await world.upload(objects, options=IN_PARTS), 1)
    assert world.written == objects
    assert world.s3.requests["CreateMultipartUpload"] == 1
    assert world.s3.requests["UploadPart"] == 4


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "CompleteMultipartUpload"])
@pytest.mark.parametrize("fault", [of(LOST_ANSWER), of(LOST_ANSWER_POLITELY), of(RESET_ON_HEAD)])
async def test_row_23_an_upload_whose_creation_or_completion_is_not_answered_leaves_nothing(
    world: World, fault: Fault, operation: str
) -> None:
    objects = {"big": big_object()}
    world.s3.script.add(fault, operation, times=2)
    done(await world.upload(objects, options=IN_PARTS), 1)  # which looks for uploads that are left
    assert world.written == objects


@pytest.mark.parametrize("operation", ["CopyObject", "UploadPartCopy", "DeleteObjects"])
@pytest.mark.parametrize("fault", [of(LOST_ANSWER), of(CUT_ANSWER)])
async def test_row_23_a_move_survives_lost_answers_of_every_step(world: World, fault: Fault, operation: str) -> None:
    objects = small_objects() | {"big": big_object()}
    world.s3.script.add(fault, operation, times=2)
    done(await world.move(objects, options=IN_PARTS), len(objects))
    assert (world.written, world.left) == (objects, {})


# --- rows 24 and 25 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", RECEIVING)
async def test_rows_24_and_25_a_body_of_another_length_is_thrown_away_and_read_again(
    world: World, fault: Fault
) -> None:
    objects = small_objects()
    world.s3.script.add(fault, "GetObject", times=3)
    report = await world.download(objects)
    if fault in (SHORT_HONESTLY, OVERLONG):
        # Nothing tells it from an object that was replaced: it is not read again, and no wrong file is written.
        assert report.counters.done + report.counters.failed == len(objects)
        assert set(failed_codes(report).values()) <= {"SourceChanged"}
        assert world.files.items() <= objects.items()
    else:
        done(report, len(objects))
        assert world.files == objects


@pytest.mark.parametrize("fault", [*RECEIVING, of(WRONG_RANGE), of(RANGE_IGNORED), of(GARBAGE)])
async def test_rows_24_to_26_a_wrong_range_is_thrown_away_and_read_again(world: World, fault: Fault) -> None:
    objects = {"big": big_object()}
    world.s3.script.add(fault, "GetObject", times=2)
    done(await world.download(objects, options=IN_PARTS), 1)
    assert world.files == objects


async def test_row_26_a_store_that_always_ignores_range_fails_the_object(world: World) -> None:
    world.s3.script.add(RANGE_IGNORED, "GetObject", times=None)
    report = await world.download({"big": big_object()}, options=IN_PARTS)
    assert failed_codes(report) == {"big": "RangeIgnored"}
    assert world.files == {}


# --- row 27 ------------------------------------------------------------------------------------------------------------


async def test_row_27_a_bit_that_flips_on_the_way_down_is_found_and_read_again(world: World) -> None:
    objects = small_objects() | {"big": big_object()}
    world.s3.script.add(FLIPPED_BIT, "GetObject", times=3)
    done(await world.download(objects, options=IN_PARTS), len(objects))
    assert world.files == objects


async def test_row_27_a_bit_that_flips_on_the_way_between_two_stores_is_found_and_read_again(world: World) -> None:
    objects = small_objects() | {"big": big_object()}
    world.s3.script.add(FLIPPED_BIT, "GetObject", times=3)
    done(await world.relay(objects, options=IN_PARTS), len(objects))
    assert world.written == objects


async def test_row_27_a_store_whose_bytes_are_always_wrong_fails_the_object(world: World) -> None:
    objects = small_objects()
    world.s3.script.add(FLIPPED_BIT, "GetObject", where="k003", times=None)
    report = await world.download(objects)
    assert failed_codes(report) == {"d1/k003": ChecksumMismatch.__name__}
    assert "d1/k003" not in world.files


async def test_row_27_without_a_checksum_the_etag_finds_the_flipped_bit(world: World) -> None:
    """An ETag of one part is the MD5 where nothing says otherwise."""
    world.s3.semantics.checksums = False
    objects = small_objects()
    world.s3.script.add(FLIPPED_BIT, "GetObject", times=1)
    done(await world.download(objects), len(objects))
    assert world.files == objects


# --- rows 28 and 29 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [*SILENCE, of(STALL_IN_BODY), of(TRICKLE)])
async def test_row_28_a_store_that_falls_silent_or_trickles_is_given_up_and_asked_again(
    world: World, fault: Fault
) -> None:
    objects = small_objects()
    world.s3.script.add(fault, "GetObject", times=2)
    done(await world.download(objects), len(objects))
    assert world.files == objects


@pytest.mark.parametrize("fault", [*SILENCE, of(STOP_READING)])
async def test_row_28_a_store_that_takes_nothing_or_never_answers_is_given_up_and_asked_again(
    world: World, fault: Fault
) -> None:
    objects = {"big": big_object()}
    world.s3.script.add(fault, "UploadPart", times=1)
    done(await world.upload(objects, options=IN_PARTS), 1)
    assert world.written == objects


async def test_row_29_expect_is_never_sent(world: World) -> None:
    world.s3.remember = True
    objects = small_objects(2) | {"big": big_object()}
    done(await world.upload(objects, options=IN_PARTS), 3)
    assert world.s3.seen
    assert not [request for request in world.s3.seen if "expect" in request.headers]


# --- rows 30 and 33 ----------------------------------------------------------------------------------------------------


async def test_row_30_kept_connections_that_the_store_closes_cost_no_attempt(world: World) -> None:
    world.engine = msgspec.structs.replace(world.engine, concurrency=1)
    objects = small_objects(20)
    world.s3.script.add(CLOSE_IDLE, "PutObject", times=None)
    report = await world.upload(objects)
    done(report, len(objects))
    if world.way == "lane":  # the client's connections are aiohttp's, which may lose the race; a retry covers it
        assert report.counters.retries == 0


async def test_row_33_bodies_that_nobody_reads_do_not_exhaust_the_connections(world: World) -> None:
    """Three times as many bad answers as connections may be open."""
    world.engine = msgspec.structs.replace(world.engine, concurrency=2, part_concurrency=1)
    objects = {f"k{index}": b"x" * 300_000 for index in range(16)}
    world.s3.script.add(OVERLONG, "GetObject", where="k[0-9]$", times=None)
    world.s3.script.add(NO_CHECKSUM, "GetObject", times=None)
    report = await world.download(objects)
    assert (report.counters.done, report.counters.failed) == (6, 10)
