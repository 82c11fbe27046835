"""``Store`` with retries: each method of the store inside, tried again where its error says that it may succeed.

A few answers mean something else the second time: the first attempt may have worked and only its answer was lost.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from bucket_brigade.errors import (
    AccessDenied,
    ChecksumMismatch,
    CredentialsExpired,
    NotFound,
    PermanentError,
    PreconditionFailed,
    StoreUnavailable,
    Throttled,
    TransferError,
    TransientError,
)
from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes
from bucket_brigade.s3.checksums import decode_crc
from bucket_brigade.s3.codes import BY_CODE
from bucket_brigade.s3.governor import Governor
from bucket_brigade.s3.job_limits import JobLimits
from bucket_brigade.s3.lost_answers import abort_twins, bulk_error, is_completed, is_content
from bucket_brigade.s3.renewal import Renewal
from bucket_brigade.s3.retry import OnRetry, Retrier
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
    Store,
    UploadPage,
    VersionPage,
    Written,
)
from bucket_brigade.settings.values import RetrySettings

_TRANSIENT_CODES = frozenset(code for code, (kind, _) in BY_CODE.items() if issubclass(kind, TransientError)) | {
    "NoAnswer",
    "NoProof",
    "NotS3",
    "ConnectionLost",
    "TimedOut",
    "NameNotResolved",
}


T = TypeVar("T")

RENEWALS = 3
"""So often may the credentials be renewed for one request: it may have been signed before somebody else's renewal."""


class _DamagedOnTheWay(StoreUnavailable):
    """The endpoint received other bytes than were sent, and said so."""


class RetryingStore:
    """A ``Store`` around another one; the contracts are the port's.

    Attributes:
        inner: makes one attempt per call.
        governor: lets requests begin.
        limits: of the job that this store belongs to, if it belongs to one.
    """

    def __init__(
        self,
        inner: Store,
        policy: RetrySettings,
        governor: Governor,
        on_retry: OnRetry | None = None,
        renewal: Renewal | None = None,
    ) -> None:
        self.inner = inner
        self.governor = governor
        self.limits: JobLimits | None = None
        self._shared = (policy, governor, on_retry, renewal)
        self._retrier = Retrier(policy, governor, on_retry)
        self._renewal = renewal
        self._run = self._retrier.run if renewal is None else self._run_renewing

    @property
    def is_aws(self) -> bool:
        """Whether this is Amazon S3 itself, as its address says."""
        return bool(getattr(self.inner, "is_aws", False))

    @property
    def retries(self) -> int:
        """Attempts beyond the first, over all calls so far."""
        return self._retrier.retries

    def for_job(self, limits: JobLimits) -> RetryingStore:
        """Return the store of one job: it shares everything but the limits, and the count of retries."""
        store = RetryingStore(self.inner, *self._shared)
        store.limits = limits
        limits.attach(store)
        return store

    async def _run_renewing(self, request: Callable[..., Awaitable[T]], /, *args: object, **options: object) -> T:
        """Run a request; where the endpoint calls the credentials expired, renew them. That costs none of its attempts."""
        assert self._renewal is not None  # noqa: S101 - narrows the type
        for _ in range(RENEWALS):
            sent_at = time.monotonic()
            try:
                return await self._retrier.run(request, *args, **options)
            except CredentialsExpired:
                if not await self._renewal.renew(sent_at):
                    raise
        return await self._retrier.run(request, *args, **options)

    async def _run_resending(self, request: Callable[..., Awaitable[T]], /, *args: object, **options: object) -> T:
        """Run a request that has a body; one that the endpoint received damaged is sent again, as after a lost connection."""

        async def attempt() -> T:
            try:
                return await request(*args, **options)
            except ChecksumMismatch as error:
                raise _DamagedOnTheWay(str(error), code=error.code, status=error.status) from error

        try:
            return await self._run(attempt)
        except _DamagedOnTheWay as damaged:
            mismatch = damaged.__cause__
            assert isinstance(mismatch, ChecksumMismatch)  # noqa: S101 - narrows the type
            mismatch.attempts = damaged.attempts
            raise mismatch from None

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
        if condition is UNCONDITIONAL:
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
        """Fill ``into``, from its beginning at each attempt."""
        return await self._run(self.inner.get_object, bucket, key, into, start=start, pin=pin)

    async def head_object(self, bucket: str, key: str, *, pin: Pin = UNPINNED) -> ObjectHead:
        """Return what the store tells about the object."""
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
        if condition is UNCONDITIONAL:
            return await self._run(attempt)

        def is_ours(head: ObjectHead) -> bool:
            return bool(pin.etag) and head.etag.strip('"') == pin.etag.strip('"')

        return await self._run_conditional(attempt, bucket, key, is_ours)

    async def _run_conditional(
        self,
        attempt: Callable[[], Awaitable[Written]],
        bucket: str,
        key: str,
        is_ours: Callable[[ObjectHead], bool],
    ) -> Written:
        tried = False

        async def next_attempt() -> Written:
            nonlocal tried
            again, tried = tried, True
            try:
                return await attempt()
            except PreconditionFailed:
                if not again:
                    raise
                try:
                    head = await self.inner.head_object(bucket, key)
                except NotFound:
                    head = None
                if head is None or not is_ours(head):
                    raise
                return Written(head.etag, head.version_id, decode_crc(head.checksums.get("CRC64NVME", "")))

        return await self._run(next_attempt)

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

    async def create_multipart_upload(
        self, bucket: str, key: str, *, attributes: ObjectAttributes = NO_ATTRIBUTES, checksum: bool = True
    ) -> str:
        """Return the id of a new upload. What an attempt whose answer was lost may have created is looked for, and aborted."""
        began, lost = time.monotonic(), False

        async def attempt() -> str:
            nonlocal lost
            try:
                return await self.inner.create_multipart_upload(bucket, key, attributes=attributes, checksum=checksum)
            except TransientError as error:
                lost = lost or not isinstance(error, Throttled)
                raise

        upload_id = await self._run(attempt)
        if lost:
            try:
                await abort_twins(self, bucket, key, upload_id, within_s=time.monotonic() - began)
            except TransferError as error:
                error.attempts = max(2, error.attempts)  # so that nobody takes it for a refusal that created nothing
                raise
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
        """Write one part; written again it replaces itself."""
        return await self._run_resending(
            self.inner.upload_part, bucket, key, upload_id, number, body, crc64nvme=crc64nvme, algorithm=algorithm
        )

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
        """Fill one part from a byte range of another object."""
        return await self._run(
            self.inner.upload_part_copy,
            bucket,
            key,
            upload_id,
            number,
            source_bucket=source_bucket,
            source_key=source_key,
            start=start,
            length=length,
            pin=pin,
            algorithm=algorithm,
        )

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
        """Join the parts. NoSuchUpload after a first attempt whose answer was lost may mean that it worked: HEAD decides."""
        tried = False

        async def attempt() -> Written:
            nonlocal tried
            again, tried = tried, True
            try:
                return await self.inner.complete_multipart_upload(
                    bucket,
                    key,
                    upload_id,
                    parts,
                    size=size,
                    crc64nvme=crc64nvme,
                    condition=condition,
                    algorithm=algorithm,
                )
            except (NotFound, PreconditionFailed) as error:
                if not again or error.code == "NoSuchBucket":
                    raise
                head = await self.inner.head_object(bucket, key)
                if not is_completed(head, parts, size=size, crc64nvme=crc64nvme):
                    raise
                return Written(head.etag, head.version_id, decode_crc(head.checksums.get("CRC64NVME", "")))

        return await self._run(attempt)

    async def abort_multipart_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """Give the upload up, with its parts."""
        await self._run(self.inner.abort_multipart_upload, bucket, key, upload_id)

    async def list_parts(self, bucket: str, key: str, upload_id: str) -> list[PartReceipt]:
        """Return all parts that the store holds."""
        return await self._run(self.inner.list_parts, bucket, key, upload_id)

    async def list_multipart_uploads(
        self, bucket: str, *, prefix: str = "", markers: tuple[str, str] | None = None
    ) -> UploadPage:
        """Return one page of the uploads in progress."""
        return await self._run(self.inner.list_multipart_uploads, bucket, prefix=prefix, markers=markers)

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
        """Return one page of current objects."""
        return await self._run(
            self.inner.list_objects,
            bucket,
            prefix=prefix,
            delimiter=delimiter,
            start_after=start_after,
            token=token,
            page_size=page_size,
        )

    async def list_object_versions(
        self, bucket: str, *, prefix: str = "", markers: tuple[str, str] | None = None, page_size: int = 1000
    ) -> VersionPage:
        """Return one page of all versions."""
        return await self._run(
            self.inner.list_object_versions, bucket, prefix=prefix, markers=markers, page_size=page_size
        )

    async def list_buckets(self) -> list[BucketEntry]:
        """Return the buckets of the account."""
        return await self._run(self.inner.list_buckets)

    async def create_bucket(self, bucket: str, *, region: str | None = None) -> None:
        """Create a bucket; that it is ours already, after a first attempt whose answer was lost, is our own success."""
        tried = False

        async def attempt() -> None:
            nonlocal tried
            again, tried = tried, True
            try:
                await self.inner.create_bucket(bucket, region=region)
            except PermanentError as error:
                if not again or error.code != "BucketAlreadyOwnedByYou":
                    raise

        await self._run(attempt)

    async def delete_bucket(self, bucket: str) -> None:
        """Remove an empty bucket; that it is gone, after a first attempt whose answer was lost, is our own success."""
        tried = False

        async def attempt() -> None:
            nonlocal tried
            again, tried = tried, True
            try:
                await self.inner.delete_bucket(bucket)
            except NotFound:
                if not again:
                    raise

        await self._run(attempt)

    async def head_bucket(self, bucket: str) -> str:
        """Return the bucket's region."""
        return await self._run(self.inner.head_bucket, bucket)
