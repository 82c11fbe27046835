"""What the fidelity matrix looks at: attributes of objects, each with what a job is asked for and what a plain client writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bucket_brigade.model.job import ObjectAttributes

CUSTOMER_KEY = bytes(range(32))
UNTIL = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
KMS_KEY = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"
EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"


@dataclass(frozen=True, eq=False)
class Row:
    """One attribute.

    Attributes:
        asked: what a job is asked to set.
        stored: the parameters of PutObject that write an object which has it.
        seen: the names in ``look`` that show it.
        locked: it needs a bucket with object lock.
        customer_key: it is the key of SSE-C.
        carried: it is a thing that copies carry over.
        of_file: files have it too.
    """

    name: str
    asked: ObjectAttributes
    stored: Mapping[str, Any]
    seen: tuple[str, ...]
    locked: bool = False
    customer_key: bool = False
    carried: bool = True
    of_file: bool = False

    @property
    def key(self) -> str:
        return "".join(letter if letter.isalnum() else "-" for letter in self.name.lower())


def _header(name: str, value: str, field_name: str, parameter: str) -> Row:
    return Row(name, ObjectAttributes(**{field_name: value}), {parameter: value}, (parameter,))  # type: ignore[arg-type]


ROWS = (
    _header("Content-Type", "text/x-brigade", "content_type", "ContentType"),
    _header("Content-Encoding", "x-identity", "content_encoding", "ContentEncoding"),
    _header("Content-Disposition", 'attachment; filename="a b.txt"', "content_disposition", "ContentDisposition"),
    _header("Content-Language", "de, en", "content_language", "ContentLanguage"),
    _header("Cache-Control", "max-age=60, public", "cache_control", "CacheControl"),
    Row(
        "Expires",
        ObjectAttributes(expires="2030-01-31T12:00:00Z"),
        {"Expires": datetime(2030, 1, 31, 12, tzinfo=UTC)},
        ("ExpiresString",),
    ),
    Row(
        "Metadata",
        ObjectAttributes(metadata=(("colour", "dark  red"), ("n", "1"))),
        {"Metadata": {"colour": "dark  red", "n": "1"}},
        ("Metadata",),
    ),
    Row("Tags", ObjectAttributes(tagging=(("a b", "x/y"), ("t", ""))), {"Tagging": "a%20b=x%2Fy&t="}, ("Tags",)),
    Row("ACL, canned", ObjectAttributes(acl="public-read"), {"ACL": "public-read"}, ("Grants",)),
    Row(
        "ACL, grants",
        ObjectAttributes(grant_read=f'uri="{EVERYBODY}"'),
        {"GrantRead": f'uri="{EVERYBODY}"'},
        ("Grants",),
    ),
    Row("SSE-S3", ObjectAttributes(sse="AES256"), {"ServerSideEncryption": "AES256"}, ("ServerSideEncryption",)),
    Row(
        "SSE-KMS with a key",
        ObjectAttributes(sse="aws:kms", sse_kms_key_id=KMS_KEY),
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KMS_KEY},
        ("ServerSideEncryption", "SSEKMSKeyId"),
    ),
    Row(
        "SSE-KMS, bucket key",
        ObjectAttributes(sse="aws:kms", sse_kms_key_id=KMS_KEY, bucket_key=True),
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KMS_KEY, "BucketKeyEnabled": True},
        ("ServerSideEncryption", "BucketKeyEnabled"),
    ),
    Row(
        "SSE-KMS, two layers",
        ObjectAttributes(sse="aws:kms:dsse"),
        {"ServerSideEncryption": "aws:kms:dsse"},
        ("ServerSideEncryption",),
    ),
    Row(
        "SSE-C",
        ObjectAttributes(),
        {
            "SSECustomerAlgorithm": "AES256",
            "SSECustomerKey": CUSTOMER_KEY,
        },
        ("SSECustomerKeyMD5",),
        customer_key=True,
    ),
    _header("Storage class", "STANDARD_IA", "storage_class", "StorageClass"),
    _header("Website redirect", "/elsewhere", "website_redirect", "WebsiteRedirectLocation"),
    Row(
        "Object lock",
        ObjectAttributes(lock_mode="GOVERNANCE", retain_until=UNTIL.isoformat()),
        {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": UNTIL},
        ("ObjectLockMode", "ObjectLockRetainUntilDate"),
        locked=True,
    ),
    Row(
        "Legal hold",
        ObjectAttributes(legal_hold="ON"),
        {"ObjectLockLegalHoldStatus": "ON"},
        ("ObjectLockLegalHoldStatus",),
        locked=True,
    ),
    *(
        Row(
            f"Checksum {algorithm}",
            ObjectAttributes(checksum_algorithm=algorithm),
            {"ChecksumAlgorithm": algorithm},
            (f"Has{algorithm}",),
            carried=False,
        )
        for algorithm in ("CRC64NVME", "CRC32C", "SHA256")
    ),
)

"""What a job can set, and looks at."""


def _of_file(name: str, metadata: Mapping[str, str]) -> Row:
    return Row(
        name, ObjectAttributes(), {"Metadata": metadata}, tuple(f"File {item}" for item in metadata), of_file=True
    )


OWNER = _of_file("Owner of a file (as root)", {"uid": "1234", "gid": "4321"})
FILE_ROWS = (
    Row("Content", ObjectAttributes(), {}, ("Content",), of_file=True),
    _of_file("Time of a file", {"mtime": "1354040105.123456789"}),
    _of_file("Mode of a file", {"mode": "100640"}),
    OWNER,
)
CARRIED_ROWS = (*FILE_ROWS, *(row for row in ROWS if row.carried))
_TOGETHER = (
    "Content-Type",
    "Content-Encoding",
    "Content-Disposition",
    "Content-Language",
    "Cache-Control",
    "Expires",
    "Metadata",
    "Tags",
    "Storage class",
    "Website redirect",
)
CARRIED_BY_DEFAULT = frozenset({*(row.name for row in FILE_ROWS), *_TOGETHER} - {"Storage class", "Website redirect"})
GROUPS = (
    tuple(row for row in ROWS if row.name in _TOGETHER),
    tuple(row for row in ROWS if row.locked),
    *((row,) for row in ROWS if row.name not in _TOGETHER and not row.locked),
)
"""What one job may set together: what goes together, and no server here refuses."""
