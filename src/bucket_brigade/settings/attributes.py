"""Checks what a job sets on its objects, before anything is changed: what S3 would refuse for each object, or take wrongly."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import urlsplit

import msgspec

from bucket_brigade.errors import ConfigError
from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes
from bucket_brigade.settings.values import EndpointSettings

ACLS = (
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
)
STORAGE_CLASSES = (
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
    "REDUCED_REDUNDANCY",
    "EXPRESS_ONEZONE",
    "OUTPOSTS",
    "SNOW",
    "FSX_OPENZFS",
)
ENCRYPTIONS = ("AES256", "aws:kms", "aws:kms:dsse")
CHECKSUM_ALGORITHMS = ("CRC64NVME", "CRC32", "CRC32C", "SHA1", "SHA256")
LOCK_MODES = ("GOVERNANCE", "COMPLIANCE")

MAX_TAGS = 10
MAX_TAG_KEY = 128
MAX_TAG_VALUE = 256
MAX_METADATA_BYTES = 2048

_GRANTS = ("grant_full_control", "grant_read", "grant_read_acp", "grant_write_acp")
_TAG_TEXT = re.compile(r"[\w\s+\-=._:/@]*")
_METADATA_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_PRINTABLE = re.compile(r"[\t\x20-\x7e]*")


def is_aws(endpoint: EndpointSettings, environ: Mapping[str, str]) -> bool:
    """Say whether an endpoint is AWS itself, whose storage classes and lists are all known."""
    url = endpoint.endpoint_url
    if url is None and endpoint.name == "s3":
        url = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
    if url is None:
        return True
    host = urlsplit(url).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def checked_attributes(
    attributes: ObjectAttributes, *, aws: bool, customer_key: bool, now: datetime
) -> ObjectAttributes:
    """Return the attributes as they are sent: times and contexts in S3's form.

    Args:
        attributes: of a job.
        aws: the target is AWS itself; other services may know other storage classes and lists.
        customer_key: objects are written under SSE-C.
        now: a lock has to end after it.

    Raises:
        ConfigError: unknown names, values that do not go together, and what exceeds S3's limits.
    """
    if attributes == NO_ATTRIBUTES:
        return attributes
    _check_access(attributes, aws=aws)
    _check_storage(attributes, aws=aws)
    _check_encryption(attributes, customer_key=customer_key)
    _check_lock(attributes, now)
    _check_tags(attributes.tagging or ())
    _check_metadata(attributes.metadata or ())
    _check_headers(attributes)
    return msgspec.structs.replace(
        attributes,
        expires=_http_date(attributes.expires),
        sse_kms_context=_context(attributes.sse_kms_context),
        retain_until=None if attributes.retain_until is None else _moment(attributes.retain_until).isoformat(),
    )


def _check_access(attributes: ObjectAttributes, *, aws: bool) -> None:
    if attributes.acl is None:
        return
    if any(getattr(attributes, name) is not None for name in _GRANTS):
        raise ConfigError("a canned ACL and grants exclude each other", remedy="Give --acl or --grants.")
    if aws and attributes.acl not in ACLS:
        _unknown("ACL", attributes.acl, ACLS)


def _check_storage(attributes: ObjectAttributes, *, aws: bool) -> None:
    if aws and attributes.storage_class is not None and attributes.storage_class not in STORAGE_CLASSES:
        _unknown("storage class", attributes.storage_class, STORAGE_CLASSES)
    algorithm = attributes.checksum_algorithm
    if algorithm is not None and algorithm not in CHECKSUM_ALGORITHMS:
        _unknown("checksum algorithm", algorithm, CHECKSUM_ALGORITHMS)
    redirect = attributes.website_redirect
    if redirect is not None and not redirect.startswith(("/", "http://", "https://")):
        remedy = "Begin it with / for the same bucket, or with http:// or https://."
        raise ConfigError(f"the website redirect {redirect!r} leads nowhere", remedy=remedy)


def _check_encryption(attributes: ObjectAttributes, *, customer_key: bool) -> None:
    sse = attributes.sse
    if sse is not None and sse not in ENCRYPTIONS:
        _unknown("encryption", sse, ENCRYPTIONS)
    kms = sse is not None and sse.startswith("aws:kms")
    of_kms = {
        "a KMS key": attributes.sse_kms_key_id,
        "a KMS context": attributes.sse_kms_context,
        "a bucket key": attributes.bucket_key or None,
    }
    for name, value in of_kms.items():
        if value is not None and not kms:
            raise ConfigError(f"{name} needs encryption with KMS", remedy="Add --sse aws:kms.")
    if attributes.bucket_key and sse == "aws:kms:dsse":
        raise ConfigError("a bucket key does not go with aws:kms:dsse", remedy="Leave --bucket-key out.")
    if customer_key and sse is not None:
        remedy = "Leave --sse out, or the key of SSE-C."
        raise ConfigError(f"encryption {sse} and a customer's key (SSE-C) exclude each other", remedy=remedy)


def _check_lock(attributes: ObjectAttributes, now: datetime) -> None:
    mode, until, hold = attributes.lock_mode, attributes.retain_until, attributes.legal_hold
    if mode is not None and mode not in LOCK_MODES:
        _unknown("object lock mode", mode, LOCK_MODES)
    if hold is not None and hold not in ("ON", "OFF"):
        _unknown("legal hold", hold, ("ON", "OFF"))
    if (mode is None) != (until is None):
        remedy = "Give both --object-lock-mode and --object-lock-retain-until."
        raise ConfigError("an object lock has a mode and an end", remedy=remedy)
    if until is not None and _moment(until) <= now:
        raise ConfigError(f"the object lock would end at {until}, which is past", remedy="Give a time to come.")


def _check_tags(tags: tuple[tuple[str, str], ...]) -> None:
    if len(tags) > MAX_TAGS:
        raise ConfigError(f"{len(tags)} tags are given, S3 keeps {MAX_TAGS}", remedy="Leave some out.")
    if len({name for name, _ in tags}) < len(tags):
        raise ConfigError("a tag is given twice", remedy="Give each name once.")
    for name, value in tags:
        if not 1 <= len(name) <= MAX_TAG_KEY or len(value) > MAX_TAG_VALUE:
            remedy = f"Names have 1 to {MAX_TAG_KEY} characters, values at most {MAX_TAG_VALUE}."
            raise ConfigError(f"the tag {name[:40]!r} is too long or has no name", remedy=remedy)
        if name.lower().startswith("aws:"):
            raise ConfigError(f"the tag {name!r} begins with aws:, which is reserved", remedy="Name it differently.")
        if not _TAG_TEXT.fullmatch(name) or not _TAG_TEXT.fullmatch(value):
            remedy = "Tags hold letters, digits, spaces and + - = . _ : / @."
            raise ConfigError(f"the tag {name!r} holds a character that S3 refuses", remedy=remedy)


def _check_metadata(metadata: tuple[tuple[str, str], ...]) -> None:
    total = sum(len(name.encode()) + len(value.encode()) for name, value in metadata)
    if total > MAX_METADATA_BYTES:
        remedy = "S3 keeps 2 KiB, names and values together."
        raise ConfigError(f"the metadata have {total:,} bytes", remedy=remedy)
    for name, value in metadata:
        if not _METADATA_NAME.fullmatch(name):
            raise ConfigError(f"the metadata name {name!r} cannot be a header's", remedy="Use letters, digits and -.")
        if not _PRINTABLE.fullmatch(value):
            remedy = "Encode the value, for example as base64 or percent-encoding."
            raise ConfigError(f"the metadata {name!r} holds what no header can (not printable ASCII)", remedy=remedy)


def _check_headers(attributes: ObjectAttributes) -> None:
    for name in ("content_type", "content_encoding", "content_disposition", "content_language", "cache_control"):
        value = getattr(attributes, name)
        if value is not None and not _PRINTABLE.fullmatch(value):
            raise ConfigError(f"{name.replace('_', ' ')} holds what no header can", remedy="Use printable ASCII.")


def _unknown(what: str, given: str, known: tuple[str, ...]) -> None:
    raise ConfigError(f"there is no {what} {given!r}", remedy=f"Choose one of {', '.join(known)}.")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no time", remedy="Write it as 2030-01-31T12:00:00Z.") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _http_date(text: str | None) -> str | None:
    """Return the time of Expires as HTTP writes it; what is no ISO 8601 is sent as it is."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        if not _PRINTABLE.fullmatch(text):
            raise ConfigError("expires holds what no header can", remedy="Write it as 2030-01-31T12:00:00Z.") from None
        return text
    return format_datetime((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC), usegmt=True)


def _context(text: str | None) -> str | None:
    """Return a KMS context, given as JSON or its base64, in base64."""
    if text is None:
        return None
    try:
        written = text if text.lstrip().startswith("{") else base64.b64decode(text, validate=True).decode()
        pairs = msgspec.json.decode(written.encode(), type=dict[str, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        remedy = 'Write it as \'{"name": "value"}\'.'
        raise ConfigError("the KMS context is no JSON object of texts", remedy=remedy) from None
    return base64.b64encode(msgspec.json.encode(pairs)).decode("ascii")
