"""The contract of the store port: buckets, and who may ask."""

from __future__ import annotations

import msgspec
import pytest

from bucket_brigade.errors import AccessDenied, NotFound, PermanentError, WrongRegion
from bucket_brigade.s3.store import Store
from bucket_brigade.settings.values import Secret
from tests.contract.conftest import Ground
from tests.contract.quirks import Quirk, Quirks

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_new_bucket_is_listed_and_has_a_head(store: Store, bucket: str) -> None:
    listed = {entry.name: entry for entry in await store.list_buckets()}

    assert bucket in listed
    assert listed[bucket].created_ns > 0
    assert await store.head_bucket(bucket) in ("", "us-east-1")


async def test_missing_bucket_has_no_head(store: Store) -> None:
    with pytest.raises(NotFound) as caught:
        await store.head_bucket("no-such-bucket-here")

    assert caught.value.code == "NoSuchBucket"


async def test_bucket_in_another_region(store: Store, bucket: str, quirks: Quirks) -> None:
    name = f"{bucket}-west"

    await store.create_bucket(name, region="us-west-2")

    if Quirk.REDIRECTS_TO_REGIONS in quirks:
        with pytest.raises(WrongRegion, match="us-west-2"):
            await store.head_bucket(name)
    else:
        assert await store.head_bucket(name) == ("" if Quirk.KNOWS_NO_REGIONS in quirks else "us-west-2")


async def test_deleted_bucket_is_gone(store: Store, bucket: str) -> None:
    await store.delete_bucket(bucket)

    with pytest.raises(NotFound):
        await store.head_bucket(bucket)
    assert bucket not in {entry.name for entry in await store.list_buckets()}


async def test_bucket_with_objects_is_not_deleted(store: Store, bucket: str) -> None:
    await store.put_object(bucket, "key", b"content")

    with pytest.raises(PermanentError) as caught:
        await store.delete_bucket(bucket)

    assert caught.value.code == "BucketNotEmpty"
    assert (await store.head_object(bucket, "key")).size == 7


async def test_deleting_a_missing_bucket_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.delete_bucket("no-such-bucket-here")


async def test_wrong_secret_key_is_denied(ground: Ground, bucket: str, quirks: Quirks) -> None:
    if ground.adapter.server is None:
        pytest.skip("the store in memory knows no credentials")
    wrong = msgspec.structs.replace(ground.endpoint, secret_access_key=Secret("not-the-secret-key"))

    async with ground.adapter.open(wrong) as store:
        with quirks.refused(AccessDenied, unless=Quirk.CHECKS_NO_SIGNATURE):
            await store.put_object(bucket, "key", b"content")
        with quirks.refused(AccessDenied, unless=Quirk.CHECKS_NO_SIGNATURE):
            await store.list_objects(bucket)


async def test_no_error_shows_the_secret_key(ground: Ground, bucket: str) -> None:
    if ground.adapter.server is None:
        pytest.skip("the store in memory knows no credentials")
    wrong = msgspec.structs.replace(
        ground.endpoint, access_key_id="AKIANOBODYKNOWSME", secret_access_key=Secret("not-the-secret-key")
    )

    async with ground.adapter.open(wrong) as store:
        with pytest.raises(PermanentError) as caught:
            await store.delete_bucket(f"{bucket}-missing")

    assert "not-the-secret-key" not in f"{caught.value!r} {caught.value} {caught.value.remedy}"
