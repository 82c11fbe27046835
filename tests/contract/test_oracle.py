"""botocore is the oracle: what the lane sends is what the aioboto3 client would have sent, signature included.

Both are given the same operation, credentials and second; neither sends anything. Aside are the user agent, invocation ids,
``Expect`` and ``Accept-Encoding``, none of which is signed.
"""

from __future__ import annotations

import asyncio
import calendar
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlsplit

import pytest
from aiobotocore.credentials import AioCredentials
from botocore.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st

from bucket_brigade.errors import BrigadeError, PermanentError
from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes
from bucket_brigade.s3.checksums import crc64nvme
from bucket_brigade.s3.client import ClientStore
from bucket_brigade.s3.lane import LaneStore, credentials_of
from bucket_brigade.s3.lane_forms import FormBook
from bucket_brigade.s3.late_client import LateClient, open_late_client
from bucket_brigade.s3.prepared import Captured, Target, capturable, capture
from bucket_brigade.s3.session import open_client
from bucket_brigade.s3.store import UNCONDITIONAL, Body, Condition, DeleteKey, PartReceipt, Pin, Store
from bucket_brigade.s3.xml_messages import fits_xml
from bucket_brigade.settings.values import EndpointSettings, Secret

ASIDE = {"user-agent", "accept-encoding", "expect", "amz-sdk-invocation-id", "amz-sdk-request"}

PROFILE = """
[profile hashing]
aws_access_key_id = unused
aws_secret_access_key = unused
s3 =
  payload_signing_enabled = true
  use_dualstack_endpoint = true
"""

ENDPOINTS = {
    "http-path": EndpointSettings(endpoint_url="http://127.0.0.1:9000", region="us-east-1", addressing="path"),
    "https-path": EndpointSettings(endpoint_url="https://localhost:9443", region="eu-central-1", addressing="path"),
    "http-virtual": EndpointSettings(endpoint_url="http://store.localhost", region="us-east-1", addressing="virtual"),
    "below-a-path": EndpointSettings(endpoint_url="http://127.0.0.1:9000/s3/%20x", region="r", addressing="path"),
    "aws": EndpointSettings(region="eu-west-3"),
    "aws-extras": EndpointSettings(
        region="us-west-2", request_payer="requester", expected_bucket_owner="123456789012", checksum="when_required"
    ),
    "customer-keys": EndpointSettings(
        region="eu-west-3", sse_c_key=Secret("k" * 32), copy_source_sse_c_key=Secret("c" * 32)
    ),
    "aws-path": EndpointSettings(region="ap-south-1", addressing="path"),
    "aws-hashing": EndpointSettings(region="eu-west-3", profile="hashing"),
    "http-unsigned": EndpointSettings(endpoint_url="http://127.0.0.1:9000", region="r", payload_signing="never"),
    "https-unsigned": EndpointSettings(region="eu-west-3", payload_signing="never"),
    "https-signed": EndpointSettings(region="eu-west-3", payload_signing="always"),
    "anonymous": EndpointSettings(endpoint_url="http://127.0.0.1:9000", no_sign_request=True),
}


class Sent(BaseException):
    """What the lane would have written to a connection."""

    def __init__(self, target: Target, head: bytes, body: bytes) -> None:
        self.target, self.head, self.body = target, head, body


class NoNetwork:
    def __init__(self, target: Target) -> None:
        self._target = target

    async def exchange(self, head: bytes, body: Body = b"", **_: object) -> NoReturn:
        raise Sent(self._target, head, bytes(body))


class Step(NamedTuple):
    """A call, so many seconds after the one before, with the credentials of then."""

    call: Callable[[Store], Awaitable[object]]
    seconds: int
    identity: AioCredentials


class Renewed:
    """Credentials that are others from time to time."""

    def __init__(self, current: AioCredentials) -> None:
        self.current = current

    async def get_frozen_credentials(self) -> Any:
        return await self.current.get_frozen_credentials()


class Clock:
    """The time for both, in seconds since the epoch."""

    second = 1_795_350_663.0

    def now(self, remove_tzinfo: bool = True) -> datetime:
        moment = datetime.fromtimestamp(self.second, UTC)
        return moment.replace(tzinfo=None) if remove_tzinfo else moment


@dataclass
class Bench:
    """A client whose requests are captured, and the lane's credentials and clock.

    Attributes:
        client, store: aioboto3's, the oracle.
        late, lane_client: what the lane has its requests built by, opened as in production.
    """

    runner: asyncio.Runner
    client: Any
    store: ClientStore
    late: Any
    lane_client: ClientStore

    def compare(self, call: Callable[[Store], Awaitable[object]], credentials: AioCredentials | None) -> None:
        """Fail unless client and lane would send the same; where one refuses, the other must as well."""
        self.runner.run(self._compare(call, credentials))

    def compare_in_a_row(self, steps: Sequence[Step], patch: pytest.MonkeyPatch) -> None:
        """Like ``compare``, for calls of one lane: requests prepared for the first are executed again by later ones."""
        self.runner.run(self._compare_in_a_row(steps, patch))

    async def _compare_in_a_row(self, steps: Sequence[Step], patch: pytest.MonkeyPatch) -> None:
        renewed = Renewed(steps[0].identity)
        self._sign_with(renewed)
        clock = Clock()
        for signers in ("botocore.auth", "botocore.crt.auth"):  # the latter where the CRT is there
            patch.setattr(f"{signers}.get_current_datetime", clock.now)
        async with self._book(lambda: clock.second) as book:
            lane = LaneStore(self.lane_client, book)
            for step in steps:
                clock.second += step.seconds
                if step.seconds:  # what was given out is used to the end of its second
                    renewed.current = step.identity
                    self._build_with(step.identity)
                expected = await capture(lambda: step.call(self.store))  # noqa: B023 - awaited at once
                with pytest.raises(Sent) as caught:
                    await capture(lambda: step.call(lane))  # noqa: B023
                assert_same(expected, caught.value)

    async def _compare(self, call: Callable[[Store], Awaitable[object]], credentials: AioCredentials | None) -> None:
        self._sign_with(credentials)
        try:
            expected = await capture(lambda: call(self.store))
        except BrigadeError as refused:
            with pytest.raises(type(refused)):
                await self._sent(call, "20261122T123103Z")
            return
        assert_same(expected, await self._sent(call, expected.headers.get("x-amz-date", "20261122T123103Z")))

    def _sign_with(self, credentials: AioCredentials | Renewed | None) -> None:
        if credentials is not None and credentials_of(self.client) is not None:
            self.client._request_signer._credentials = credentials
            self._build_with(credentials.current if isinstance(credentials, Renewed) else credentials)

    def _build_with(self, identity: AioCredentials) -> None:
        if credentials_of(self.client) is not None:
            plain = Credentials(identity.access_key, identity.secret_key, identity.token)
            self.late._builder._request_signer._credentials = plain

    async def _sent(self, call: Callable[[Store], Awaitable[object]], date: str) -> Sent:
        second = float(calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ")))

        async with self._book(lambda: second) as book:
            try:
                by_client = await capture(lambda: call(LaneStore(self.lane_client, book)))
            except Sent as sent:
                return sent
        pytest.fail(f"the lane left it to the client: {by_client.method} {by_client.url}")

    def _book(self, now: Callable[[], float]) -> FormBook:
        @contextlib.asynccontextmanager
        async def open_pool(target: Target) -> AsyncIterator[NoNetwork]:
            yield NoNetwork(target)

        return FormBook(credentials=credentials_of(self.client), open_pool=open_pool, user_agent="lane", now=now)


def assert_same(expected: Captured, sent: Sent) -> None:
    request_line, *lines = sent.head.decode().removesuffix("\r\n\r\n").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines)
    assert "expect" not in headers
    url = urlsplit(expected.url)
    resource = (url.path or "/") + (f"?{url.query}" if url.query else "")
    assert request_line == f"{expected.method} {resource} HTTP/1.1"
    assert sent.target.scheme == url.scheme
    assert sent.target.host == url.hostname
    assert sent.target.port == (url.port or {"http": 80, "https": 443}[url.scheme])
    assert _values(headers) == _values({"host": url.netloc} | expected.headers)
    assert sent.body == expected.body


def _values(headers: dict[str, str]) -> dict[str, str]:
    # White space around a value is no part of it (RFC 9110, 5.5); that inside is.
    return {name: value.strip(" ") for name, value in headers.items() if name not in ASIDE}


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Bench]]:
    profile = tmp_path_factory.mktemp("oracle") / "config"
    profile.write_text(PROFILE)
    with asyncio.Runner() as runner, pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as contexts:
        patch.setenv("AWS_ACCESS_KEY_ID", "unused")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "unused")
        patch.setenv("AWS_CONFIG_FILE", str(profile))
        stack = contextlib.AsyncExitStack()
        contexts.callback(lambda: runner.run(stack.aclose()))
        opened: dict[str, Bench] = {}
        for name, endpoint in ENDPOINTS.items():
            client = runner.run(stack.enter_async_context(open_client(endpoint, max_connections=1)))
            contexts.enter_context(capturable(client))
            late = runner.run(stack.enter_async_context(open_late_client(endpoint, max_connections=1)))
            assert isinstance(late, LateClient)
            contexts.enter_context(capturable(late))
            opened[name] = Bench(runner, client, ClientStore(client, endpoint), late, ClientStore(late, endpoint))
        yield opened


# --- what is asked for -------------------------------------------------------------------------------------------------

AWKWARD = [
    "/",
    "//",
    "a",
    " ",
    "+",
    "%",
    "%2F",
    "#",
    "?",
    "&",
    "=",
    ";",
    "..",
    ".",
    "~",
    "é",
    "\u212b",
    "日",
    "🪣",
    "\\",
    '"',
    "'",
]
places = st.sampled_from(sorted(ENDPOINTS))
keys = st.one_of(
    st.lists(st.sampled_from([*AWKWARD, *"<>|:*$@!,()[{^`"]), min_size=1, max_size=12).map("".join),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=40),
    st.integers(1, 1024).map(lambda count: "k" * count),
)
visible = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
buckets = st.sampled_from(["bucket", "dotted.bucket", "arn:aws:s3:eu-west-3:123456789012:accesspoint/point"])
etags = st.one_of(st.just(""), st.text("0123456789abcdef- ", min_size=1, max_size=34).map(lambda tag: f'"{tag}"'))
versions = st.one_of(st.none(), st.text("AZaz09._-/+ =%", min_size=1, max_size=32))
pins = st.builds(Pin, etags, versions)
conditions = st.builds(Condition, etags, st.booleans())
optional = st.one_of(st.none(), visible.filter(bool))
attributes = st.one_of(
    st.just(NO_ATTRIBUTES),
    st.builds(
        ObjectAttributes,
        acl=st.sampled_from([None, "private", "bucket-owner-full-control"]),
        sse=st.sampled_from([None, "AES256", "aws:kms"]),
        sse_kms_key_id=st.sampled_from([None, "arn:aws:kms:eu-west-3:1:key/2"]),
        storage_class=st.sampled_from([None, "STANDARD_IA"]),
        content_type=optional,
        content_encoding=optional,
        content_disposition=optional,
        content_language=optional,
        cache_control=optional,
        metadata=st.one_of(
            st.none(),
            st.dictionaries(st.text("abcXYZ019-_", min_size=1, max_size=8), visible, max_size=4).map(
                lambda pairs: tuple(pairs.items())
            ),
        ),
        tagging=st.one_of(
            st.none(), st.lists(st.tuples(st.text(max_size=6), st.text(max_size=6)), max_size=3).map(tuple)
        ),
        expires=st.sampled_from([None, "0", "never", "Thu, 31 Jan 2030 12:00:00 GMT"]),
        grant_read=st.sampled_from([None, 'uri="http://acs.amazonaws.com/groups/global/AllUsers", id="x"']),
        grant_full_control=st.sampled_from([None, 'id="abc"']),
        sse_kms_context=st.sampled_from([None, "eyJhIjoiYiJ9"]),
        bucket_key=st.sampled_from([None, True, False]),
        website_redirect=st.sampled_from([None, "/elsewhere", "https://x/?a=b"]),
        lock_mode=st.sampled_from([None, "GOVERNANCE"]),
        retain_until=st.sampled_from([None, "2031-01-31T12:00:00Z", "2031-01-31T12:00:00.123+01:00"]),
        legal_hold=st.sampled_from([None, "ON", "OFF"]),
        checksum_algorithm=st.sampled_from([None, "CRC64NVME", "CRC32", "CRC32C", "SHA1", "SHA256"]),
    ),
)
identities = st.builds(
    AioCredentials,
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=3, max_size=20),
    st.text(st.characters(codec="ascii", min_codepoint=0x21), min_size=1, max_size=40),
    st.one_of(st.none(), st.text("ABCabc019/+=", min_size=1, max_size=80)),
)
bodies = st.binary(max_size=200)
upload_ids = st.text("ABCabc019._-~ /+=%", min_size=1, max_size=40)
crcs = st.booleans()


def crc_of(body: bytes, wanted: bool) -> int | None:
    return crc64nvme(body) if wanted else None


# --- every operation of the data path ----------------------------------------------------------------------------------


@given(
    at=places,
    bucket=buckets,
    key=keys,
    body=bodies,
    attributes=attributes,
    wanted=crcs,
    condition=conditions,
    identity=identities,
)
@example(
    at="https-path",
    bucket="bucket",
    key="/a b/../+%#?&=~é//x",
    body=b"x",
    attributes=NO_ATTRIBUTES,
    wanted=True,
    condition=UNCONDITIONAL,
    identity=AioCredentials("A", "s"),
)
@example(
    at="aws",
    bucket="bucket",
    key="metadata in all its shapes",
    body=b"x",
    attributes=ObjectAttributes(metadata=(("a", "x  y"), ("b", ""), ("c", " z "), ("d", "plain"), ("E", "upper"))),
    wanted=False,
    condition=Condition('"x  y"'),
    identity=AioCredentials("A", "s", "token"),
)
def test_put_object(
    benches: dict[str, Bench],
    at: str,
    bucket: str,
    key: str,
    body: bytes,
    attributes: ObjectAttributes,
    wanted: bool,
    condition: Condition,
    identity: AioCredentials,
) -> None:
    crc = crc_of(body, wanted)
    benches[at].compare(
        lambda store: store.put_object(bucket, key, body, attributes=attributes, crc64nvme=crc, condition=condition),
        identity,
    )


@given(
    at=places,
    bucket=buckets,
    key=keys,
    length=st.integers(0, 9),
    start=st.one_of(st.none(), st.integers(0, 2**45)),
    pin=pins,
    identity=identities,
)
def test_get_object(
    benches: dict[str, Bench],
    at: str,
    bucket: str,
    key: str,
    length: int,
    start: int | None,
    pin: Pin,
    identity: AioCredentials,
) -> None:
    into = memoryview(bytearray(length))
    benches[at].compare(lambda store: store.get_object(bucket, key, into, start=start, pin=pin), identity)


@given(at=places, key=keys, pin=pins, identity=identities)
def test_head_object(benches: dict[str, Bench], at: str, key: str, pin: Pin, identity: AioCredentials) -> None:
    benches[at].compare(lambda store: store.head_object("bucket", key, pin=pin), identity)


@given(at=places, key=keys, version_id=st.one_of(st.none(), versions), identity=identities)
def test_get_object_tags(
    benches: dict[str, Bench], at: str, key: str, version_id: str | None, identity: AioCredentials
) -> None:
    benches[at].compare(lambda store: store.get_object_tags("bucket", key, version_id=version_id), identity)


@given(
    at=places,
    key=keys,
    source_bucket=st.sampled_from(["bucket", "other.bucket"]),  # through an ARN the client copies: see test_lane.py
    source_key=keys,
    pin=pins,
    attributes=st.one_of(st.none(), attributes),
    tagging=st.booleans(),
    condition=conditions,
    identity=identities,
)
@example(
    at="aws",
    key="k",
    source_bucket="bucket",
    source_key="a  b",
    pin=Pin('"e  f"', " two  spaces "),
    attributes=None,
    tagging=False,
    condition=UNCONDITIONAL,
    identity=AioCredentials("A", "s"),
)
def test_copy_object(
    benches: dict[str, Bench],
    at: str,
    key: str,
    source_bucket: str,
    source_key: str,
    pin: Pin,
    attributes: ObjectAttributes | None,
    tagging: bool,
    condition: Condition,
    identity: AioCredentials,
) -> None:
    def call(store: Store) -> Awaitable[object]:
        return store.copy_object(
            "bucket",
            key,
            source_bucket=source_bucket,
            source_key=source_key,
            pin=pin,
            attributes=attributes,
            tagging=tagging,
            condition=condition,
        )

    benches[at].compare(call, identity)


@given(at=places, key=keys, version=versions, etag=etags, identity=identities)
def test_delete_object(
    benches: dict[str, Bench], at: str, key: str, version: str | None, etag: str, identity: AioCredentials
) -> None:
    benches[at].compare(lambda store: store.delete_object("bucket", key, version_id=version, if_match=etag), identity)


@given(
    at=places,
    entries=st.lists(st.builds(DeleteKey, keys, versions, etags), min_size=1, max_size=6),
    identity=identities,
)
def test_delete_objects(benches: dict[str, Bench], at: str, entries: list[DeleteKey], identity: AioCredentials) -> None:
    safe = [entry for entry in entries if fits_xml(entry.key)]
    if safe:
        benches[at].compare(lambda store: store.delete_objects("bucket", safe), identity)


@given(
    at=places,
    prefix=st.one_of(st.just(""), keys),
    delimiter=st.sampled_from(["", "/", "+é"]),
    start_after=st.one_of(st.just(""), keys),
    token=st.one_of(st.none(), st.text("ABCabc019/+= ", min_size=1, max_size=40)),
    page_size=st.integers(1, 1000),
    identity=identities,
)
def test_list_objects(
    benches: dict[str, Bench],
    at: str,
    prefix: str,
    delimiter: str,
    start_after: str,
    token: str | None,
    page_size: int,
    identity: AioCredentials,
) -> None:
    benches[at].compare(
        lambda store: store.list_objects(
            "bucket", prefix=prefix, delimiter=delimiter, start_after=start_after, token=token, page_size=page_size
        ),
        identity,
    )


@given(
    at=places,
    prefix=st.one_of(st.just(""), keys),
    markers=st.one_of(st.none(), st.tuples(keys, st.one_of(st.just(""), st.text("ABCabc019._-", min_size=1)))),
    page_size=st.integers(1, 1000),
    identity=identities,
)
def test_list_object_versions(
    benches: dict[str, Bench],
    at: str,
    prefix: str,
    markers: tuple[str, str] | None,
    page_size: int,
    identity: AioCredentials,
) -> None:
    benches[at].compare(
        lambda store: store.list_object_versions("bucket", prefix=prefix, markers=markers, page_size=page_size),
        identity,
    )


@given(at=places, key=keys, attributes=attributes, checksum=st.booleans(), identity=identities)
def test_create_multipart_upload(
    benches: dict[str, Bench], at: str, key: str, attributes: ObjectAttributes, checksum: bool, identity: AioCredentials
) -> None:
    benches[at].compare(
        lambda store: store.create_multipart_upload("bucket", key, attributes=attributes, checksum=checksum), identity
    )


@given(
    at=places, key=keys, upload=upload_ids, number=st.integers(1, 10_000), body=bodies, wanted=crcs, identity=identities
)
def test_upload_part(
    benches: dict[str, Bench],
    at: str,
    key: str,
    upload: str,
    number: int,
    body: bytes,
    wanted: bool,
    identity: AioCredentials,
) -> None:
    crc = crc_of(body, wanted)
    benches[at].compare(lambda store: store.upload_part("bucket", key, upload, number, body, crc64nvme=crc), identity)


@given(
    at=places,
    key=keys,
    upload=upload_ids,
    number=st.integers(1, 10_000),
    source_key=keys,
    start=st.integers(0, 2**45),
    length=st.integers(1, 2**32),
    pin=pins,
    identity=identities,
)
@example(
    at="anonymous",
    key="k",
    upload="u",
    number=1,
    source_key="s",
    start=0,
    length=1,
    pin=Pin("", "two  spaces"),
    identity=AioCredentials("A", "s"),
)
def test_upload_part_copy(
    benches: dict[str, Bench],
    at: str,
    key: str,
    upload: str,
    number: int,
    source_key: str,
    start: int,
    length: int,
    pin: Pin,
    identity: AioCredentials,
) -> None:
    benches[at].compare(
        lambda store: store.upload_part_copy(
            "bucket",
            key,
            upload,
            number,
            source_bucket="other",
            source_key=source_key,
            start=start,
            length=length,
            pin=pin,
        ),
        identity,
    )


part_etags = st.text("0123456789abcdef<&>", min_size=1, max_size=34).map(lambda tag: f'"{tag}"')
receipts = st.builds(
    PartReceipt, st.integers(1, 10_000), part_etags, st.just(5), st.one_of(st.none(), st.integers(0, 2**64 - 1))
)


@given(
    at=places,
    key=keys,
    upload=upload_ids,
    parts=st.lists(receipts, min_size=1, max_size=5),
    size=st.integers(0, 2**45),
    crc=st.one_of(st.none(), st.integers(0, 2**64 - 1)),
    condition=conditions,
    identity=identities,
)
def test_complete_multipart_upload(
    benches: dict[str, Bench],
    at: str,
    key: str,
    upload: str,
    parts: list[PartReceipt],
    size: int,
    crc: int | None,
    condition: Condition,
    identity: AioCredentials,
) -> None:
    benches[at].compare(
        lambda store: store.complete_multipart_upload(
            "bucket", key, upload, parts, size=size, crc64nvme=crc, condition=condition
        ),
        identity,
    )


@given(at=places, key=keys, upload=upload_ids, identity=identities)
def test_abort_multipart_upload(
    benches: dict[str, Bench], at: str, key: str, upload: str, identity: AioCredentials
) -> None:
    benches[at].compare(lambda store: store.abort_multipart_upload("bucket", key, upload), identity)


temporary = st.builds(
    AioCredentials, st.text("ABC", min_size=3, max_size=3), st.text("abc", min_size=1), st.text("+/=", min_size=1)
)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """Draw one of the calls that a job makes all the time; among few shapes, so that requests are executed again."""
    key, body, pin = draw(keys), draw(bodies), draw(pins)
    mtime = ObjectAttributes(metadata=(("mtime", draw(visible)),))
    calls: list[Callable[[Store], Awaitable[object]]] = [
        lambda store: store.put_object("bucket", key, body, crc64nvme=crc64nvme(body)),
        lambda store: store.put_object("bucket", key, body, attributes=mtime),
        lambda store: store.get_object("bucket", key, memoryview(bytearray(len(body))), pin=pin),
        lambda store: store.get_object("bucket", key, memoryview(bytearray(7)), start=len(body), pin=pin),
        lambda store: store.head_object("bucket", key, pin=pin),
        lambda store: store.copy_object("bucket", key, source_bucket="other", source_key=key, pin=pin),
        lambda store: store.list_objects("bucket", prefix=key),
        lambda store: store.upload_part("bucket", key, "u", 1 + len(body), body),
    ]
    return Step(draw(st.sampled_from(calls)), draw(st.sampled_from([0, 0, 1, 3600, 86_400])), draw(temporary))


@given(at=places, row=st.lists(steps(), min_size=2, max_size=12))
def test_prepared_requests_are_right_each_time_they_are_executed(
    benches: dict[str, Bench], at: str, row: list[Step]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        benches[at].compare_in_a_row(row, patch)


def test_control_characters_never_get_into_a_header(benches: dict[str, Bench]) -> None:
    bench = benches["aws"]
    forged = Pin('"x"\r\nx-amz-acl: public-read', None)
    with pytest.raises(PermanentError, match="cannot be sent in a header"):
        bench.runner.run(bench._sent(lambda store: store.head_object("bucket", "key", pin=forged), "20261122T123103Z"))
