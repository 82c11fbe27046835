"""One request through the lane: filled in, signed, exchanged, and its failures translated."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from hashlib import sha256

from bucket_brigade.errors import (
    BadKey,
    ConnectionLost,
    PermanentError,
    PreconditionFailed,
    StoreUnavailable,
    TransferError,
)
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.s3.calls import refuses_checksums, source_changed
from bucket_brigade.s3.checksums import decode_crc
from bucket_brigade.s3.client import ClientStore
from bucket_brigade.s3.echo import demands_echo, not_honoured, unconfirmed
from bucket_brigade.s3.errors import error_from_exception, request_id_in
from bucket_brigade.s3.lane_answers import encryption_echo, refusal, version_id
from bucket_brigade.s3.lane_forms import FormBook, Prepared
from bucket_brigade.s3.prepared import PLAIN_KEY, quote_key
from bucket_brigade.s3.sigv4 import EMPTY_SHA256, Stamp
from bucket_brigade.s3.store import Body, Written
from bucket_brigade.s3.wire_answer import Answer, Garbled, WireError
from bucket_brigade.s3.xml_messages import ErrorMessage, parse_error, usual_receipt
from bucket_brigade.s3.xml_tree import Element, MalformedXml, parse_document

FIRST_REFUSAL = 300
"""Answers from this status on are errors: redirects are never followed."""

HASH_ASIDE_BYTES = 1 << 20
"""Bodies from this size on are hashed in a thread: 0.6 ms per MiB without the GIL. Over TLS they are not hashed at all."""

_WITHOUT_BODY = ("HeadObject", "HeadBucket")
"""What is answered without one, whatever the length that the answer names."""

_UNSENDABLE = re.compile("[^\x20-\x7e]").search


class LaneCalls:
    """Sends prepared requests; the groups of operations build on it.

    Args:
        client: builds each request once, sends what cannot be prepared, and remembers whether the endpoint takes checksums.
        book: the prepared requests.
    """

    def __init__(self, client: ClientStore, book: FormBook) -> None:
        self._client = client
        self._book = book
        self._get = book.get
        self.is_aws = client.is_aws

    def credentials_changed(self) -> None:
        """Sign the next requests with the credentials as they are now."""
        self._book.forget_stamps()

    async def _send(
        self,
        prepared: Prepared,
        operation: str,
        bucket: str,
        key: str,
        fields: dict[str, str],
        body: Body = b"",
        *,
        into: memoryview | None = None,
        replay: bool = True,
    ) -> Answer:
        """Exchange one prepared request, whatever the answer's status. ``fields`` lacks only the path and what signing adds."""
        form, signer, pool, digests, _ = prepared
        if form.on_object:
            fields["path"] = _path(operation, key)
        if body:
            fields["content-length"] = str(len(body))
        for name, digest in digests:
            fields[name] = digest(body)
        payload = EMPTY_SHA256
        if body and form.hashes_payload:
            payload = sha256(body).hexdigest() if len(body) < HASH_ASIDE_BYTES else await _hashed_aside(body)
        stamp = None if signer is None else signer.stamp() or await self._renewed(prepared, operation, bucket, key)
        try:
            return await pool.exchange(
                form.fill(stamp, fields, payload), body, into=into, no_body=operation in _WITHOUT_BODY, replay=replay
            )
        except (WireError, OSError) as exc:
            raise self._lost(exc, operation, bucket, key) from exc

    async def _renewed(self, prepared: Prepared, operation: str, bucket: str, key: str) -> Stamp:
        assert prepared.signer is not None  # noqa: S101 - narrows the type
        try:
            return await prepared.signer.renew()
        except Exception as exc:
            raise error_from_exception(exc, operation=operation, location=self._where(bucket, key)) from exc

    # --- failures ----------------------------------------------------------------------------------------------------

    def _where(self, bucket: str, key: str) -> str:
        return self._client.location(bucket, key)

    def _lost(self, exc: WireError | OSError, operation: str, bucket: str, key: str) -> BaseException:
        where = self._where(bucket, key)
        if isinstance(exc, Garbled):
            return StoreUnavailable(f"{operation} {where}: {exc}", code="NotHTTP")
        if isinstance(exc, WireError):
            return ConnectionLost(f"{operation} {where}: {exc}", code=type(exc).__name__)
        return error_from_exception(exc, operation=operation, location=where)

    def _refusal(
        self,
        operation: str,
        bucket: str,
        key: str,
        answer: Answer,
        *,
        message: ErrorMessage | None = None,
        pinned: bool = False,
    ) -> TransferError:
        """Return the error of an answer; ``pinned`` says that its condition means the source: 412 is a SourceChanged."""
        where = self._where(bucket, key)
        error = refusal(operation, where, answer, message)
        if pinned and isinstance(error, PreconditionFailed):
            return source_changed(where, error)
        return error

    def _unproven(self, operation: str, bucket: str, key: str, answer: Answer, lack: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"{operation} {self._where(bucket, key)}: the endpoint reports success {lack}",
            code="NoProof",
            status=answer.status,
            request_id=request_id_in(answer.header(b"x-amz-request-id")),
        )

    def _refuses_checksums(self, error: TransferError) -> bool:
        """Tell whether the client should send a request that had checksums: it finds out if the endpoint takes it without.

        It may have found that out since this one was sent.
        """
        return (
            isinstance(error, PermanentError) and self._client.endpoint.checksum == "auto" and refuses_checksums(error)
        )

    def _demand_echo(
        self, operation: str, bucket: str, key: str, answer: Answer, attributes: ObjectAttributes, *, etag: str = ""
    ) -> None:
        """Raise NotHonoured where an answer does not confirm the encryption that the write asked for."""
        md5 = self._client.customer_key_md5
        if not md5 and not demands_echo(attributes):
            return
        lack = unconfirmed(attributes, md5, encryption_echo(answer))
        if lack:
            raise not_honoured(
                operation,
                self._where(bucket, key),
                lack,
                etag=etag,
                version_id=version_id(answer),
                request_id=request_id_in(answer.header(b"x-amz-request-id")),
            )

    # --- answers -----------------------------------------------------------------------------------------------------

    def _written(self, operation: str, bucket: str, key: str, answer: Answer) -> Written:
        """Return the receipt in the headers of an answer to a PUT."""
        etag = answer.header(b"etag")
        if not etag.strip('"'):
            raise self._unproven(operation, bucket, key, answer, "without an ETag")
        crc = answer.headers.get(b"x-amz-checksum-crc64nvme")
        return Written(etag, version_id(answer), None if crc is None else decode_crc(crc))

    def _document(self, operation: str, bucket: str, key: str, answer: Answer, *, pinned: bool = False) -> Element:
        """Return the document of a 200; an ``<Error>`` inside is raised as that error."""
        body = bytes(answer.body)
        message = parse_error(body)
        if message is not None:
            raise self._refusal(operation, bucket, key, answer, message=message, pinned=pinned)
        try:
            if answer.unread:
                raise MalformedXml
            return parse_document(body)
        except MalformedXml as exc:
            raise self._unproven(operation, bucket, key, answer, "with a page that is none of S3's") from exc

    def _written_inside(
        self, operation: str, bucket: str, key: str, answer: Answer, *, result: str, pinned: bool = False
    ) -> Written:
        """Return the receipt in the document of an answer to a copy or a completion."""
        receipt = None if answer.unread else usual_receipt(answer.body)
        if receipt is not None and receipt.result == result and receipt.etag.strip('"'):
            return Written(receipt.etag, version_id(answer), decode_crc(receipt.crc) if receipt.crc else None)
        root = self._document(operation, bucket, key, answer, pinned=pinned)
        etag = root.get("ETag")
        if root.tag != result or not etag.strip('"'):
            raise self._unproven(operation, bucket, key, answer, "without an ETag")
        return Written(etag, version_id(answer), decode_crc(root.get("ChecksumCRC64NVME")))


def header_value(name: str, value: str) -> str:
    """Return a value as it can stand in a header. Raises PermanentError for control characters and what is no ASCII."""
    if _UNSENDABLE(value):
        message = f"The {name} {value[:80]!r} cannot be sent in a header."
        raise PermanentError(message, code="BadHeader")
    return value


async def _hashed_aside(body: Body) -> str:
    return (await asyncio.to_thread(sha256, body)).hexdigest()


def _path(operation: str, key: str) -> str:
    if not key:
        # It would turn a request on an object into one on its bucket.
        message = f"{operation}: the key is empty"
        raise BadKey(message)
    return key if PLAIN_KEY(key) else in_utf8(quote_key, operation, key)


def in_utf8(quote: Callable[[str], str], operation: str, key: str) -> str:
    """Return ``quote(key)``. Raises BadKey where the key (or prefix) is not UTF-8."""
    try:
        return quote(key)
    except UnicodeError as exc:
        message = f"{operation}: the key {key!r} is not UTF-8 and cannot be an S3 key"
        raise BadKey(message) from exc
