"""Objects that change under a job, and stores that keep less than they promise: rows 13 to 22."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.model.job import JobState, ObjectAttributes, Overwrite, TransferOptions
from tests.faults.hostile import Fault
from tests.faults.hostile.faults import (
    IGNORES_CONDITIONS,
    LENGTH_REQUIRED,
    LOST_ANSWER,
    NO_CHECKSUM,
    NO_SUCH_UPLOAD,
    STALL_BEFORE_EFFECT,
)
from tests.faults.hostile.messages import Answer, Request
from tests.faults.hostile.semantics import Refused
from tests.faults.hostile.state import Bucket, StoredObject, etag_of
from tests.faults.world import IN_PARTS, SOURCE, TARGET, World, big_object, done, failed_codes, small_objects


def replacing(world: World, key: str, content: bytes) -> Fault:
    """Carry the request out, and then let somebody else replace an object."""

    def mangle(_request: Request, answer: Answer, _chance: object) -> Answer:
        world.fill({key: content})
        return answer

    return Fault(name=f"{key} is replaced", mangle=mangle)


# --- rows 13 and 14 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way_of_moving", ["download", "relay"])
async def test_row_13_an_object_replaced_between_two_ranges_fails_as_changed(world: World, way_of_moving: str) -> None:
    objects = {"big": big_object()}
    world.s3.script.add(replacing(world, "big", big_object()[::-1]), "GetObject", times=1)
    report = await getattr(world, way_of_moving)(objects, options=IN_PARTS)
    assert failed_codes(report) == {"big": "SourceChanged"}
    assert (world.files, world.written) == ({}, {})


async def test_row_13_an_object_replaced_since_it_was_listed_fails_as_changed(world: World) -> None:
    objects = small_objects()
    world.s3.script.add(replacing(world, "d0/k002", b"other"), "ListObjectsV2", skip=1, times=1)
    report = await world.download(objects)
    assert failed_codes(report) == {"d0/k002": "SourceChanged"}
    assert report.counters.done == len(objects) - 1


async def test_row_14_a_source_replaced_during_a_copy_in_parts_fails_as_changed_and_leaves_no_upload(
    world: World,
) -> None:
    world.s3.script.add(replacing(world, "big", big_object()[::-1]), "UploadPartCopy", times=1)
    report = await world.copy({"big": big_object()}, options=IN_PARTS)
    assert failed_codes(report) == {"big": "SourceChanged"}
    assert world.written == {}


async def test_rows_13_and_14_a_source_replaced_during_a_move_is_kept(world: World) -> None:
    objects = small_objects()
    world.s3.script.add(replacing(world, "d0/k002", b"newer"), "CopyObject", where="k002", times=1)
    report = await world.move(objects)
    assert failed_codes(report) == {"d0/k002": "SourceChanged"}
    assert world.left == {"d0/k002": b"newer"}
    assert world.written == objects


# --- row 15 ------------------------------------------------------------------------------------------------------------


async def test_row_15_a_store_that_ignores_conditions_still_overwrites_nothing(world: World) -> None:
    objects = small_objects()
    world.fill({"d0/k002": b"was there"}, TARGET)
    world.s3.script.add(IGNORES_CONDITIONS, "PutObject", times=None)
    report = await world.upload(objects, options=TransferOptions(overwrite=Overwrite.NEVER))
    assert world.written["d0/k002"] == b"was there"
    assert (report.counters.skipped, report.counters.done) == (1, len(objects) - 1)


async def test_row_15_our_own_write_whose_answer_was_lost_is_no_conflict(world: World) -> None:
    objects = small_objects()
    world.s3.script.add(LOST_ANSWER, "PutObject", times=2)
    done(await world.upload(objects, options=TransferOptions(overwrite=Overwrite.NEVER)), len(objects))


# --- row 16 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["small", "in parts"])
async def test_row_16_a_store_that_does_not_encrypt_fails_the_object_and_keeps_no_plain_bytes(
    world: World, size: str
) -> None:
    ignoring = Fault(name="stores it unencrypted", ignores=("x-amz-server-side-encryption",))
    world.s3.script.add(ignoring, times=None)
    objects = {"secret": big_object() if size == "in parts" else b"secret"}
    attributes = ObjectAttributes(sse="AES256")
    report = await world.upload(
        objects,
        options=TransferOptions(part_size_bytes=5 << 20, multipart_threshold_bytes=5 << 20, attributes=attributes),
    )
    assert report.counters.done == 0
    assert world.written == {}


# --- rows 17 and 18 ----------------------------------------------------------------------------------------------------


async def test_row_17_a_store_without_checksums_is_held_to_its_etags(world: World) -> None:
    world.s3.semantics.checksums = False
    objects = small_objects() | {"big": big_object()}
    done(await world.upload(objects, options=IN_PARTS), len(objects))
    assert world.written == objects


@pytest.mark.parametrize("way_of_moving", ["upload", "relay"])
async def test_row_17_a_store_that_checks_nothing_and_keeps_other_bytes_is_found_out_by_its_etag(
    world: World, way_of_moving: str
) -> None:
    world.s3.semantics.checksums = False
    world.s3.semantics.verify = False
    world.s3.state.write = _garbling(world, "d1/k005")  # type: ignore[method-assign]
    objects = small_objects(30)
    report = await getattr(world, way_of_moving)(objects)
    done(report, len(objects))
    assert world.written == objects


def _garbling(world: World, key: str) -> Callable[..., None]:
    """Keep other bytes under a key the first time."""
    write, struck = world.s3.state.write, []

    def garble(bucket: Bucket, written: str, stored: StoredObject, request: int = 0) -> None:
        if bucket.name == TARGET and written == key and not struck:
            struck.append(True)
            content = stored.content[:-1] + b"?"
            stored = StoredObject(content, etag_of(content), stored.headers)
            write(bucket, written, stored, request)
            bucket.objects[written] = stored
            raise Refused(Answer(200, {"ETag": stored.etag}))
        write(bucket, written, stored, request)

    return garble


@pytest.mark.parametrize("way_of_moving", ["upload", "copy", "download", "relay", "move"])
async def test_row_18_etags_that_are_no_md5_fail_nothing(world: World, way_of_moving: str) -> None:
    """As of SSE-KMS, and of stores that count their own way."""
    world.s3.semantics.checksums = False
    objects = small_objects()
    world.fill(objects)
    for stored in world.s3.state.buckets[SOURCE].objects.values():
        object.__setattr__(stored, "etag", f'"{etag_of(stored.etag.encode())[1:-1]}"')

    def another_etag(request: Request, answer: Answer, _chance: object) -> Answer:
        held = world.s3.state.buckets[request.bucket].objects[request.key]
        etag = etag_of(b"salt" + held.content)
        object.__setattr__(held, "etag", etag)
        headers = {name: etag if name == "ETag" else value for name, value in answer.headers.items()}
        return answer.changed(headers=headers)

    world.s3.script.add(Fault(name="other ETags", mangle=another_etag), "PutObject", times=None)
    if way_of_moving == "upload":
        report = await world.upload(objects)
    else:
        verb = "mv" if way_of_moving == "move" else "cp"
        to = {"relay": f"away://{TARGET}/", "download": f"{world.folder}/to/"}.get(
            way_of_moving, f"hostile://{TARGET}/"
        )
        report = await world.run(verb, f"hostile://{SOURCE}/", to)
    done(report, len(objects))
    assert (world.files if way_of_moving == "download" else world.written) == objects


# --- rows 19 to 22 and 47 ----------------------------------------------------------------------------------------------


async def test_row_19_no_part_is_below_what_the_store_takes_however_the_size_falls(world: World) -> None:
    """The server refuses parts below 5 MiB, as S3 does."""
    objects = {f"big{extra}": big_object(extra) for extra in (0, 1, -1)}
    done(await world.upload(objects, options=IN_PARTS), len(objects))
    assert world.written == objects


@pytest.mark.parametrize("operation", ["ListParts", "UploadPart", "CompleteMultipartUpload"])
async def test_row_20_an_upload_that_is_gone_when_it_is_resumed_begins_anew(world: World, operation: str) -> None:
    objects = {"big": big_object(7 << 20), **small_objects(2)}
    world.write_files(objects)
    world.s3.script.add(STALL_BEFORE_EFFECT, "UploadPart", skip=1, times=None)
    async with Brigade(world.settings) as brigade:
        job = await brigade.submit(
            JobRequest(verb="cp", source=f"{world.folder}/from/", target=f"hostile://{TARGET}/", options=IN_PARTS)
        )
        run = await brigade.start(job.id)
        while not any(upload.parts for upload in world.s3.state.uploads.values()):
            await asyncio.sleep(0.005)
        run.stop(now=True)
        report = await run.wait()
    assert report.state is JobState.INTERRUPTED
    assert world.s3.state.uploads
    world.s3.script.clear()
    forget = Fault(name="upload is gone", instead=lambda request: _forgotten(world, request))
    world.s3.script.add(forget, operation, times=1)
    done(await world.resume(report), len(objects))
    assert world.written == objects
    assert world.s3.requests["CreateMultipartUpload"] == 2


def _forgotten(world: World, request: Request) -> Answer:
    world.s3.state.uploads.pop(request.query["uploadId"], None)
    assert NO_SUCH_UPLOAD.instead is not None
    return NO_SUCH_UPLOAD.instead(request)


async def test_row_21_checksums_that_the_store_refuses_are_left_out_and_remembered(world: World) -> None:
    objects = small_objects(12)

    def refuse(request: Request) -> Answer:
        assert "x-amz-checksum-crc64nvme" in request.headers
        assert LENGTH_REQUIRED.instead is not None
        return LENGTH_REQUIRED.instead(request)

    class OfChecksums(type(world.s3.script)):  # type: ignore[misc]
        """Strikes the requests with a checksum."""

        def choose(self, request: Request) -> Fault | None:
            if "x-amz-checksum-crc64nvme" in request.headers:
                self.struck["refused"] += 1
                return Fault(name="refused", instead=refuse)
            return None

    world.s3.script = OfChecksums()
    done(await world.upload(objects), len(objects))
    assert world.written == objects
    assert (
        world.s3.script.struck["refused"] <= 2 * world.engine.concurrency
    )  # those in flight, over the lane and the client


async def test_row_22_metadata_and_tags_come_along_above_and_below_the_limit_of_a_copy(world: World) -> None:
    headers = {"content-type": "text/x-special", "x-amz-meta-colour": "blue"}
    for key, content in {"small": b"x", "big": big_object()}.items():
        stored = StoredObject(content, etag_of(content), dict(headers), {"team": "storage"})
        world.s3.state.write(world.s3.state.buckets[SOURCE], key, stored)
    world.s3.script.add(NO_CHECKSUM, times=None)
    done(await world.run("cp", f"hostile://{SOURCE}/", f"hostile://{TARGET}/", options=IN_PARTS), 2)
    for stored in world.s3.state.buckets[TARGET].objects.values():
        assert headers.items() <= stored.headers.items()
        assert stored.tags == {"team": "storage"}


async def test_row_47_no_upload_is_left_where_nothing_answers_at_all(world: World) -> None:
    """The creation takes effect and is never answered, until the object has failed."""
    world.s3.script.add(LOST_ANSWER, "CreateMultipartUpload", times=None)
    report = await world.upload({"big": big_object()}, options=IN_PARTS)
    assert report.counters.failed == 1
