from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from datetime import UTC, datetime

import aiohttp
import pytest
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from bucket_brigade.errors import (
    AccessDenied,
    ChecksumMismatch,
    ClockSkewed,
    ConfigError,
    Conflict,
    ConnectionLost,
    CredentialsExpired,
    NotFound,
    NotSupported,
    PermanentError,
    PreconditionFailed,
    StoreUnavailable,
    Throttled,
    TransferError,
    TransientError,
    Unreachable,
    WrongRegion,
)
from bucket_brigade.s3.errors import clock_offset, error_from_answer, error_from_exception, parse_retry_after_s, redact


def answer(status: int, code: str = "", message: str = "", **rest: str) -> TransferError:
    return error_from_answer(
        operation="PutObject", status=status, code=code, message=message, location="s3://b/k", **rest
    )


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (503, "SlowDown", Throttled),
        (503, "", Throttled),
        (503, "ServiceUnavailable", Throttled),
        (429, "", Throttled),
        (429, "TooManyRequests", Throttled),
        (500, "InternalError", StoreUnavailable),
        (200, "InternalError", StoreUnavailable),
        (500, "", StoreUnavailable),
        (502, "502", StoreUnavailable),
        (504, "", StoreUnavailable),
        (599, "", StoreUnavailable),
        (400, "RequestTimeout", ConnectionLost),
        (400, "IncompleteBody", ConnectionLost),
        (409, "ConditionalRequestConflict", Conflict),
        (409, "OperationAborted", Conflict),
        (403, "RequestTimeTooSkewed", ClockSkewed),
        (400, "ExpiredToken", CredentialsExpired),
        (403, "InvalidAccessKeyId", AccessDenied),
        (403, "SignatureDoesNotMatch", AccessDenied),
        (403, "", AccessDenied),
        (401, "", AccessDenied),
        (403, "SomethingNew", AccessDenied),
        (404, "NoSuchKey", NotFound),
        (404, "NoSuchBucket", NotFound),
        (404, "NoSuchUpload", NotFound),
        (404, "404", NotFound),
        (412, "PreconditionFailed", PreconditionFailed),
        (412, "", PreconditionFailed),
        (301, "PermanentRedirect", WrongRegion),
        (307, "", WrongRegion),
        (400, "BadDigest", ChecksumMismatch),
        (400, "XAmzContentSHA256Mismatch", ChecksumMismatch),
        (409, "BucketNotEmpty", PermanentError),
        (501, "NotImplemented", NotSupported),
        (501, "", NotSupported),
        (400, "InvalidRequest", PermanentError),
        (400, "", PermanentError),
        (418, "", PermanentError),
    ],
)
def test_every_code_that_matters_has_its_kind(status: int, code: str, kind: type[TransferError]) -> None:
    error = answer(status, code)

    assert type(error) is kind
    assert error.status == status
    assert "PutObject s3://b/k" in str(error)
    assert error.code in str(error)


def test_an_unknown_conflict_is_permanent() -> None:
    assert not isinstance(answer(409, "BucketAlreadyOwnedByYou"), TransientError)
    assert not isinstance(answer(409, "InvalidBucketState", "no"), TransientError)


def test_a_head_answer_without_body_is_named_after_its_status() -> None:
    error = error_from_answer(operation="HeadObject", status=404, code="404", message="Not Found")

    assert isinstance(error, NotFound)
    assert error.code == "NoSuchKey"


def test_a_wrong_region_is_named_with_its_remedy() -> None:
    error = answer(301, region="eu-west-1")

    assert "eu-west-1" in str(error)
    assert error.remedy == "Use --region eu-west-1."


def test_a_redirect_names_the_host_it_points_to() -> None:
    assert "evil.example" in str(answer(307, redirect_host="evil.example"))


def test_retry_after_reaches_the_error() -> None:
    error = answer(503, "SlowDown", retry_after="7")

    assert isinstance(error, Throttled)
    assert error.retry_after_s == 7.0


def test_retry_after_reads_seconds_dates_and_nonsense() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)

    assert parse_retry_after_s("Thu, 01 Jan 2026 00:00:30 GMT", now=now) == 30.0
    assert parse_retry_after_s("Wed, 31 Dec 2025 00:00:00 GMT", now=now) == 0.0
    assert parse_retry_after_s("soon") is None
    assert parse_retry_after_s(None) is None


def test_the_words_of_the_store_are_told_where_the_code_says_little() -> None:
    assert "not authorized to perform: s3:PutObject" in str(
        answer(403, "AccessDenied", "User u is not authorized to perform: s3:PutObject")
    )
    assert "a new reason" in str(answer(400, "SomethingNew", "a new reason"))


def test_secrets_are_redacted() -> None:
    line = redact(
        "bad\nhttps://h/k?X-Amz-Signature=abc123 Signature=deadbeef, Credential=AKIAABCDEFGHIJKLMNOP/2026 AKIAABCDEFGHIJKLMNOP"
    )

    for secret in ("abc123", "deadbeef", "ABCDEFGHIJKLMNOP", "/2026"):
        assert secret not in line
    assert "https://h/k" in line


def test_credentials_that_are_missing_are_a_matter_of_configuration() -> None:
    error = error_from_exception(boto.NoCredentialsError(), operation="PutObject")

    assert isinstance(error, ConfigError)
    assert "AWS_ACCESS_KEY_ID" in error.remedy
    unknown = error_from_exception(boto.ProfileNotFound(profile="x"), operation="PutObject")
    assert isinstance(unknown, ConfigError)
    assert "(x)" in str(unknown)


@pytest.mark.parametrize(
    ("exc", "code", "words"),
    [
        (
            boto.EndpointConnectionError(endpoint_url="https://h/?X-Amz-Signature=s3cret", error=socket.gaierror(-2)),
            "NameNotResolved",
            "resolved",
        ),
        (ConnectionRefusedError(), "ConnectionLost", "refuses"),
        (ConnectionResetError(), "ConnectionLost", "reset"),
        (TimeoutError(), "TimedOut", "in time"),
        (asyncio.IncompleteReadError(b"", 3), "ConnectionLost", "complete"),
        (boto.ReadTimeoutError(endpoint_url="https://h/?X-Amz-Signature=s3cret"), "TimedOut", "in time"),
        (boto.ConnectTimeoutError(endpoint_url="https://h/"), "TimedOut", "in time"),
        (aiohttp.ClientPayloadError("x"), "ConnectionLost", "complete"),
        (aiohttp.ServerDisconnectedError(), "ConnectionLost", "closed"),
        (boto.HTTPClientError(error=ValueError("x")), "ConnectionLost", "failed"),
    ],
)
def test_a_failed_connection_is_told_by_its_cause(exc: Exception, code: str, words: str) -> None:
    error = error_from_exception(exc, operation="GetObject", location="s3://b/k")

    assert isinstance(error, ConnectionLost)
    assert error.code == code
    assert words in str(error)
    assert "s3cret" not in str(error)


def test_an_untrusted_certificate_is_permanent() -> None:
    refused = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error = error_from_exception(boto.SSLError(endpoint_url="https://h", error=refused), operation="PutObject")

    assert isinstance(error, PermanentError)
    assert error.code == "BadCertificate"


def test_an_answer_that_is_no_xml_is_the_stores_failure() -> None:
    assert isinstance(error_from_exception(ResponseParserError("x"), operation="CopyObject"), StoreUnavailable)


def test_a_bug_stays_a_bug() -> None:
    with pytest.raises(KeyError):
        error_from_exception(KeyError("x"), operation="PutObject")


def test_an_error_of_ours_passes_unchanged() -> None:
    ours = Throttled("x")

    assert error_from_exception(ours, operation="PutObject") is ours


def test_a_client_error_is_read_with_its_headers() -> None:
    exc = boto.ClientError(
        {
            "Error": {"Code": "301", "Message": "Moved"},
            "ResponseMetadata": {
                "HTTPStatusCode": 301,
                "HTTPHeaders": {
                    "x-amz-bucket-region": "eu-west-3",
                    "x-amz-request-id": "R1",
                    "location": "http://other.example:80/k?x=1",
                },
            },
        },
        "HeadBucket",
    )
    error = error_from_exception(exc, operation="HeadBucket", location="s3://b")

    assert isinstance(error, WrongRegion)
    assert error.request_id == "R1"
    assert "eu-west-3" in str(error)


@pytest.mark.parametrize(
    ("date", "words"),
    [
        ("Sun, 22 Nov 2026 13:02:03 GMT", "1 h 2 min 3 s behind"),
        ("Sun, 22 Nov 2026 11:59:55 GMT", "5 s ahead"),
        ("Sun, 22 Nov 2026 12:00:00 GMT", "0 s ahead"),
        ("", ""),
        ("tomorrow", ""),
    ],
)
def test_a_wrong_clock_is_told_by_how_much_it_is_wrong(date: str, words: str) -> None:
    assert clock_offset(date, now=datetime(2026, 11, 22, 12, tzinfo=UTC)) == words


@pytest.mark.parametrize("code", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED])
def test_an_endpoint_without_a_way_to_it_is_unreachable(code: int) -> None:
    error = error_from_exception(OSError(code, "no way"), operation="PutObject")
    assert isinstance(error, Unreachable)
    lost = error_from_exception(ConnectionResetError(errno.ECONNRESET, "reset"), operation="PutObject")
    assert not isinstance(lost, Unreachable)
