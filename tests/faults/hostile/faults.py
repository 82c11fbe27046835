"""What can be done to one request, and scripts that choose which request it is done to."""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.faults.hostile.messages import Answer, Request, error

Mangle = Callable[[Request, Answer, random.Random], Answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One misbehaviour. The fields may be combined; shares are of a body, from 0.0 to 1.0.

    Attributes:
        name: for logs and messages.
        instead: answered in place of carrying the request out.
        mangle: changes the true answer of a request that was carried out.
        ignores: headers of the request that are taken for absent.
        reset_request_at: the connection is reset when this share of the request's body has come; nothing is carried out.
        stop_reading: the request's body is never read.
        delay_s: before the request is carried out.
        answer_delay_s: after it was carried out, before it is answered.
        cut_answer_at: this share of the answer's body is sent, then the connection ends; below 0 nothing is sent at all.
        reset: it ends by RST, else by FIN.
        stall_answer_at: this share of the answer's body is sent, then nothing more ever; below 0 not even the head.
        trickle_bytes_per_s: the speed of the answer.
        close_after: the connection is closed behind the answer, although it says keep-alive.
    """

    name: str
    instead: Callable[[Request], Answer] | None = None
    mangle: Mangle | None = None
    ignores: tuple[str, ...] = ()
    reset_request_at: float | None = None
    stop_reading: bool = False
    delay_s: float = 0.0
    answer_delay_s: float = 0.0
    cut_answer_at: float | None = None
    reset: bool = True
    stall_answer_at: float | None = None
    trickle_bytes_per_s: float | None = None
    close_after: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the answer goes out whole and at once."""
        return (
            self.cut_answer_at is None
            and self.stall_answer_at is None
            and self.trickle_bytes_per_s is None
            and not self.delay_s
            and not self.answer_delay_s
            and not self.close_after
        )


@dataclass
class Rule:
    """Does a fault to some of the requests.

    Attributes:
        fault: what is done.
        operations: to which of S3's operations; empty for all.
        where: to which ``bucket/key`` (a regular expression, searched); for a listing its prefix takes the key's place.
        skip: so many matching requests are left alone first.
        times: so many are struck then; None for all.
        chance: that a matching request is struck.
    """

    fault: Fault
    operations: tuple[str, ...] = ()
    where: str = ""
    skip: int = 0
    times: int | None = 1
    chance: float = 1.0
    _seen: int = field(default=0, repr=False)

    def strikes(self, request: Request, chance: random.Random) -> bool:
        """Tell whether this request is struck, and count it."""
        if self.times == 0 or (self.operations and request.operation not in self.operations):
            return False
        if self.where and not re.search(self.where, request.where):
            return False
        self._seen += 1
        if self._seen <= self.skip or (self.chance < 1.0 and chance.random() >= self.chance):
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Script:
    """Rules in order; the first one that strikes a request decides. May be changed from another thread.

    Attributes:
        struck: how often each fault was done, by its name.
    """

    def __init__(self, rules: Iterable[Rule] = (), *, seed: object = 0) -> None:
        self.struck: Counter[str] = Counter()
        self.random = random.Random(str(seed))
        self._rules = list(rules)
        self._lock = threading.Lock()

    def add(self, fault: Fault, *operations: str, where: str = "", skip: int = 0, times: int | None = 1) -> None:
        """Add a rule behind the others."""
        with self._lock:
            self._rules.append(Rule(fault, operations, where, skip, times))

    def clear(self) -> None:
        """Behave from now on."""
        with self._lock:
            self._rules.clear()

    def choose(self, request: Request) -> Fault | None:
        """Return what is done to this request."""
        if not self._rules:
            return None
        with self._lock:
            for rule in self._rules:
                if rule.strikes(request, self.random):
                    self.struck[rule.fault.name] += 1
                    return rule.fault
        return None


# --- the connection ----------------------------------------------------------------------------------------------------

RESET_ON_HEAD = Fault(name="reset before the body", reset_request_at=0.0)
RESET_IN_BODY = Fault(name="reset within the body", reset_request_at=0.5)
LOST_ANSWER = Fault(name="answer lost after the effect", cut_answer_at=-1.0)
LOST_ANSWER_POLITELY = Fault(name="closed without an answer after the effect", cut_answer_at=-1.0, reset=False)
CUT_ANSWER = Fault(name="answer cut by a reset", cut_answer_at=0.5)
SHORT_ANSWER = Fault(name="answer cut by a close", cut_answer_at=0.5, reset=False)
STALL = Fault(name="never answers", stall_answer_at=-1.0)
STALL_BEFORE_EFFECT = Fault(name="neither acts nor answers", delay_s=3600.0)
STALL_IN_BODY = Fault(name="stalls within the body", stall_answer_at=0.5)
TRICKLE = Fault(name="trickles", trickle_bytes_per_s=2.0)
STOP_READING = Fault(name="stops reading", stop_reading=True)
CLOSE_IDLE = Fault(name="closes a kept connection", close_after=True)


def delay(seconds: float) -> Fault:
    """Answer late."""
    return Fault(name=f"late by {seconds} s", delay_s=seconds)


# --- answers in place of the effect --------------------------------------------------------------------------------------


def refuse(status: int, code: str, message: str = "", **headers: str) -> Fault:
    """Refuse with an ``<Error>``."""
    return Fault(name=f"{status} {code}", instead=lambda _: error(status, code, message, **headers))


SLOW_DOWN = refuse(503, "SlowDown", "Please reduce your request rate.")
TOO_MANY = refuse(429, "TooManyRequests", Retry_After="0")
INTERNAL_ERROR = refuse(500, "InternalError")
BAD_GATEWAY = refuse(502, "BadGateway")
GATEWAY_TIMEOUT = refuse(504, "GatewayTimeout")
REQUEST_TIMEOUT = refuse(400, "RequestTimeout")
ACCESS_DENIED = refuse(403, "AccessDenied")
EXPIRED_TOKEN = refuse(400, "ExpiredToken", "The provided token has expired.")
BAD_DIGEST = refuse(400, "BadDigest")
NO_SUCH_KEY = refuse(404, "NoSuchKey")
NO_SUCH_UPLOAD = refuse(404, "NoSuchUpload")
CONFLICT = refuse(409, "ConditionalRequestConflict")
LENGTH_REQUIRED = refuse(411, "MissingContentLength")

_PAGE = b"<html><head><title>503</title></head><body><h1>Service unavailable</h1></body></html>"
HTML_503 = Fault(name="HTML with 503", instead=lambda _: Answer(503, {"Content-Type": "text/html"}, _PAGE))
HTML_200 = Fault(name="HTML with 200", instead=lambda _: Answer(200, {"Content-Type": "text/html"}, _PAGE))
EMPTY_200 = Fault(name="empty 200", instead=lambda _: Answer(200))
GARBAGE = Fault(name="no HTTP", instead=lambda _: Answer(-1, {}, b"\x16\x03\x01\x00 this is no HTTP\r\n\r\n"))
ERROR_IN_200 = Fault(name="200 with an error inside", instead=lambda _: error(500, "InternalError").changed(status=200))
ERROR_IN_200_AFTER_EFFECT = Fault(
    name="200 with an error inside, after the effect",
    mangle=lambda _r, _a, _c: error(500, "InternalError").changed(status=200),
)


def redirect(to: str, status: int = 307) -> Fault:
    """Send the caller to another host."""
    return Fault(
        name=f"{status} to {to}",
        instead=lambda request: error(status, "TemporaryRedirect", Location=f"{to}/{request.bucket}/{request.key}"),
    )


def skewed(date: str) -> Fault:
    """Say that the caller's clock is wrong; ``date`` is the time here, as HTTP gives it."""
    return refuse(403, "RequestTimeTooSkewed", Date=date)


# --- answers that are not true -----------------------------------------------------------------------------------------


def _flip(request: Request, answer: Answer, chance: random.Random) -> Answer:
    if not answer.body or request.method == "HEAD":
        return answer
    body = bytearray(answer.body)
    body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
    return answer.changed(body=bytes(body))


def _without(*names: str) -> Mangle:
    lower = {name.lower() for name in names}

    def mangle(_request: Request, answer: Answer, _chance: random.Random) -> Answer:
        return answer.changed(headers={k: v for k, v in answer.headers.items() if k.lower() not in lower})

    return mangle


def _shift_range(_request: Request, answer: Answer, _chance: random.Random) -> Answer:
    headers = dict(answer.headers)
    if "Content-Range" in headers:
        span, _, size = headers["Content-Range"].removeprefix("bytes ").partition("/")
        start, end = map(int, span.split("-"))
        headers["Content-Range"] = f"bytes {start + 1}-{end + 1}/{size}"
    return answer.changed(headers=headers)


def _half(_request: Request, answer: Answer, _chance: random.Random) -> Answer:
    return answer.changed(body=answer.body[: len(answer.body) // 2])


FLIPPED_BIT = Fault(name="flipped bit", mangle=_flip)
NO_ETAG = Fault(name="no ETag", mangle=_without("ETag", "x-amz-checksum-crc64nvme"))
NO_CHECKSUM = Fault(name="no checksum", mangle=_without("x-amz-checksum-crc64nvme"))
EMPTY_AFTER_EFFECT = Fault(name="empty 200 after the effect", mangle=lambda _r, _a, _c: Answer(200))
HTML_AFTER_EFFECT = Fault(name="HTML with 200 after the effect", mangle=lambda _r, _a, _c: Answer(200, {}, _PAGE))
ERROR_AFTER_EFFECT = Fault(name="500 after the effect", mangle=lambda _r, _a, _c: error(500, "InternalError"))
WRONG_RANGE = Fault(name="wrong Content-Range", mangle=_shift_range)
TRUNCATED = Fault(
    name="body shorter than announced",
    mangle=lambda r, a, c: a.changed(length=len(a.body), body=_half(r, a, c).body) if r.method == "GET" else a,
    close_after=True,
)
SHORT_UNANNOUNCED = Fault(
    name="short body without a length", mangle=lambda r, a, c: _half(r, a, c).changed(length=-1), close_after=True
)
SHORT_HONESTLY = Fault(name="short body of that length", mangle=_half)
OVERLONG = Fault(name="overlong body", mangle=lambda _r, a, _c: a.changed(body=a.body + b"surplus"))


RANGE_IGNORED = Fault(name="Range ignored", ignores=("range",))
IGNORES_CONDITIONS = Fault(name="conditions ignored", ignores=("if-none-match", "if-match"))
