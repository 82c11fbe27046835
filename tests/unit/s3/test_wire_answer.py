"""The reader of answers, fed in pieces cut anywhere: the right answer, or an error; never a hang, never a wrong one."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucket_brigade.s3.wire_answer import (
    HEAD_BYTES,
    MAX_ERROR_BYTES,
    MAX_HEAD_BYTES,
    Answer,
    AnswerReader,
    Disconnected,
    Garbled,
    WireError,
)

HELLO = b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "x"\r\n\r\nhello'


def read(
    *pieces: bytes,
    into: memoryview | None = None,
    no_body: bool = False,
    eof: bool = False,
    reader: AnswerReader | None = None,
) -> Answer:
    """Feed the pieces as an event loop would, and return the complete answer."""
    reader = reader or AnswerReader()
    reader.begin(into=into, no_body=no_body)
    for piece in pieces:
        left = piece
        while left:
            buffer = reader.get_buffer(-1)
            assert len(buffer) > 0
            count = min(len(buffer), len(left))
            buffer[:count] = left[:count]
            left = left[count:]
            if reader.received(count):
                assert len(reader.get_buffer(-1)) > 0
                assert reader.answer.complete
                return reader.answer
    if eof and reader.ended():
        return reader.answer
    raise Disconnected("the pieces ended", unanswered=not reader.began)


def cuts(message: bytes) -> list[tuple[bytes, ...]]:
    return [(message[:at], message[at:]) for at in range(1, len(message))] + [tuple(bytes([one]) for one in message)]


def test_answer_is_the_same_wherever_it_is_cut() -> None:
    for pieces in cuts(HELLO):
        answer = read(*pieces)
        assert (answer.status, answer.header(b"etag"), bytes(answer.body)) == (200, '"x"', b"hello")
        assert answer.keep_alive
        assert not answer.unread


def test_object_goes_into_the_callers_buffer_wherever_it_is_cut() -> None:
    for pieces in cuts(HELLO):
        into = bytearray(5)
        answer = read(*pieces, into=memoryview(into))
        assert (bytes(into), bytes(answer.body), answer.received) == (b"hello", b"", 5)
        assert answer.keep_alive


def test_chunks_are_joined_wherever_they_are_cut() -> None:
    message = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;note=x\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: y\r\n\r\n"
    )
    for pieces in cuts(message):
        assert bytes(read(*pieces).body) == b"hello"
        into = bytearray(5)
        answer = read(*pieces, into=memoryview(into))
        assert (bytes(into), answer.received, answer.unread, answer.keep_alive) == (b"hello", 5, False, True)


def test_interim_answers_are_passed_over_wherever_they_are_cut() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    for pieces in cuts(interim + HELLO):
        answer = read(*pieces)
        assert (answer.status, bytes(answer.body)) == (200, b"hello")


def test_body_without_length_ends_with_the_connection() -> None:
    for pieces in cuts(b"HTTP/1.1 200 OK\r\n\r\nhello"):
        answer = read(*pieces, eof=True)
        assert (bytes(answer.body), answer.length, answer.keep_alive) == (b"hello", None, False)
    with pytest.raises(Disconnected):
        read(b"HTTP/1.1 200 OK\r\n\r\nhello")


def test_one_reader_reads_answer_after_answer() -> None:
    reader = AnswerReader()
    for size in (0, 5, 100_000, 1, 0):
        body = b"b" * size
        answer = read(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body, reader=reader)
        assert bytes(answer.body) == body


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_some_answers_have_no_body(status: bytes) -> None:
    answer = read(b"HTTP/1.1 " + status + b"\r\nContent-Type: x\r\n\r\n")
    assert answer.keep_alive
    assert not answer.body


def test_answer_to_head_has_no_body_whatever_its_length_says() -> None:
    answer = read(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", no_body=True)
    assert answer.header(b"content-length") == "5000"
    assert answer.keep_alive


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_connection_that_will_be_closed_is_not_kept(head: bytes) -> None:
    assert not read(head).keep_alive


def test_bytes_behind_the_answer_end_the_connection_not_the_answer() -> None:
    for message in (
        HELLO + b"surplus",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + HELLO,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nxx",
    ):
        answer = read(message)
        assert bytes(answer.body) == b"hello"
        assert not answer.keep_alive


@pytest.mark.parametrize("length", [0, 4, 6, 1 << 40])
def test_object_of_another_size_is_not_read(length: int) -> None:
    into = bytearray(b"-----")
    answer = read(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nhell" % length, into=memoryview(into))
    assert answer.unread
    assert answer.length == length
    assert not answer.keep_alive
    assert bytes(into) == b"-----"


def test_chunked_object_of_another_size_is_told() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    assert read(chunked, into=memoryview(bytearray(4))).unread
    assert read(chunked, into=memoryview(bytearray(6))).received == 5


def test_error_goes_into_memory_even_where_an_object_was_expected() -> None:
    into = bytearray(b"-----")
    answer = read(b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n<Err>", into=memoryview(into))
    assert (bytes(answer.body), bytes(into)) == (b"<Err>", b"-----")


def test_error_body_is_bounded() -> None:
    big = b"e" * (MAX_ERROR_BYTES + 1000)
    sized = read(b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n" % len(big) + big)
    chunked = read(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(big) + big + b"\r\n0\r\n\r\n")
    closed = read(b"HTTP/1.1 500 No\r\n\r\n" + big, eof=True)
    for answer in (sized, chunked, closed):
        assert len(answer.body) == MAX_ERROR_BYTES
        assert answer.unread
        assert not answer.keep_alive


def test_head_may_be_larger_than_the_first_buffer() -> None:
    filler = b"X-Filler: " + b"f" * (HEAD_BYTES * 2) + b"\r\n"
    answer = read(b"HTTP/1.1 200 OK\r\n" + filler + b"Content-Length: 2\r\n\r\nok")
    assert bytes(answer.body) == b"ok"


def test_endless_head_is_refused() -> None:
    with pytest.raises(Garbled, match="larger than"):
        read(b"HTTP/1.1 200 OK\r\nX: " + b"f" * (MAX_HEAD_BYTES + 1))


@pytest.mark.parametrize(
    "message",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 999 What\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_garble_is_an_error(message: bytes) -> None:
    for pieces in (*cuts(message), (message,)):
        with pytest.raises(Garbled):
            read(*pieces)


def test_bytes_that_nobody_asked_for_are_an_error() -> None:
    reader = AnswerReader()
    reader.get_buffer(-1)[:1] = b"x"
    with pytest.raises(Garbled):
        reader.received(1)


@given(st.binary(max_size=400), st.integers(0, 40), st.booleans())
def test_noise_never_does_harm(noise: bytes, into_size: int, with_start: bool) -> None:
    into = memoryview(bytearray(into_size)) if into_size else None
    message = (b"HTTP/1.1 200 OK\r\n" if with_start else b"") + noise
    with contextlib.suppress(WireError):
        read(message, into=into, eof=True)


@given(
    body=st.binary(max_size=300),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=20),
    at=st.integers(0, 400),
    flip=st.integers(1, 255),
)
def test_damaged_chunks_are_an_error_or_harmless(body: bytes, sizes: list[int], at: int, flip: int) -> None:
    chunks, rest = b"", body
    for size in sizes:
        piece, rest = rest[:size], rest[size:]
        if piece:
            chunks += b"%x\r\n%s\r\n" % (len(piece), piece)
    sent = body[: len(body) - len(rest)]
    message = bytearray(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    assert bytes(read(bytes(message)).body) == sent
    if at < len(message):
        message[at] ^= flip
        with contextlib.suppress(WireError):
            read(bytes(message), eof=True)


@given(body=st.binary(max_size=100), short=st.integers(1, 100))
def test_short_body_is_never_complete(body: bytes, short: int) -> None:
    announced = len(body) + short
    message = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % announced + body
    for into in (None, memoryview(bytearray(announced))):
        with pytest.raises(Disconnected):
            read(message, into=into, eof=True)
