"""What the lane leaves to the client: by itself, told once, and refused where the lane is insisted on."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NoReturn

import msgspec
import pytest
import structlog
from structlog.testing import capture_logs

from bucket_brigade.errors import ConfigError, PermanentError
from bucket_brigade.s3.client import ClientStore
from bucket_brigade.s3.lane import LaneStore, credentials_of
from bucket_brigade.s3.lane_forms import FormBook
from bucket_brigade.s3.late_client import open_late_client
from bucket_brigade.s3.open import open_store
from bucket_brigade.s3.prepared import NotPreparable, Target, capturable, capture
from bucket_brigade.s3.store import DeleteKey, Store
from bucket_brigade.settings.values import EndpointSettings, EngineSettings, Secret

AWS = EndpointSettings(region="us-west-2", access_key_id="AK", secret_access_key=Secret("SK"))
MULTI_REGION = "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap"
EXPRESS = "name--usw2-az1--x-s3"

Call = Callable[[Store, str], Any]
CALLS: tuple[Call, ...] = (
    lambda store, bucket: store.list_objects(bucket),
    lambda store, bucket: store.list_object_versions(bucket),
    lambda store, bucket: store.put_object(bucket, "key", b"body"),
    lambda store, bucket: store.get_object(bucket, "key", memoryview(bytearray(4))),
    lambda store, bucket: store.head_object(bucket, "key"),
    lambda store, bucket: store.delete_object(bucket, "key"),
    lambda store, bucket: store.delete_objects(bucket, [DeleteKey("key")]),
    lambda store, bucket: store.create_multipart_upload(bucket, "key"),
)


@pytest.fixture(autouse=True)
def unfiltered_logs() -> Iterator[None]:
    """Whoever ran the command in this process before may have left a level behind that notes do not reach."""
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    yield
    if before is not None:
        structlog.configure(**before)


class NoNetwork:
    async def exchange(self, *_: object, **_options: object) -> NoReturn:
        pytest.fail("the lane sent a request that it cannot sign")


@contextlib.asynccontextmanager
async def lane(*, insist: bool = False) -> AsyncIterator[LaneStore]:
    @contextlib.asynccontextmanager
    async def open_pool(_target: Target) -> AsyncIterator[NoNetwork]:
        yield NoNetwork()

    async with open_late_client(AWS, max_connections=1) as client:
        with capturable(client):
            async with FormBook(
                credentials=credentials_of(client), open_pool=open_pool, user_agent="lane", insist=insist
            ) as book:
                yield LaneStore(ClientStore(client, AWS), book)


async def by_client(store: LaneStore, call: Call, bucket: str) -> str:
    """Return what the client would have sent: a URL, or why that cannot be told before it has a session."""
    try:
        return (await capture(lambda: call(store, bucket))).url
    except NotPreparable as reason:
        return str(reason)


@pytest.mark.parametrize(
    ("bucket", "sent", "reason"),
    [
        (MULTI_REGION, "https://mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com/", "not signed with SigV4"),
        (EXPRESS, "the bucket is one of S3 Express", "S3 Express"),
    ],
)
async def test_buckets_that_are_signed_for_otherwise_go_through_the_client_and_are_told_once(
    bucket: str, sent: str, reason: str
) -> None:
    with capture_logs() as logs:
        async with lane() as store:
            for call in CALLS * 2:
                assert (await by_client(store, call, bucket)).startswith(sent)
    [line] = logs
    assert line["event"] == "requests go through the client"
    assert reason in line["reason"]


@pytest.mark.parametrize("bucket", [MULTI_REGION, EXPRESS])
async def test_what_cannot_be_prepared_is_an_error_where_the_lane_is_insisted_on(bucket: str) -> None:
    async with lane(insist=True) as store:
        for call in CALLS * 2:
            with pytest.raises(PermanentError, match="the lane cannot send this request") as caught:
                await call(store, bucket)
            assert caught.value.code == "NotPreparable"
            assert "--lane auto" in caught.value.remedy


async def test_an_endpoint_behind_a_proxy_is_told_once_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    engine = EngineSettings()
    with capture_logs() as logs:
        async with open_store(AWS, engine=engine) as store:
            assert isinstance(store.inner, ClientStore)
    [line] = logs
    assert (line["event"], line["reason"]) == ("lane not used", "an HTTP proxy is configured")
    with pytest.raises(ConfigError, match="an HTTP proxy is configured") as caught:
        async with open_store(AWS, engine=msgspec.structs.replace(engine, lane="on")):
            pass
    assert "--lane auto" in caught.value.remedy
    with capture_logs() as logs:
        async with open_store(AWS, engine=msgspec.structs.replace(engine, lane="off")) as store:
            assert isinstance(store.inner, ClientStore)
    assert logs == []
    monkeypatch.setenv("NO_PROXY", "amazonaws.com")
    async with open_store(AWS, engine=msgspec.structs.replace(engine, lane="on")) as store:
        assert isinstance(store.inner, LaneStore)
