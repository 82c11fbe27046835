"""Translates what a store answers, and what the libraries beneath raise, into the taxonomy of ``bucket_brigade.errors``.

Pure: the client and the lane both call it. The codes themselves are in ``s3.codes``.
No message holds a secret: what a store wrote is shown only after ``redact``.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from bucket_brigade.errors import (
    BrigadeError,
    ChecksumMismatch,
    ClockSkewed,
    ConfigError,
    ConnectionLost,
    CredentialsExpired,
    NotSupported,
    PermanentError,
    StoreUnavailable,
    TransferError,
    TransientError,
    Unreachable,
    WrongRegion,
)
from bucket_brigade.model.redaction import redact_foreign
from bucket_brigade.s3.codes import BY_CODE, CODE_BY_STATUS, REMEDIES, REMEDY_BY_CLASS, TELLING

_WORDS_OF_THE_STORE = 300
_LONGEST_ID = 100
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,63}")


def redact(words: str) -> str:
    """Return what a store or a library wrote on one short line, without secrets."""
    line = redact_foreign(" ".join(words.split()))
    return line if len(line) <= _WORDS_OF_THE_STORE else line[: _WORDS_OF_THE_STORE - 1] + "…"


def code_in(written: str) -> str:
    """Return the error code that a store wrote, empty where that cannot be one: a code is a word."""
    return written if _CODE.fullmatch(written) else ""


def request_id_in(written: str) -> str:
    """Return the request id that a store wrote; like its words it may repeat what is secret."""
    return redact_foreign(written)[:_LONGEST_ID]


def parse_retry_after_s(value: str | None, *, now: datetime | None = None) -> float | None:
    """Return the seconds of a Retry-After header (seconds, or a date), or None where it says nothing usable."""
    if not value:
        return None
    value = value.strip()
    if value.isdecimal() and value.isascii():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


def error_from_answer(
    *,
    operation: str,
    status: int,
    code: str,
    message: str,
    request_id: str = "",
    retry_after: str | None = None,
    region: str = "",
    location: str = "",
    redirect_host: str = "",
    date: str = "",
) -> TransferError:
    """Return the error that an answer of a store means; the caller raises it.

    Args:
        operation: S3's name of it, such as ``PutObject``.
        status: of the answer; that of a 200 with an ``<Error>`` inside may be given as it came.
        code: of the ``<Error>`` body; empty, or the status in digits, where there was none, as for HEAD.
        message: of the ``<Error>`` body.
        request_id: ``x-amz-request-id``.
        retry_after: the header Retry-After as it came.
        region: ``x-amz-bucket-region``, or ``<Region>`` of the body.
        location: ``s3://bucket/key``, for the message.
        redirect_host: the host that a redirect names. It is never followed.
        date: the header Date, what the endpoint's clock says.
    """
    code = _name(code_in(code), status, operation)
    request_id = request_id_in(request_id)
    kind, sentence = _classify(code, status)
    if kind is WrongRegion:
        sentence = _elsewhere(sentence, region, redirect_host)
    if kind is ClockSkewed and (offset := clock_offset(date)):
        sentence = f"{sentence}: it is {offset}"
    if message and (not sentence or code in TELLING):
        sentence = f"{sentence}: {redact(message)}" if sentence else redact(message)
    where = f"{operation} {location}".rstrip()
    text = f"{where}: {sentence or 'the endpoint refuses the request'} ({code}, HTTP {status})"
    remedy = _remedy(kind, code, region)
    if issubclass(kind, TransientError):
        wait_s = parse_retry_after_s(retry_after)
        return kind(text, code=code, status=status, request_id=request_id, remedy=remedy, retry_after_s=wait_s)
    error = kind(text, code=code, status=status, request_id=request_id, remedy=remedy)
    if isinstance(error, WrongRegion):
        error.region = region
    return error


def _name(code: str, status: int, operation: str) -> str:
    if code and not code.isdecimal():
        return code
    if status == HTTPStatus.NOT_FOUND and operation in {"HeadObject", "GetObject", "HeadBucket"}:
        return "NoSuchBucket" if operation == "HeadBucket" else "NoSuchKey"
    return CODE_BY_STATUS.get(status, f"HTTP{status}")


def _classify(code: str, status: int) -> tuple[type[TransferError], str]:
    known = BY_CODE.get(code)
    if known is not None:
        return known
    by_status = BY_CODE.get(CODE_BY_STATUS.get(status, ""))
    if by_status is not None and status not in {HTTPStatus.CONFLICT, HTTPStatus.METHOD_NOT_ALLOWED}:
        return by_status[0], "" if status < HTTPStatus.INTERNAL_SERVER_ERROR else by_status[1]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return StoreUnavailable, "the endpoint failed"
    return PermanentError, ""


def _elsewhere(sentence: str, region: str, host: str) -> str:
    if region:
        return f"{sentence}, in the region {redact(region)}"
    if host:
        return f"{sentence}, at {redact(host)}; redirects are never followed"
    return sentence


def clock_offset(date: str, *, now: datetime | None = None) -> str:
    """Return how this machine's clock differs from an HTTP date ("5 min 3 s behind"), "" where nothing can be said."""
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError:
        return ""
    behind_s = round((theirs - (now or datetime.now(UTC))).total_seconds())
    minutes, seconds = divmod(abs(behind_s), 60)
    hours, minutes = divmod(minutes, 60)
    words = [f"{amount} {unit}" for amount, unit in ((hours, "h"), (minutes, "min"), (seconds, "s")) if amount]
    return f"{' '.join(words) or '0 s'} {'behind' if behind_s > 0 else 'ahead'}"


def _remedy(kind: type[TransferError], code: str, region: str) -> str:
    if kind is WrongRegion:
        named = redact(region) if region else "the region of the bucket"
        return f"Use --region {named}." if region else f"Give {named} (--region) or its own endpoint (--endpoint-url)."
    return REMEDIES.get(code) or REMEDY_BY_CLASS.get(kind, "")


def error_from_exception(exc: BaseException, *, operation: str, location: str = "") -> BrigadeError:
    """Return the error of ours that an exception of botocore, aiohttp, asyncio or the socket means.

    Missing or unknown credentials are a ConfigError, everything else a TransferError. An error of ours comes back as it is;
    an exception that is none of theirs is a bug and is raised again.
    """
    if isinstance(exc, BrigadeError):
        return exc
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError

    where = f"{operation} {location}".rstrip()
    if isinstance(exc, boto.ClientError):
        return _from_client_error(exc, operation, location)
    if isinstance(exc, _config_errors()):
        return credentials_error(exc)
    if isinstance(exc, boto.CredentialRetrievalError):
        return CredentialsExpired(f"{where}: the credentials cannot be renewed", remedy="Renew them, then resume.")
    if isinstance(exc, ResponseParserError):
        return StoreUnavailable(f"{where}: the answer is not one of S3", code="NotS3")
    if isinstance(exc, boto.FlexibleChecksumError):
        return ChecksumMismatch(f"{where}: the bytes received do not match the endpoint's checksum")
    if isinstance(exc, boto.ParamValidationError | boto.UnsupportedS3ConfigurationError):
        return PermanentError(f"{where}: {redact(str(exc))}", code="InvalidParameter")
    reason = _connection_reason(exc)
    if isinstance(reason, TransferError):
        return reason
    if reason:
        lost = Unreachable if _is_out_of_reach(exc) else ConnectionLost
        remedy = (
            "Check the endpoint's URL, and that it runs: `brigade doctor` finds out." if lost is Unreachable else ""
        )
        return lost(f"{where}: {reason}", code=_connection_code(exc), remedy=remedy)
    if isinstance(exc, boto.BotoCoreError):
        return PermanentError(f"{where}: {redact(str(exc))}", code=type(exc).__name__)
    raise exc


def credentials_error(exc: BaseException | None = None) -> ConfigError:
    """Return the ConfigError for credentials or a profile that cannot be found (``exc`` None: there are none)."""
    from botocore import exceptions as boto

    if isinstance(exc, boto.ProfileNotFound):
        return ConfigError(
            redact(str(exc)),
            remedy="Name a profile of ~/.aws/config or ~/.aws/credentials (--profile, AWS_PROFILE).",
        )
    if exc is None or isinstance(exc, boto.NoCredentialsError):
        message = "No credentials were found for the endpoint."
    else:
        message = f"The credentials cannot be used: {redact(str(exc))}"
    return ConfigError(
        message,
        remedy="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a --profile, or use --no-sign-request.",
    )


def _config_errors() -> tuple[type[BaseException], ...]:
    from botocore import exceptions as boto

    return (
        boto.NoCredentialsError,
        boto.PartialCredentialsError,
        boto.ProfileNotFound,
        boto.ConfigParseError,
        boto.InvalidConfigError,
        boto.SSOError,
        boto.NoAuthTokenError,
    )


def _from_client_error(exc: Any, operation: str, location: str) -> TransferError:
    error: dict[str, Any] = exc.response.get("Error", {})
    meta: dict[str, Any] = exc.response.get("ResponseMetadata", {})
    headers: dict[str, str] = meta.get("HTTPHeaders", {})
    host = ""
    if "location" in headers:
        host = headers["location"].split("://", 1)[-1].split("/", 1)[0].split("?", 1)[0]
    return error_from_answer(
        operation=operation,
        status=int(meta.get("HTTPStatusCode", 0)),
        code=str(error.get("Code", "")),
        message=str(error.get("Message", "")),
        request_id=headers.get("x-amz-request-id", "") or str(meta.get("RequestId", "")),
        retry_after=headers.get("retry-after"),
        region=headers.get("x-amz-bucket-region", "") or str(error.get("Region", "")),
        location=location,
        redirect_host=host or str(error.get("Endpoint", "")),
        date=headers.get("date", ""),
    )


def _causes(exc: BaseException) -> list[BaseException]:
    """Return the exception and what it wraps: botocore keeps the cause in ``kwargs["error"]``, aiohttp in ``os_error``."""
    found: list[BaseException] = []
    pending: list[object] = [exc]
    while pending:
        one = pending.pop()
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            pending.append(getattr(one, "kwargs", {}).get("error"))
            pending += [getattr(one, name, None) for name in ("os_error", "certificate_error", "__cause__")]
    return found


def _connection_reason(exc: BaseException) -> str | TransferError:
    """Return why the connection failed in half a sentence, "" where it is no matter of the connection."""
    causes = _causes(exc)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return PermanentError(
                f"The certificate of the endpoint is not trusted: {redact(getattr(cause, 'verify_message', '') or str(cause))}",
                code="BadCertificate",
                remedy="Give the right host name, or the PEM file of its authority (--ca-bundle).",
            )
        if isinstance(cause, ssl.SSLError) and getattr(cause, "reason", None) in _TLS_TOO_OLD:
            return PermanentError(
                "The endpoint speaks no TLS that is safe: 1.2 is the least.",
                code="BadTls",
                remedy="Let the endpoint offer TLS 1.2 or 1.3.",
            )
    for kind, reason in _CONNECTION_REASONS:
        if any(isinstance(cause, kind) for cause in causes):
            return reason
    names = {kind.__name__ for cause in causes for kind in type(cause).__mro__}
    for name, reason in _LIBRARY_REASONS:
        if name in names:
            return reason
    return ""


_TLS_TOO_OLD = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"})
_CONNECTION_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "the name of the endpoint cannot be resolved"),
    (ConnectionRefusedError, "the endpoint refuses connections"),
    (ConnectionResetError, "the endpoint reset the connection"),
    (BrokenPipeError, "the endpoint closed the connection"),
    (ssl.SSLError, "the TLS connection failed"),
    (asyncio.TimeoutError, "the endpoint did not answer in time"),
    (asyncio.IncompleteReadError, "the endpoint closed the connection before its answer was complete"),
)
_LIBRARY_REASONS: tuple[tuple[str, str], ...] = (
    # By name, so that the lane need not import aiohttp to translate its own errors.
    ("ConnectTimeoutError", "the connection could not be made in time"),
    ("ReadTimeoutError", "the endpoint did not answer in time"),
    ("IncompleteReadError", "the endpoint closed the connection before its answer was complete"),
    ("ClientPayloadError", "the endpoint closed the connection before its answer was complete"),
    ("ServerDisconnectedError", "the endpoint closed the connection"),
    ("ConnectionClosedError", "the endpoint closed the connection"),
    ("EndpointConnectionError", "the endpoint cannot be reached"),
    ("HTTPClientError", "the connection failed"),
    ("ClientError", "the connection failed"),
    ("OSError", "the connection failed"),
)


_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})


def _is_out_of_reach(exc: BaseException) -> bool:
    return any(
        isinstance(cause, socket.gaierror | ConnectionRefusedError)
        or (isinstance(cause, OSError) and cause.errno in _NO_ROUTE)
        for cause in _causes(exc)
    )


def _connection_code(exc: BaseException) -> str:
    causes = _causes(exc)
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return "NameNotResolved"
    if any(isinstance(cause, asyncio.TimeoutError) or "Timeout" in type(cause).__name__ for cause in causes):
        return "TimedOut"
    return "ConnectionLost"


def answered_with_the_object(operation: str) -> NotSupported:
    """Return the error for a store that knows no ``?tagging`` or ``?acl``, and answers with the object that was not asked for.

    Its ETag gives it away, where there is no document of the right kind. rclone serve s3 does that.
    """
    return NotSupported(f"{operation}: the endpoint answers with the object itself; it does not know this request")
