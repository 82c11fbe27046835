"""The reader of answers against httptools itself, which reads each message whole: the same answer, or an error.

Whatever reads heads in production, httptools (llhttp, the parser of Node.js) is the judge here: what it refuses may not be read,
and what it reads may not be read otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import pytest
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bucket_brigade.s3.prepared import Target
from bucket_brigade.s3.wire import Pool, WireSettings
from bucket_brigade.s3.wire_answer import AnswerReader, WireError


class Read(NamedTuple):
    """An answer. ``reusable`` says that nothing of the message forbids another request on its connection."""

    status: int
    headers: dict[bytes, str]
    body: bytes
    reusable: bool


# --- the judge ---------------------------------------------------------------------------------------------------------


class _Judge:
    """Collects the first final message that httptools sees."""

    def __init__(self) -> None:
        self.parser = HttpResponseParser(self)
        self.headers: dict[bytes, str] = {}
        self.body = b""
        self.status = 0
        self.version = ""
        self.in_final = False
        self.ended = False
        self.surplus = False

    def on_message_begin(self) -> None:
        if self.ended:
            self.surplus = True
        else:
            self.headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.ended:
            self.headers.setdefault(name.lower(), value.decode("utf-8", "surrogateescape"))

    def on_headers_complete(self) -> None:
        if not self.ended:
            self.status = self.parser.get_status_code()
            self.version = self.parser.get_http_version()
            self.in_final = self.status >= 200

    def on_body(self, piece: bytes) -> None:
        if not self.ended:
            self.body += piece

    def on_message_complete(self) -> None:
        self.ended = self.ended or self.in_final


def judged(message: bytes, *, eof: bool) -> Read | None:
    """Return how httptools reads the message, None where it does not or the message is not complete."""
    judge = _Judge()
    before = dict[bytes, str]()
    for at in range(len(message)):  # byte by byte, so that it is known where the answer ends
        try:
            judge.parser.feed_data(message[at : at + 1])
        except (HttpParserError, HttpParserUpgrade):
            if not judge.ended:
                return None
        if judge.in_final and not before:
            before = dict(judge.headers)  # without the trailers
        if judge.ended:
            judge.surplus = at + 1 < len(message)
            break
    framed = b"content-length" in before or b"transfer-encoding" in before or judge.status in (204, 304)
    if not judge.ended and not (judge.in_final and not framed and eof):
        return None
    kept = judge.version == "1.1" and "close" not in before.get(b"connection", "").lower()
    return Read(judge.status, before, judge.body, kept and framed and not judge.surplus)


# --- the reader --------------------------------------------------------------------------------------------------------


def read(
    pieces: list[bytes], *, into: bytearray | None = None, no_body: bool = False, eof: bool = False
) -> Read | None:
    """Return how our reader reads the message, None where it is an error or not complete."""
    reader = AnswerReader()
    reader.begin(into=None if into is None else memoryview(into), no_body=no_body)
    left = b""
    complete = False
    for position, piece in enumerate(pieces):
        left = piece
        while left and not complete:
            buffer = reader.get_buffer(-1)
            count = min(len(buffer), len(left))
            buffer[:count], left = left[:count], left[count:]
            try:
                complete = reader.received(count)
            except WireError:
                return None
        if complete:
            left += b"".join(pieces[position + 1 :])
            break
    if not complete and not (eof and reader.ended()):
        return None
    answer = reader.answer
    if answer.unread:
        return None
    body = bytes(answer.body) if into is None or answer.body else bytes(into[: answer.received])
    assert answer.received == len(body)
    headers = {name.lower(): answer.header(name.lower()) for name in answer.headers}
    return Read(answer.status, headers, body, answer.keep_alive and not left)


def cut(message: bytes, places: list[int]) -> list[bytes]:
    bounds = sorted({0, len(message), *(place % (len(message) + 1) for place in places)})
    return [message[start:end] for start, end in pairwise(bounds)]


def agrees(message: bytes, pieces: list[bytes], *, eof: bool) -> bool:
    """Fail where the reader says anything else than the judge; return whether it read an answer."""
    wanted = judged(message, eof=eof)
    found = read(pieces, eof=eof)
    if found is None:
        return False
    assert wanted is not None, f"httptools does not read this, the lane does: {message!r}"
    assert found.status == wanted.status
    assert found.headers == wanted.headers
    assert found.body == wanted.body
    assert wanted.reusable or not found.reusable, "another request would follow on this connection"
    answer_to_head = read(pieces, no_body=True, eof=eof)
    assert answer_to_head is not None
    assert (answer_to_head.status, answer_to_head.headers) == (wanted.status, wanted.headers)
    into = bytearray(len(wanted.body))
    by_buffer = read(pieces, into=into, eof=eof)
    if wanted.status in (200, 206) and wanted.body:
        assert by_buffer is not None
        assert (bytes(into), by_buffer.headers) == (wanted.body, wanted.headers)
    return True


# --- every message that is right is read --------------------------------------------------------------------------------

names = st.one_of(
    st.sampled_from(
        [b"ETag", b"etag", b"Date", b"x-amz-request-id", b"X-Amz-Meta-A", b"Server", b"Last-Modified", b"x"]
    ),
    st.text("abzABZ019-_!#$%&'*+.^`|~", min_size=1, max_size=12).map(str.encode),
).filter(lambda name: name.lower() not in {b"content-length", b"transfer-encoding", b"connection", b"upgrade"})
values = st.one_of(
    st.sampled_from(
        [b"", b'"d41d8cd9"', b"a: b", b"a, b", b"\xc3\xa9", b"\xff\x80", b"a\tb", b"a  b", b"chunked", b"5"]
    ),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30).map(str.encode),
)
colons = st.sampled_from([b": ", b": ", b": ", b":", b":\t", b":   "])
ends = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b" \r\n", b"\t \r\n"])
lines = st.builds(lambda name, colon, value, end: name + colon + value + end, names, colons, values, ends)
bodies = st.one_of(
    st.binary(max_size=60), st.sampled_from([b"HTTP/1.1 200 OK\r\n\r\n", b"0\r\n\r\n", b"\r\n\r\n", b"<Error/>"])
)
starts = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 206 Partial Content\r\n",
        b"HTTP/1.1 200 \r\n",
        b"HTTP/1.1 200\r\n",
        b"HTTP/1.1 404 Not Found\r\n",
        b"HTTP/1.1 503 Slow Down: really\r\n",
        b"HTTP/1.0 200 OK\r\n",
    ]
)
interims = st.lists(
    st.sampled_from(
        [
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nETag: no\r\n\r\n",
            b"HTTP/1.1 102 P\r\n\r\n",
        ]
    ),
    max_size=2,
)
connections = st.sampled_from(
    [b"", b"", b"Connection: close\r\n", b"connection: keep-alive\r\n", b"Connection: Close, x\r\n"]
)


@st.composite
def framed(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Draw a header line that says how long the body is, and the body as it is sent."""
    body = draw(bodies)
    if draw(st.booleans()):
        return b"Content-Length: %d\r\n" % len(body), body
    sent, rest = b"", body
    while rest:
        size = draw(st.integers(1, len(rest)))
        size_line = draw(st.sampled_from([b"%x\r\n", b"%X\r\n", b"0%x\r\n", b"%x;name=value\r\n"]))
        sent += size_line % size + rest[:size] + b"\r\n"
        rest = rest[size:]
    return b"Transfer-Encoding: chunked\r\n", sent + b"0\r\n" + draw(
        st.sampled_from([b"", b"ETag: late\r\n"])
    ) + b"\r\n"


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Draw an answer as HTTP allows it."""
    line, body = draw(framed())
    head = [*draw(st.lists(lines, max_size=8)), draw(connections)]
    head.insert(draw(st.integers(0, len(head))), line)
    return b"".join(draw(interims)) + draw(starts) + b"".join(head) + b"\r\n" + body


places = st.lists(st.integers(0, 2000), max_size=8)


@settings(max_examples=250)
@given(message=messages(), places=places)
@example(message=b"HTTP/1.1 200 OK\r\nContent-Length:5\r\nETag:\r\n\r\nhello", places=[20, 21, 40])
def test_right_answers_are_read_as_httptools_reads_them(message: bytes, places: list[int]) -> None:
    assert agrees(message, cut(message, places), eof=False)


# --- every other message is refused, or read as httptools reads it ------------------------------------------------------

ODD = [
    b"Content-Length: 5\r\n",
    b"Content-Length: 05\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: 5 \r\n",
    b"Content-Length: 5, 5\r\n",
    b"Content-Length: 5x\r\n",
    b"Content-Length: 0x5\r\n",
    b"Content-Length:\r\n",
    b"Content-Length: \xd9\xa5\r\n",
    b"Content-Length: 1_0\r\n",
    b"Content-Length: 99999999999999999999999\r\n",
    b"Content-Length : 5\r\n",
    b" Content-Length: 5\r\n",
    b"content-LENGTH: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding:  Chunked \r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: x\r\n",
    b"ETag: a\r\n b\r\n",
    b"ETag: a\n",
    b"ETag: a\r",
    b"ETag: \x00\r\n",
    b"ETag: \x7f\r\n",
    b"ETag: a\x0bb\r\n",
    b"E Tag: a\r\n",
    b"ETag\r\n",
    b": a\r\n",
    b"\xc3\xa9: a\r\n",
    b"ETag(: a\r\n",
    b"\r\n",
    b"\n",
]
odd_starts = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\n",
        b"HTTP/1.1 204 None\r\n",
        b"HTTP/1.1 304 Same\r\n",
        b"HTTP/1.1 101 Switch\r\n",
        b"HTTP/1.1  200 OK\r\n",
        b"HTTP/1.1 0200 OK\r\n",
        b"HTTP/1.1 20 OK\r\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1 099 OK\r\n",
        b"HTTP/1.1 200OK\r\n",
        b"HTTP/2.0 200 OK\r\n",
        b"HTTP/1.2 200 OK\r\n",
        b"HTTP/11 200 OK\r\n",
        b"http/1.1 200 OK\r\n",
        b"ICY 200 OK\r\n",
        b"GET / HTTP/1.1\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n",
        b" HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 O\x00K\r\n",
        b"HTTP/1.1 200 O\x7fK\xff\r\n",
    ]
)


@st.composite
def oddities(draw: st.DrawFn) -> bytes:
    """Draw a message of which anything may be wrong."""
    start = draw(st.one_of(starts, odd_starts))
    head = draw(st.lists(st.one_of(st.sampled_from(ODD), lines), max_size=5))
    return (
        b"".join(draw(interims))
        + start
        + b"".join(head)
        + b"\r\n"
        + draw(st.one_of(framed().map(lambda two: two[1]), bodies))
    )


@settings(max_examples=400)
@given(message=oddities(), places=places, eof=st.booleans())
def test_odd_answers_are_refused_or_read_as_httptools_reads_them(message: bytes, places: list[int], eof: bool) -> None:
    agrees(message, cut(message, places), eof=eof)


@pytest.mark.parametrize("line", ODD)
@pytest.mark.parametrize("framing", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_every_odd_line_beside_every_framing(line: bytes, framing: bytes) -> None:
    for head in (line + framing, framing + line):
        for body in (b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"hello" * 3):
            message = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body
            for eof in (False, True):
                agrees(message, [message], eof=eof)
                agrees(message, cut(message, list(range(len(message)))), eof=eof)


AS_S3_WRITES_IT = (
    b"HTTP/1.1 200 OK\r\nx-amz-id-2: n6+k/3=\r\nx-amz-request-id: 2VZ1\r\nDate: Sun, 22 Nov 2026 12:31:03 GMT\r\n"
    b'ETag: "d41d-2"\r\nAccept-Ranges: bytes\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nServer: AmazonS3\r\n\r\nhello'
)


def damaged(message: bytes) -> Iterator[bytes]:
    """Yield the message with every byte lost, doubled, and replaced by others that mean something."""
    for at, byte in enumerate(message):
        yield message[:at] + message[at + 1 :]
        yield message[: at + 1] + message[at:]
        for other in b"\x00\t\n\r :0:;,\x7f\xff":
            if other != byte:
                yield message[:at] + bytes([other]) + message[at + 1 :]


def test_an_answer_of_s3_with_any_byte_damaged_is_refused_or_read_as_httptools_reads_it() -> None:
    outcomes = [agrees(message, [message], eof=False) for message in damaged(AS_S3_WRITES_IT)]
    assert any(outcomes)
    assert not all(outcomes)


def test_an_answer_cut_off_anywhere_is_never_complete() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
    for message in (AS_S3_WRITES_IT, chunked, b"HTTP/1.1 100 Continue\r\n\r\n" + AS_S3_WRITES_IT):
        for end in range(len(message)):
            assert read([message[:end]], eof=True) is None
            assert read([message[:end]], into=bytearray(5), eof=True) is None


async def test_every_odd_answer_ends_its_exchange_as_it_is_read_and_harms_no_other() -> None:
    """Over a real connection, closed behind the answer; between them right answers, on connections that are kept."""
    odd = [
        b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body
        for line in ODD
        for head in (line, line + b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n" + line)
        for body in (b"hello", b"5\r\nhello\r\n0\r\n\r\n")
    ]

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.readline():
            await reader.readline()
            number = int(request.split()[1])
            writer.write(odd[number] if number >= 0 else AS_S3_WRITES_IT)
            if number >= 0:
                break
        writer.close()

    async def ask(pool: Pool, number: int) -> Read | None:
        try:
            async with asyncio.timeout(5):
                answer = await pool.exchange(b"GET %d HTTP/1.1\r\n\r\n" % number, replay=number < 0)
        except WireError:
            return None
        headers = {name.lower(): answer.header(name.lower()) for name in answer.headers}
        return Read(answer.status, headers, bytes(answer.body), False)

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    target = Target("http", "127.0.0.1", server.sockets[0].getsockname()[1])
    async with server, Pool(target, WireSettings(max_connections=4), None) as pool:
        right = await ask(pool, -1)
        assert right is not None
        assert right.body == b"hello"
        for number, message in enumerate(odd):
            expected = read([message], eof=True)
            assert await ask(pool, number) == (None if expected is None else expected._replace(reusable=False)), message
            assert await ask(pool, -1) == right
