"""The lane's prepared requests: captured from the client when first needed, kept for the life of the lane."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, NamedTuple, Protocol

import structlog

from bucket_brigade.errors import PermanentError
from bucket_brigade.s3.checksums import content_md5, crc_of, encode_crc
from bucket_brigade.s3.prepared import Captured, Form, NotPreparable, Target, capture, compile_form
from bucket_brigade.s3.sigv4 import Identity, Signer
from bucket_brigade.s3.store import Body
from bucket_brigade.s3.wire_answer import Answer
from bucket_brigade.s3.xml_messages import Rows, rows_of

FORMS_KEPT = 4096
"""Distinct combinations of bucket and options; a job has a handful. Beyond, all are prepared anew (1 ms each)."""

_log = structlog.get_logger("bucket_brigade.s3")


def _secure(name: str) -> Callable[[Body], str]:
    return lambda body: base64.b64encode(hashlib.new(name, body).digest()).decode("ascii")


def _crc(name: str) -> Callable[[Body], str]:
    return lambda body: encode_crc(crc_of(name, body), name)


BODY_DIGESTS: Mapping[str, Callable[[Body], str]] = {
    "content-md5": content_md5,
    "x-amz-checksum-crc32": _crc("CRC32"),
    "x-amz-checksum-crc32c": _crc("CRC32C"),
    "x-amz-checksum-crc64nvme": _crc("CRC64NVME"),
    "x-amz-checksum-sha1": _secure("sha1"),
    "x-amz-checksum-sha256": _secure("sha256"),
}
"""Headers that depend on the body: wherever botocore sends one, the lane computes it anew for each body."""


class Exchanger(Protocol):
    """What sends a request and returns its answer: the connections to one target (``s3.wire.Pool``)."""

    async def exchange(
        self,
        head: bytes,
        body: Body = b"",
        *,
        into: memoryview | None = None,
        no_body: bool = False,
        replay: bool = True,
    ) -> Answer:
        """Exchange one request; see ``Pool.exchange``."""
        ...


OpenPool = Callable[[Target], AbstractAsyncContextManager[Exchanger]]


class Prepared(NamedTuple):
    """A form with all that is needed to send it.

    Attributes:
        signer: None for anonymous requests.
        digests: headers to compute from each body; empty where the caller gives the CRC.
        rows: the body's templates, for requests whose body is a list.
    """

    form: Form
    signer: Signer | None
    pool: Exchanger
    digests: tuple[tuple[str, Callable[[Body], str]], ...]
    rows: Rows | None


class Recipe(NamedTuple):
    """How to have the client build a request once.

    Attributes:
        send: makes the request through the client, for placeholders.
        fields: the varying fields with the values that they have then.
        object_path: the path ends with a key.
        rows: the tag of the body's entries and their placeholders, in order; None for other bodies.
    """

    send: Callable[[], Awaitable[object]]
    fields: dict[str, str]
    object_path: bool = True
    rows: tuple[str, tuple[str, ...]] | None = None


class FormBook:
    """Prepares requests once, and remembers them, their signers and the pools of connections that they go through.

    Use as an async context manager: at its end the connections are closed.

    Args:
        credentials: of the client; None for anonymous requests.
        open_pool: makes the connections to a target, kept until the book is closed.
        user_agent: sent with each request.
        insist: what cannot be prepared is an error.
        now: seconds since the epoch, for signatures.
    """

    def __init__(
        self,
        *,
        credentials: Any,
        open_pool: OpenPool,
        user_agent: str,
        insist: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._credentials = credentials
        self._open_pool = open_pool
        self._user_agent = user_agent
        self._insist = insist
        self._told: set[str] = set()
        self._now = now
        self._lock = asyncio.Lock()
        self._kept: dict[Hashable, Prepared | None] = {}
        self._pools: dict[Target, Exchanger] = {}
        self._signers: dict[tuple[str, str], Signer] = {}
        self._stack = AsyncExitStack()
        self.get = self._kept.get
        """``get(key)``: the prepared request, or None where it has to be asked for with ``prepare``."""

    async def __aenter__(self) -> FormBook:  # noqa: PYI034 - it is not meant to be subclassed
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def prepare(self, key: Hashable, recipe: Callable[[], Recipe]) -> Prepared | None:
        """Return the prepared request for ``key``, made by ``recipe()`` the first time; None where the client has to send it.

        Raises what the client raises before it sends a request (bad attributes, no credentials); where the lane is insisted
        on, PermanentError instead of None.
        """
        async with self._lock:
            if key not in self._kept:
                if len(self._kept) >= FORMS_KEPT:
                    self._kept.clear()
                try:
                    self._kept[key] = await self._prepared(recipe())
                except NotPreparable as reason:
                    self._leave_to_client(reason)
                    self._kept[key] = None
            return self._kept[key]

    def _leave_to_client(self, reason: NotPreparable) -> None:
        """Say so, once for all requests with the same reason. Raises PermanentError where the lane is insisted on."""
        if self._insist:
            message = f"the lane cannot send this request: {reason}"
            raise PermanentError(message, code="NotPreparable", remedy="Use --lane auto or off.") from reason
        if str(reason) not in self._told:
            self._told.add(str(reason))
            _log.info("requests go through the client", reason=str(reason))

    async def _prepared(self, recipe: Recipe) -> Prepared:
        captured = await capture(recipe.send)
        identity = await self._identity()
        digests = tuple(
            (name, digest)
            for name, digest in BODY_DIGESTS.items()
            if name in captured.headers and name not in recipe.fields
        )
        fields = dict(recipe.fields)
        for name, digest in digests:
            fields[name] = digest(captured.body)
        if captured.body:
            fields["content-length"] = str(len(captured.body))
        form = compile_form(
            captured,
            fields=fields,
            identity=identity,
            user_agent=self._user_agent,
            object_path=recipe.object_path,
        )
        return Prepared(
            form=form,
            signer=self._signer(form),
            pool=await self._pool(form.target),
            digests=digests,
            rows=_rows(captured, recipe),
        )

    def forget_stamps(self) -> None:
        """Sign the next requests with the credentials as they are now."""
        for signer in self._signers.values():
            signer.forget()

    async def _identity(self) -> Identity | None:
        if self._credentials is None:
            return None
        frozen = await self._credentials.get_frozen_credentials()
        return Identity(frozen.access_key, frozen.secret_key, frozen.token or "")

    def _signer(self, form: Form) -> Signer | None:
        if form.scope is None:
            return None
        if form.scope not in self._signers:
            region, service = form.scope
            self._signers[form.scope] = Signer(self._credentials, region=region, service=service, now=self._now)
        return self._signers[form.scope]

    async def _pool(self, target: Target) -> Exchanger:
        if target not in self._pools:
            self._pools[target] = await self._stack.enter_async_context(self._open_pool(target))
        return self._pools[target]


def _rows(captured: Captured, recipe: Recipe) -> Rows | None:
    if recipe.rows is None:
        return None
    tag, placeholders = recipe.rows
    try:
        return rows_of(captured.body, tag, placeholders)
    except ValueError as exc:
        raise NotPreparable(str(exc)) from exc
