"""The verbs that speak to a store without a job, over the store in memory."""

from __future__ import annotations

import io
import json

import pytest
from tests.fakes.memory_store import MemoryStore
from tests.unit.cli.fake_run import JOB

from bucket_brigade.cli.cat import parse_range, write_object
from bucket_brigade.cli.gc import may_need, sweep
from bucket_brigade.cli.lookup import compute
from bucket_brigade.cli.ls import _show_logical, _show_stored
from bucket_brigade.cli.ls_lines import Listing
from bucket_brigade.cli.output import Lines
from bucket_brigade.errors import ChecksumMismatch, ConfigError, JobFailed, NotFound, PlanError
from bucket_brigade.jobs.emptying import empty_bucket
from bucket_brigade.journal.port import JobStatus
from bucket_brigade.model.job import JobState
from bucket_brigade.model.location import S3Location
from bucket_brigade.model.outcome import Counters
from bucket_brigade.planning.layouts import HashedLayout
from bucket_brigade.s3.store import DeleteError, DeleteKey, ListPage, ObjectHead, OpenUpload, Pin

BODY = bytes(range(256)) * 40


async def store_with(*keys: str) -> MemoryStore:
    store = MemoryStore("b")
    for key in keys:
        await store.put_object("b", key, BODY)
    return store


# --- cat -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0-99", (0, 100)),
        ("bytes=5-5", (5, 6)),
        ("90-", (90, 100)),
        ("-10", (90, 100)),
        ("0-1000", (0, 100)),
        ("-500", (0, 100)),
    ],
)
def test_ranges_are_those_of_http(text: str, expected: tuple[int, int]) -> None:
    assert parse_range(text, 100) == expected


@pytest.mark.parametrize("text", ["", "-", "5", "9-3", "a-b", "1-2,4-5"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="range"):
        parse_range(text, 100)


@pytest.mark.parametrize(("range_bytes", "ahead"), [(1000, 1), (1000, 4), (7, 3), (1 << 20, 2)])
async def test_cat_writes_the_ranges_in_order(range_bytes: int, ahead: int) -> None:
    store, out = await store_with("x"), io.BytesIO()
    await write_object(store, S3Location(bucket="b", key="x"), None, out, range_bytes=range_bytes, ahead=ahead)
    assert out.getvalue() == BODY


async def test_cat_of_a_range_and_of_nothing() -> None:
    store, out = await store_with("x"), io.BytesIO()
    await store.put_object("b", "empty", b"")
    await write_object(store, S3Location(bucket="b", key="empty"), None, out, range_bytes=10, ahead=2)
    assert out.getvalue() == b""
    await write_object(store, S3Location(bucket="b", key="x"), "100-299", out, range_bytes=64, ahead=2)
    assert out.getvalue() == BODY[100:300]


async def test_cat_of_a_range_behind_the_end_says_how_long_the_object_is() -> None:
    store = await store_with("x")
    with pytest.raises(ConfigError, match="10,240 bytes"):
        await write_object(store, S3Location(bucket="b", key="x"), "10240-", io.BytesIO(), range_bytes=64, ahead=2)


async def test_cat_of_a_damaged_object_fails() -> None:
    class Damaging(MemoryStore):
        async def get_object(
            self,
            bucket: str,
            key: str,
            into: memoryview,
            *,
            start: int | None = None,
            pin: Pin = Pin(),  # noqa: B008
        ) -> ObjectHead:
            head = await super().get_object(bucket, key, into, start=start, pin=pin)
            into[0] ^= 1
            return head

    store = Damaging("b")
    await store.put_object("b", "x", BODY)
    with pytest.raises(ChecksumMismatch):
        await write_object(store, S3Location(bucket="b", key="x"), None, io.BytesIO(), range_bytes=512, ahead=2)


async def test_cat_of_a_missing_object_is_not_found() -> None:
    with pytest.raises(NotFound):
        await write_object(
            MemoryStore("b"), S3Location(bucket="b", key="x"), None, io.BytesIO(), range_bytes=1, ahead=1
        )


# --- ls --------------------------------------------------------------------------------------------------------------


async def listed(
    store: MemoryStore,
    key: str,
    capfd: pytest.CaptureFixture[str],
    *,
    recursive: bool = False,
    as_json: bool = False,
    pattern: str = "",
    logical: bool = False,
) -> list[str]:
    where = S3Location(bucket="b", key=key, recursive=recursive, pattern=pattern)
    show = _show_logical if logical else _show_stored
    with Lines() as lines:
        listing = Listing(lines, as_json=as_json, human=False)
        await show(store, where, listing, recursive=recursive, page_size=2)
    return capfd.readouterr().out.splitlines()


async def test_ls_shows_one_level_as_aws_does(capfd: pytest.CaptureFixture[str]) -> None:
    store = await store_with("p/a", "p/b/c", "p/b/d", "p/e", "q")
    lines = await listed(store, "p/", capfd)
    assert "                           PRE b/" in lines
    assert sorted(line.split()[-1] for line in lines) == ["a", "b/", "e"]
    (line,) = [line for line in lines if line.endswith(" a")]
    assert line[19:] == f" {len(BODY):>10} a"


async def test_ls_of_a_beginning_shows_whole_names(capfd: pytest.CaptureFixture[str]) -> None:
    store = await store_with("p/alpha", "p/also", "p/beta")
    assert [line.split()[-1] for line in await listed(store, "p/al", capfd)] == ["alpha", "also"]


async def test_ls_recursive_shows_whole_keys_over_all_pages(capfd: pytest.CaptureFixture[str]) -> None:
    keys = [f"p/{number:02}" for number in range(7)]
    lines = await listed(await store_with(*keys), "p/", capfd, recursive=True)
    assert [line.split()[-1] for line in lines] == keys


async def test_ls_takes_patterns(capfd: pytest.CaptureFixture[str]) -> None:
    store = await store_with("p/a.jpg", "p/b.txt", "p/c/d.jpg")
    lines = await listed(store, "p/", capfd, recursive=True, pattern="*.jpg")
    assert [line.split()[-1] for line in lines] == ["p/a.jpg", "p/c/d.jpg"]


async def test_ls_json_is_a_document_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    store = await store_with("p/a\nb", "p/c/d")
    documents = [json.loads(line) for line in await listed(store, "p/", capfd, as_json=True)]
    assert {"prefix": "c/"} in documents
    (found,) = [document for document in documents if "key" in document]
    assert (found["key"], found["size"]) == ("a\nb", len(BODY))
    assert found["modified"].endswith("Z")


async def test_ls_logical_shows_the_names_behind_hashed_keys(capfd: pytest.CaptureFixture[str]) -> None:
    layout = HashedLayout()
    names = ["x/y.txt", "z.txt"]
    store = await store_with(*(layout.stored_key("p/", name) for name in names))
    lines = await listed(store, "p/", capfd, recursive=True, logical=True)
    assert sorted(line.split()[-1] for line in lines) == names
    lines = await listed(store, "p/", capfd, logical=True)
    assert sorted(line.split()[-1] for line in lines) == ["x/", "z.txt"]


async def test_no_key_can_forge_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert (await listed(await store_with("a\n\x1b[2Jb"), "", capfd))[0].endswith("a\\x0a\\x1b[2Jb")


async def test_a_listing_that_does_not_advance_ends_with_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    class Looping(MemoryStore):
        async def list_objects(self, bucket: str, **arguments: object) -> ListPage:
            return ListPage([], [], "again")

    with pytest.raises(PlanError):
        await listed(Looping("b"), "", capfd)


# --- rb --force ------------------------------------------------------------------------------------------------------


async def test_a_bucket_is_emptied_of_versions_markers_and_uploads() -> None:
    store = MemoryStore("b")
    store.buckets["b"].versioned = True
    for _ in range(3):
        await store.put_object("b", "x", BODY)
    await store.delete_object("b", "x")
    await store.put_object("b", "y", BODY)
    await store.create_multipart_upload("b", "z")
    assert await empty_bucket(store, "b") == 5
    assert not (await store.list_object_versions("b")).versions
    assert not (await store.list_multipart_uploads("b")).uploads
    await store.delete_bucket("b")


async def test_what_cannot_be_deleted_is_named() -> None:
    class Retaining(MemoryStore):
        async def delete_objects(self, bucket: str, keys: list[DeleteKey]) -> dict[int, DeleteError]:
            return {0: DeleteError("AccessDenied", "retained")}

    store = Retaining("b")
    await store.put_object("b", "kept.txt", BODY)
    with pytest.raises(JobFailed, match=r"kept\.txt \(AccessDenied\)"):
        await empty_bucket(store, "b")


# --- gc --------------------------------------------------------------------------------------------------------------

EVER = 1 << 62


def live_job() -> JobStatus:
    return JobStatus(
        job=JOB,
        state=JobState.INTERRUPTED,
        reason="",
        planning_done=True,
        open_batches=1,
        counters=Counters(),
        started_ns=0,
        finished_ns=0,
        epoch=1,
    )


async def test_gc_lists_first_and_aborts_when_told(capfd: pytest.CaptureFixture[str]) -> None:
    store = MemoryStore("b")
    await store.create_multipart_upload("b", "p/x")
    await store.create_multipart_upload("b", "q/x")
    where = S3Location(bucket="b", key="p/")
    assert await sweep(store, where, [], before_ns=EVER, abort=False, as_json=True) == (1, 0)
    assert json.loads(capfd.readouterr().out)["aborted"] is False
    assert len((await store.list_multipart_uploads("b")).uploads) == 2
    assert await sweep(store, where, [], before_ns=EVER, abort=True, as_json=True) == (1, 0)
    assert [upload.key for upload in (await store.list_multipart_uploads("b")).uploads] == ["q/x"]


async def test_gc_leaves_young_uploads_and_those_of_jobs_that_can_be_resumed() -> None:
    store = MemoryStore("photos")
    await store.create_multipart_upload("photos", "2026/x")
    where = S3Location(bucket="photos")
    assert await sweep(store, where, [], before_ns=0, abort=True, as_json=False) == (0, 0)
    assert await sweep(store, where, [live_job()], before_ns=EVER, abort=True, as_json=False) == (0, 1)
    assert len((await store.list_multipart_uploads("photos")).uploads) == 1


def test_a_job_needs_only_uploads_below_its_target_that_are_younger_than_itself() -> None:
    assert may_need(live_job(), "photos", OpenUpload("2026/x", "u", 1))
    assert not may_need(live_job(), "photos", OpenUpload("2025/x", "u", 1))
    assert not may_need(live_job(), "other", OpenUpload("2026/x", "u", 1))


# --- lookup ----------------------------------------------------------------------------------------------------------


def test_hashed_names_are_computed_both_ways() -> None:
    there = compute("photos/größe.jpg", "photos/")
    assert there.stored.startswith("photos/")
    assert there.stored.endswith("/größe.jpg")
    assert compute(there.stored, "photos/") == there


def test_a_name_outside_the_prefix_is_refused() -> None:
    with pytest.raises(ConfigError, match="not below"):
        compute("music/a", "photos/")
