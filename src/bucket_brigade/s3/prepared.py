"""Requests that botocore builds once and the lane executes often, as a database executes a prepared statement.

``capture`` lets the aioboto3 client build and sign one request for placeholders and takes it out of the ``before-send``
event. ``compile_form`` cuts it into what stays and what varies, and keeps it only if, filled in again with the same values,
it yields the very signature that botocore computed: what botocore knows is never written a second time, and what cannot be
reproduced is ``NotPreparable`` and goes through the client.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from bucket_brigade.s3.sigv4 import ALGORITHM, EMPTY_SHA256, UNSIGNED_PAYLOAD, Identity, Stamp, signing_key, stamp_of
from bucket_brigade.s3.templates import Template

PLACEHOLDER_KEY = "bucket-brigade-placeholder-key"

_UNSENT = frozenset({"accept-encoding", "expect", "user-agent", "amz-sdk-invocation-id", "amz-sdk-request"})
"""Headers of botocore that do not travel with the lane; none of them is signed."""

_FREE_TEXT = frozenset({"if-match", "x-amz-copy-source", "x-amz-copy-source-if-match"})
"""Varying headers with ETags and version ids, in which a store may have put any white space: sent as it is, signed trimmed."""

_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=(?P<access_key>[^ ,]+)/(?P<day>\d{{8}})/(?P<region>[^/ ,]+)/(?P<service>[^/ ,]+)/aws4_request, "
    r"SignedHeaders=(?P<signed>[^ ,]+), Signature=(?P<signature>[0-9a-f]{64})"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
PLAIN_KEY = re.compile(r"[A-Za-z0-9_.\-~/]*").fullmatch


class NotPreparable(Exception):
    """The request cannot be executed by the lane; the message says why. The client has to send it."""


class Captured(NamedTuple):
    """A finished request as the aioboto3 client would have sent it. Header names are lower case."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


class Target(NamedTuple):
    """Where the connections of a request go."""

    scheme: str
    host: str
    port: int


# --- capture -----------------------------------------------------------------------------------------------------------


class _CapturedRequest(BaseException):
    """Carries the request out of the client. A BaseException, so that no layer takes it for a failed request."""

    def __init__(self, request: Any, operation: str) -> None:
        self.request = request
        self.operation = operation


_capturing: ContextVar[bool] = ContextVar("capturing", default=False)


def is_capturing() -> bool:
    """Return whether requests are made only to be captured, here and now."""
    return _capturing.get()


def _take_request(request: Any, event_name: str, **_: Any) -> None:
    if is_capturing():
        raise _CapturedRequest(request, event_name.rpartition(".")[2])


@contextmanager
def capturable(client: Any) -> Iterator[None]:
    """Let requests of the aioboto3 ``client`` be captured as long as the context is open; others pass untouched."""
    client.meta.events.register("before-send.s3", _take_request)
    try:
        yield
    finally:
        client.meta.events.unregister("before-send.s3", _take_request)


async def capture(send: Callable[[], Awaitable[object]]) -> Captured:
    """Return the first request that ``send()`` would send through a capturable client, without sending it.

    Raises NotPreparable where it needs another request before it, or none was sent, and what ``send`` raises before it.
    """
    token = _capturing.set(True)
    try:
        await send()
    except _CapturedRequest as captured:
        if captured.operation == "CreateSession":
            message = "the bucket is one of S3 Express, whose requests are signed with sessions"
            raise NotPreparable(message) from None
        return _captured(captured.request)
    finally:
        _capturing.reset(token)
    message = "the client sent no request"
    raise NotPreparable(message)


def _captured(request: Any) -> Captured:
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    body = request.body
    if body is None:
        body = b""
    elif hasattr(body, "read"):
        body.seek(0)
        body = body.read()
    if not isinstance(body, bytes | bytearray):
        message = f"a body of type {type(body).__name__} cannot be prepared"
        raise NotPreparable(message)
    return Captured(method=request.method, url=request.url, headers=headers, body=bytes(body))


def _text(value: object) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


# --- compile -----------------------------------------------------------------------------------------------------------


def quote_key(key: str) -> str:
    """Return the key as botocore writes it into a path."""
    return key if PLAIN_KEY(key) else quote(key, safe="/~")


def quote_query(value: str) -> str:
    """Return a query value as botocore writes it."""
    return quote(value, safe="-._~")


def copy_source(bucket: str, key: str, version_id: str | None) -> str:
    """Return the header ``x-amz-copy-source`` as botocore writes it (a version id is not quoted there)."""
    source = quote_key(f"{bucket}/{key}")
    return source if version_id is None else f"{source}?versionId={version_id}"


def trimmed(value: str) -> str:
    """Return a header's value as it is signed: without outer white space, inner runs of it as one space."""
    return " ".join(value.split())


class Form:
    """A prepared request. Its fields are named: ``path`` is the quoted key, ``?name`` a quoted query value, ``name`` a header.

    Attributes:
        target: where it goes.
        scope: (region, service) of its signature; None for an anonymous request.
        hashes_payload: ``x-amz-content-sha256`` is the digest of the body, rather than UNSIGNED-PAYLOAD.
        on_object: the path ends with the key.
    """

    __slots__ = ("_free", "_stamp", "_stamped", "_templates", "hashes_payload", "on_object", "scope", "target")

    def __init__(
        self,
        *,
        target: Target,
        scope: tuple[str, str] | None,
        hashes_payload: bool,
        on_object: bool,
        canonical: str,
        head: str,
        free_text: tuple[str, ...] = (),
    ) -> None:
        self.target = target
        self.scope = scope
        self.hashes_payload = hashes_payload
        self.on_object = on_object
        self._free = free_text
        self._templates = Template.parse(canonical), Template.parse(head)
        self._stamp: Stamp | None = None
        self._stamped = self._templates

    def fill(self, stamp: Stamp | None, fields: dict[str, str], payload: str = EMPTY_SHA256) -> bytes:
        """Return the head of the request, signed. ``fields`` has a value for each varying field, and is changed.

        ``payload`` is the body's SHA-256 in hex, used where ``hashes_payload``. Header values among ``fields`` must be free
        of control characters, and trimmed (see ``trimmed``) but for ETags and copy sources.
        """
        if stamp is not None and stamp is not self._stamp:
            self._use(stamp)
        canonical, head = self._stamped
        if stamp is not None:
            fields["x-amz-content-sha256"] = payload
            signed = fields
            for name in self._free:
                if " " in fields[name]:
                    signed = signed | {name: trimmed(fields[name])}
            fields["signature"] = stamp.sign(canonical.fill(signed))
        return head.fill(fields).encode()

    def _use(self, stamp: Stamp) -> None:
        """Fill in all that is the same for a second."""
        given = {"x-amz-date": stamp.date, "x-amz-security-token": stamp.token, "credential": stamp.credential}
        canonical, head = self._templates
        self._stamped = canonical.given(given), head.given(given)
        self._stamp = stamp


def compile_form(
    captured: Captured,
    *,
    fields: Mapping[str, str],
    identity: Identity | None,
    user_agent: str,
    object_path: bool = True,
) -> Form:
    """Return the form of a captured request.

    Args:
        captured: what botocore built for ``PLACEHOLDER_KEY`` and the values in ``fields``.
        fields: the varying fields with the values they have in ``captured``.
        identity: the credentials that signed it; None for an anonymous request.
        user_agent: sent in place of botocore's.
        object_path: the path ends with the key; False for a request on the bucket.

    Raises NotPreparable where a field is not in the request, or the signature is one that we cannot reproduce.
    """
    values = dict(fields)
    url = urlsplit(captured.url)
    target = Target(url.scheme, url.hostname or "", url.port or (443 if url.scheme == "https" else 80))
    path = _path_template(url.path, values, object_path=object_path)
    query, canonical_query = _query_templates(url.query, values)
    headers = {"host": url.netloc} | captured.headers  # only a signer writes it, and HTTP demands it
    signature = _signature_of(headers, identity)
    hashes_payload = signature is not None and _hashes_payload(captured)
    varying = (
        set(values) | {"x-amz-date", "x-amz-security-token"} | ({"x-amz-content-sha256"} if hashes_payload else set())
    )
    _demand(values, headers)
    sent = {name: value for name, value in headers.items() if name not in _UNSENT and name != "authorization"}
    request_line = f"{captured.method} {path}{'?' + query if query else ''} HTTP/1.1\r\n"
    head = (
        request_line
        + _header_lines(sent, varying)
        + f"accept-encoding: identity\r\nuser-agent: {_fixed(user_agent)}\r\n"
    )
    form = Form(
        target=target,
        scope=None,
        hashes_payload=hashes_payload,
        on_object=object_path,
        canonical="",
        head=head + "\r\n",
    )
    if signature is None or identity is None:
        return form
    signed = signature["signed"]
    head += f"authorization: %(credential)s, SignedHeaders={_fixed(signed)}, Signature=%(signature)s\r\n"
    canonical = "\n".join(
        [
            captured.method,
            path,
            canonical_query,
            _canonical_headers(sent, signed, varying),
            "",
            _fixed(signed),
            _header_field("x-amz-content-sha256", sent, varying),
        ]
    )
    form = Form(
        target=target,
        scope=(signature["region"], signature["service"]),
        hashes_payload=hashes_payload,
        on_object=object_path,
        canonical=canonical,
        head=head + "\r\n",
        free_text=tuple(sorted(_FREE_TEXT & varying)),
    )
    _demand_same_signature(form, captured, values, identity, signature)
    return form


def _fixed(text: str) -> str:
    return text.replace("%", "%%")


def _path_template(path: str, values: dict[str, str], *, object_path: bool) -> str:
    path = path or "/"
    if not object_path:
        return _fixed(path)
    if not path.endswith("/" + PLACEHOLDER_KEY):
        message = "the path does not end with the key"
        raise NotPreparable(message)
    values["path"] = PLACEHOLDER_KEY
    return _fixed(path[: -len(PLACEHOLDER_KEY)]) + "%(path)s"


def _query_templates(query: str, values: dict[str, str]) -> tuple[str, str]:
    """Return the query as it is sent, and as it is signed."""
    found: list[tuple[str, str, str]] = []
    for pair in query.split("&") if query else ():
        name, equals, value = pair.partition("=")
        field = f"?{unquote(name)}"
        if field in values and value != values[field]:
            message = f"the query {name} is not what was asked for"
            raise NotPreparable(message)
        template = f"%({field})s" if field in values else _fixed(value)
        found.append((_fixed(name), equals, template))
    missing = {name for name in values if name.startswith("?")} - {f"?{unquote(name)}" for name, _, _ in found}
    if missing:
        message = f"the query lacks {', '.join(sorted(missing))}"
        raise NotPreparable(message)
    sent = "&".join(f"{name}{equals}{value}" for name, equals, value in found)
    canonical = "&".join(f"{name}={value}" for name, _, value in sorted(found))
    return sent, canonical


def _signature_of(headers: Mapping[str, str], identity: Identity | None) -> dict[str, str] | None:
    authorization = headers.get("authorization")
    if authorization is None and identity is None and "x-amz-date" not in headers:
        return None
    match = _AUTHORIZATION.fullmatch(authorization or "")
    if match is None or identity is None or match["access_key"] != identity.access_key:
        message = "the request is not signed with SigV4 in its headers"
        raise NotPreparable(message)
    if not {"x-amz-date", "x-amz-content-sha256", "host"} <= set(match["signed"].split(";")):
        message = "the signature does not cover what the lane varies"
        raise NotPreparable(message)
    if headers.get("x-amz-security-token", "") != identity.token:
        message = "the session token travels in a way of its own"
        raise NotPreparable(message)
    return match.groupdict()


def _hashes_payload(captured: Captured) -> bool:
    digest = captured.headers["x-amz-content-sha256"]
    if digest == UNSIGNED_PAYLOAD:
        return False
    if _SHA256.fullmatch(digest):
        return True
    message = f"the payload is signed as {digest}"
    raise NotPreparable(message)


def _demand(values: Mapping[str, str], headers: Mapping[str, str]) -> None:
    for name, value in values.items():
        if name != "path" and not name.startswith("?") and headers.get(name) != value:
            message = f"the header {name} is not what was asked for"
            raise NotPreparable(message)
    if "transfer-encoding" in headers:
        message = "the length of the body is not sent"
        raise NotPreparable(message)


def _header_field(name: str, headers: Mapping[str, str], varying: Collection[str]) -> str:
    return f"%({name})s" if name in varying else _fixed(headers[name])


def _header_lines(headers: Mapping[str, str], varying: Collection[str]) -> str:
    return "".join(f"{name}: {_header_field(name, headers, varying)}\r\n" for name in headers)


def _canonical_headers(headers: Mapping[str, str], signed: str, varying: Collection[str]) -> str:
    trimmed_headers = {name: trimmed(value) for name, value in headers.items()}
    names = signed.split(";")
    if not set(names) <= set(headers):
        message = f"unknown headers are signed: {signed}"
        raise NotPreparable(message)
    return "\n".join(f"{_fixed(name)}:{_header_field(name, trimmed_headers, varying)}" for name in names)


def _demand_same_signature(
    form: Form, captured: Captured, values: dict[str, str], identity: Identity, signature: Mapping[str, str]
) -> None:
    day, region, service = signature["day"], signature["region"], signature["service"]
    date = captured.headers["x-amz-date"]
    stamp = stamp_of(
        date=date,
        access_key=identity.access_key,
        token=identity.token,
        key=signing_key(identity.secret_key, day, region, service),
        region=region,
        service=service,
    )
    fields = dict(values)
    form.fill(stamp, fields, sha256(captured.body).hexdigest())
    if fields["signature"] != signature["signature"]:
        message = "botocore signs something that the lane does not see"
        raise NotPreparable(message)
