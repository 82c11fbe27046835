"""What the lane makes of answers, and when it leaves a request to the client. No network: answers come from a list."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from bucket_brigade.errors import (
    BadKey,
    BrigadeError,
    ChecksumMismatch,
    ConnectionLost,
    NotFound,
    PermanentError,
    SourceChanged,
    StoreUnavailable,
    Throttled,
    WrongRegion,
)
from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes
from bucket_brigade.s3.client import ClientStore
from bucket_brigade.s3.lane import LaneStore, credentials_of, lane_supports
from bucket_brigade.s3.lane_forms import FormBook
from bucket_brigade.s3.prepared import Target, capturable
from bucket_brigade.s3.session import open_client
from bucket_brigade.s3.store import Body, Condition, DeleteError, DeleteKey, PartReceipt, Pin, Store, Written
from bucket_brigade.s3.wire_answer import Answer, AnswerReader, Disconnected
from bucket_brigade.settings.values import EndpointSettings, Secret

ENDPOINT = EndpointSettings(
    name="s3",
    endpoint_url="http://127.0.0.1:9",
    region="us-east-1",
    access_key_id="AK",
    secret_access_key=Secret("SK"),
    addressing="path",
)
PUT_OK = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 0\r\n\r\n'


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Canned:
    """Exchanges each request for the next answer of a list; where the list ends, so does the connection."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.sent: list[tuple[bytes, bytes]] = []
        self.replayed: list[bool] = []

    async def exchange(
        self,
        head: bytes,
        body: Body = b"",
        *,
        into: memoryview | None = None,
        no_body: bool = False,
        replay: bool = True,
    ) -> Answer:
        self.sent.append((head, bytes(body)))
        self.replayed.append(replay)
        reader = AnswerReader()
        reader.begin(into=into, no_body=no_body)
        left = self.answers.pop(0) if self.answers else b""
        while left:
            buffer = reader.get_buffer(-1)
            count = min(len(buffer), len(left))
            buffer[:count], left = left[:count], left[count:]
            if reader.received(count):
                return reader.answer
        if reader.ended():
            return reader.answer
        raise Disconnected("the endpoint closed the connection", unanswered=not reader.began)


@contextlib.asynccontextmanager
async def lane_at(endpoint: EndpointSettings = ENDPOINT) -> AsyncIterator[tuple[LaneStore, Canned]]:
    canned = Canned()

    @contextlib.asynccontextmanager
    async def open_pool(_target: Target) -> AsyncIterator[Canned]:
        yield canned

    async with open_client(endpoint, max_connections=1) as client:
        with capturable(client):
            async with FormBook(credentials=credentials_of(client), open_pool=open_pool, user_agent="lane") as book:
                yield LaneStore(ClientStore(client, endpoint), book), canned


Call = Callable[[Store], Any]
PUT: Call = lambda store: store.put_object("bucket", "key", b"body")  # noqa: E731
COPY: Call = lambda store: store.copy_object("bucket", "key", source_bucket="b", source_key="k")  # noqa: E731
GET: Call = lambda store: store.get_object("bucket", "key", memoryview(bytearray(4)))  # noqa: E731
RANGE: Call = lambda store: store.get_object("bucket", "key", memoryview(bytearray(4)), start=2)  # noqa: E731
PINNED: Call = lambda store: store.get_object("bucket", "key", memoryview(bytearray(4)), pin=Pin('"e"'))  # noqa: E731
HEAD: Call = lambda store: store.head_object("bucket", "key")  # noqa: E731
LIST: Call = lambda store: store.list_objects("bucket")  # noqa: E731
CREATE: Call = lambda store: store.create_multipart_upload("bucket", "key")  # noqa: E731
DELETES: Call = lambda store: store.delete_objects("bucket", [DeleteKey("a"), DeleteKey("b")])  # noqa: E731

ERROR = b"<Error><Code>SlowDown</Code><Message>m</Message><RequestId>r</RequestId></Error>"


@pytest.mark.parametrize(
    ("call", "reply", "kind", "code"),
    [
        (PUT, answer(503, ERROR, Retry_After="7"), Throttled, "SlowDown"),
        (PUT, answer(503, b"<html>proxy</html>"), Throttled, "ServiceUnavailable"),
        (PUT, answer(200), StoreUnavailable, "NoProof"),
        (PUT, answer(200, ETag='""'), StoreUnavailable, "NoProof"),
        (PUT, answer(400, b"<Error><Code>BadDigest</Code></Error>"), ChecksumMismatch, "BadDigest"),
        (PUT, answer(307, Location="http://elsewhere/x"), WrongRegion, "TemporaryRedirect"),
        (PUT, answer(301, x_amz_bucket_region="eu-west-3"), WrongRegion, "PermanentRedirect"),
        (PUT, b"", ConnectionLost, "Disconnected"),
        (PUT, b"garbage\r\n\r\n", StoreUnavailable, "NotHTTP"),
        (COPY, answer(200, ERROR), Throttled, "SlowDown"),
        (COPY, answer(200, b"  \n <?xml version='1.0'?>" + ERROR), Throttled, "SlowDown"),
        (COPY, answer(200, b""), StoreUnavailable, "NoProof"),
        (COPY, answer(200, b"<html/>"), StoreUnavailable, "NoProof"),
        (COPY, answer(200, b"<CopyObjectResult/>"), StoreUnavailable, "NoProof"),
        (COPY, answer(412, b"<Error><Code>PreconditionFailed</Code></Error>"), SourceChanged, "SourceChanged"),
        (GET, answer(200, b"bodyx"), SourceChanged, "SourceChanged"),
        (GET, answer(200, b"bod"), SourceChanged, "SourceChanged"),
        (GET, answer(206, b"body"), StoreUnavailable, None),
        (GET, answer(200, b"body")[:-1], ConnectionLost, "Disconnected"),
        (GET, b"HTTP/1.1 200 OK\r\n\r\nbod", ConnectionLost, None),
        (GET, b"HTTP/1.1 200 OK\r\n\r\nbodyx", SourceChanged, None),
        (RANGE, answer(206, b"body"), StoreUnavailable, "WrongRange"),
        (RANGE, answer(206, b"body", Content_Range="bytes 0-3/9"), StoreUnavailable, "WrongRange"),
        (RANGE, answer(206, b"bod", Content_Range="bytes 2-5/9"), StoreUnavailable, "WrongRange"),
        (RANGE, answer(200, b"body"), StoreUnavailable, "RangeIgnored"),
        (RANGE, answer(416, b"<Error><Code>InvalidRange</Code></Error>"), SourceChanged, "SourceChanged"),
        (PINNED, answer(200, b"body", ETag='"other"'), SourceChanged, "SourceChanged"),
        (PINNED, answer(412), SourceChanged, "SourceChanged"),
        (HEAD, b"HTTP/1.1 404 Not Found\r\nContent-Length: 999\r\n\r\n", NotFound, "NoSuchKey"),
        (HEAD, b"HTTP/1.1 200 OK\r\n\r\n", StoreUnavailable, "NoProof"),
        (LIST, answer(200, b"<html/>"), StoreUnavailable, "NoProof"),
        (LIST, answer(200, ERROR), Throttled, "SlowDown"),
        (CREATE, answer(200, b"<InitiateMultipartUploadResult/>"), StoreUnavailable, "NoProof"),
        (DELETES, answer(200, b""), StoreUnavailable, "NoProof"),
        (DELETES, answer(200, ERROR), Throttled, "SlowDown"),
    ],
)
async def test_answer_that_proves_nothing_is_an_error(
    call: Call, reply: bytes, kind: type[BrigadeError], code: str | None
) -> None:
    async with lane_at() as (lane, canned):
        canned.answers = [reply]
        with pytest.raises(kind) as caught:
            await call(lane)
    assert type(caught.value) is kind
    assert "s3://" in str(caught.value)
    if code is not None:
        assert getattr(caught.value, "code", None) == code


IF_ABSENT = Condition(if_absent=True)
PART = PartReceipt(1, '"e"', 1)


@pytest.mark.parametrize(
    ("call", "repeatable"),
    [
        (PUT, True),
        (GET, True),
        (RANGE, True),
        (HEAD, True),
        (LIST, True),
        (DELETES, True),
        (COPY, True),
        (lambda store: store.delete_object("bucket", "key"), True),
        (lambda store: store.upload_part("bucket", "key", "u", 1, b"body"), True),
        (lambda store: store.put_object("bucket", "key", b"body", condition=IF_ABSENT), False),
        (lambda store: store.copy_object("b", "k", source_bucket="b", source_key="k", condition=IF_ABSENT), False),
        (CREATE, False),
        (lambda store: store.complete_multipart_upload("bucket", "key", "u", [PART], size=1), False),
    ],
)
async def test_what_must_not_be_done_twice_is_not_sent_twice_on_the_quiet(call: Call, repeatable: bool) -> None:
    async with lane_at() as (lane, canned):
        with pytest.raises(ConnectionLost):
            await call(lane)
    assert canned.replayed == [repeatable]


async def test_retry_after_and_request_id_are_kept() -> None:
    async with lane_at() as (lane, canned):
        canned.answers = [answer(503, ERROR, Retry_After="7", x_amz_request_id="ID")]
        with pytest.raises(Throttled) as caught:
            await PUT(lane)
    assert (caught.value.retry_after_s, caught.value.request_id, caught.value.status) == (7.0, "ID", 503)


async def test_object_is_told_as_the_headers_tell_it() -> None:
    async with lane_at() as (lane, canned):
        canned.answers = [
            answer(
                200,
                b"body",
                ETag='"e"',
                Last_Modified="Sun, 22 Nov 2026 12:31:03 GMT",
                x_amz_version_id="v",
                x_amz_checksum_crc64nvme="AAAAAAAAAAA=",
                x_amz_checksum_sha256="x-3",
                Content_Type="text/plain",
                x_amz_meta_B="2",
                x_amz_meta_a="1",
                x_amz_tagging_count="3",
            )
        ]
        into = bytearray(4)
        head = await lane.get_object("bucket", "key", memoryview(into))
    assert bytes(into) == b"body"
    assert (head.size, head.etag, head.version_id, head.tag_count) == (4, '"e"', "v", 3)
    assert head.modified_ns == 1_795_350_663_000_000_000
    assert head.checksums == {"CRC64NVME": "AAAAAAAAAAA="}
    assert head.attributes == ObjectAttributes(content_type="text/plain", metadata=(("a", "1"), ("b", "2")))


async def test_empty_key_is_refused_before_it_becomes_a_request_on_the_bucket() -> None:
    async with lane_at() as (lane, canned):
        for call in (
            lane.put_object("bucket", "", b"x"),
            lane.delete_object("bucket", ""),
            lane.get_object("bucket", "", memoryview(bytearray(1))),
        ):
            with pytest.raises(BadKey):
                await call
        for call in (
            lane.put_object("bucket", "\udcff", b"x"),
            lane.copy_object("bucket", "key", source_bucket="bucket", source_key="\udcff"),
            lane.list_objects("bucket", prefix="\udcff"),
        ):
            with pytest.raises(BadKey, match="UTF-8"):
                await call
        assert canned.sent == []


async def test_form_is_prepared_once_for_all_keys_and_metadata_values() -> None:
    async with lane_at() as (lane, canned):
        canned.answers = [PUT_OK] * 6
        for number in range(6):
            attributes = ObjectAttributes(metadata=(("mtime", str(number)),)) if number % 2 else NO_ATTRIBUTES
            assert await lane.put_object("bucket", f"key{number}", b"x", attributes=attributes) == Written('"e"')
        assert len(lane._book._kept) == 2
    assert b"PUT /bucket/key5 HTTP/1.1\r\n" in canned.sent[5][0]
    assert b"x-amz-meta-mtime: 5\r\n" in canned.sent[5][0]


async def test_bad_metadata_are_refused_as_by_the_client() -> None:
    async with lane_at() as (lane, canned):
        for value in ("é", "a\r\nx-amz-acl: public-read"):
            with pytest.raises(PermanentError) as caught:
                await lane.put_object("bucket", "key", b"x", attributes=ObjectAttributes(metadata=(("a", value),)))
            assert caught.value.code == "BadMetadata"
        assert canned.sent == []


async def test_listed_etag_cannot_forge_a_header() -> None:
    async with lane_at() as (lane, canned):
        with pytest.raises(PermanentError, match="cannot be sent"):
            await lane.head_object("bucket", "key", pin=Pin('"x"\r\nx-amz-acl: public-read'))
        assert canned.sent == []


async def test_every_key_of_a_delete_is_answered_for() -> None:
    result = b"<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key><Code>AccessDenied</Code></Error></DeleteResult>"
    async with lane_at() as (lane, canned):
        canned.answers = [answer(200, result)]
        errors = await lane.delete_objects("bucket", [DeleteKey("a"), DeleteKey("b"), DeleteKey("c")])
    assert errors[1] == DeleteError("AccessDenied", "")
    assert errors[2].code == "NoAnswer"
    assert set(errors) == {1, 2}


async def test_what_cannot_be_prepared_goes_through_the_client() -> None:
    """The endpoint refuses connections: the client's own error shows that it was asked."""
    for endpoint, call in (
        (ENDPOINT, lambda store: store.copy_object("b", "k", source_bucket="arn:aws:s3:::x", source_key="k")),
        (ENDPOINT, lambda store: store.delete_objects("b", [DeleteKey("line\nend")])),
    ):
        async with lane_at(endpoint) as (lane, canned):
            with contextlib.suppress(ConnectionLost):
                errors = await call(lane)
                assert errors[0].code not in {"", "NoAnswer"}
            assert canned.sent == []


async def test_refused_checksum_is_left_to_the_client_to_learn() -> None:
    refused = answer(400, b"<Error><Code>InvalidRequest</Code><Message>checksum</Message></Error>")
    async with lane_at() as (lane, canned):
        canned.answers = [refused, PUT_OK]
        with pytest.raises(ConnectionLost):  # nobody listens where the client asks
            await lane.put_object("bucket", "key", b"x", crc64nvme=1)
        assert len(canned.sent) == 1
        lane._client.sends_checksums = False
        await lane.put_object("bucket", "key", b"x", crc64nvme=1)
    assert b"x-amz-checksum-crc64nvme: AAAAAAAAAAE=\r\n" in canned.sent[0][0]
    assert b"x-amz-checksum" not in canned.sent[1][0]


async def test_insisted_checksum_that_is_refused_is_an_error() -> None:
    refused = answer(400, b"<Error><Code>InvalidRequest</Code><Message>checksum</Message></Error>")
    async with lane_at(msgspec.structs.replace(ENDPOINT, checksum="crc64nvme")) as (lane, canned):
        canned.answers = [refused]
        with pytest.raises(PermanentError, match="InvalidRequest"):
            await lane.put_object("bucket", "key", b"x", crc64nvme=1)


async def test_secrets_are_in_no_error() -> None:
    secret = EndpointSettings(
        name="s3",
        endpoint_url="http://127.0.0.1:9",
        access_key_id="AK",
        secret_access_key=Secret("very-secret"),
        session_token=Secret("very-temporary"),
    )
    for reply in (b"", b"x\r\n\r\n", answer(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>"), answer(200)):
        async with lane_at(secret) as (lane, canned):
            canned.answers = [reply]
            with pytest.raises(BrigadeError) as caught:
                await PUT(lane)
            assert b"very-temporary" in canned.sent[0][0]
        shown: BaseException | None = caught.value
        while shown is not None:
            assert "very-" not in repr(shown)
            shown = shown.__cause__


async def test_proxy_and_client_certificate_are_left_to_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_client(ENDPOINT, max_connections=1) as client:
        assert lane_supports(client) is None
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    async with open_client(ENDPOINT, max_connections=1) as client:
        assert lane_supports(client) == "an HTTP proxy is configured"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with open_client(ENDPOINT, max_connections=1) as client:
        assert lane_supports(client) is None
