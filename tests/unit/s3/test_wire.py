"""The pool of connections against servers that misbehave on a script: an answer or an error, never a hang."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.servers.certificates import make_certificates

from bucket_brigade.s3.prepared import Target
from bucket_brigade.s3.wire import Pool, WireSettings
from bucket_brigade.s3.wire_answer import Disconnected, Garbled, Stalled
from bucket_brigade.s3.wire_connection import SLICE_BYTES

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
QUICK = WireSettings(max_connections=4, connect_timeout_s=2.0, read_timeout_s=0.2)
PATIENT = WireSettings(max_connections=4)

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(
    script: Script, tls: ssl.SSLContext | None = None, *, others: tuple[str, ...] = ()
) -> AsyncIterator[Target]:
    """Run a server whose every connection follows ``script``; the third argument counts connections from 1.

    ``others`` are addresses besides 127.0.0.1 where it listens at the same port.
    """
    count = 0
    conversations: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        try:
            await script(reader, writer, count)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(converse(reader, writer))
        conversations.add(task)
        task.add_done_callback(conversations.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    servers = [server, *[await asyncio.start_server(accept, address, port, ssl=tls) for address in others]]
    try:
        yield Target("https" if tls else "http", "127.0.0.1", port)
    finally:
        for server in servers:
            server.close()
        for task in list(conversations):
            task.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)


async def head_of(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def answer_always(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
    while True:
        await head_of(reader)
        writer.write(OK)


async def test_connection_is_used_again() -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        nonlocal connections
        connections = number
        await answer_always(reader, writer, number)

    async with serving(script) as target, Pool(target, PATIENT, None) as pool:
        for _ in range(5):
            assert bytes((await pool.exchange(GET)).body) == b"ok"
    assert connections == 1


async def test_no_more_connections_than_allowed() -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        nonlocal connections
        connections = number
        await answer_always(reader, writer, number)

    async with serving(script) as target, Pool(target, PATIENT, None) as pool:
        answers = await asyncio.gather(*[pool.exchange(GET) for _ in range(50)])
    assert [answer.status for answer in answers] == [200] * 50
    assert 1 <= connections <= 4


async def test_kept_connection_that_was_closed_is_replaced_once_and_silently() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await head_of(reader)
        writer.write(OK)
        await head_of(reader)
        if number > 1:
            writer.write(OK)

    async with serving(script) as target, Pool(target, PATIENT, None) as pool:
        assert (await pool.exchange(GET)).status == 200
        assert (await pool.exchange(GET)).status == 200  # the first connection closes instead of an answer


async def test_what_must_not_be_sent_twice_is_not() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        await head_of(reader)
        writer.write(OK)
        await head_of(reader)

    async with serving(script) as target, Pool(target, PATIENT, None) as pool:
        await pool.exchange(GET)
        with pytest.raises(Disconnected) as lost:
            await pool.exchange(GET, replay=False)
        assert lost.value.unanswered


async def test_new_connection_that_is_closed_is_an_error() -> None:
    async def script(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _: int) -> None:
        await head_of(reader)

    async with serving(script) as target, Pool(target, PATIENT, None) as pool:
        with pytest.raises(Disconnected, match="without an answer"):
            await pool.exchange(GET)


async def test_half_an_answer_is_never_repeated_on_another_connection() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        await head_of(reader)
        writer.write(OK)
        await head_of(reader)
        writer.write(OK[:-1])

    async with serving(script) as target, Pool(target, PATIENT, None) as pool:
        await pool.exchange(GET)
        with pytest.raises(Disconnected, match="before its answer was complete"):
            await pool.exchange(GET)


async def test_server_that_says_nothing_is_given_up() -> None:
    async def script(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _: int) -> None:
        await reader.read()

    async with serving(script) as target, Pool(target, QUICK, None) as pool:
        with pytest.raises(Stalled):
            await pool.exchange(GET)


async def test_object_that_trickles_is_given_up() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.02)

    async with serving(script) as target, Pool(target, QUICK, None) as pool:
        with pytest.raises(Stalled):
            await pool.exchange(GET, into=memoryview(bytearray(100_000)))


async def test_white_space_keeps_a_slow_answer_alive() -> None:
    document = b" " * 20 + b"<Done/>"

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        await head_of(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in document:
            writer.write(b"1\r\n%c\r\n" % byte)
            await asyncio.sleep(0.06)
        writer.write(b"0\r\n\r\n")

    async with serving(script) as target, Pool(target, WireSettings(read_timeout_s=1.0), None) as pool:
        assert bytes((await pool.exchange(GET)).body) == document


async def test_server_that_stops_reading_is_given_up() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        await head_of(reader)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(60)

    async with serving(script) as target, Pool(target, QUICK, None) as pool:
        with pytest.raises(Stalled):
            await pool.exchange(b"PUT / HTTP/1.1\r\ncontent-length: 67108864\r\n\r\n", bytes(64 << 20))


async def test_big_body_arrives_whole() -> None:
    body = bytes(range(256)) * (SLICE_BYTES // 64)
    received = b""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        nonlocal received
        await head_of(reader)
        received = await reader.readexactly(len(body))
        writer.write(OK)

    async with serving(script) as target, Pool(target, PATIENT, None) as pool:
        head = b"PUT / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body)
        assert (await pool.exchange(head, memoryview(body))).status == 200
    assert received == body


async def test_answer_before_the_body_was_taken_counts_and_ends_the_connection() -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        nonlocal connections
        connections = number
        await head_of(reader)
        writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 6\r\n\r\n<Error")
        await asyncio.sleep(60)

    async with serving(script) as target, Pool(target, PATIENT, None) as pool:
        for _ in range(2):
            answer = await pool.exchange(b"PUT / HTTP/1.1\r\ncontent-length: 67108864\r\n\r\n", bytes(64 << 20))
            assert (answer.status, bytes(answer.body)) == (403, b"<Error")
    assert connections == 2


async def test_garble_is_an_error_and_ends_the_connection() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await head_of(reader)
        writer.write(b"what?\r\n\r\n" if number == 1 else OK)
        await reader.read()

    async with serving(script) as target, Pool(target, PATIENT, None) as pool:
        with pytest.raises(Garbled):
            await pool.exchange(GET)
        assert (await pool.exchange(GET)).status == 200


async def test_cancelled_exchange_gives_its_buffer_back_untouched() -> None:
    asked = asyncio.Event()
    go_on = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await head_of(reader)
        if number == 1:
            asked.set()
            await go_on.wait()
        writer.write(OK)
        await reader.read()

    async with serving(script) as target, Pool(target, PATIENT, None) as pool:
        into = bytearray(b"--")
        exchange = asyncio.ensure_future(pool.exchange(GET, into=memoryview(into)))
        await asked.wait()
        exchange.cancel()
        with pytest.raises(asyncio.CancelledError):
            await exchange
        go_on.set()
        assert bytes((await pool.exchange(GET)).body) == b"ok"  # on a connection of its own
        assert bytes(into) == b"--"


async def test_waiting_for_a_connection_can_be_cancelled() -> None:
    release = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        while True:
            await head_of(reader)
            await release.wait()
            writer.write(OK)

    async with serving(script) as target, Pool(target, WireSettings(max_connections=1), None) as pool:
        first, second, third = (asyncio.ensure_future(pool.exchange(GET)) for _ in range(3))
        await asyncio.sleep(0.05)
        second.cancel()
        release.set()
        assert (await first).status == (await third).status == 200
        with pytest.raises(asyncio.CancelledError):
            await second


async def test_idle_and_old_connections_are_closed() -> None:
    closed = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        await head_of(reader)
        writer.write(OK)
        assert await reader.read() == b""
        closed.set()

    for settings in (WireSettings(read_timeout_s=0.1, idle_s=0.05), WireSettings(read_timeout_s=0.1, lifetime_s=0.05)):
        closed.clear()
        async with serving(script) as target, Pool(target, settings, None) as pool:
            await pool.exchange(GET)
            await asyncio.wait_for(closed.wait(), 5)


async def test_refused_connection_and_unknown_host_are_os_errors() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with Pool(Target("http", "127.0.0.1", taken.getsockname()[1]), QUICK, None) as pool:
            with pytest.raises(ConnectionRefusedError):
                await pool.exchange(GET)
    async with Pool(Target("http", "no-such-host.invalid", 80), QUICK, None) as pool:
        with pytest.raises(socket.gaierror):
            await pool.exchange(GET)


async def test_dead_address_is_passed_over_and_the_others_are_used_in_turn() -> None:
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.2", "127.0.0.1"]

    async with serving(answer_always) as target:
        named = Target("http", "store.example", target.port)
        async with Pool(named, PATIENT, None, resolve) as pool:
            answers = await asyncio.gather(*[pool.exchange(GET) for _ in range(4)])
    assert [answer.status for answer in answers] == [200] * 4
    assert asked == ["store.example"]


async def test_connections_are_spread_over_all_addresses_of_a_host() -> None:
    addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    reached: list[str] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        reached.append(writer.get_extra_info("sockname")[0])
        await answer_always(reader, writer, number)

    async def resolve(_host: str, _port: int) -> list[str]:
        return addresses

    async with serving(script, others=tuple(addresses[1:])) as target:
        settings = WireSettings(max_connections=12)
        async with Pool(Target("http", "store.example", target.port), settings, None, resolve) as pool:
            await asyncio.gather(*[pool.exchange(GET) for _ in range(12)])
    assert sorted(reached) == sorted(addresses * 4)


async def test_an_answer_that_nobody_asked_for_is_never_taken_for_the_next_one() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await head_of(reader)
        writer.write(OK)
        if number == 1:
            await asyncio.sleep(0.02)
            writer.write(OK.replace(b"ok", b"no"))
        await reader.read()

    async with serving(script) as target, Pool(target, PATIENT, None) as pool:
        assert bytes((await pool.exchange(GET)).body) == b"ok"
        await asyncio.sleep(0.1)
        assert bytes((await pool.exchange(GET)).body) == b"ok"


async def test_server_that_reads_a_body_drop_by_drop_is_given_up() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        while True:
            await reader.readexactly(10)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(0.05)
            writer.transport.resume_reading()  # type: ignore[attr-defined]

    async with serving(script) as target, Pool(target, QUICK, None) as pool:
        with pytest.raises(Stalled):
            await pool.exchange(b"PUT / HTTP/1.1\r\ncontent-length: 67108864\r\n\r\n", bytes(64 << 20))


async def test_tls_wants_a_trusted_certificate_of_the_host(tmp_path: Path) -> None:
    made = make_certificates(str(tmp_path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    trusting = ssl.create_default_context(cafile=made.ca)
    async with serving(answer_always, context) as target:
        async with Pool(target, PATIENT, trusting) as pool:
            for _ in range(2):
                assert bytes((await pool.exchange(GET)).body) == b"ok"
        async with Pool(target, PATIENT, ssl.create_default_context()) as pool:
            with pytest.raises(ssl.SSLCertVerificationError):
                await pool.exchange(GET)

        async def elsewhere(_host: str, _port: int) -> list[str]:
            return ["127.0.0.1"]

        async with Pool(Target("https", "other.example", target.port), PATIENT, trusting, elsewhere) as pool:
            with pytest.raises(ssl.SSLCertVerificationError):
                await pool.exchange(GET)


@pytest.mark.parametrize("cut", range(1, len(OK)))
async def test_answer_cut_anywhere_by_the_network(cut: int) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        await head_of(reader)
        writer.write(OK[:cut])
        await asyncio.sleep(0.002)
        writer.write(OK[cut:])
        await reader.read()

    async with serving(script) as target, Pool(target, PATIENT, None) as pool:
        assert bytes((await pool.exchange(GET)).body) == b"ok"


def test_plain_asyncio_carries_it_too() -> None:
    body = bytes(range(256)) * (SLICE_BYTES // 64)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        while True:
            await head_of(reader)
            assert await reader.readexactly(len(body)) == body
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async def exchange() -> None:
        async with serving(script) as target, Pool(target, PATIENT, None) as pool:
            head = b"PUT / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body)
            for _ in range(3):
                into = bytearray(len(body))
                assert (await pool.exchange(head, body, into=memoryview(into))).status == 200
                assert into == body

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(exchange())


async def test_pool_survives_whatever_its_connections_do() -> None:
    """Requests are cancelled, connections closed and garbled at random; nothing hangs, and the pool is whole afterwards."""
    chance = random.Random(7)
    behaves = False

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        while True:
            await head_of(reader)
            fate = 1.0 if behaves else chance.random()
            if fate < 0.1:
                return
            if fate < 0.2:
                writer.write(OK[: chance.randrange(len(OK))])
                return
            if fate < 0.25:
                writer.write(b"garbage\r\n\r\n")
                return
            if fate < 0.4:
                await asyncio.sleep(0.002)
            writer.write(OK)
            if fate < 0.5:
                return

    outcomes = {"answered": 0, "failed": 0, "cancelled": 0}

    async def ask(pool: Pool) -> None:
        into = bytearray(2)
        try:
            async with asyncio.timeout(chance.choice([0.001, 5, 5, 5])):
                await pool.exchange(GET, into=memoryview(into), replay=chance.random() < 0.5)
            assert into == b"ok"
            outcomes["answered"] += 1
        except TimeoutError:
            outcomes["cancelled"] += 1
        except (Disconnected, Garbled, OSError):
            outcomes["failed"] += 1

    async with serving(script) as target, Pool(target, PATIENT, None) as pool:
        for _ in range(20):
            await asyncio.gather(*[ask(pool) for _ in range(50)])
        behaves = True
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*[pool.exchange(GET) for _ in range(100)])
    assert all(answer.status == 200 for answer in answers)
    assert min(outcomes.values()) > 0, outcomes
