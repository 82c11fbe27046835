"""The client against a server that misbehaves on a script: one asyncio server per test, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from bucket_brigade.errors import (
    ConnectionLost,
    NotSupported,
    PermanentError,
    SourceChanged,
    StoreUnavailable,
    Throttled,
    TransferError,
    WrongRegion,
)
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.s3.checksums import crc64nvme
from bucket_brigade.s3.client import ClientStore
from bucket_brigade.s3.lane import open_lane
from bucket_brigade.s3.session import open_client
from bucket_brigade.s3.store import DeleteKey, PartReceipt, Pin, Store
from bucket_brigade.settings.values import EndpointSettings, Secret

Answer = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
XML = "Content-Type: application/xml\r\n"


class Hostile:
    """Answers each request with the next of its answers (the last one for ever), and keeps the heads it was sent."""

    def __init__(self, *answers: bytes | Answer) -> None:
        self.answers = list(answers)
        self.heads: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.create_task(self._serve(reader, writer)))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if not isinstance(answer, bytes):
                    await answer(head, reader, writer)
                    break
                await reader.readexactly(length_of(head))
                writer.write(answer)
                await writer.drain()


def length_of(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def http(status: str, headers: str = "", body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


@contextlib.asynccontextmanager
async def against(
    hostile: Hostile, *, timeout_s: float = 5.0, checksum: str = "auto", lane: bool = False
) -> AsyncIterator[Store]:
    server = await asyncio.start_server(hostile.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    endpoint = EndpointSettings(
        name="hostile",
        endpoint_url=f"http://127.0.0.1:{port}",
        region="us-east-1",
        access_key_id="ak",
        secret_access_key=Secret("sk"),
        read_timeout_s=timeout_s,
        connect_timeout_s=1.0,
        checksum=checksum,
        request_payer="requester",
        expected_bucket_owner="123456789012",
    )
    try:
        async with open_client(endpoint, max_connections=4) as client:
            store = ClientStore(client, endpoint)
            if lane:
                async with open_lane(endpoint, client, store, max_connections=4) as faster:
                    yield faster
            else:
                yield store
    finally:
        server.close()
        await hostile.stop()
        await server.wait_closed()


@pytest.mark.parametrize("lane", [False, True])
async def test_a_redirect_is_never_followed(lane: bool) -> None:
    trap = Hostile(http("200 OK", 'ETag: "x"\r\n'))
    target = await asyncio.start_server(trap.accept, "127.0.0.1", 0)
    port = target.sockets[0].getsockname()[1]
    hostile = Hostile(http("307 Temporary Redirect", f"Location: http://127.0.0.1:{port}/b/k\r\n"))

    async with target, against(hostile, lane=lane) as store:
        with pytest.raises(WrongRegion, match=str(port)):
            await store.put_object("b", "k", b"body")
        with pytest.raises(WrongRegion):
            await store.head_bucket("b")
    assert trap.heads == []
    assert len(hostile.heads) == 2


async def test_one_call_is_one_request() -> None:
    hostile = Hostile(http("503 Slow Down", XML + "Retry-After: 3\r\n", b"<Error><Code>SlowDown</Code></Error>"))
    async with against(hostile) as store:
        with pytest.raises(Throttled) as caught:
            await store.put_object("b", "k", b"body", crc64nvme=crc64nvme(b"body"))
    assert caught.value.retry_after_s == 3.0
    assert len(hostile.heads) == 1


@pytest.mark.parametrize("lane", [False, True])
async def test_no_expect_and_every_common_header_is_sent(lane: bool) -> None:
    hostile = Hostile(http("200 OK", 'ETag: "x"\r\n'))
    async with against(hostile, lane=lane) as store:
        await store.put_object("b", "k", bytearray(b"body"), crc64nvme=crc64nvme(b"body"))
    head = hostile.heads[0].lower()
    assert b"\r\nexpect:" not in head
    assert b"x-amz-expected-bucket-owner: 123456789012" in head
    assert b"x-amz-request-payer: requester" in head
    assert b"x-amz-checksum-crc64nvme: " in head
    assert b"content-length: 4\r\n" in head


@pytest.mark.parametrize("body", [b"", b"<html>welcome</html>"])
async def test_a_put_without_an_etag_proves_nothing(body: bytes) -> None:
    async with against(Hostile(http("200 OK", "", body))) as store:
        with pytest.raises(StoreUnavailable, match="ETag"):
            await store.put_object("b", "k", b"body")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<Error><Code>InternalError</Code><Message>m</Message></Error>", StoreUnavailable),
        (b"<Error><Code>SlowDown</Code></Error>", Throttled),
        (b"", StoreUnavailable),
        (b"<html>welcome</html>", StoreUnavailable),
        (b"<html><br>no xml", StoreUnavailable),
        (b"<CopyObjectResult/>", StoreUnavailable),
    ],
)
async def test_an_error_or_nothing_inside_a_200_is_no_success(body: bytes, kind: type[TransferError]) -> None:
    async with against(Hostile(http("200 OK", XML, body))) as store:
        with pytest.raises(kind):
            await store.copy_object("b", "k", source_bucket="b", source_key="s")
        with pytest.raises(kind):
            await store.complete_multipart_upload("b", "k", "u", [PartReceipt(1, '"e"', 1)], size=1)
        with pytest.raises(kind):
            await store.upload_part_copy("b", "k", "u", 1, source_bucket="b", source_key="s", start=0, length=1)


@pytest.mark.parametrize("body", [b"", b"<html><body>welcome</body></html>"])
async def test_a_page_that_is_no_listing_is_not_an_empty_bucket(body: bytes) -> None:
    async with against(Hostile(http("200 OK", XML, body))) as store:
        for listing in (
            store.list_objects("b"),
            store.list_object_versions("b"),
            store.list_multipart_uploads("b"),
            store.list_parts("b", "k", "u"),
            store.list_buckets(),
        ):
            with pytest.raises(StoreUnavailable):
                await listing


async def test_a_cut_listing_without_a_token_is_an_error() -> None:
    body = b"<ListBucketResult><Name>b</Name><IsTruncated>true</IsTruncated></ListBucketResult>"
    async with against(Hostile(http("200 OK", XML, body))) as store:
        with pytest.raises(StoreUnavailable, match="cut off"):
            await store.list_objects("b")


@pytest.mark.parametrize(
    "answer",
    [
        http("200 OK", 'ETag: "x"\r\n', b"0123456789"),
        http("206 Partial Content", 'ETag: "x"\r\nContent-Range: bytes 0-3/10\r\n', b"0123"),
        http("206 Partial Content", 'ETag: "x"\r\nContent-Range: bytes 4-6/10\r\n', b"456"),
        http("206 Partial Content", 'ETag: "x"\r\n', b"4567"),
    ],
)
async def test_a_range_is_exactly_the_one_asked_for(answer: bytes) -> None:
    async with against(Hostile(answer)) as store:
        with pytest.raises(StoreUnavailable):
            await store.get_object("b", "k", memoryview(bytearray(4)), start=4)


async def test_a_range_fills_the_buffer_and_tells_the_whole_size() -> None:
    answer = http("206 Partial Content", 'ETag: "x"\r\nContent-Range: bytes 4-7/10\r\n', b"4567")
    buffer = bytearray(4)
    async with against(Hostile(answer)) as store:
        head = await store.get_object("b", "k", memoryview(buffer), start=4)
    assert bytes(buffer) == b"4567"
    assert head.size == 10


async def test_an_ignored_pin_is_noticed() -> None:
    async with against(Hostile(http("200 OK", 'ETag: "other"\r\n', b"0123"))) as store:
        with pytest.raises(SourceChanged):
            await store.get_object("b", "k", memoryview(bytearray(4)), pin=Pin('"mine"'))


async def test_an_object_of_another_size_has_changed() -> None:
    async with against(Hostile(http("200 OK", 'ETag: "x"\r\n', b"01234"))) as store:
        with pytest.raises(SourceChanged):
            await store.get_object("b", "k", memoryview(bytearray(4)))


async def close_early(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: "x"\r\n\r\n0123')
    await writer.drain()


async def close_unannounced(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\nConnection: close\r\nETag: "x"\r\n\r\n0123')
    await writer.drain()


@pytest.mark.parametrize("answer", [close_early, close_unannounced])
async def test_a_body_that_ends_early_is_a_lost_connection(answer: Answer) -> None:
    async with against(Hostile(answer)) as store:
        with pytest.raises(ConnectionLost):
            await store.get_object("b", "k", memoryview(bytearray(10)))


async def trickle(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nETag: "x"\r\n\r\n')
    for _ in range(200):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def silence(_head: bytes, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def read_nothing(_head: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(3)


async def test_a_trickle_is_given_up() -> None:
    async with against(Hostile(trickle), timeout_s=0.3) as store:
        with pytest.raises(ConnectionLost) as caught:
            await asyncio.wait_for(store.get_object("b", "k", memoryview(bytearray(100_000))), 3)
    assert caught.value.code == "TimedOut"


async def test_silence_is_given_up() -> None:
    async with against(Hostile(silence), timeout_s=0.3) as store:
        with pytest.raises(ConnectionLost):
            await asyncio.wait_for(store.put_object("b", "k", b"x" * 100), 3)


async def test_a_peer_that_stops_reading_is_given_up() -> None:
    async with against(Hostile(read_nothing), timeout_s=0.3) as store:
        with pytest.raises(ConnectionLost):
            await asyncio.wait_for(store.put_object("b", "k", memoryview(bytearray(32 << 20))), 3)


REFUSED = http(
    "400 Bad Request", XML, b"<Error><Code>InvalidArgument</Code><Message>Unsupported header</Message></Error>"
)


async def test_a_refused_checksum_is_learned_once() -> None:
    hostile = Hostile(REFUSED, http("200 OK", 'ETag: "x"\r\n'))
    async with against(hostile) as store:
        await store.put_object("b", "k", b"body", crc64nvme=crc64nvme(b"body"))
        await store.put_object("b", "k", b"body", crc64nvme=crc64nvme(b"body"))
    assert [b"crc64nvme" in head.lower() for head in hostile.heads] == [True, False, False]


async def test_a_refused_checksum_is_learned_once_for_lane_and_client() -> None:
    """The lane is refused, the client finds out whether the endpoint takes the request without: then nobody asks again."""
    hostile = Hostile(REFUSED, REFUSED, http("200 OK", 'ETag: "x"\r\n'))
    async with against(hostile, lane=True) as store:
        for _ in range(3):
            await store.put_object("b", "k", b"body", crc64nvme=crc64nvme(b"body"))
        await store.upload_part("b", "k", "u", 1, b"body", crc64nvme=crc64nvme(b"body"))
    assert [b"crc64nvme" in head.lower() for head in hostile.heads] == [True, True, False, False, False, False]


async def test_what_many_requests_in_flight_were_refused_for_is_asked_by_none_after_them() -> None:
    async def refuse_checksums(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readexactly(length_of(head))
            writer.write(REFUSED if b"crc64nvme" in head.lower() else http("200 OK", 'ETag: "x"\r\n'))
            head = await reader.readuntil(b"\r\n\r\n")
            hostile.heads.append(head)

    hostile = Hostile(refuse_checksums)
    async with against(hostile, lane=True) as store:
        put = functools.partial(store.put_object, "b", "k", b"body", crc64nvme=crc64nvme(b"body"))
        await asyncio.gather(*[put() for _ in range(4)])
        asked = len(hostile.heads)
        assert asked <= 4 * 3
        await asyncio.gather(*[put() for _ in range(4)])
    assert len(hostile.heads) == asked + 4
    assert all(b"crc64nvme" not in head.lower() for head in hostile.heads[asked:])


async def test_a_checksum_that_is_insisted_on_is_not_left_out() -> None:
    async with against(Hostile(REFUSED, http("200 OK", 'ETag: "x"\r\n')), checksum="crc64nvme") as store:
        with pytest.raises(PermanentError):
            await store.put_object("b", "k", b"body", crc64nvme=crc64nvme(b"body"))


async def test_a_wrong_checksum_is_never_sent_again_without() -> None:
    hostile = Hostile(REFUSED, http("200 OK", 'ETag: "x"\r\n'))
    async with against(hostile) as store:
        with pytest.raises(PermanentError):
            await store.put_object("b", "k", b"body", crc64nvme=crc64nvme(b"other"))
    assert len(hostile.heads) == 1


async def test_a_refused_total_is_never_overruled() -> None:
    hostile = Hostile(http("400 Bad Request", XML, b"<Error><Code>InvalidRequest</Code></Error>"))
    async with against(hostile) as store:
        with pytest.raises(PermanentError):
            await store.complete_multipart_upload("b", "k", "u", [PartReceipt(1, '"e"', 1)], size=2, crc64nvme=3)
    assert len(hostile.heads) == 1


@pytest.mark.parametrize("metadata", [(("name", "é"),), (("n\n", "v"),), (("n", "a\r\nX-Evil: 1"),)])
async def test_metadata_that_no_header_can_carry_is_refused(metadata: tuple[tuple[str, str], ...]) -> None:
    hostile = Hostile(http("200 OK", 'ETag: "x"\r\n'))
    async with against(hostile) as store:
        with pytest.raises(PermanentError, match="metadata"):
            await store.put_object("b", "k", b"", attributes=ObjectAttributes(metadata=metadata))
    assert hostile.heads == []


async def test_keys_in_neither_list_are_told() -> None:
    body = (
        b"<DeleteResult><Deleted><Key>a</Key></Deleted>"
        b"<Error><Key>b</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
        b"<Error><Key>d</Key><Code>NoSuchKey</Code></Error></DeleteResult>"
    )
    hostile = Hostile(http("200 OK", XML, body))
    async with against(hostile) as store:
        errors = await store.delete_objects("b", [DeleteKey(key) for key in "abcd"])
    assert {index: error.code for index, error in errors.items()} == {1: "AccessDenied", 2: "NoAnswer"}
    assert b"content-md5:" in hostile.heads[0].lower()


async def test_a_store_without_bulk_deletes_gets_single_ones() -> None:
    hostile = Hostile(http("501 Not Implemented"), http("204 No Content"))
    async with against(hostile) as store:
        assert await store.delete_objects("b", [DeleteKey("x"), DeleteKey("y")]) == {}
        assert await store.delete_objects("b", [DeleteKey("z")]) == {}
    methods = [head.split(b" ", 1)[0] for head in hostile.heads]
    assert methods == [b"POST", b"DELETE", b"DELETE", b"DELETE"]


async def test_a_key_that_xml_cannot_hold_is_deleted_alone() -> None:
    hostile = Hostile(http("204 No Content"))
    async with against(hostile) as store:
        assert await store.delete_objects("b", [DeleteKey("a\x01\r\nb")]) == {}
    assert hostile.heads[0].startswith(b"DELETE /b/a%01%0D%0Ab ")


async def test_what_is_not_implemented_is_told() -> None:
    async with against(Hostile(http("501 Not Implemented"))) as store:
        with pytest.raises(NotSupported):
            await store.get_object_tags("b", "k")


async def test_a_cancelled_read_gives_its_connection_back() -> None:
    hostile = Hostile(trickle, http("200 OK", 'ETag: "x"\r\n'))
    async with against(hostile) as store:
        reading = asyncio.create_task(store.get_object("b", "k", memoryview(bytearray(100_000))))
        while not hostile.heads:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # so that a part of the body is here
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await store.put_object("b", "k", b"body")
