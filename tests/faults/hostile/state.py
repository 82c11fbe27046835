"""What a server holds: buckets, objects, multipart uploads."""

from __future__ import annotations

import base64
import bisect
import hashlib
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from bucket_brigade.s3.checksums import crc64nvme, encode_crc
from tests.faults.hostile.effects import EffectLog, Kind

KEPT_HEADERS = (
    "content-type",
    "content-encoding",
    "content-disposition",
    "content-language",
    "cache-control",
    "expires",
    "x-amz-storage-class",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
)
"""Besides ``x-amz-meta-…``."""

Order = Callable[[str], object]
"""What a listing is sorted by."""


def utf8_order(key: str) -> bytes:
    """S3's own order."""
    return key.encode("utf-8", "surrogateescape")


def hash_order(key: str) -> bytes:
    """An order of nobody's, as of stores that list by hash."""
    return hashlib.blake2s(utf8_order(key)).digest()


@dataclass(frozen=True)
class StoredObject:
    """One object. ``etag`` has its quotes."""

    content: bytes
    etag: str
    headers: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    modified_s: float = field(default_factory=time.time)

    @cached_property
    def digest(self) -> str:
        """MD5 of the content, in hex."""
        return hashlib.md5(self.content, usedforsecurity=False).hexdigest()

    @cached_property
    def crc64nvme(self) -> str:
        """The full-object checksum as S3 gives it."""
        return encode_crc(crc64nvme(self.content))


def etag_of(content: bytes) -> str:
    """Return the ETag of content that came in one piece."""
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


@dataclass
class Upload:
    """One multipart upload in progress; parts by number."""

    id: str
    bucket: str
    key: str
    headers: dict[str, str]
    tags: dict[str, str]
    initiated_s: float = field(default_factory=time.time)
    parts: dict[int, StoredObject] = field(default_factory=dict)


class Bucket:
    """The objects of one bucket, and their keys in the order of its listings."""

    def __init__(self, name: str, order: Order, region: str) -> None:
        self.name = name
        self.region = region
        self.objects: dict[str, StoredObject] = {}
        self._order = order
        self._sorted: list[tuple[object, str]] | None = []

    def keys_behind(self, after: str | None) -> list[str]:
        """Return the keys that the listing gives behind one of them (present or not); all for None."""
        if self._sorted is None:
            self._sorted = sorted((self._order(key), key) for key in self.objects)
        start = 0 if after is None else bisect.bisect_right(self._sorted, (self._order(after), after))
        return [key for _, key in itertools.islice(self._sorted, start, None)]

    def put(self, key: str, stored: StoredObject) -> None:
        """Write."""
        if key not in self.objects:
            self._sorted = None
        self.objects[key] = stored

    def remove(self, key: str) -> StoredObject | None:
        """Delete; return what was there."""
        self._sorted = None if key in self.objects else self._sorted
        return self.objects.pop(key, None)


class State:
    """Everything a server holds. Every change goes through here and into the log of effects."""

    def __init__(self, *, order: Order = utf8_order) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.uploads: dict[str, Upload] = {}
        self.log = EffectLog()
        self._order = order
        self._ids = itertools.count(1)

    def create_bucket(self, name: str, region: str = "us-east-1") -> Bucket:
        """Return the bucket, made if need be."""
        return self.buckets.setdefault(name, Bucket(name, self._order, region))

    def write(self, bucket: Bucket, key: str, stored: StoredObject, request: int = 0) -> None:
        """Make it the object of this key."""
        bucket.put(key, stored)
        self.log.add(Kind.WRITTEN, bucket.name, key, size=len(stored.content), digest=stored.digest, request=request)

    def delete(self, bucket: Bucket, key: str, request: int = 0) -> None:
        """Remove the key; one that is missing leaves no trace in the log."""
        gone = bucket.remove(key)
        if gone is not None:
            self.log.add(Kind.DELETED, bucket.name, key, size=len(gone.content), digest=gone.digest, request=request)

    def begin_upload(
        self, bucket: Bucket, key: str, headers: dict[str, str], tags: dict[str, str], request: int
    ) -> Upload:
        """Return a new upload."""
        upload_id = base64.urlsafe_b64encode(f"upload {next(self._ids):06}".encode()).decode()
        upload = self.uploads[upload_id] = Upload(upload_id, bucket.name, key, headers, tags)
        self.log.add(Kind.BEGUN, bucket.name, key, request=request)
        return upload

    def add_part(self, upload: Upload, number: int, content: bytes, request: int) -> StoredObject:
        """Write one part."""
        part = upload.parts[number] = StoredObject(content, etag_of(content))
        self.log.add(Kind.PART, upload.bucket, upload.key, size=len(content), digest=part.digest, request=request)
        return part

    def abort(self, upload: Upload, request: int = 0) -> None:
        """Give an upload up."""
        del self.uploads[upload.id]
        self.log.add(Kind.ABORTED, upload.bucket, upload.key, request=request)
