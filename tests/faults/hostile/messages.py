"""Requests and answers as values, and which of S3's operations a request is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import unquote
from xml.sax.saxutils import escape

REASONS = {200: "OK", 204: "No Content", 206: "Partial Content", 100: "Continue"}


@dataclass(slots=True)
class Request:
    """One request; ``body`` is empty until all of it has come."""

    number: int
    method: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    operation: str
    body: bytes = b""

    @property
    def where(self) -> str:
        """``bucket/key``, what the key pattern of a rule is matched against; for a listing its prefix takes the key's place."""
        return f"{self.bucket}/{self.key or self.query.get('prefix', '')}"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        length: what Content-Length says, where that is not the truth; -1 sends none and closes behind the body.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    length: int | None = None

    def changed(self, **changes: object) -> Answer:
        """Return another one with these fields."""
        return replace(self, **changes)  # type: ignore[arg-type]


def error(status: int, code: str, message: str = "", **headers: str) -> Answer:
    """Return S3's ``<Error>``; underscores in names of headers become hyphens."""
    body = f"{XML}<Error><Code>{code}</Code><Message>{escape(message or code)}</Message></Error>"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"Content-Type": "application/xml", **named}, body.encode())


def document(tag: str, inside: str, **headers: str) -> Answer:
    """Return a 200 with an XML document of S3's."""
    body = f'{XML}<{tag} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inside}</{tag}>'
    return Answer(200, {"Content-Type": "application/xml", **headers}, body.encode("utf-8", "surrogateescape"))


XML = '<?xml version="1.0" encoding="UTF-8"?>\n'


def parse_head(number: int, head: bytes) -> Request:
    """Return the request that a head (up to the empty line) begins. Raises ValueError for what is none."""
    lines = head.decode("latin-1").split("\r\n")
    method, target, _version = lines[0].split(" ")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    path, _, raw_query = target.partition("?")
    bucket, _, key = path[1:].partition("/")
    query = {}
    for pair in raw_query.split("&") if raw_query else ():
        name, _, value = pair.partition("=")
        query[unquote(name)] = _text(value)
    return Request(
        number, method, bucket, _text(key), query, headers, operation_of(method, bucket, key, query, headers)
    )


def _text(quoted: str) -> str:
    return unquote(quoted, errors="surrogateescape") if "%" in quoted else quoted


_OBJECT = {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}
_BUCKET = {"PUT": "CreateBucket", "HEAD": "HeadBucket", "DELETE": "DeleteBucket", "GET": "ListObjectsV2"}
_TAGGING = {"PUT": "PutObjectTagging", "GET": "GetObjectTagging", "DELETE": "DeleteObjectTagging"}
_UPLOAD = {"GET": "ListParts", "DELETE": "AbortMultipartUpload", "POST": "CompleteMultipartUpload"}


def operation_of(method: str, bucket: str, key: str, query: dict[str, str], headers: dict[str, str]) -> str:
    """Return S3's name of a request."""
    if not bucket:
        return "ListBuckets"
    if not key:
        if "uploads" in query:
            return "ListMultipartUploads"
        if "delete" in query:
            return "DeleteObjects"
        known = {"GET": "ListObjectsV2"} if "list-type" in query else _BUCKET
        others = set(query) - _LISTING_PARAMETERS
        return known.get(method, "Unknown") if not others else "Unknown"
    if "uploadId" in query:
        if method == "PUT":
            return "UploadPartCopy" if "x-amz-copy-source" in headers else "UploadPart"
        return _UPLOAD.get(method, "Unknown")
    if "uploads" in query:
        return "CreateMultipartUpload"
    if "tagging" in query:
        return _TAGGING.get(method, "Unknown")
    if {"acl", "retention", "legal-hold", "restore", "attributes"} & set(query):
        return "Unknown"
    if method == "PUT" and "x-amz-copy-source" in headers:
        return "CopyObject"
    return _OBJECT.get(method, "Unknown")


_LISTING_PARAMETERS = {
    "list-type",
    "prefix",
    "delimiter",
    "start-after",
    "continuation-token",
    "max-keys",
    "encoding-type",
    "fetch-owner",
    "x-id",
}
