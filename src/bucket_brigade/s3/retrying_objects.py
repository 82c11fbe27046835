"""``Store`` with retries: what concerns single objects."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from bucket_brigade.errors import (
    AccessDenied,
    CredentialsExpired,
    TransientError,
)
from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes
from bucket_brigade.s3.codes import BY_CODE
from bucket_brigade.s3.hedging import HEDGED_BYTES
from bucket_brigade.s3.lost_answers import bulk_error, is_content
from bucket_brigade.s3.retrying_calls import RetryingCalls
from bucket_brigade.s3.store import (
    UNCONDITIONAL,
    UNPINNED,
    Acl,
    Body,
    Condition,
    DeleteError,
    DeleteKey,
    ObjectHead,
    Pin,
    Written,
)

T = TypeVar("T")

_TRANSIENT_CODES = frozenset(code for code, (kind, _) in BY_CODE.items() if issubclass(kind, TransientError)) | {
    "NoAnswer",
    "NoProof",
    "NotS3",
    "ConnectionLost",
    "TimedOut",
    "NameNotResolved",
}


class RetryingObjects(RetryingCalls):
    """The operations of ``Store`` on single objects; the contracts are the port's."""

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
        """Write the whole object; the same again is the same object.

        A condition that is false after a first attempt whose answer was lost may be false because of that one: HEAD decides.
        """
        if condition == UNCONDITIONAL:
            return await self._run_resending(
                self.inner.put_object, bucket, key, body, attributes=attributes, crc64nvme=crc64nvme
            )

        async def attempt() -> Written:
            return await self.inner.put_object(
                bucket, key, body, attributes=attributes, crc64nvme=crc64nvme, condition=condition
            )

        def is_ours(head: ObjectHead) -> bool:
            return is_content(head, body, crc64nvme)

        return await self._run_conditional(attempt, bucket, key, is_ours)

    async def get_object(
        self, bucket: str, key: str, into: memoryview, *, start: int | None = None, pin: Pin = UNPINNED
    ) -> ObjectHead:
        """Fill ``into``, from its beginning at each attempt. A small one that is slow is asked for twice."""
        if self.governor.hedge_after_s and len(into) <= HEDGED_BYTES:
            return await self._run(self._get_hedged, bucket, key, into, start=start, pin=pin)
        return await self._run(self.inner.get_object, bucket, key, into, start=start, pin=pin)

    async def _get_hedged(self, bucket: str, key: str, into: memoryview, *, start: int | None, pin: Pin) -> ObjectHead:
        async def first() -> tuple[ObjectHead, bytearray | None]:
            return await self.inner.get_object(bucket, key, into, start=start, pin=pin), None

        async def second() -> tuple[ObjectHead, bytearray | None]:
            buffer = bytearray(len(into))  # its own: the first request still writes into the other one
            return await self.inner.get_object(bucket, key, memoryview(buffer), start=start, pin=pin), buffer

        head, buffer = await self._hedged(first, second)
        if buffer is not None:
            into[:] = buffer
        return head

    async def _hedged(self, first: Callable[[], Awaitable[T]], second: Callable[[], Awaitable[T]]) -> T:
        governor = self.governor
        return await self.hedger.run(first, second, after_s=governor.hedge_after_s, answers=governor.answers)

    async def head_object(self, bucket: str, key: str, *, pin: Pin = UNPINNED) -> ObjectHead:
        """Return what the store tells about the object. A look that is slow is made twice."""
        if self.governor.hedge_after_s:
            look = functools.partial(self.inner.head_object, bucket, key, pin=pin)
            return await self._run(self._hedged, look, look)
        return await self._run(self.inner.head_object, bucket, key, pin=pin)

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
        """Copy on the server; the same again is the same object."""
        attempt = functools.partial(
            self.inner.copy_object,
            bucket,
            key,
            source_bucket=source_bucket,
            source_key=source_key,
            pin=pin,
            attributes=attributes,
            tagging=tagging,
            condition=condition,
        )
        if condition == UNCONDITIONAL:
            return await self._run(attempt)

        def is_ours(head: ObjectHead) -> bool:
            return bool(pin.etag) and head.etag.strip('"') == pin.etag.strip('"')

        return await self._run_conditional(attempt, bucket, key, is_ours)

    async def delete_object(self, bucket: str, key: str, *, version_id: str | None = None, if_match: str = "") -> None:
        """Remove the key, or one version of it."""
        await self._run(self.inner.delete_object, bucket, key, version_id=version_id, if_match=if_match)

    async def delete_objects(self, bucket: str, keys: list[DeleteKey]) -> dict[int, DeleteError]:
        """Remove up to 1,000 keys; those whose own answer is transient are sent again, and only those."""
        waiting: Sequence[int] = range(len(keys))
        failed: dict[int, DeleteError] = {}
        left: dict[int, DeleteError] = {}

        async def attempt() -> None:
            nonlocal waiting, left
            answers = await self.inner.delete_objects(bucket, [keys[index] for index in waiting])
            named = {waiting[position]: error for position, error in answers.items()}
            left = {index: error for index, error in named.items() if error.code in _TRANSIENT_CODES}
            failed.update((index, error) for index, error in named.items() if index not in left)
            waiting = sorted(left)
            if left:
                raise bulk_error(bucket, left)

        try:
            await self._run(attempt)
        except (TransientError, AccessDenied) as error:
            # Of keys that an earlier answer told of, a later refusal says nothing; those left over failed with it.
            if not left or isinstance(error, CredentialsExpired):
                raise
            if isinstance(error, AccessDenied):
                left = dict.fromkeys(left, DeleteError(error.code, str(error)))
        return failed | left

    async def get_object_tags(
        self, bucket: str, key: str, *, version_id: str | None = None
    ) -> tuple[tuple[str, str], ...]:
        """Return the object's tags."""
        return await self._run(self.inner.get_object_tags, bucket, key, version_id=version_id)

    async def put_object_tags(
        self, bucket: str, key: str, tags: tuple[tuple[str, str], ...], *, version_id: str | None = None
    ) -> None:
        """Replace all tags of an object."""
        await self._run(self.inner.put_object_tags, bucket, key, tags, version_id=version_id)

    async def get_object_acl(self, bucket: str, key: str, *, version_id: str | None = None) -> Acl:
        """Return who may do what with the object."""
        return await self._run(self.inner.get_object_acl, bucket, key, version_id=version_id)

    async def put_object_acl(self, bucket: str, key: str, acl: Acl | str, *, version_id: str | None = None) -> None:
        """Replace the object's access control list."""
        await self._run(self.inner.put_object_acl, bucket, key, acl, version_id=version_id)

    async def put_object_lock(
        self,
        bucket: str,
        key: str,
        attributes: ObjectAttributes,
        *,
        version_id: str | None = None,
        bypass_governance: bool = False,
    ) -> None:
        """Set the retention and the legal hold of an object."""
        await self._run(
            self.inner.put_object_lock,
            bucket,
            key,
            attributes,
            version_id=version_id,
            bypass_governance=bypass_governance,
        )

    async def restore_object(
        self, bucket: str, key: str, *, days: int, tier: str | None = None, version_id: str | None = None
    ) -> None:
        """Ask for an archived object to be readable."""
        await self._run(self.inner.restore_object, bucket, key, days=days, tier=tier, version_id=version_id)
