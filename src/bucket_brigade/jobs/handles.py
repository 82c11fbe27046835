"""Buckets and objects as handles, in the shape that boto3's resources have: ``brigade.bucket("b").object("k")``.

A handle costs nothing until it is asked for something. What it was told (by a HEAD or a listing) it keeps: attributes are loaded
when one is first awaited, and ``reload()`` makes them fresh. No decision is made on what may be stale: everything that is read,
copied, replaced or deleted because of a loaded state is asked for in just that state, and fails with SourceChanged or
PreconditionFailed where it is another by now.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from typing import Protocol, TypeVar

import msgspec

from bucket_brigade.errors import ConfigError, NotFound, PreconditionFailed, SourceChanged
from bucket_brigade.jobs.direct import transfer_now
from bucket_brigade.jobs.object_state import ObjectState
from bucket_brigade.jobs.sides import endpoint_of, same_service
from bucket_brigade.model.job import (
    NO_ATTRIBUTES,
    Job,
    ObjectAttributes,
    Operation,
    TransferOptions,
)
from bucket_brigade.model.location import DEFAULT_ENDPOINT, LocalPath, S3Location
from bucket_brigade.model.parts import MIB
from bucket_brigade.model.transfer import JobId, Transfer
from bucket_brigade.operations.port import BucketSide
from bucket_brigade.operations.receipts import prove_put
from bucket_brigade.operations.stream import read_ordered
from bucket_brigade.s3.checksums import crc64nvme, verify_whole
from bucket_brigade.s3.listing import iterate_objects, iterate_versions
from bucket_brigade.s3.names import check_bucket_name, check_key
from bucket_brigade.s3.store import (
    Acl,
    BucketEntry,
    Condition,
    ListedVersion,
    ObjectHead,
    Pin,
    Store,
)
from bucket_brigade.settings.values import Settings

T = TypeVar("T")

READ_AHEAD = 4


class Stores(Protocol):
    """What handles need of the facade."""

    settings: Settings

    async def store(self, endpoint: str = ...) -> Store:
        """Return the store of a configured endpoint."""
        ...


class ObjectHandle(ObjectState):
    """One object (or one version of it), there or not.

    ::

        photo = brigade.bucket("photos").object("2026/1.jpg")
        print(await photo.size, await photo.metadata)   # one HEAD for both
        await photo.download("1.jpg")                   # of just that state
    """

    def __init__(self, bucket: BucketHandle, key: str, version_id: str | None = None) -> None:
        super().__init__(bucket.store, bucket.name, key, version_id)
        self.bucket = bucket

    def __repr__(self) -> str:
        version = f", version_id={self.version_id!r}" if self.version_id else ""
        return f"ObjectHandle({self.url!r}{version})"

    @property
    def url(self) -> str:
        """Where it is, as ``s3://bucket/key``."""
        return f"{self.bucket.url}/{self.key}"

    # --- content -------------------------------------------------------------------------------------------------

    async def read(self) -> bytes:
        """Return the whole content, verified. SourceChanged if it is not the loaded state any more."""
        head = await self.load()
        content = bytearray(head.size)
        store = await self.bucket.store()
        pin = Pin(head.etag, self.version_id)
        read = await store.get_object(self.bucket.name, self.key, memoryview(content), pin=pin)
        verify_whole(read, content, self.url)
        return bytes(content)

    async def chunks(self, *, part_size_bytes: int = 8 * MIB) -> AsyncGenerator[memoryview]:
        """Yield the content in order, a few ranges ahead; the checksum is verified after the last one."""
        store = await self.bucket.store()
        reading = read_ordered(
            store, self.bucket.name, self.key, pin=self.pin, part_size_bytes=part_size_bytes, ahead=READ_AHEAD
        )
        async with contextlib.aclosing(reading) as parts:
            async for part in parts:
                yield part

    async def write(
        self,
        content: bytes,
        *,
        attributes: ObjectAttributes = NO_ATTRIBUTES,
        if_unchanged: bool = False,
        if_absent: bool = False,
    ) -> None:
        """Write the whole object by one PUT, proven by the store's receipt.

        Args:
            content: at most 5 GiB; for files see ``upload``.
            attributes: what the object gets.
            if_unchanged: only in place of the loaded state (``If-Match``).
            if_absent: only where there is none (``If-None-Match: *``).

        Raises:
            PreconditionFailed: the condition is false. ``brigade doctor`` tells whether a store ignores it.
            ConfigError: ``if_unchanged`` without a loaded state.
        """
        condition = Condition(if_match=self._loaded_etag("write") if if_unchanged else "", if_absent=if_absent)
        store, crc = await self.bucket.store(), crc64nvme(content)
        written = await store.put_object(
            self.bucket.name, self.key, content, attributes=attributes, crc64nvme=crc, condition=condition
        )
        await prove_put(store, self.bucket.name, self.key, written, content, crc)
        self.forget()

    async def upload(self, path: str, *, options: TransferOptions | None = None) -> None:
        """Upload a file, in parts where it is large. For many files, and for what must survive a kill, see ``Brigade.copy``.

        Raises:
            SourceChanged: the file changed meanwhile. PreconditionFailed: as ``options.overwrite`` says. TransferError.
        """
        path = os.path.abspath(path)
        try:
            status = os.stat(path)
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}", remedy="Name an existing file.") from error
        job = self._job(Operation.UPLOAD, LocalPath(path=path), self._location, options)
        transfer = Transfer(os.path.basename(path), self.key, status.st_size, "", status.st_mtime_ns)
        await transfer_now(job, transfer, None, await self.bucket.side(), self.bucket.settings.engine)
        self.forget()

    async def download(self, path: str, *, options: TransferOptions | None = None) -> None:
        """Download it into a file, which gets its name when it is complete and verified.

        Raises:
            SourceChanged: it is not the loaded state any more. NotFound. TransferError.
        """
        path = os.path.abspath(path)
        head = await self.load()
        job = self._job(Operation.DOWNLOAD, self._location, LocalPath(path=path), options)
        transfer = msgspec.structs.replace(self._transfer(head), target=os.path.basename(path))
        await transfer_now(job, transfer, await self.bucket.side(), None, self.bucket.settings.engine)

    async def copy_from(self, source: ObjectHandle, *, options: TransferOptions | None = None) -> None:
        """Copy another object here: on the server within one service, else through memory.

        Raises:
            SourceChanged: the source is not its handle's loaded state any more. NotFound. TransferError.
        """
        head = await source.load()
        one, other = source.bucket, self.bucket
        can_copy = same_service(endpoint_of(one.settings, one.endpoint), endpoint_of(other.settings, other.endpoint))
        job = self._job(Operation.COPY if can_copy else Operation.RELAY, source._location, self._location, options)
        transfer = msgspec.structs.replace(source._transfer(head), target=self.key)
        await transfer_now(job, transfer, await one.side(), await other.side(), other.settings.engine)
        self.forget()

    async def delete(self, *, if_unchanged: bool = False) -> None:
        """Remove it (this version, if the handle is of one). One that is not there is not an error.

        ``if_unchanged`` removes only the loaded state; a store that ignores the condition is asked by HEAD first.

        Raises:
            PreconditionFailed: it is another state by now. ConfigError: ``if_unchanged`` without a loaded state.
        """
        store, etag = await self.bucket.store(), ""
        if if_unchanged:
            etag = self._loaded_etag("delete")
            try:
                await store.head_object(self.bucket.name, self.key, pin=Pin(etag, self.version_id))
            except SourceChanged as error:
                raise PreconditionFailed(str(error), status=error.status, request_id=error.request_id) from error
        await store.delete_object(self.bucket.name, self.key, version_id=self.version_id, if_match=etag)
        self.forget()

    # --- beside the content --------------------------------------------------------------------------------------

    async def tags(self) -> dict[str, str]:
        """Return the object's tags, asked for now."""
        store = await self.bucket.store()
        return dict(await store.get_object_tags(self.bucket.name, self.key, version_id=self.version_id))

    async def set_tags(self, tags: Mapping[str, str]) -> None:
        """Replace all tags; an empty mapping removes them."""
        store = await self.bucket.store()
        await store.put_object_tags(self.bucket.name, self.key, tuple(tags.items()), version_id=self.version_id)

    async def acl(self) -> Acl:
        """Return who may do what with the object, asked for now."""
        store = await self.bucket.store()
        return await store.get_object_acl(self.bucket.name, self.key, version_id=self.version_id)

    async def set_acl(self, acl: Acl | str) -> None:
        """Replace the access control list; a str is a canned one."""
        store = await self.bucket.store()
        await store.put_object_acl(self.bucket.name, self.key, acl, version_id=self.version_id)

    async def versions(self) -> AsyncGenerator[ListedVersion]:
        """Yield the versions and delete markers of this key, newest first."""
        async for version in self.bucket.versions(self.key):
            if version.key == self.key:
                yield version

    def version(self, version_id: str) -> ObjectHandle:
        """Return a handle of one version of this key."""
        return ObjectHandle(self.bucket, self.key, version_id)

    # --- inside --------------------------------------------------------------------------------------------------

    def _loaded_etag(self, what: str) -> str:
        etag = self.pin.etag
        if not etag:
            raise ConfigError(
                f"{self.url} was not loaded, so nobody knows what unchanged means",
                remedy=f"Await load() before {what}().",
            )
        return etag

    @property
    def _location(self) -> S3Location:
        return S3Location(
            endpoint=self.bucket.endpoint, bucket=self.bucket.name, key=self.key, version_id=self.version_id
        )

    def _transfer(self, head: ObjectHead) -> Transfer:
        return Transfer(self.key, self.key, head.size, head.etag, head.modified_ns, self.version_id)

    def _job(
        self,
        operation: Operation,
        source: S3Location | LocalPath,
        target: S3Location | LocalPath,
        options: TransferOptions | None,
    ) -> Job:
        return Job(
            id=JobId(f"direct-{secrets.token_hex(8)}"),
            operation=operation,
            source=source,
            target=target,
            options=options or self.bucket.settings.transfer,
            created_ns=time.time_ns(),
        )


class BucketHandle:
    """One bucket, there or not.

    ::

        async for photo in brigade.bucket("photos").objects("2026/"):
            print(photo.key, await photo.size)          # told by the listing: no request
    """

    def __init__(self, stores: Stores, name: str, endpoint: str = DEFAULT_ENDPOINT) -> None:
        self.name = name
        self.endpoint = endpoint
        self.settings = stores.settings
        self.created: datetime | None = None
        self._stores = stores

    def __repr__(self) -> str:
        return f"BucketHandle({self.url!r})"

    @property
    def url(self) -> str:
        """Where it is, as ``s3://bucket``."""
        return f"{self.endpoint}://{self.name}"

    def object(self, key: str, *, version_id: str | None = None) -> ObjectHandle:
        """Return a handle of a key, which need not exist. Keys are taken as they are: no pattern, no escape.

        Raises:
            BadKey: no object can have it: it is empty, too long or not UTF-8.
        """
        check_key(key)
        return ObjectHandle(self, key, version_id)

    async def objects(self, prefix: str = "") -> AsyncGenerator[ObjectHandle]:
        """Yield a handle of every object whose key begins with ``prefix``, in the order of the listing."""
        async with contextlib.aclosing(iterate_objects(await self.store(), self.name, prefix=prefix)) as pages:
            async for page in pages:
                for listed in page.objects:
                    found = ObjectHandle(self, listed.key)
                    found.learn(listed)
                    yield found

    async def versions(self, prefix: str = "") -> AsyncGenerator[ListedVersion]:
        """Yield all versions and delete markers below ``prefix``: keys in order, of each the newest first."""
        async with contextlib.aclosing(iterate_versions(await self.store(), self.name, prefix=prefix)) as pages:
            async for page in pages:
                for version in page:
                    yield version

    async def upload(
        self, path: str, key: str | None = None, *, options: TransferOptions | None = None
    ) -> ObjectHandle:
        """Upload a file; ``key`` None takes its name. Return its handle."""
        target = self.object(key if key is not None else os.path.basename(path))
        await target.upload(path, options=options)
        return target

    async def download(self, key: str, path: str, *, options: TransferOptions | None = None) -> None:
        """Download an object into a file."""
        await self.object(key).download(path, options=options)

    async def exists(self) -> bool:
        """Ask whether the bucket is there. AccessDenied where it is somebody else's."""
        try:
            await (await self.store()).head_bucket(self.name)
        except NotFound:
            return False
        return True

    async def region(self) -> str:
        """Return the region that it is in, "" where the store does not tell."""
        return await (await self.store()).head_bucket(self.name)

    async def create(self, *, region: str | None = None) -> None:
        """Create it. For versioning, encryption and the rest see ``Brigade.create_bucket``.

        Raises:
            ConfigError: the name breaks a rule of S3, which the message names. Nothing was asked of the endpoint.
        """
        check_bucket_name(self.name)
        await (await self.store()).create_bucket(self.name, region=region)

    async def delete(self) -> None:
        """Remove it; it must be empty. See ``Brigade.delete_bucket`` for one that is not."""
        await (await self.store()).delete_bucket(self.name)

    async def store(self) -> Store:
        """Return the store that gives access to it."""
        return await self._stores.store(self.endpoint)

    async def side(self) -> BucketSide:
        """Return it as one side of an operation."""
        return BucketSide(await self.store(), self.endpoint, self.name)


def bucket_of_entry(stores: Stores, entry: BucketEntry, endpoint: str) -> BucketHandle:
    """Return the handle of a bucket that a listing of the account tells of."""
    bucket = BucketHandle(stores, entry.name, endpoint)
    bucket.created = datetime.fromtimestamp(entry.created_ns / 1e9, UTC) if entry.created_ns else None
    return bucket
