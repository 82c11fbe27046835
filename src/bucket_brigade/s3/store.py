"""The port to one S3 service. Adapters: the aioboto3 client, the lane, and the in-memory fake of the tests.

Every method raises TransferError (see ``bucket_brigade.errors``) and nothing of the libraries beneath, may be cancelled at
any await, and makes exactly one attempt: retries belong to the ``RetryingStore`` decorator around it.
Keys are str, byte-exact in UTF-8. ETags keep their quotes. CRCs are unsigned integers.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes

Body = bytes | bytearray | memoryview


class Pin(msgspec.Struct, frozen=True, gc=False):
    """Which state of an object a read means: this version, and this ETag. Empty fields ask for nothing."""

    etag: str = ""
    version_id: str | None = None


UNPINNED = Pin()


class Condition(msgspec.Struct, frozen=True, gc=False):
    """What must be true of the target for a write to take place; a false one is a PreconditionFailed.

    Attributes:
        if_match: the key has this ETag. Empty asks for nothing.
        if_absent: there is no object of this key (``If-None-Match: *``).
    """

    if_match: str = ""
    if_absent: bool = False


UNCONDITIONAL = Condition()


class Grant(msgspec.Struct, frozen=True):
    """One line of an access control list. One of ``id``, ``uri`` and ``email`` names who it is for."""

    permission: str
    id: str = ""
    uri: str = ""
    email: str = ""


class Acl(msgspec.Struct, frozen=True):
    """Who owns an object (or bucket), and who else may do what."""

    owner: str
    grants: tuple[Grant, ...]


class ObjectHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a HEAD or GET tells about an object.

    Attributes:
        size: of the whole object, in bytes (also when a range was read).
        checksums: full-object checksums by S3's algorithm name (``CRC64NVME``, ``CRC32``, ``CRC32C``, ``SHA1``, ``SHA256``),
            base64 as S3 gives them; composite ones (``…-N``) are left out. Empty where the store gives none.
        attributes: content type, metadata and the rest, as needed to write the same object elsewhere (``tagging`` and
            ``acl`` are never in it).
        tag_count: ``x-amz-tagging-count``.
        restore: ``x-amz-restore``: whether an archived object is being restored, and until when it is readable.
        archive_status: of intelligent tiering: ``ARCHIVE_ACCESS``, ``DEEP_ARCHIVE_ACCESS``; else empty.
        sse_customer_key_md5: of an object under SSE-C; else empty.
        missing_metadata: ``x-amz-missing-meta``: how many metadata the store could not put into headers.
        composite: algorithms of which it states only a checksum of the parts' checksums.
    """

    size: int
    etag: str
    modified_ns: int = 0
    version_id: str | None = None
    checksums: dict[str, str] = {}
    attributes: ObjectAttributes = NO_ATTRIBUTES
    tag_count: int = 0
    restore: str = ""
    archive_status: str = ""
    sse_customer_key_md5: str = ""
    missing_metadata: int = 0
    composite: tuple[str, ...] = ()


class Written(msgspec.Struct, frozen=True, gc=False):
    """The store's receipt for a write. ``etag`` is never empty: an answer without one is a StoreUnavailable.

    ``crc64nvme`` is the full-object (or part) CRC that the store states, None where it states none.
    ``checksum`` is that of a part by the algorithm that its upload was asked for, as S3 writes it.
    """

    etag: str
    version_id: str | None = None
    crc64nvme: int | None = None
    checksum: str = ""


class ListedObject(msgspec.Struct, frozen=True, gc=False):
    """One entry of a listing. ``modified_ns`` is in nanoseconds since the epoch; ``etag`` has its quotes."""

    key: str
    size: int
    etag: str
    modified_ns: int
    storage_class: str = "STANDARD"


class ListPage(msgspec.Struct, frozen=True):
    """One page of a listing, as the store sent it: order and bounds are checked by ``s3.listing``."""

    objects: list[ListedObject]
    prefixes: list[str]
    next_token: str | None


class ListedVersion(msgspec.Struct, frozen=True, gc=False):
    """One version, or delete marker, of an object. ``version_id`` is ``null`` for what was written without versioning."""

    key: str
    version_id: str
    is_latest: bool
    is_delete_marker: bool
    size: int = 0
    etag: str = ""
    modified_ns: int = 0
    storage_class: str = "STANDARD"


class VersionPage(msgspec.Struct, frozen=True):
    """One page of versions; ``next_markers`` is (key marker, version id marker) or None at the end."""

    versions: list[ListedVersion]
    next_markers: tuple[str, str] | None


class DeleteKey(msgspec.Struct, frozen=True, gc=False):
    """One key (or one version of it) of a DeleteObjects request; ``etag`` deletes only that state where the store can."""

    key: str
    version_id: str | None = None
    etag: str = ""


class DeleteError(msgspec.Struct, frozen=True, gc=False):
    """The store's answer for one key that was not deleted."""

    code: str
    message: str


class PartReceipt(msgspec.Struct, frozen=True, gc=False):
    """One part of a multipart upload that the store holds. ``checksum`` is by the algorithm of the upload, if not CRC64NVME."""

    number: int
    etag: str
    size: int
    crc64nvme: int | None = None
    checksum: str = ""


class OpenUpload(msgspec.Struct, frozen=True, gc=False):
    """A multipart upload in progress, as ListMultipartUploads tells it."""

    key: str
    upload_id: str
    initiated_ns: int


class UploadPage(msgspec.Struct, frozen=True):
    """One page of multipart uploads in progress; ``next_markers`` is (key marker, upload id marker) or None."""

    uploads: list[OpenUpload]
    next_markers: tuple[str, str] | None


class BucketEntry(msgspec.Struct, frozen=True, gc=False):
    """One bucket of the account."""

    name: str
    created_ns: int
    region: str = ""


class Store(Protocol):
    """One S3 service, with one identity."""

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
        """Write the whole object. ``crc64nvme`` is of ``body``; it is sent where the endpoint's profile allows.

        An answer that does not echo the encryption asked for is a NotHonoured; the object may be there, unencrypted.
        """
        ...

    async def get_object(
        self, bucket: str, key: str, into: memoryview, *, start: int | None = None, pin: Pin = UNPINNED
    ) -> ObjectHead:
        """Fill ``into`` with the whole object (``start`` None) or with the range that begins at ``start``.

        Exactly ``len(into)`` bytes must come: a whole object of another size is a SourceChanged, an answer that does not
        state the very range asked for (``Content-Range``) is a StoreUnavailable, a body that ends early a ConnectionLost.
        412 is a SourceChanged here, not a PreconditionFailed. Of a range, ``checksums`` may be empty.
        """
        ...

    async def head_object(self, bucket: str, key: str, *, pin: Pin = UNPINNED) -> ObjectHead:
        """Return what the store tells about the object, full-object checksums included. A missing one is NotFound."""
        ...

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
        """Copy on the server. ``attributes`` None carries all metadata over.

        A value sets its ACL, encryption and storage class; only where it names any of content type, encoding, disposition,
        language, cache control, expires or metadata does it replace all of these (``MetadataDirective: REPLACE``).
        ``tagging`` True replaces the tags by ``attributes.tagging``. A false pin is a SourceChanged. A 200 with an error inside
        is that error; a 200 without an ETag is a StoreUnavailable.
        """
        ...

    async def delete_object(self, bucket: str, key: str, *, version_id: str | None = None, if_match: str = "") -> None:
        """Remove the key (or one version). A missing key is not an error."""
        ...

    async def delete_objects(self, bucket: str, keys: list[DeleteKey]) -> dict[int, DeleteError]:
        """Remove up to 1,000 keys; return the ones that were not, by their position in ``keys``.

        A missing key counts as removed. A key that the answer does not mention is an error of code ``NoAnswer``.
        """
        ...

    async def get_object_tags(
        self, bucket: str, key: str, *, version_id: str | None = None
    ) -> tuple[tuple[str, str], ...]:
        """Return the object's tags, in the store's order."""
        ...

    async def put_object_tags(
        self, bucket: str, key: str, tags: tuple[tuple[str, str], ...], *, version_id: str | None = None
    ) -> None:
        """Replace all tags of an object; none removes them."""
        ...

    async def get_object_acl(self, bucket: str, key: str, *, version_id: str | None = None) -> Acl:
        """Return who may do what with the object."""
        ...

    async def put_object_acl(self, bucket: str, key: str, acl: Acl | str, *, version_id: str | None = None) -> None:
        """Replace the object's access control list; a str is a canned one."""
        ...

    async def put_object_lock(
        self,
        bucket: str,
        key: str,
        attributes: ObjectAttributes,
        *,
        version_id: str | None = None,
        bypass_governance: bool = False,
    ) -> None:
        """Set the retention (``lock_mode``, ``retain_until``) and the ``legal_hold`` of an object, those that are given."""
        ...

    async def restore_object(
        self, bucket: str, key: str, *, days: int, tier: str | None = None, version_id: str | None = None
    ) -> None:
        """Ask for an archived object to be readable for ``days`` days.

        One that is being restored is not an error. One that is not archived is a PermanentError with code InvalidObjectState.
        """
        ...

    # --- multipart uploads ---------------------------------------------------------------------------------------

    async def create_multipart_upload(
        self, bucket: str, key: str, *, attributes: ObjectAttributes = NO_ATTRIBUTES, checksum: bool = True
    ) -> str:
        """Return the id of a new multipart upload; ``checksum`` asks for a full-object CRC64NVME where the profile allows."""
        ...

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
        """Write one part, 1 to 10,000. An unknown upload is NotFound with code NoSuchUpload.

        ``algorithm`` is that of the upload, where it was created with another one than CRC64NVME.
        """
        ...

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
        """Fill one part from a byte range of another object. A false pin is a SourceChanged. ``algorithm`` as for upload_part."""
        ...

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
        """Join the parts. ``size`` and ``crc64nvme`` are of the whole object; the store refuses another total where it can."""
        ...

    async def abort_multipart_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """Give the upload up, with its parts. An unknown upload is not an error."""
        ...

    async def list_parts(self, bucket: str, key: str, upload_id: str) -> list[PartReceipt]:
        """Return all parts that the store holds, by number (at most 10,000). An unknown upload is NotFound."""
        ...

    async def list_multipart_uploads(
        self, bucket: str, *, prefix: str = "", markers: tuple[str, str] | None = None
    ) -> UploadPage:
        """Return one page of the uploads in progress below ``prefix``."""
        ...

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
        """Return one page of current objects. With ``token``, ``start_after`` is not sent. A missing bucket is NotFound."""
        ...

    async def list_object_versions(
        self, bucket: str, *, prefix: str = "", markers: tuple[str, str] | None = None, page_size: int = 1000
    ) -> VersionPage:
        """Return one page of all versions and delete markers: keys in order, of each the newest first, as the store has them."""
        ...

    async def list_buckets(self) -> list[BucketEntry]:
        """Return the buckets of the account."""
        ...

    async def create_bucket(self, bucket: str, *, region: str | None = None) -> None:
        """Create a bucket. One that is ours already is not an error only where the store says so."""
        ...

    async def delete_bucket(self, bucket: str) -> None:
        """Remove an empty bucket. One that is not empty is a PermanentError with code BucketNotEmpty."""
        ...

    async def head_bucket(self, bucket: str) -> str:
        """Return the bucket's region ("" where the store does not tell). A missing one is NotFound."""
        ...
