"""One request through the aioboto3 client: its common parameters, its errors, and what an endpoint was found to refuse."""

from __future__ import annotations

import functools
import re
import sys
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

import structlog
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from bucket_brigade.errors import (
    BadKey,
    ChecksumMismatch,
    NotSupported,
    PermanentError,
    PreconditionFailed,
    SourceChanged,
    StoreUnavailable,
    TransferError,
)
from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes
from bucket_brigade.s3.checksums import CRC64NVME, crc64nvme, decode_crc, digest_of, encode_crc
from bucket_brigade.s3.echo import Echo, demands_echo, not_honoured, unconfirmed
from bucket_brigade.s3.errors import error_from_exception, request_id_in
from bucket_brigade.s3.session import Client
from bucket_brigade.s3.store import Body, Condition, Pin, Written
from bucket_brigade.settings.customer_keys import key_and_digest
from bucket_brigade.settings.values import EndpointSettings, Secret

Answer = dict[str, Any]

_FOREIGN_ERRORS = (BotoCoreError, ClientError, ResponseParserError, OSError, EOFError)

OPERATIONS = (
    "AbortMultipartUpload",
    "CompleteMultipartUpload",
    "CopyObject",
    "CreateBucket",
    "CreateMultipartUpload",
    "DeleteBucket",
    "DeleteObject",
    "DeleteObjects",
    "GetObject",
    "GetObjectAcl",
    "GetObjectTagging",
    "HeadBucket",
    "HeadObject",
    "ListBuckets",
    "ListMultipartUploads",
    "ListObjectVersions",
    "ListObjectsV2",
    "ListParts",
    "PutObject",
    "PutObjectAcl",
    "PutObjectLegalHold",
    "PutObjectRetention",
    "PutObjectTagging",
    "RestoreObject",
    "UploadPart",
    "UploadPartCopy",
)

CHECKSUM_PARAMETERS = ("ChecksumCRC64NVME", "ChecksumAlgorithm", "ChecksumType")
FULL_OBJECT_ALGORITHMS = frozenset({"CRC64NVME", "CRC32", "CRC32C"})
"""Of an upload in parts these give a checksum of the whole object, the others one of the parts' checksums."""

_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn")
_CHECKSUM_REFUSALS = frozenset(
    {"InvalidRequest", "InvalidArgument", "InvalidHeader", "BadRequest", "MalformedXML", "MissingContentLength"}
)
_PARAMETER_BY_FIELD = {
    "acl": "ACL",
    "sse": "ServerSideEncryption",
    "sse_kms_key_id": "SSEKMSKeyId",
    "storage_class": "StorageClass",
    "content_type": "ContentType",
    "content_encoding": "ContentEncoding",
    "content_disposition": "ContentDisposition",
    "content_language": "ContentLanguage",
    "cache_control": "CacheControl",
    "expires": "Expires",
    "grant_full_control": "GrantFullControl",
    "grant_read": "GrantRead",
    "grant_read_acp": "GrantReadACP",
    "grant_write_acp": "GrantWriteACP",
    "sse_kms_context": "SSEKMSEncryptionContext",
    "website_redirect": "WebsiteRedirectLocation",
    "lock_mode": "ObjectLockMode",
    "legal_hold": "ObjectLockLegalHoldStatus",
}
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_log = structlog.get_logger("bucket_brigade.s3")


def foreign_errors() -> tuple[type[Exception], ...]:
    """Return what the client raises, with the errors of aiohttp where that was needed."""
    aiohttp = sys.modules.get("aiohttp")
    return _FOREIGN_ERRORS if aiohttp is None else (*_FOREIGN_ERRORS, aiohttp.ClientError)


class Caller:
    """Makes the requests of one client; the groups of operations build on it.

    Args:
        client: open, as ``s3.session.open_client`` gives it.
        endpoint: its settings.

    Attributes:
        is_aws: it is Amazon S3 itself, as its address says.
        operations: the names of those that it makes.
        sends_checksums: CRC64NVME goes with every write; becomes False when the endpoint has refused it (``auto``).
        customer_key_md5: of the key of SSE-C that goes with every request, as S3 echoes it; else empty.
    """

    operations: ClassVar[tuple[str, ...]] = OPERATIONS

    def __init__(self, client: Client, endpoint: EndpointSettings) -> None:
        self.endpoint = endpoint
        self.is_aws = (urlsplit(client.meta.endpoint_url).hostname or "").endswith(_AWS_HOSTS)
        self.sends_checksums = endpoint.checksum != "when_required"
        self.customer_key_md5 = key_and_digest(endpoint.sse_c_key)[1] if endpoint.sse_c_key is not None else ""
        self._client = client
        self._methods = {name: getattr(client, xform_name(name)) for name in self.operations}
        wanted = _endpoint_parameters(endpoint)
        self._common = {name: _common_parameters(client, wanted, name) for name in self.operations}

    def location(self, bucket: str, key: str = "") -> str:
        """Return how messages name a bucket or an object."""
        if not key.isprintable():
            key = key.encode("unicode_escape").decode("ascii")
        return f"{self.endpoint.name}://{bucket}/{key}" if key else f"{self.endpoint.name}://{bucket}"

    async def call(self, operation: str, params: dict[str, Any], *, pinned: bool = False) -> Answer:
        """Send one request and return botocore's reading of the answer.

        ``pinned`` says that the request's condition means the source: then 412 is a SourceChanged.
        """
        try:
            answer: Answer = await self._methods[operation](**params, **self._common[operation])
        except foreign_errors() as exc:
            raise self._translated(exc, operation, params, pinned=pinned) from exc
        except UnicodeError as exc:
            message = f"{operation}: the key {params.get('Key', '')!r} is not UTF-8 and cannot be an S3 key"
            raise BadKey(message) from exc
        return answer

    async def call_with_checksums(self, operation: str, params: dict[str, Any]) -> Answer:
        """Send a write that carries checksums; where the endpoint refuses them (``auto``), send it again without.

        Not for Complete: a refusal there may be right (a wrong total), and must never be overruled.
        What was refused is remembered for every later request, but only if the request went through without it.
        """
        if not self.sends_checksums:
            return await self.call(operation, without_checksums(params))
        try:
            return await self.call(operation, params)
        except PermanentError as error:
            bare = without_checksums(params)
            if self.endpoint.checksum != "auto" or not refuses_checksums(error) or bare == params:
                raise
            _check_own_checksum(params, error)
            answer = await self.call(operation, bare)
            if self.sends_checksums:
                self.sends_checksums = False
                _log.warning(
                    "endpoint refuses checksums", endpoint=self.endpoint.name, code=error.code, operation=operation
                )
            return answer

    def written(self, operation: str, params: dict[str, Any], answer: Answer, receipt: Answer) -> Written:
        """Return the receipt of a write; ``receipt`` is where its ETag is. One without an ETag proves nothing."""
        etag = receipt.get("ETag", "")
        if not etag.strip('"'):
            raise self.unproven(operation, params, answer, "without an ETag")
        return Written(etag, answer.get("VersionId"), decode_crc(receipt.get("ChecksumCRC64NVME", "")))

    def demand_echo(
        self, operation: str, params: dict[str, Any], answer: Answer, attributes: ObjectAttributes, *, etag: str = ""
    ) -> None:
        """Raise NotHonoured where an answer does not confirm the encryption that the write asked for."""
        if not demands_echo(attributes) and not self.customer_key_md5:
            return
        echo = Echo(
            answer.get("ServerSideEncryption", ""),
            answer.get("SSEKMSKeyId", ""),
            answer.get("SSECustomerKeyMD5", ""),
        )
        lack = unconfirmed(attributes, self.customer_key_md5, echo)
        if lack:
            where = self.location(params.get("Bucket", ""), params.get("Key", ""))
            raise not_honoured(operation, where, lack, etag=etag, version_id=answer.get("VersionId"))

    def unproven(self, operation: str, params: dict[str, Any], answer: Answer, lack: str) -> StoreUnavailable:
        """Return the error for a success that proves nothing: no ETag, no upload id, a page that is none of S3's."""
        meta = answer.get("ResponseMetadata", {})
        where = self.location(params.get("Bucket", ""), params.get("Key", ""))
        return StoreUnavailable(
            f"{operation} {where}: the endpoint reports success {lack}",
            code="NoProof",
            status=meta.get("HTTPStatusCode", 200),
            request_id=request_id_in(meta.get("HTTPHeaders", {}).get("x-amz-request-id", "")),
        )

    def _translated(self, exc: BaseException, operation: str, params: dict[str, Any], *, pinned: bool) -> BaseException:
        where = self.location(params.get("Bucket", ""), params.get("Key", ""))
        error = error_from_exception(exc, operation=operation, location=where)
        if pinned and isinstance(error, PreconditionFailed):
            return source_changed(where, error)
        return error


def source_changed(where: str, error: TransferError) -> SourceChanged:
    """Return what a false pin means: the source is another object by now."""
    return SourceChanged(
        f"{where}: the object was replaced since it was listed", status=error.status, request_id=error.request_id
    )


def _check_own_checksum(params: dict[str, Any], error: TransferError) -> None:
    """Raise ``error`` where the refusal was right: the checksum is not that of the body."""
    body, stated = params.get("Body"), params.get("ChecksumCRC64NVME")
    if body is not None and stated is not None and encode_crc(crc64nvme(body)) != stated:
        raise ChecksumMismatch(str(error), status=error.status, request_id=error.request_id) from error


def without_checksums(params: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters without every checksum in them."""
    return {name: value for name, value in params.items() if name not in CHECKSUM_PARAMETERS}


def refuses_checksums(error: TransferError) -> bool:
    """Tell whether an endpoint may have refused a write because of the checksum in it, not because it was wrong."""
    if isinstance(error, NotSupported):
        return True
    return type(error) is PermanentError and (error.code in _CHECKSUM_REFUSALS or "checksum" in str(error).lower())


def checksum_parameters(crc: int) -> dict[str, str]:
    """Return the parameters that send the CRC64NVME of a body with it; the algorithm is named because some stores ask."""
    return {"ChecksumAlgorithm": CRC64NVME, "ChecksumCRC64NVME": encode_crc(crc)}


def other_algorithm(attributes: ObjectAttributes) -> str | None:
    """Return the checksum algorithm that a job asks for, where it is another one than the one that goes with every write."""
    algorithm = attributes.checksum_algorithm
    return None if algorithm == CRC64NVME else algorithm


def digest_parameters(algorithm: str, body: Body) -> dict[str, str]:
    """Return the parameters that send a body's checksum by ``algorithm`` with it."""
    return {"ChecksumAlgorithm": algorithm, f"Checksum{algorithm}": digest_of(algorithm, body)}


def pin_parameters(pin: Pin) -> dict[str, Any]:
    """Return the parameters of a read that make it mean exactly this state of the object."""
    params: dict[str, Any] = {}
    if pin.etag:
        params["IfMatch"] = pin.etag
    if pin.version_id is not None:
        params["VersionId"] = pin.version_id
    return params


def condition_parameters(condition: Condition) -> dict[str, str]:
    """Return the parameters that make a write depend on what is at its target."""
    params: dict[str, str] = {}
    if condition.if_match:
        params["IfMatch"] = condition.if_match
    if condition.if_absent:
        params["IfNoneMatch"] = "*"
    return params


@functools.lru_cache(maxsize=256)
def _cached_parameters(attributes: ObjectAttributes) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for field, name in _PARAMETER_BY_FIELD.items():
        value = getattr(attributes, field)
        if value is not None:
            if _UNSENDABLE.search(value):
                raise PermanentError(f"{field} holds a control character and cannot be sent.", code="BadAttribute")
            params[name] = value
    if attributes.bucket_key is not None:
        params["BucketKeyEnabled"] = attributes.bucket_key
    if attributes.retain_until is not None:
        params["ObjectLockRetainUntilDate"] = _moment(attributes.retain_until)
    if attributes.metadata is not None:
        params["Metadata"] = _metadata(attributes.metadata)
    if attributes.tagging is not None:
        params["Tagging"] = encode_tags(attributes.tagging)
    return params


def attribute_parameters(attributes: ObjectAttributes, *, tagging: bool = True) -> dict[str, Any]:
    """Return the parameters that set ``attributes`` on a write, tags only with ``tagging``.

    Raises PermanentError (``BadMetadata``, ``BadAttribute``) for what no HTTP header can carry unchanged.
    """
    if attributes is NO_ATTRIBUTES:
        return {}
    params = _cached_parameters(attributes)
    if not tagging and "Tagging" in params:
        params = {name: value for name, value in params.items() if name != "Tagging"}
    return params


def encode_tags(tags: tuple[tuple[str, str], ...]) -> str:
    """Return tags as the header ``x-amz-tagging`` holds them."""
    return urlencode(tags)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        message = f"{text[:40]!r} is no time in ISO 8601."
        raise PermanentError(message, code="BadAttribute") from exc
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _metadata(pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    for name, value in pairs:
        if not (name.isascii() and value.isascii()) or _UNSENDABLE.search(name + value):
            raise PermanentError(
                f"The metadata {name!r} holds characters that S3 cannot keep in a header (it takes printable ASCII).",
                code="BadMetadata",
                remedy="Encode the value, for example as base64 or percent-encoding.",
            )
    return dict(pairs)


def _endpoint_parameters(endpoint: EndpointSettings) -> dict[str, str]:
    """Return what the settings add to requests, as far as an operation knows it."""
    of_source = endpoint.copy_source_bucket_owner
    wanted = {
        "ExpectedBucketOwner": endpoint.expected_bucket_owner,
        "ExpectedSourceBucketOwner": endpoint.expected_bucket_owner if of_source is None else of_source,
        "RequestPayer": endpoint.request_payer,
        **_key_parameters("SSECustomer", endpoint.sse_c_key),
        **_key_parameters("CopySourceSSECustomer", endpoint.copy_source_sse_c_key),
    }
    return {name: value for name, value in wanted.items() if value}


def _common_parameters(client: Client, wanted: dict[str, str], operation: str) -> dict[str, str]:
    """Return what goes with every request of an operation, by botocore's own model of what the operation knows."""
    if not wanted:
        return {}
    shape = client.meta.service_model.operation_model(operation).input_shape
    known = shape.members if shape is not None else {}
    return {name: value for name, value in wanted.items() if name in known}


def _key_parameters(prefix: str, secret: Secret | None) -> dict[str, str]:
    if secret is None:
        return {}
    key, digest = key_and_digest(secret)
    return {f"{prefix}Algorithm": "AES256", f"{prefix}Key": key, f"{prefix}KeyMD5": digest}
