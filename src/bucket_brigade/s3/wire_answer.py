"""One HTTP/1.1 answer, put together from bytes as they arrive: no I/O, so that it can be cut at every byte.

Heads (and chunked bodies) are parsed by httptools (llhttp), which costs 2.5 us for ten headers, no more than looking for
them by hand. A body of known length goes straight into the caller's buffer, or into one of its own size.
"""

from __future__ import annotations

from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

HEAD_BYTES = 16 * 1024
"""Room for heads in each connection; answers to small requests fit whole."""
MAX_HEAD_BYTES = 256 * 1024
MAX_BODY_BYTES = 16 << 20
"""Of an answer read into memory: a page of 1,000 keys of 1,024 bytes, each URL-encoded, has 4 MB."""
MAX_ERROR_BYTES = 64 * 1024
"""Of the body of an error; what is beyond it is not read."""

_OK, _NO_CONTENT, _PARTIAL, _NOT_MODIFIED, _FIRST_FINAL, _FIRST_ERROR = 200, 204, 206, 304, 200, 300
_SWITCHING_PROTOCOLS = 101


class WireError(Exception):
    """The exchange failed below HTTP's answers; the message says how, in half a sentence."""


class Disconnected(WireError):
    """The connection ended before the answer was complete.

    Attributes:
        unanswered: not one byte of the answer had come.
    """

    def __init__(self, message: str, *, unanswered: bool) -> None:
        super().__init__(message)
        self.unanswered = unanswered


class Stalled(WireError):
    """The peer took no bytes, or gave none, for too long."""


class Garbled(WireError):
    """What came is no answer of HTTP/1.1."""


class Answer:
    """An answer.

    Attributes:
        status: the HTTP status, 200 or above.
        headers: by lower-case name.
        body: what was read into memory; empty where the body went into the caller's buffer.
        received: bytes of the body that were read, wherever they went.
        length: of the body as announced, None where it was not.
        unread: the body was not read to its end: larger than allowed, or not of the size of the caller's buffer.
        keep_alive: the connection can carry another request.
    """

    __slots__ = ("body", "complete", "headers", "keep_alive", "length", "received", "status", "unread")

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body: bytes | bytearray = b""
        self.received = 0
        self.length: int | None = None
        self.unread = False
        self.keep_alive = False
        self.complete = False

    # Called by httptools.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep one header; of a repeated one, the first."""
        self.headers.setdefault(name.lower(), value)

    def header(self, name: bytes) -> str:
        """Return a header's value, empty where it is absent. Bytes that are no UTF-8 become surrogates."""
        value = self.headers.get(name)
        return "" if value is None else value.decode("utf-8", "surrogateescape")


# What the next bytes are. Plain numbers: looking up a member of an Enum costs 0.1 us, many times per answer.
_IDLE: Final = 0
_HEAD: Final = 1
_SIZED: Final = 2
"""A body of known length, into ``_sink``."""
_CHUNKED: Final = 3
_UNTIL_CLOSE: Final = 4


class _ChunkedAnswer(Answer):
    """What a second parser sees of a chunked body: the pieces of it."""

    __slots__ = ("_owner", "ended", "surplus")

    def __init__(self, owner: AnswerReader) -> None:
        super().__init__()
        self._owner = owner
        self.ended = False
        self.surplus = False

    def on_message_begin(self) -> None:
        self.surplus = self.ended  # another answer behind this one, that nobody asked for

    def on_body(self, piece: bytes) -> None:
        if not self.ended:
            self._owner.take_piece(piece)

    def on_message_complete(self) -> None:
        self.ended = True


class AnswerReader:
    """Reads one answer after another: ``begin`` for each request, then ``get_buffer`` and ``received`` as bytes come.

    ``answer`` is the one being read; it is ``complete`` when ``received`` (or ``ended``) has returned True.
    """

    __slots__ = (
        "_chunks",
        "_filled",
        "_got",
        "_limit",
        "_mode",
        "_no_body",
        "_scrap",
        "_sink",
        "_view",
        "answer",
        "total",
    )

    def __init__(self) -> None:
        self._scrap = bytearray(HEAD_BYTES)
        self._view = memoryview(self._scrap)
        self._filled = 0
        self._mode: int = _IDLE
        self._sink: memoryview | None = None
        self._got = 0
        self._limit = 0
        self._no_body = False
        self._chunks: tuple[HttpResponseParser, _ChunkedAnswer] | None = None
        self.answer = Answer()
        self.total = 0
        """Bytes received since the connection stands."""

    @property
    def began(self) -> bool:
        """Whether a byte of the present answer has come."""
        return self._mode > _HEAD or self._filled > 0

    @property
    def reads_object(self) -> bool:
        """Whether the body of an object is on its way into the caller's buffer."""
        return self._mode == _SIZED and not isinstance(self.answer.body, bytearray)

    def begin(self, *, into: memoryview | None, no_body: bool) -> None:
        """Expect an answer. ``into`` takes the body of a 200 or 206 of exactly its size; ``no_body`` is for HEAD."""
        self._mode = _HEAD
        self._filled = 0
        self._sink = into
        self._no_body = no_body

    def reset(self) -> None:
        """Let go of the caller's buffer: nothing is written into it any more."""
        self._mode = _IDLE
        self._sink = None
        self._got = 0
        self._chunks = None

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go; never empty, because event loops ask once more after the last byte."""
        if self._mode == _SIZED:
            assert self._sink is not None  # noqa: S101 - narrows the type
            return self._sink[self._got :]
        return self._view[self._filled :]

    def received(self, count: int) -> bool:
        """Take note of ``count`` bytes in the buffer; return whether the answer is complete. Raises Garbled."""
        self.total += count
        mode = self._mode
        if mode == _HEAD:
            self._filled += count
            return self._read_head(count)
        if mode == _SIZED:
            self._got += count
            return self._got == len(self._sink) and self._finish()  # type: ignore[arg-type]
        if mode == _IDLE:
            message = "bytes came that nobody asked for"
            raise Garbled(message)
        return self._read_piece(self._view[:count])

    def ended(self) -> bool:
        """Take note that the peer closed its side; return whether that completes the answer."""
        return self._mode == _UNTIL_CLOSE and self._finish(keep_alive=False)

    # --- the head ----------------------------------------------------------------------------------------------------

    def _read_head(self, count: int) -> bool:
        while True:
            end = self._scrap.find(b"\r\n\r\n", max(0, self._filled - count - 3), self._filled)
            if end < 0:
                self._make_room()
                return False
            end += 4
            raw = bytes(self._view[:end])
            answer = _parse_head(raw)
            if answer.status >= _FIRST_FINAL:
                self.answer = answer
                return self._read_body(raw, end)
            if answer.status == _SWITCHING_PROTOCOLS:
                message = "the peer switches to another protocol"
                raise Garbled(message)
            rest = self._filled - end
            self._scrap[:rest] = self._scrap[end : self._filled]
            self._filled = count = rest

    def _make_room(self) -> None:
        size = len(self._scrap)
        if self._filled < size:
            return
        if size >= MAX_HEAD_BYTES:
            message = f"the head is larger than {MAX_HEAD_BYTES} bytes"
            raise Garbled(message)
        # A new one rather than a longer one: the event loop may still hold a view of the old.
        scrap = bytearray(size * 2)
        scrap[:size] = self._scrap
        self._scrap, self._view = scrap, memoryview(scrap)

    # --- the body ----------------------------------------------------------------------------------------------------

    def _read_body(self, raw: bytes, end: int) -> bool:
        answer = self.answer
        if self._no_body or answer.status in (_NO_CONTENT, _NOT_MODIFIED):
            # httptools does not know that it was a HEAD; what follows would be an answer that nobody asked for.
            return self._finish(surplus=self._filled > end)
        self._limit = MAX_BODY_BYTES if answer.status < _FIRST_ERROR else MAX_ERROR_BYTES
        if answer.status not in (_OK, _PARTIAL):
            self._sink = None
        coding = answer.headers.get(b"transfer-encoding")
        if coding is None and b"content-length" in answer.headers:
            return self._read_sized(end, int(answer.headers[b"content-length"]))
        answer.keep_alive = answer.keep_alive and coding is not None
        self._got = 0
        if self._sink is None:
            answer.body = bytearray()
        if coding is None:
            self._mode = _UNTIL_CLOSE
        elif coding.strip().lower() == b"chunked":
            self._mode = _CHUNKED
            chunked = _ChunkedAnswer(self)
            self._chunks = HttpResponseParser(chunked), chunked
            self._chunks[0].feed_data(raw)
        else:
            message = "the body has an unknown transfer coding"
            raise Garbled(message)
        rest = bytes(self._view[end : self._filled])
        self._filled = 0
        return bool(rest) and self._read_piece(rest)

    def _read_sized(self, end: int, length: int) -> bool:
        answer = self.answer
        answer.length = length
        rest = self._filled - end
        if self._sink is None and rest == length <= self._limit:  # small answers come whole
            answer.body = bytes(self._view[end : self._filled])
            self._got = length
            return self._finish()
        self._filled = 0
        if self._sink is None:
            size = min(length, self._limit)
            body = bytearray(size)
            answer.body = body
            self._sink = memoryview(body)
            answer.unread = size < length
        elif len(self._sink) != length:
            answer.unread = True
            return self._finish()
        size = len(self._sink)
        if rest >= size:
            self._sink[:] = self._view[end : end + size]
            self._got = size
            return self._finish(surplus=rest > size)
        self._sink[:rest] = self._view[end : end + rest]
        self._got = rest
        self._mode = _SIZED
        return False

    def _read_piece(self, piece: bytes | memoryview) -> bool:
        if self._mode == _UNTIL_CLOSE:
            self.take_piece(piece)
            return self.answer.unread and self._finish()
        assert self._chunks is not None  # noqa: S101 - narrows the type
        parser, chunked = self._chunks
        try:
            parser.feed_data(piece)
        except (HttpParserError, HttpParserUpgrade) as exc:
            if not chunked.ended:
                message = "the chunks of the body are garbled"
                raise Garbled(message) from exc
            return self._finish(surplus=True)
        return (chunked.ended or self.answer.unread) and self._finish(surplus=chunked.surplus)

    def take_piece(self, piece: bytes | memoryview) -> None:
        """Take a piece of a body of unknown length, up to what the caller's buffer or the limit allows."""
        answer, count = self.answer, len(piece)
        if self._sink is not None:
            room = len(self._sink) - self._got
            if count > room:
                answer.unread = True
            else:
                self._sink[self._got : self._got + count] = piece
        else:
            room = self._limit - self._got
            if count > room:
                answer.unread = True
            assert isinstance(answer.body, bytearray)  # noqa: S101 - narrows the type
            answer.body += piece[:room]
        self._got += min(count, room)

    def _finish(self, *, surplus: bool = False, keep_alive: bool = True) -> bool:
        answer = self.answer
        answer.received = self._got
        if surplus or answer.unread or not keep_alive:
            answer.keep_alive = False
        answer.complete = True
        self._mode = _IDLE
        self._filled = 0
        self._got = 0
        self._sink = None
        self._chunks = None
        return True


def _parse_head(raw: bytes) -> Answer:
    answer = Answer()
    parser = HttpResponseParser(answer)
    try:
        parser.feed_data(raw)
    except (HttpParserError, HttpParserUpgrade) as exc:
        message = "the head of the answer is garbled"
        raise Garbled(message) from exc
    answer.status = parser.get_status_code()
    if not 100 <= answer.status <= 599:
        message = "the answer has no status"
        raise Garbled(message)
    # httptools has forgotten it by now where the message ends with its head, as a 204 does.
    answer.keep_alive = raw.startswith(b"HTTP/1.1 ") or parser.get_http_version() == "1.1"
    if b"connection" in answer.headers:
        answer.keep_alive = b"close" not in answer.headers[b"connection"].lower() and answer.keep_alive
    return answer
