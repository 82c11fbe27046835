"""What a handle knows of an object: loaded when it is first asked for, fresh after ``reload()``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from bucket_brigade.errors import NotFound
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.operations.outcomes import OBJECT_GONE
from bucket_brigade.s3.store import ListedObject, ObjectHead, Pin, Store

T = TypeVar("T")


class ObjectState:
    """The attributes of one object (or one version of it). Each is awaited; one HEAD serves them all."""

    def __init__(
        self, store: Callable[[], Awaitable[Store]], bucket: str, key: str, version_id: str | None = None
    ) -> None:
        self.key = key
        self.version_id = version_id
        self._store = store
        self._bucket = bucket
        self._head: ObjectHead | None = None
        self._listed: ListedObject | None = None

    @property
    def size(self) -> Coroutine[Any, Any, int]:
        """Bytes. ``await`` it, as every attribute."""
        return self._told(lambda known: known.size)

    @property
    def etag(self) -> Coroutine[Any, Any, str]:
        """The ETag, with its quotes."""
        return self._told(lambda known: known.etag)

    @property
    def last_modified(self) -> Coroutine[Any, Any, datetime]:
        """When it was written, in UTC."""
        return self._told(lambda known: datetime.fromtimestamp(known.modified_ns / 1e9, UTC))

    @property
    def storage_class(self) -> Coroutine[Any, Any, str]:
        """``STANDARD`` where the store tells none."""

        async def read() -> str:
            if self._head is None and self._listed is not None:
                return self._listed.storage_class
            return (await self.load()).attributes.storage_class or "STANDARD"

        return read()

    @property
    def metadata(self) -> Coroutine[Any, Any, dict[str, str]]:
        """User metadata, names in lower case, without ``x-amz-meta-``."""
        return self._loaded(lambda head: dict(head.attributes.metadata or ()))

    @property
    def content_type(self) -> Coroutine[Any, Any, str | None]:
        """The media type."""
        return self._loaded(lambda head: head.attributes.content_type)

    @property
    def attributes(self) -> Coroutine[Any, Any, ObjectAttributes]:
        """Everything that a HEAD tells of how the object is kept: encryption, cache control, lock and the rest."""
        return self._loaded(lambda head: head.attributes)

    @property
    def checksums(self) -> Coroutine[Any, Any, dict[str, str]]:
        """Full-object checksums by algorithm, base64."""
        return self._loaded(lambda head: dict(head.checksums))

    async def load(self) -> ObjectHead:
        """Return what a HEAD tells, asked for once. NotFound if the object is not there."""
        return self._head if self._head is not None else await self.reload()

    async def reload(self) -> ObjectHead:
        """Ask again, and keep the answer. NotFound if the object is not there."""
        self.forget()
        store = await self._store()
        self._head = await store.head_object(self._bucket, self.key, pin=Pin(version_id=self.version_id))
        return self._head

    def forget(self) -> None:
        """Drop what is known: the next attribute asks again, and nothing is tied to an earlier state any more."""
        self._head = self._listed = None

    def learn(self, listed: ListedObject) -> None:
        """Keep what a listing told."""
        self._head, self._listed = None, listed

    async def exists(self) -> bool:
        """Ask whether it is there, now."""
        try:
            await self.reload()
        except NotFound as error:
            if error.code in OBJECT_GONE:
                return False
            raise
        return True

    def _told(self, attribute: Callable[[Any], T]) -> Coroutine[Any, Any, T]:
        """Read what a listing tells too."""

        async def read() -> T:
            return attribute(self._head or self._listed or await self.load())

        return read()

    def _loaded(self, attribute: Callable[[ObjectHead], T]) -> Coroutine[Any, Any, T]:
        async def read() -> T:
            return attribute(await self.load())

        return read()

    @property
    def pin(self) -> Pin:
        """The state that is known, which everything that is read must have; its ETag is empty where none is."""
        known = self._head or self._listed
        return Pin(known.etag if known is not None else "", self.version_id)
