"""S3 in memory: the ``Store`` port with S3's own semantics, fast and deterministic. The contract suite runs on it too."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from bucket_brigade.errors import SourceChanged, StoreUnavailable, TransferError
from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes
from bucket_brigade.model.parts import MAX_PARTS, MIN_PART_BYTES
from bucket_brigade.s3.store import (
    UNCONDITIONAL,
    UNPINNED,
    Acl,
    Body,
    BucketEntry,
    Condition,
    DeleteError,
    DeleteKey,
    ListPage,
    ObjectHead,
    PartReceipt,
    Pin,
    UploadPage,
    VersionPage,
    Written,
)
from tests.fakes.memory_bucket import (
    ARCHIVES,
    Bucket,
    StoredPart,
    Upload,
    Version,
    base64_of,
    canned_acl,
    check_condition,
    check_key,
    check_readable,
    crc64nvme_of,
    etag_of,
    etag_of_parts,
    find_upload,
    make_part,
    read_version,
    refusal,
)
from tests.fakes.memory_listing import MAX_KEYS, page_of_objects, page_of_uploads, page_of_versions

_CONTENT_FIELDS = (
    "content_type",
    "content_encoding",
    "content_disposition",
    "content_language",
    "cache_control",
    "expires",
    "metadata",
)


def ticking_clock(start_ns: int = 1_700_000_000_000_000_000, step_ns: int = 1_000_000_000) -> Callable[[], int]:
    """Return a clock that is a second later at every look."""
    return itertools.count(start_ns, step_ns).__next__


@dataclass(frozen=True, slots=True)
class Effect:
    """One change that took place: ``operation`` is the name of the method."""

    operation: str
    bucket: str
    key: str = ""


class MemoryStore:
    """S3 in memory.

    Attributes:
        effects: every change, in the order in which they took place.
        requests: how often each method was called.
        buckets: by name, for tests that look inside or set ``versioned``.
    """

    def __init__(
        self,
        *buckets: str,
        clock: Callable[[], int] | None = None,
        min_part_bytes: int = MIN_PART_BYTES,
        states_checksums: bool = True,
    ) -> None:
        """Make a store with empty ``buckets``.

        Args:
            buckets: names.
            clock: gives nanoseconds since the epoch.
            min_part_bytes: of every part but the last.
            states_checksums: whether receipts and heads hold CRC64NVME, as those of S3 do and those of many stores do not.
        """
        self._clock = clock or ticking_clock()
        self._min_part_bytes = min_part_bytes
        self._states_checksums = states_checksums
        self._version_ids = itertools.count(1)
        self._upload_ids = itertools.count(1)
        self.effects: list[Effect] = []
        self.requests: dict[str, int] = {}
        self.buckets = {name: Bucket(region="us-east-1", created_ns=self._clock()) for name in buckets}

    # --- objects -------------------------------------------------------------------------------------------------

    async def put_object(
        self,
        bucket: str,
        key: str,
        body: Body,
        *,
        attributes: ObjectAttributes = NO_ATTRIBUTES,
        crc64nvme: int | None = None,
        condition: Condition = UNCONDITIONAL,
    ) -> Written:
        check_condition(await self._request("put_object", bucket), "put_object", key, condition)
        content = bytes(body)
        return self._write(
            "put_object", bucket, key, content, etag=etag_of(content), attributes=attributes, crc=crc64nvme
        )

    async def get_object(
        self, bucket: str, key: str, into: memoryview, *, start: int | None = None, pin: Pin = UNPINNED
    ) -> ObjectHead:
        home = await self._request("get_object", bucket)
        version = check_readable("get_object", read_version(home, "get_object", key, pin))
        content = version.content
        if start is None:
            if len(content) != len(into):
                raise SourceChanged(f"get_object: {len(content)} bytes came where {len(into)} were planned")
            into[:] = content
            return self._head(version)
        if start >= len(content):
            raise refusal("get_object", 416, "InvalidRange")
        answer = content[start : start + len(into)]
        if len(answer) != len(into):
            raise StoreUnavailable("get_object: another range came than was asked for", code="WrongRange", status=206)
        into[:] = answer
        return self._head(version)

    async def head_object(self, bucket: str, key: str, *, pin: Pin = UNPINNED) -> ObjectHead:
        home = await self._request("head_object", bucket)
        return self._head(read_version(home, "head_object", key, pin))

    async def copy_object(
        self,
        bucket: str,
        key: str,
        *,
        source_bucket: str,
        source_key: str,
        pin: Pin = UNPINNED,
        attributes: ObjectAttributes | None = None,
        tagging: bool = False,
        condition: Condition = UNCONDITIONAL,
    ) -> Written:
        check_condition(await self._request("copy_object", bucket), "copy_object", key, condition)
        source = read_version(self._bucket("copy_object", source_bucket), "copy_object", source_key, pin)
        check_readable("copy_object", source)
        if (bucket, key) == (source_bucket, source_key) and attributes is None and pin.version_id is None:
            raise refusal("copy_object", 400, "InvalidRequest", "This copy request is illegal: it changes nothing.")
        wanted = attributes or NO_ATTRIBUTES
        replaces = any(getattr(wanted, name) is not None for name in _CONTENT_FIELDS)
        kept = {name: getattr(wanted if replaces else source.attributes, name) for name in _CONTENT_FIELDS}
        tags = (wanted.tagging or ()) if tagging else source.tags
        merged = msgspec.structs.replace(wanted, **kept, tagging=tags)
        content = source.content
        return self._write("copy_object", bucket, key, content, etag=etag_of(content), attributes=merged)

    async def delete_object(self, bucket: str, key: str, *, version_id: str | None = None, if_match: str = "") -> None:
        await self._request("delete_object", bucket)
        self._delete("delete_object", bucket, DeleteKey(key, version_id, if_match))

    async def delete_objects(self, bucket: str, keys: list[DeleteKey]) -> dict[int, DeleteError]:
        await self._request("delete_objects", bucket)
        if not 1 <= len(keys) <= MAX_KEYS:
            raise refusal("delete_objects", 400, "MalformedXML")
        errors: dict[int, DeleteError] = {}
        for index, key in enumerate(keys):
            try:
                self._delete("delete_objects", bucket, key)
            except TransferError as error:
                errors[index] = DeleteError(error.code, str(error))
        return errors

    async def get_object_tags(
        self, bucket: str, key: str, *, version_id: str | None = None
    ) -> tuple[tuple[str, str], ...]:
        home = await self._request("get_object_tags", bucket)
        return read_version(home, "get_object_tags", key, Pin("", version_id)).tags

    async def put_object_tags(
        self, bucket: str, key: str, tags: tuple[tuple[str, str], ...], *, version_id: str | None = None
    ) -> None:
        await self._change("put_object_tags", bucket, key, version_id, tags=tags)

    async def get_object_acl(self, bucket: str, key: str, *, version_id: str | None = None) -> Acl:
        home = await self._request("get_object_acl", bucket)
        acl = read_version(home, "get_object_acl", key, Pin("", version_id)).acl
        return acl if isinstance(acl, Acl) else canned_acl(acl)

    async def put_object_acl(self, bucket: str, key: str, acl: Acl | str, *, version_id: str | None = None) -> None:
        await self._change("put_object_acl", bucket, key, version_id, acl=acl)

    async def put_object_lock(
        self,
        bucket: str,
        key: str,
        attributes: ObjectAttributes,
        *,
        version_id: str | None = None,
        bypass_governance: bool = False,
    ) -> None:
        home = await self._request("put_object_lock", bucket)
        version = read_version(home, "put_object_lock", key, Pin("", version_id))
        asked = {name: getattr(attributes, name) for name in ("lock_mode", "retain_until", "legal_hold")}
        given = {name: value for name, value in asked.items() if value is not None}
        home.replace(key, version, replace(version, attributes=msgspec.structs.replace(version.attributes, **given)))
        self.effects.append(Effect("put_object_lock", bucket, key))

    async def restore_object(
        self, bucket: str, key: str, *, days: int, tier: str | None = None, version_id: str | None = None
    ) -> None:
        home = await self._request("restore_object", bucket)
        version = read_version(home, "restore_object", key, Pin("", version_id))
        if version.attributes.storage_class not in ARCHIVES:
            raise refusal("restore_object", 403, "InvalidObjectState")
        restored = replace(version, restore='ongoing-request="true"')
        home.replace(key, version, restored)
        self.effects.append(Effect("restore_object", bucket, key))

    async def _change(self, operation: str, bucket: str, key: str, version_id: str | None, **changes: Any) -> None:
        home = await self._request(operation, bucket)
        version = read_version(home, operation, key, Pin("", version_id))
        home.replace(key, version, replace(version, **changes))
        self.effects.append(Effect(operation, bucket, key))

    # --- multipart uploads ---------------------------------------------------------------------------------------

    async def create_multipart_upload(
        self, bucket: str, key: str, *, attributes: ObjectAttributes = NO_ATTRIBUTES, checksum: bool = True
    ) -> str:
        home = await self._request("create_multipart_upload", bucket)
        check_key("create_multipart_upload", key)
        upload_id = f"upload-{next(self._upload_ids)}"
        home.uploads[upload_id] = Upload(key=key, initiated_ns=self._clock(), attributes=attributes)
        self.effects.append(Effect("create_multipart_upload", bucket, key))
        return upload_id

    async def upload_part(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        number: int,
        body: Body,
        *,
        crc64nvme: int | None = None,
        algorithm: str | None = None,
    ) -> Written:
        home = await self._request("upload_part", bucket)
        upload = find_upload(home, "upload_part", key, upload_id)
        return self._write_part("upload_part", bucket, upload, number, make_part(bytes(body)), crc64nvme)

    async def upload_part_copy(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        number: int,
        *,
        source_bucket: str,
        source_key: str,
        start: int,
        length: int,
        pin: Pin = UNPINNED,
        algorithm: str | None = None,
    ) -> Written:
        home = await self._request("upload_part_copy", bucket)
        upload = find_upload(home, "upload_part_copy", key, upload_id)
        source = read_version(self._bucket("upload_part_copy", source_bucket), "upload_part_copy", source_key, pin)
        if start + length > len(source.content):
            raise refusal("upload_part_copy", 400, "InvalidArgument", "Range specified is not valid for source object")
        part = make_part(source.content[start : start + length])
        return self._write_part("upload_part_copy", bucket, upload, number, part, None)

    async def complete_multipart_upload(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: list[PartReceipt],
        *,
        size: int,
        crc64nvme: int | None = None,
        condition: Condition = UNCONDITIONAL,
        algorithm: str | None = None,
    ) -> Written:
        operation = "complete_multipart_upload"
        home = await self._request(operation, bucket)
        check_condition(home, operation, key, condition)
        upload = find_upload(home, operation, key, upload_id)
        joined = self._join(operation, upload, parts)
        content = b"".join(part.body for part in joined)
        if len(content) != size:
            raise refusal(operation, 400, "InvalidRequest", "The size of the object is not what was said.")
        etag = etag_of_parts(joined)
        written = self._write(operation, bucket, key, content, etag=etag, attributes=upload.attributes, crc=crc64nvme)
        del home.uploads[upload_id]
        return written

    async def abort_multipart_upload(self, bucket: str, key: str, upload_id: str) -> None:
        home = await self._request("abort_multipart_upload", bucket)
        upload = home.uploads.get(upload_id)
        if upload is not None and upload.key == key:
            del home.uploads[upload_id]
            self.effects.append(Effect("abort_multipart_upload", bucket, key))

    async def list_parts(self, bucket: str, key: str, upload_id: str) -> list[PartReceipt]:
        home = await self._request("list_parts", bucket)
        upload = find_upload(home, "list_parts", key, upload_id)
        return [
            PartReceipt(number, part.etag, len(part.body), part.crc64nvme if self._states_checksums else None)
            for number, part in sorted(upload.parts.items())
        ]

    async def list_multipart_uploads(
        self, bucket: str, *, prefix: str = "", markers: tuple[str, str] | None = None
    ) -> UploadPage:
        home = await self._request("list_multipart_uploads", bucket)
        return page_of_uploads(home, prefix=prefix, markers=markers)

    # --- listings and buckets ------------------------------------------------------------------------------------

    async def list_objects(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        start_after: str = "",
        token: str | None = None,
        page_size: int = 1000,
    ) -> ListPage:
        home = await self._request("list_objects", bucket)
        return page_of_objects(
            home, prefix=prefix, delimiter=delimiter, start_after=start_after, token=token, page_size=page_size
        )

    async def list_object_versions(
        self, bucket: str, *, prefix: str = "", markers: tuple[str, str] | None = None, page_size: int = 1000
    ) -> VersionPage:
        home = await self._request("list_object_versions", bucket)
        return page_of_versions(home, prefix=prefix, markers=markers, page_size=page_size)

    async def list_buckets(self) -> list[BucketEntry]:
        await self._count("list_buckets")
        return [BucketEntry(name, one.created_ns, one.region) for name, one in sorted(self.buckets.items())]

    async def create_bucket(self, bucket: str, *, region: str | None = None) -> None:
        await self._count("create_bucket")
        if bucket in self.buckets:
            raise refusal("create_bucket", 409, "BucketAlreadyOwnedByYou")
        self.buckets[bucket] = Bucket(region=region or "us-east-1", created_ns=self._clock())
        self.effects.append(Effect("create_bucket", bucket))

    async def delete_bucket(self, bucket: str) -> None:
        home = await self._request("delete_bucket", bucket)
        if home:
            raise refusal("delete_bucket", 409, "BucketNotEmpty")
        del self.buckets[bucket]
        self.effects.append(Effect("delete_bucket", bucket))

    async def head_bucket(self, bucket: str) -> str:
        return (await self._request("head_bucket", bucket)).region

    # --- what they share -----------------------------------------------------------------------------------------

    async def _count(self, operation: str) -> None:
        self.requests[operation] = self.requests.get(operation, 0) + 1
        await asyncio.sleep(0)  # a request gives way to other tasks, and can be cancelled before it has any effect

    async def _request(self, operation: str, bucket: str) -> Bucket:
        await self._count(operation)
        return self._bucket(operation, bucket)

    def _bucket(self, operation: str, bucket: str) -> Bucket:
        try:
            return self.buckets[bucket]
        except KeyError:
            raise refusal(operation, 404, "NoSuchBucket") from None

    def _write(
        self,
        operation: str,
        bucket: str,
        key: str,
        content: bytes,
        *,
        etag: str,
        attributes: ObjectAttributes,
        crc: int | None = None,
    ) -> Written:
        home = self._bucket(operation, bucket)
        check_key(operation, key)
        actual = crc64nvme_of(content)
        if crc not in (None, actual):
            raise refusal(operation, 400, "BadDigest")
        version = Version(
            body=content,
            etag=etag,
            modified_ns=self._clock(),
            id=self._new_version_id(home),
            crc64nvme=actual,
            attributes=attributes,
            tags=attributes.tagging or (),
            acl=attributes.acl or "private",
        )
        home.write(key, version)
        self.effects.append(Effect(operation, bucket, key))
        return Written(etag, version.id, self._stated(actual))

    def _write_part(
        self, operation: str, bucket: str, upload: Upload, number: int, part: StoredPart, crc: int | None
    ) -> Written:
        if not 1 <= number <= MAX_PARTS:
            raise refusal(operation, 400, "InvalidArgument", "Part number must be an integer between 1 and 10000")
        if crc not in (None, part.crc64nvme):
            raise refusal(operation, 400, "BadDigest")
        upload.parts[number] = part
        self.effects.append(Effect(operation, bucket, upload.key))
        return Written(part.etag, None, self._stated(part.crc64nvme))

    def _join(self, operation: str, upload: Upload, receipts: list[PartReceipt]) -> list[StoredPart]:
        numbers = [receipt.number for receipt in receipts]
        if not numbers:
            raise refusal(operation, 400, "MalformedXML")
        if numbers != sorted(set(numbers)):
            raise refusal(operation, 400, "InvalidPartOrder")
        parts = []
        for receipt in receipts:
            part = upload.parts.get(receipt.number)
            if part is None or part.etag != receipt.etag or receipt.crc64nvme not in (None, part.crc64nvme):
                raise refusal(operation, 400, "InvalidPart")
            parts.append(part)
        if any(len(part.body) < self._min_part_bytes for part in parts[:-1]):
            raise refusal(operation, 400, "EntityTooSmall")
        return parts

    def _delete(self, operation: str, bucket: str, target: DeleteKey) -> None:
        home = self._bucket(operation, bucket)
        current = home.current(target.key)
        if target.etag and current is not None and current.etag != target.etag:
            raise refusal(operation, 412, "PreconditionFailed")
        if target.version_id is not None:
            version = home.version(target.key, target.version_id)
            if version is not None:
                home.remove(target.key, version)
        elif home.versioned:
            marker = Version(body=None, etag="", modified_ns=self._clock(), id=self._new_version_id(home))
            home.write(target.key, marker)
        elif current is not None:
            home.remove(target.key, current)
        self.effects.append(Effect(operation, bucket, target.key))

    def _head(self, version: Version) -> ObjectHead:
        return ObjectHead(
            size=len(version.content),
            etag=version.etag,
            modified_ns=version.modified_ns,
            version_id=version.id,
            checksums={"CRC64NVME": base64_of(version.crc64nvme)} if self._states_checksums else {},
            attributes=msgspec.structs.replace(version.attributes, acl=None, tagging=None),
            tag_count=len(version.tags),
            restore=version.restore,
        )

    def _new_version_id(self, home: Bucket) -> str | None:
        return f"version-{next(self._version_ids)}" if home.versioned else None

    def _stated(self, crc: int) -> int | None:
        return crc if self._states_checksums else None
