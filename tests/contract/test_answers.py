"""Answers mean the same on both ways: what the lane reads in them is what the aioboto3 client reads.

One server gives the same answer to both. Errors are compared by their kind and code.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bucket_brigade.errors import TransferError
from bucket_brigade.s3.client import ClientStore
from bucket_brigade.s3.lane import open_lane
from bucket_brigade.s3.session import open_client
from bucket_brigade.s3.store import DeleteKey, ObjectHead, PartReceipt, Store
from bucket_brigade.settings.values import EndpointSettings, Secret

Call = Callable[[Store], Awaitable[object]]
BODY = b"body"


@dataclass
class Both:
    """Both ways to a server that gives ``answer`` to everything."""

    runner: asyncio.Runner
    answer: bytes = b""
    ways: list[Store] = field(default_factory=list)

    def agree(self, call: Call, answer: bytes) -> object:
        """Fail unless both ways understand the answer alike; return how."""
        self.answer = answer
        by_client, by_lane = [self.runner.run(_understood(call, store)) for store in self.ways]
        assert by_lane == by_client
        return by_lane

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or b"0"))
                writer.write(
                    self.answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if head.startswith(b"head") else self.answer
                )


async def _understood(call: Call, store: Store) -> object:
    try:
        found = await call(store)
    except TransferError as error:
        return (
            type(error).__name__,
            error.code,
            error.request_id,
        )  # of an error inside a 200 botocore changes the status
    if isinstance(found, ObjectHead):
        return msgspec.structs.replace(found, composite=tuple(sorted(found.composite)))
    return found


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    with asyncio.Runner() as runner:
        opened = Both(runner)
        stack = contextlib.AsyncExitStack()
        runner.run(stack.enter_async_context(_opened(opened)))
        try:
            yield opened
        finally:
            runner.run(stack.aclose())


@contextlib.asynccontextmanager
async def _opened(both: Both) -> AsyncIterator[None]:
    server = await asyncio.start_server(both.serve, "127.0.0.1", 0)
    endpoint = EndpointSettings(
        name="s3",
        endpoint_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
        region="us-east-1",
        access_key_id="AK",
        secret_access_key=Secret("SK"),
    )
    async with server, open_client(endpoint, max_connections=2) as client:
        store = ClientStore(client, endpoint)
        async with open_lane(endpoint, client, store, max_connections=2) as lane:
            both.ways = [store, lane]
            yield


CALLS: dict[str, Call] = {
    "get": lambda store: store.get_object("b", "k", memoryview(bytearray(len(BODY)))),
    "range": lambda store: store.get_object("b", "k", memoryview(bytearray(len(BODY))), start=2),
    "head": lambda store: store.head_object("b", "k"),
    "put": lambda store: store.put_object("b", "k", BODY),
    "copy": lambda store: store.copy_object("b", "k", source_bucket="b", source_key="s"),
    "delete": lambda store: store.delete_object("b", "k"),
    "deletes": lambda store: store.delete_objects("b", [DeleteKey("k"), DeleteKey("l")]),
    "list": lambda store: store.list_objects("b"),
    "create": lambda store: store.create_multipart_upload("b", "k"),
    "part": lambda store: store.upload_part("b", "k", "u", 1, BODY),
    "complete": lambda store: store.complete_multipart_upload("b", "k", "u", [PartReceipt(1, '"e"', 4)], size=4),
    "abort": lambda store: store.abort_multipart_upload("b", "k", "u"),
}


def http(status: int, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


text = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=12)
STATED = {
    "ETag": st.sampled_from(['"e"', '"e-2"', "bare"]),
    "Last-Modified": st.sampled_from(["Sun, 22 Nov 2026 12:31:03 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"]),
    "Content-Type": st.sampled_from(["text/plain", "text/html; charset=utf-8"]),
    "Content-Encoding": st.just("gzip"),
    "Content-Disposition": text,
    "Content-Language": text,
    "Cache-Control": text,
    "Expires": st.sampled_from(["0", "Thu, 31 Jan 2030 12:00:00 GMT"]),
    "x-amz-version-id": text,
    "x-amz-tagging-count": st.integers(1, 10).map(str),
    "x-amz-storage-class": st.sampled_from(["GLACIER", "STANDARD_IA"]),
    "x-amz-archive-status": st.just("ARCHIVE_ACCESS"),
    "x-amz-restore": st.just('ongoing-request="true"'),
    "x-amz-missing-meta": st.integers(1, 3).map(str),
    "x-amz-server-side-encryption": st.sampled_from(["AES256", "aws:kms"]),
    "x-amz-server-side-encryption-aws-kms-key-id": text,
    "x-amz-server-side-encryption-bucket-key-enabled": st.sampled_from(["true", "false"]),
    "x-amz-website-redirect-location": text,
    "x-amz-object-lock-mode": st.just("GOVERNANCE"),
    "x-amz-object-lock-legal-hold": st.sampled_from(["ON", "OFF"]),
    "x-amz-checksum-crc64nvme": st.sampled_from(["AAAAAAAAAAA=", "x-3"]),
    "x-amz-checksum-crc32": st.just("AAAAAA=="),
    "x-amz-checksum-sha256": st.sampled_from(["q83v", "q83v-3"]),
    "x-amz-checksum-type": st.sampled_from(["COMPOSITE", "FULL_OBJECT"]),
    "x-amz-meta-a": text,
    "X-Amz-Meta-B": text,
}
told = st.fixed_dictionaries({}, optional=STATED)


@given(headers=told)
@example(headers={})
def test_what_headers_tell_of_an_object(both: Both, headers: dict[str, str]) -> None:
    both.agree(CALLS["head"], http(200, headers, BODY))
    headers = {
        name: value for name, value in headers.items() if name != "x-amz-archive-status"
    }  # S3 tells it a HEAD alone
    both.agree(CALLS["get"], http(200, headers, BODY))
    both.agree(CALLS["range"], http(206, headers | {"Content-Range": "bytes 2-5/9"}, BODY))
    both.agree(CALLS["put"], http(200, headers))
    headers.pop("x-amz-version-id", None)  # no part has a version
    both.agree(CALLS["part"], http(200, headers))


CODES = [
    "SlowDown",
    "NoSuchKey",
    "NoSuchBucket",
    "NoSuchUpload",
    "AccessDenied",
    "PreconditionFailed",
    "InvalidRange",
]
CODES += [
    "InternalError",
    "RequestTimeout",
    "ExpiredToken",
    "EntityTooLarge",
    "InvalidObjectState",
    "MalformedXML",
    "Unheard-Of",
]
STATUSES = [301, 307, 400, 401, 403, 404, 405, 408, 409, 411, 412, 413, 416, 429, 500, 501, 502, 503, 504]


@given(
    name=st.sampled_from(sorted(CALLS)),
    status=st.sampled_from(STATUSES),
    code=st.sampled_from(CODES),
    headers=st.sampled_from(
        [{}, {"x-amz-request-id": "ID"}, {"Retry-After": "7"}, {"x-amz-bucket-region": "eu-west-3"}]
    ),
    form=st.sampled_from(
        ["<Error><Code>{}</Code><Message>m</Message></Error>", "<html>{}</html>", "", "<Error><Code>{}"]
    ),
)
def test_what_an_error_is(both: Both, name: str, status: int, code: str, headers: dict[str, str], form: str) -> None:
    both.agree(CALLS[name], http(status, headers, form.format(code).encode()))


DOCUMENTS = [
    b"",
    b"<html>welcome</html>",
    b"<Error><Code>SlowDown</Code></Error>",
    b"<CopyObjectResult><ETag>&quot;e&quot;</ETag></CopyObjectResult>",
    b"<CopyObjectResult/>",
    b'<CompleteMultipartUploadResult><ETag>"e-1"</ETag></CompleteMultipartUploadResult>',
    b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
    b"<DeleteResult><Deleted><Key>k</Key></Deleted><Deleted><Key>l</Key></Deleted></DeleteResult>",
    b"<DeleteResult><Deleted><Key>k</Key></Deleted><Error><Key>l</Key><Code>AccessDenied</Code></Error></DeleteResult>",
    b"<DeleteResult/>",
    b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
]


RESULTS = {"copy": b"<CopyObjectResult", "complete": b"<CompleteMultipartUploadResult"}


@pytest.mark.parametrize("name", ["copy", "complete", "create", "deletes", "list"])
@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_says(both: Both, name: str, document: bytes) -> None:
    if name == "deletes" and b"<DeleteResult" not in document and b"<Error" not in document:
        pytest.skip("the lane calls the answer no proof, the client each key unanswered: all are sent again")
    if b"<ETag" in document and RESULTS.get(name, b"Result") not in document:
        pytest.skip("the lane refuses the receipt of another operation, which botocore does not look at")
    both.agree(CALLS[name], http(200, {"Content-Type": "application/xml"}, document))
