"""Tries what an endpoint allows and does, with small objects of a unique name, and takes them away again.

Every capability is tried by a request that must be refused where it is there (a false condition, a wrong checksum), so that
a store which accepts and ignores it is found out. One attempt each: what fails for a moment stays unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from bucket_brigade.errors import (
    NotFound,
    NotSupported,
    PermanentError,
    PreconditionFailed,
    SourceChanged,
    TransferError,
    TransientError,
)
from bucket_brigade.s3.checksums import crc64nvme
from bucket_brigade.s3.profile import EndpointProfile
from bucket_brigade.s3.store import UNCONDITIONAL, UNPINNED, Condition, DeleteKey, PartReceipt, Pin, Store, Written

T = TypeVar("T")

CLEAN_UP_S = 30.0
LEFT_UPLOAD = "the upload"
"""How the name of an upload begins, in ``Probed.left``."""

_BODY = b"A probe of `brigade doctor`. It is deleted again at once; if you find it, delete it.\n"
_WRONG_ETAG = f'"{"0" * 32}"'
_NAMES = ("-", "A", "Z", "a", "b", "z", "é")
"""In the order of their UTF-8 bytes, which is neither that of a dictionary nor that of UTF-16 for the last."""

_HOSTILE = "new\nline"


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """What was tried.

    Attributes:
        base: the beginning of the names of all probe objects.
        allowed: by action (``put``, ``get``, ``list``, …): None where it worked, else the error.
        profile: what the endpoint was found to do.
        left: what could not be taken away again, and why.
    """

    base: str
    allowed: dict[str, TransferError | None]
    profile: EndpointProfile
    left: dict[str, str]


class Prober:
    """One round of probes.

    Args:
        store: makes one attempt each, and sends no checksums by itself.
        strict: the same endpoint, with checksums that it may not leave out.
        bucket: where.
        prefix: below which the probe objects are.
    """

    def __init__(self, store: Store, strict: Store, bucket: str, prefix: str) -> None:
        self._store = store
        self._strict = strict
        self._bucket = bucket
        self._base = f"{prefix}.brigade-doctor-{secrets.token_hex(6)}"
        self._allowed: dict[str, TransferError | None] = {}
        self._found: dict[str, bool | None] = {}
        self._written: dict[str, list[str | None]] = {}
        self._uploads: dict[str, str] = {}
        self._left: dict[str, str] = {}
        self._unanswered = False  # an upload may have been created whose id never arrived

    async def run(self) -> Probed:
        """Try everything; the probe objects are gone afterwards, also after an error, or are told in ``left``."""
        try:
            await self._try_all()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLEAN_UP_S):
                    await self._clean_up()
        profile = msgspec.convert(self._found, EndpointProfile)
        return Probed(base=self._base, allowed=self._allowed, profile=profile, left=self._left)

    async def _try_all(self) -> None:
        first = await self._allows("put", self._put(self._base, _BODY))
        await self._allows("list", self._store.list_objects(self._bucket, prefix=self._base))
        if first is None:
            return
        await self._try_reading(first)
        await self._try_tags()
        await self._try_access_control()
        await self._allows("delete", self._store.delete_object(self._bucket, self._base))
        # Who may not delete leaves this one object behind, and not a dozen.
        if self._allowed["delete"] is None and await self._known(self._put(self._base, _BODY)) is not None:
            await self._try_capabilities()

    async def _try_capabilities(self) -> None:
        await self._try_listing()
        await self._try_checksums()
        await self._try_conditions()
        await self._try_copies()
        await self._try_multipart()
        await self._try_versions()
        await self._try_deleting_many()

    # --- what is tried -------------------------------------------------------------------------------------------

    async def _try_reading(self, first: Written) -> None:
        into = bytearray(len(_BODY))
        pin = Pin(etag=first.etag)
        await self._allows("get", self._store.get_object(self._bucket, self._base, memoryview(into), pin=pin))

    async def _try_listing(self) -> None:
        # Not below an object's own key: stores over a file system cannot have both.
        expected = [self._named(name) for name in _NAMES]
        for key in expected:
            await self._known(self._put(key, b""))
        page = await self._known(self._store.list_objects(self._bucket, prefix=self._named("")))
        if page is None:
            return
        listed = [entry.key for entry in page.objects]
        if sorted(listed) != sorted(expected):
            return  # not yet consistent, or a store of another kind: nothing can be said
        self._found["ordered_listings"] = listed == expected
        after = await self._known(
            self._store.list_objects(self._bucket, prefix=self._named(""), start_after=expected[0])
        )
        if after is not None:
            keys = {entry.key for entry in after.objects}
            self._found["start_after"] = expected[0] not in keys and expected[1] in keys
        await self._try_url_encoding()

    async def _try_url_encoding(self) -> None:
        key = self._named(_HOSTILE)
        if await self._known(self._put(key, b"")) is None:
            return
        page = await self._known(self._store.list_objects(self._bucket, prefix=self._named("n")))
        if page is not None:
            self._found["url_encoding"] = [entry.key for entry in page.objects] == [key]

    def _named(self, name: str) -> str:
        return f"{self._base}-names/{name}"

    async def _try_checksums(self) -> None:
        key, crc = f"{self._base}-checksum", crc64nvme(_BODY)
        try:
            await self._put(key, _BODY, store=self._strict, crc64nvme=crc)
        except TransientError:
            return
        except PermanentError:
            self._found["checksums"] = self._found["accepts_checksums"] = False
            return
        self._found["accepts_checksums"] = True
        self._found["checksums"] = await self._refuses(
            self._put(key, _BODY, store=self._strict, crc64nvme=crc ^ 1), PermanentError
        )

    async def _try_conditions(self) -> None:
        key = self._base
        absent, changed = Condition(if_absent=True), Condition(if_match=_WRONG_ETAG)
        self._found["put_if_absent"] = await self._refuses(self._put(key, _BODY, condition=absent), PreconditionFailed)
        self._found["put_if_match"] = await self._refuses(self._put(key, _BODY, condition=changed), PreconditionFailed)
        doomed = f"{key}-condition"
        if await self._known(self._put(doomed, b"")) is not None:
            self._found["delete_if_match"] = await self._refuses(
                self._store.delete_object(self._bucket, doomed, if_match=_WRONG_ETAG), PreconditionFailed
            )

    async def _try_copies(self) -> None:
        def copy(pin: Pin, condition: Condition = UNCONDITIONAL) -> Awaitable[Written]:
            return self._writing(
                f"{self._base}-copy",
                self._store.copy_object(
                    self._bucket,
                    f"{self._base}-copy",
                    source_bucket=self._bucket,
                    source_key=self._base,
                    pin=pin,
                    condition=condition,
                ),
            )

        if await self._allows("copy", copy(UNPINNED)) is None:
            return
        self._found["copy_source_if_match"] = await self._refuses(copy(Pin(etag=_WRONG_ETAG)), SourceChanged)
        self._found["copy_if_absent"] = await self._refuses(
            copy(UNPINNED, Condition(if_absent=True)), PreconditionFailed
        )

    async def _try_multipart(self) -> None:
        key = f"{self._base}-parts"
        whole = await self._allows("multipart", self._upload(key, self._send_part))
        error = self._allowed["multipart"]
        self._found["multipart"] = None if isinstance(error, TransientError) else whole is not None
        if whole is None:
            return
        await self._allows("multipart", self._give_up(key))
        condition = Condition(if_absent=True)
        self._found["complete_if_absent"] = await self._refuses(
            self._upload(key, self._send_part, condition), PreconditionFailed
        )
        copied = await self._known(self._upload(key, self._copy_part))
        # S3 itself refuses a range of so small a source: only who does not know the request at all says so.
        self._found["multipart_copy"] = True if copied is not None else self._unsupported("upload_part_copy")

    async def _upload(
        self,
        key: str,
        part: Callable[[str, str], Awaitable[Written]],
        condition: Condition = UNCONDITIONAL,
    ) -> Written:
        upload_id = await self._create_upload(key)
        receipt = await part(key, upload_id)
        parts = [PartReceipt(1, receipt.etag, len(_BODY))]
        completing = self._store.complete_multipart_upload(
            self._bucket, key, upload_id, parts, size=len(_BODY), condition=condition
        )
        written = await self._writing(key, completing)
        del self._uploads[upload_id]
        return written

    async def _create_upload(self, key: str) -> str:
        try:
            upload_id = await self._store.create_multipart_upload(self._bucket, key, checksum=False)
        except BaseException:
            self._unanswered = True
            raise
        self._uploads[upload_id] = key
        return upload_id

    async def _give_up(self, key: str) -> None:
        upload_id = await self._create_upload(key)
        await self._store.abort_multipart_upload(self._bucket, key, upload_id)
        del self._uploads[upload_id]

    async def _send_part(self, key: str, upload_id: str) -> Written:
        return await self._store.upload_part(self._bucket, key, upload_id, 1, _BODY)

    async def _copy_part(self, key: str, upload_id: str) -> Written:
        try:
            return await self._store.upload_part_copy(
                self._bucket,
                key,
                upload_id,
                1,
                source_bucket=self._bucket,
                source_key=self._base,
                start=0,
                length=len(_BODY),
            )
        except NotSupported:
            self._found["upload_part_copy"] = False
            raise

    def _unsupported(self, name: str) -> bool | None:
        return self._found.pop(name, None)

    async def _try_tags(self) -> None:
        tags = (("brigade", "doctor"),)
        bucket, key = self._bucket, self._base
        try:
            await self._store.put_object_tags(bucket, key, tags)
            self._found["tags"] = await self._store.get_object_tags(bucket, key) == tags
            self._allowed["tag"] = None
            head = await self._known(self._store.head_object(bucket, key))
            self._found["tag_count"] = None if head is None else head.tag_count == len(tags)
        except TransferError as error:
            self._allowed["tag"] = error
            if isinstance(error, NotSupported) or error.code == "MethodNotAllowed":
                self._found["tags"] = False

    async def _try_access_control(self) -> None:
        bucket, key = self._bucket, self._base
        try:
            await self._store.get_object_acl(bucket, key)
            # Never a list that lets anybody in, not even for a moment.
            await self._store.put_object_acl(bucket, key, "private")
            self._allowed["acl"] = None
            self._found["acls"] = True
        except TransferError as error:
            self._allowed["acl"] = error
            if isinstance(error, NotSupported) or error.code in ("MethodNotAllowed", "AccessControlListNotSupported"):
                self._found["acls"] = False if error.code != "AccessControlListNotSupported" else None

    async def _try_versions(self) -> None:
        try:
            await self._store.list_object_versions(self._bucket, prefix=self._base)
            self._found["versions"] = True
        except TransferError as error:
            self._found["versions"] = False if isinstance(error, NotSupported) else None

    async def _try_deleting_many(self) -> None:
        keys = [DeleteKey(self._named(name)) for name in _NAMES[:2]]
        errors = await self._known(self._store.delete_objects(self._bucket, keys))
        # A store that goes over to single deletes tells that by itself.
        self._found["multi_delete"] = True if errors == {} else None

    # --- how -----------------------------------------------------------------------------------------------------

    async def _put(self, key: str, body: bytes, *, store: Store | None = None, **options: Any) -> Written:
        return await self._writing(key, (store or self._store).put_object(self._bucket, key, body, **options))

    async def _writing(self, key: str, write: Awaitable[Written]) -> Written:
        """Remember that the key may be there from now on, whatever becomes of the request."""
        versions = self._written.setdefault(key, [])
        written = await write
        versions.append(written.version_id)
        return written

    async def _allows(self, action: str, request: Awaitable[T]) -> T | None:
        try:
            result = await request
        except TransferError as error:
            self._allowed[action] = error
            return None
        self._allowed[action] = None
        return result

    async def _known(self, request: Awaitable[T]) -> T | None:
        try:
            return await request
        except TransferError:
            return None

    async def _refuses(self, request: Awaitable[object], expected: type[TransferError]) -> bool | None:
        """Return True where the request is refused as it must be, False where it is taken, or not known at all."""
        try:
            await request
        except expected:
            return True
        except NotSupported:
            return False
        except TransferError:
            return None
        return False

    # --- afterwards ----------------------------------------------------------------------------------------------

    async def _clean_up(self) -> None:
        if self._unanswered:
            page = await self._known(self._store.list_multipart_uploads(self._bucket, prefix=self._base))
            self._uploads |= {upload.upload_id: upload.key for upload in (page.uploads if page else ())}
        for upload_id, key in self._uploads.items():
            await self._take_away(
                f"{LEFT_UPLOAD} {upload_id} of {key}",
                self._store.abort_multipart_upload(self._bucket, key, upload_id),
            )
        if any(version not in (None, "null") for versions in self._written.values() for version in versions):
            await self._remove_versions()
            return
        for key in self._written:
            await self._take_away(key, self._store.delete_object(self._bucket, key))

    async def _remove_versions(self) -> None:
        found = {(key, version) for key, versions in self._written.items() for version in versions}
        try:
            page = await self._store.list_object_versions(self._bucket, prefix=self._base)
            found |= {(entry.key, entry.version_id) for entry in page.versions}
        except TransferError as error:
            self._left[f"delete markers of {self._base}"] = error.code
        for key, version in sorted(found, key=str):
            removal = self._store.delete_object(self._bucket, key, version_id=version)
            await self._take_away(key if version is None else f"{key}, version {version}", removal)

    async def _take_away(self, name: str, removal: Awaitable[None]) -> None:
        try:
            await removal
        except NotFound:
            return
        except TransferError as error:
            self._left[name] = error.code
