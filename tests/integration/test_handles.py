"""Buckets and objects as handles, against servers: what boto3's resources do, and that nothing is decided on a stale state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from bucket_brigade import Brigade, BucketHandle, ObjectAttributes, TransferOptions
from bucket_brigade.errors import BadKey, ConfigError, NotFound, PreconditionFailed, SourceChanged, TransferError
from bucket_brigade.model.job import Overwrite
from bucket_brigade.settings.values import EngineSettings, Settings
from tests.integration.buckets import bucket_name
from tests.samples import patterned_bytes
from tests.servers import RunningServer

MIB = 1024 * 1024
PARTS = TransferOptions(part_size_bytes=5 * MIB, multipart_threshold_bytes=5 * MIB)


@pytest.fixture(params=["off", "on"], ids=["client", "lane"])
async def brigade(
    request: pytest.FixtureRequest, ministack: RunningServer, rclone: RunningServer, tmp_path: Path
) -> AsyncIterator[Brigade]:
    endpoints = {
        name: msgspec.structs.replace(server.endpoint, name=name)
        for name, server in (("s3", ministack), ("other", rclone))
    }
    settings = Settings(
        endpoints=endpoints, state_dir=str(tmp_path / "state"), engine=EngineSettings(lane=request.param)
    )
    async with Brigade(settings) as brigade:
        yield brigade


@pytest.fixture
async def bucket(brigade: Brigade, request: pytest.FixtureRequest) -> BucketHandle:
    made = brigade.bucket(bucket_name(request.node.name))
    await made.create()
    return made


async def test_attributes_are_loaded_once_and_fresh_after_reload(bucket: BucketHandle) -> None:
    photo = bucket.object("a photo+ü.jpg")
    await photo.write(b"first", attributes=ObjectAttributes(content_type="image/jpeg", metadata=(("taken", "2026"),)))
    assert (await photo.size, await photo.content_type, await photo.metadata) == (5, "image/jpeg", {"taken": "2026"})
    assert await photo.storage_class == "STANDARD"
    assert abs((datetime.now(UTC) - await photo.last_modified).total_seconds()) < 3600
    await bucket.object(photo.key).write(b"second time")
    assert await photo.size == 5, "loaded once"
    await photo.reload()
    assert await photo.size == 11
    assert await photo.read() == b"second time"


async def test_what_is_stale_is_never_used_for_a_decision(bucket: BucketHandle, tmp_path: Path) -> None:
    stale = bucket.object("key")
    await stale.write(b"first")
    await stale.load()
    await bucket.object("key").write(b"other")
    with pytest.raises(SourceChanged):
        await stale.read()
    with pytest.raises(TransferError) as refused:
        await stale.download(str(tmp_path / "file"))
    assert refused.value.code == "SourceChanged"
    assert not (tmp_path / "file").exists()
    with pytest.raises(TransferError) as refused:
        await bucket.object("copy").copy_from(stale)
    assert refused.value.code == "SourceChanged"
    with pytest.raises(PreconditionFailed):
        await stale.write(b"mine", if_unchanged=True)
    with pytest.raises(PreconditionFailed):
        await stale.delete(if_unchanged=True)
    assert await bucket.object("key").read() == b"other"
    await stale.reload()
    await stale.write(b"mine", if_unchanged=True)
    await stale.reload()
    await stale.delete(if_unchanged=True)
    assert not await stale.exists()


async def test_a_condition_needs_something_to_compare_with(bucket: BucketHandle) -> None:
    with pytest.raises(ConfigError, match="not loaded"):
        await bucket.object("key").write(b"x", if_unchanged=True)
    await bucket.object("key").write(b"first", if_absent=True)
    with pytest.raises(PreconditionFailed):
        await bucket.object("key").write(b"second", if_absent=True)


@pytest.mark.parametrize("size", [0, 10, 11 * MIB])
async def test_files_go_up_across_and_down(brigade: Brigade, bucket: BucketHandle, tmp_path: Path, size: int) -> None:
    source = tmp_path / "a file*.txt"
    source.write_bytes(patterned_bytes(size))
    up = await bucket.upload(str(source), options=PARTS)
    assert (up.key, await up.size) == ("a file*.txt", size)
    across = brigade.bucket(bucket.name, endpoint="other")
    if not await across.exists():
        await across.create()
    for copy in (bucket.object("copies/one"), across.object("copies/two")):
        await copy.copy_from(up, options=PARTS)
        await copy.download(str(tmp_path / "back"), options=PARTS)
        assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert b"".join([bytes(chunk) async for chunk in up.chunks(part_size_bytes=5 * MIB)]) == source.read_bytes()


async def test_an_upload_can_leave_what_is_there(bucket: BucketHandle, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"new")
    await bucket.object("f").write(b"old")
    with pytest.raises(PreconditionFailed) as refused:
        await bucket.upload(str(tmp_path / "f"), options=TransferOptions(overwrite=Overwrite.NEVER))
    assert refused.value.code == "Exists"
    assert await bucket.object("f").read() == b"old"


async def test_listings_tell_attributes_without_a_request(bucket: BucketHandle) -> None:
    for key in ("a/1", "a/2", "b/1"):
        await bucket.object(key).write(key.encode())
    found = [one async for one in bucket.objects("a/")]
    assert [one.key for one in found] == ["a/1", "a/2"]
    await found[0].bucket.object("a/1").delete()
    assert await found[0].size == 3, "told by the listing"
    with pytest.raises(NotFound):
        await found[0].metadata


async def test_tags_access_and_versions(brigade: Brigade, bucket: BucketHandle) -> None:
    one = bucket.object("key")
    await one.write(b"first")
    await one.set_tags({"team": "a b"})
    assert await one.tags() == {"team": "a b"}
    await one.set_tags({})
    assert await one.tags() == {}
    acl = await one.acl()
    assert any(grant.permission == "FULL_CONTROL" for grant in acl.grants)
    with pytest.raises(TransferError) as refused:  # new buckets know owners only, as at AWS
        await one.set_acl("private")
    assert refused.value.code == "AccessControlListNotSupported"
    versions = [version async for version in one.versions()]
    assert [version.key for version in versions] == ["key"]


async def test_what_is_not_there_says_so(brigade: Brigade, bucket: BucketHandle, tmp_path: Path) -> None:
    missing = bucket.object("missing")
    assert not await missing.exists()
    with pytest.raises(NotFound):
        await missing.size
    with pytest.raises(NotFound):
        await missing.download(str(tmp_path / "f"))
    await missing.delete()
    with pytest.raises(ConfigError):
        await bucket.upload(str(tmp_path / "nothing"))
    for key in ("", "k" * 1025, "\udc80"):
        with pytest.raises(BadKey):
            bucket.object(key)
    nowhere = brigade.bucket("no-such-bucket-anywhere")
    assert not await nowhere.exists()
    assert not await nowhere.object("key").exists()


async def test_buckets_are_listed_as_handles(brigade: Brigade, bucket: BucketHandle) -> None:
    found = {one.name: one async for one in brigade.buckets()}
    assert found[bucket.name].created is not None
    assert str(found[bucket.name]) == f"BucketHandle('s3://{bucket.name}')"
    await bucket.delete()
    assert bucket.name not in {one.name async for one in brigade.buckets()}


async def test_a_bucket_whose_name_breaks_a_rule_is_not_asked_for(brigade: Brigade) -> None:
    with pytest.raises(ConfigError, match="two dots in a row"):
        await brigade.bucket("a..b").create()
