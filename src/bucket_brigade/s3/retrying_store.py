"""``Store`` with retries: each method of the store inside, tried again where its error says that it may succeed.

A few answers mean something else the second time: the first attempt may have worked and only its answer was lost.
"""

from __future__ import annotations

import time

from bucket_brigade.errors import (
    NotFound,
    PermanentError,
    PreconditionFailed,
    Throttled,
    TransferError,
    TransientError,
)
from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes
from bucket_brigade.s3.checksums import decode_crc
from bucket_brigade.s3.lost_answers import abort_twins, is_completed
from bucket_brigade.s3.retrying_objects import RetryingObjects
from bucket_brigade.s3.store import (
    UNCONDITIONAL,
    UNPINNED,
    Body,
    BucketEntry,
    Condition,
    ListPage,
    PartReceipt,
    Pin,
    UploadPage,
    VersionPage,
    Written,
)


class RetryingStore(RetryingObjects):
    """A ``Store`` around another one; the contracts are the port's."""

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
