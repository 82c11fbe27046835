from __future__ import annotations

import pytest
from tests.unit.operations.world import TARGET, World, small_store

from bucket_brigade.errors import (
    ClockSkewed,
    CredentialsExpired,
    DiskFull,
    LocalError,
    NotFound,
    StoreUnavailable,
    TransferError,
    WrongRegion,
)
from bucket_brigade.model.outcome import Failed, Vanished
from bucket_brigade.operations.outcomes import FILE_GONE, OBJECT_GONE, SourceGone, outcome_of
from bucket_brigade.operations.receipts import etag_is_md5_of, prove_by_head, prove_put
from bucket_brigade.s3.checksums import crc64nvme
from bucket_brigade.s3.store import Written

BODY = b"content"
CRC = crc64nvme(BODY)
MD5_ETAG = '"9a0364b9e99bb480dd25e1f0284c8555"'


def test_an_etag_proves_a_body_only_as_its_md5() -> None:
    assert etag_is_md5_of(MD5_ETAG, BODY)
    assert not etag_is_md5_of(MD5_ETAG, b"other")
    assert not etag_is_md5_of('"9a0364b9e99bb480dd25e1f0284c8555-1"', BODY)


async def test_a_receipt_with_the_checksum_needs_no_request() -> None:
    world = World()
    await prove_put(world.store, TARGET, "f", Written('"x"', None, CRC), BODY, CRC)
    await prove_put(world.store, TARGET, "f", Written(MD5_ETAG), BODY, CRC)
    assert world.store.requests == {}


async def test_a_receipt_that_proves_nothing_is_followed_by_a_look() -> None:
    world = World()
    await world.store.put_object(TARGET, "f", BODY)
    await prove_put(world.store, TARGET, "f", Written('"opaque"'), BODY, CRC)
    assert world.store.requests["head_object"] == 1


@pytest.mark.parametrize(("found", "code"), [(b"", "SizeMismatch"), (b"CONTENT", "ChecksumMismatch")])
async def test_what_the_look_finds_must_be_what_was_sent(found: bytes, code: str) -> None:
    world = World()
    await world.store.put_object(TARGET, "f", found)
    with pytest.raises(TransferError) as caught:
        await prove_put(world.store, TARGET, "f", Written('"opaque"'), BODY, CRC)
    assert caught.value.code == code


async def test_without_checksums_the_size_must_do() -> None:
    world = World(store=small_store(states_checksums=False))
    await world.store.put_object(TARGET, "f", b"CONTENT")
    assert (await prove_by_head(world.store, TARGET, "f", size=7, crc64nvme=CRC)).size == 7


async def test_a_write_that_is_not_there_is_no_vanished_source() -> None:
    world = World()
    with pytest.raises(StoreUnavailable) as caught:
        await prove_by_head(world.store, TARGET, "f", size=7, crc64nvme=None)
    assert isinstance(outcome_of(caught.value), Failed)


@pytest.mark.parametrize(
    "error",
    [
        DiskFull("full", code="ENOSPC"),
        CredentialsExpired("expired"),
        ClockSkewed("skewed"),
        WrongRegion("elsewhere"),
        NotFound("no bucket", code="NoSuchBucket"),
    ],
)
def test_what_every_other_transfer_would_meet_stops_the_job(error: TransferError) -> None:
    outcome = outcome_of(error)
    assert isinstance(outcome, Failed)
    assert outcome.fatal


def test_what_is_missing_vanished_only_where_the_source_said_so() -> None:
    assert outcome_of(SourceGone("gone", code="NoSuchKey")) == Vanished()
    assert outcome_of(NotFound("gone", code="NoSuchKey"), gone=OBJECT_GONE) == Vanished()
    assert isinstance(outcome_of(NotFound("gone", code="NoSuchKey")), Failed)
    assert outcome_of(NotFound("gone", code="ENOENT"), gone=FILE_GONE) == Vanished()
    assert isinstance(outcome_of(NotFound("gone", code="ENOENT")), Failed)
    assert isinstance(outcome_of(NotFound("gone", code="NoSuchUpload")), Failed)


def test_a_failure_tells_what_to_do_and_how_often_it_was_tried() -> None:
    error = LocalError("cannot write", code="EACCES", remedy="Ask for permission.")
    error.attempts = 3
    assert outcome_of(error) == Failed("EACCES", "cannot write Ask for permission.", "", 3)
