"""What the in-memory store keeps: buckets, versions of objects, uploads in progress. No I/O, no asyncio."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import awscrt.checksums

from bucket_brigade.errors import SourceChanged, TransferError
from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes
from bucket_brigade.s3.errors import error_from_answer
from bucket_brigade.s3.store import Acl, Condition, Grant, Pin

MAX_KEY_BYTES = 1024
ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})

Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of an object; ``body`` None is a delete marker. ``id`` is None in a bucket without versioning."""

    body: bytes | None
    etag: str
    modified_ns: int
    id: str | None = None
    crc64nvme: int = 0
    attributes: ObjectAttributes = NO_ATTRIBUTES
    tags: Tags = ()
    acl: Acl | str = "private"
    restore: str = ""

    @property
    def is_delete_marker(self) -> bool:
        return self.body is None

    @property
    def content(self) -> bytes:
        return self.body or b""


@dataclass(frozen=True, slots=True)
class StoredPart:
    """One part of an upload in progress."""

    body: bytes
    md5: bytes
    crc64nvme: int

    @property
    def etag(self) -> str:
        return f'"{self.md5.hex()}"'


@dataclass(slots=True, kw_only=True)
class Upload:
    """A multipart upload in progress."""

    key: str
    initiated_ns: int
    attributes: ObjectAttributes
    parts: dict[int, StoredPart] = field(default_factory=dict)


class Bucket:
    """Objects with their history, newest version last. ``versioned`` may be switched on at any time."""

    def __init__(self, *, region: str, created_ns: int) -> None:
        self.region = region
        self.created_ns = created_ns
        self.versioned = False
        self.uploads: dict[str, Upload] = {}
        self._history: dict[str, list[Version]] = {}
        self._sorted_keys: list[str] | None = None

    def __bool__(self) -> bool:
        """Whether it holds anything."""
        return bool(self._history)

    def keys(self) -> list[str]:
        """Return the keys of all objects and delete markers in S3's order.

        That is the order of their UTF-8 bytes, which is the order of their code points, which is how Python sorts str.
        """
        if self._sorted_keys is None:
            self._sorted_keys = sorted(self._history)
        return self._sorted_keys

    def current(self, key: str) -> Version | None:
        """Return the newest version, which may be a delete marker."""
        history = self._history.get(key)
        return history[-1] if history else None

    def version(self, key: str, version_id: str) -> Version | None:
        """Return one version; ``null`` is the one that was written without versioning."""
        return next((one for one in self._history.get(key, ()) if (one.id or "null") == version_id), None)

    def history(self) -> Iterator[tuple[str, Version, bool]]:
        """Yield (key, version, is latest): keys in order, newest versions first."""
        for key in self.keys():
            versions = self._history[key]
            for version in reversed(versions):
                yield key, version, version is versions[-1]

    def write(self, key: str, version: Version) -> None:
        """Make ``version`` the newest; without an id it takes the place of the other one without."""
        history = self._history.get(key)
        if history is None:
            history = self._history[key] = []
            self._sorted_keys = None
        if version.id is None:
            history[:] = [one for one in history if one.id is not None]
        history.append(version)

    def replace(self, key: str, version: Version, changed: Version) -> None:
        """Put a version with other tags, access control or lock in the place of what it was."""
        history = self._history[key]
        history[history.index(version)] = changed

    def remove(self, key: str, version: Version) -> None:
        """Forget one version for good."""
        history = self._history[key]
        history.remove(version)
        if not history:
            del self._history[key]
            self._sorted_keys = None


def make_part(body: bytes) -> StoredPart:
    """Return the part with its digests."""
    return StoredPart(body, hashlib.md5(body).digest(), crc64nvme_of(body))


def etag_of(body: bytes) -> str:
    """Return the ETag of an object that was written in one request."""
    return f'"{hashlib.md5(body).hexdigest()}"'


def etag_of_parts(parts: list[StoredPart]) -> str:
    """Return the ETag of an object that was joined from parts."""
    return f'"{hashlib.md5(b"".join(part.md5 for part in parts)).hexdigest()}-{len(parts)}"'


def crc64nvme_of(body: bytes) -> int:
    """Return the CRC64NVME, as S3 computes it for every object."""
    return int(awscrt.checksums.crc64nvme(body))


def base64_of(crc: int) -> str:
    """Return a CRC64NVME as S3 writes it in headers."""
    return base64.b64encode(crc.to_bytes(8, "big")).decode()


def read_version(bucket: Bucket, operation: str, key: str, pin: Pin) -> Version:
    """Return the version that a request with this pin reads."""
    if pin.version_id is None:
        version = bucket.current(key)
        if version is None or version.is_delete_marker:
            raise refusal(operation, 404, "NoSuchKey")
    else:
        version = bucket.version(key, pin.version_id)
        if version is None:
            raise refusal(operation, 404, "NoSuchVersion")
        if version.is_delete_marker:
            raise refusal(operation, 405, "MethodNotAllowed")
    if pin.etag and pin.etag != version.etag:
        raise SourceChanged(f"{operation}: the object is no longer the one that was planned", status=412)
    return version


def check_condition(bucket: Bucket, operation: str, key: str, condition: Condition) -> None:
    """Refuse a write whose condition is false."""
    current = bucket.current(key)
    present = current is not None and not current.is_delete_marker
    if condition.if_absent and present:
        raise refusal(operation, 412, "PreconditionFailed")
    if condition.if_match:
        if current is None or not present:
            raise refusal(operation, 404, "NoSuchKey")
        if current.etag != condition.if_match:
            raise refusal(operation, 412, "PreconditionFailed")


def canned_acl(name: str) -> Acl:
    """Return what S3 makes of a canned access control list."""
    grants = [Grant("FULL_CONTROL", id="owner")]
    if name.startswith("public-read"):
        grants.append(Grant("READ", uri="http://acs.amazonaws.com/groups/global/AllUsers"))
    if name == "public-read-write":
        grants.append(Grant("WRITE", uri="http://acs.amazonaws.com/groups/global/AllUsers"))
    return Acl("owner", tuple(grants))


def check_readable(operation: str, version: Version) -> Version:
    """Return the version; refuse one in an archive that is not restored."""
    if version.attributes.storage_class in ARCHIVES and 'ongoing-request="false"' not in version.restore:
        raise refusal(operation, 403, "InvalidObjectState")
    return version


def find_upload(bucket: Bucket, operation: str, key: str, upload_id: str) -> Upload:
    """Return the upload in progress, or refuse as S3 does."""
    upload = bucket.uploads.get(upload_id)
    if upload is None or upload.key != key:
        raise refusal(operation, 404, "NoSuchUpload")
    return upload


def check_key(operation: str, key: str) -> None:
    """Refuse a key that is too long."""
    if len(key.encode()) > MAX_KEY_BYTES:
        raise refusal(operation, 400, "KeyTooLongError")


def refusal(operation: str, status: int, code: str, message: str = "") -> TransferError:
    """Return the error that the production code makes of this answer of S3."""
    return error_from_answer(operation=operation, status=status, code=code, message=message, request_id="memory")
