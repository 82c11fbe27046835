"""Multipart uploads through the lane; the contracts are stated in ``s3.store``."""

from __future__ import annotations

from bucket_brigade.errors import NotFound, NotHonoured
from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes
from bucket_brigade.s3.checksums import encode_crc
from bucket_brigade.s3.lane_calls import FIRST_REFUSAL, LaneCalls
from bucket_brigade.s3.lane_forms import Prepared, Recipe
from bucket_brigade.s3.lane_objects import (
    ANY_BODY,
    ANY_CRC,
    ANY_ETAG,
    ANY_VERSION,
    any_condition,
    condition_fields,
    source_fields,
)
from bucket_brigade.s3.prepared import PLACEHOLDER_KEY, quote_query
from bucket_brigade.s3.store import UNCONDITIONAL, UNPINNED, Body, Condition, PartReceipt, Pin, Written
from bucket_brigade.s3.xml_messages import escape

ANY_UPLOAD = "bucket-brigade-placeholder-upload"
ANY_PART = 9876

_GONE = frozenset({"NoSuchUpload", "NoSuchKey", "NotFound"})


class MultipartLane(LaneCalls):
    """The operations of ``Store`` on multipart uploads that carry data; listing them is left to the client."""

    async def create_multipart_upload(
        self, bucket: str, key: str, *, attributes: ObjectAttributes = NO_ATTRIBUTES, checksum: bool = True
    ) -> str:
        """Return the id of a new multipart upload."""
        with_crc = checksum and self._client.sends_checksums and attributes.checksum_algorithm is None
        form_key = ("CreateMultipartUpload", bucket, attributes, with_crc)
        prepared = self._get(form_key) or await self._book.prepare(
            form_key,
            lambda: Recipe(
                lambda: self._client.create_multipart_upload(
                    bucket, PLACEHOLDER_KEY, attributes=attributes, checksum=with_crc
                ),
                {},
            ),
        )
        if prepared is None:
            return await self._client.create_multipart_upload(bucket, key, attributes=attributes, checksum=checksum)
        # Sent twice it would leave a second upload behind.
        answer = await self._send(prepared, "CreateMultipartUpload", bucket, key, {}, replay=False)
        if answer.status >= FIRST_REFUSAL:
            error = self._refusal("CreateMultipartUpload", bucket, key, answer)
            if with_crc and self._refuses_checksums(error):
                return await self._client.create_multipart_upload(bucket, key, attributes=attributes, checksum=checksum)
            raise error
        if with_crc:
            self._client.learn_checksum_type(answer.header(b"x-amz-checksum-type"))
        upload_id = self._document("CreateMultipartUpload", bucket, key, answer).get("UploadId")
        if not upload_id:
            raise self._unproven("CreateMultipartUpload", bucket, key, answer, "without an upload id")
        try:
            self._demand_echo("CreateMultipartUpload", bucket, key, answer, attributes)
        except NotHonoured:
            await self.abort_multipart_upload(bucket, key, upload_id)
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
        """Write one part."""
        if algorithm is not None:
            return await self._client.upload_part(bucket, key, upload_id, number, body, algorithm=algorithm)
        with_crc = crc64nvme is not None and self._client.sends_checksums
        form_key = ("UploadPart", bucket, with_crc)
        prepared = self._get(form_key) or await self._book.prepare(
            form_key, lambda: self._part_recipe(bucket, with_crc=with_crc)
        )
        if prepared is None:
            return await self._client.upload_part(bucket, key, upload_id, number, body, crc64nvme=crc64nvme)
        fields = _part_fields(upload_id, number)
        fields["content-length"] = "0"
        if with_crc:
            fields["x-amz-checksum-crc64nvme"] = encode_crc(crc64nvme)  # type: ignore[arg-type]
        answer = await self._send(prepared, "UploadPart", bucket, key, fields, body)
        if answer.status < FIRST_REFUSAL:
            return self._written("UploadPart", bucket, key, answer)
        error = self._refusal("UploadPart", bucket, key, answer)
        if with_crc and self._refuses_checksums(error):
            return await self._client.upload_part(bucket, key, upload_id, number, body, crc64nvme=crc64nvme)
        raise error

    def _part_recipe(self, bucket: str, *, with_crc: bool) -> Recipe:
        fields = _part_fields(ANY_UPLOAD, ANY_PART)
        if with_crc:
            fields["x-amz-checksum-crc64nvme"] = encode_crc(ANY_CRC)
        return Recipe(
            lambda: self._client.upload_part(
                bucket,
                PLACEHOLDER_KEY,
                ANY_UPLOAD,
                ANY_PART,
                ANY_BODY,
                crc64nvme=ANY_CRC if with_crc else None,
            ),
            fields,
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
        prepared = None if algorithm is not None else await self._part_copy_form(bucket, source_bucket, pin)
        if prepared is None:
            return await self._client.upload_part_copy(
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
        fields = _part_fields(upload_id, number) | source_fields(source_bucket, source_key, pin)
        fields["x-amz-copy-source-range"] = f"bytes={start}-{start + length - 1}"
        answer = await self._send(prepared, "UploadPartCopy", bucket, key, fields)
        if answer.status >= FIRST_REFUSAL:
            raise self._refusal("UploadPartCopy", bucket, key, answer, pinned=True)
        return self._written_inside("UploadPartCopy", bucket, key, answer, result="CopyPartResult", pinned=True)

    async def _part_copy_form(self, bucket: str, source_bucket: str, pin: Pin) -> Prepared | None:
        if source_bucket.startswith("arn:"):
            return None
        form_key = ("UploadPartCopy", bucket, source_bucket, bool(pin.etag), pin.version_id is not None)
        any_pin = Pin(ANY_ETAG if pin.etag else "", None if pin.version_id is None else ANY_VERSION)
        fields = _part_fields(ANY_UPLOAD, ANY_PART) | source_fields(source_bucket, PLACEHOLDER_KEY, any_pin)
        fields["x-amz-copy-source-range"] = "bytes=7-17"
        return self._get(form_key) or await self._book.prepare(
            form_key,
            lambda: Recipe(
                lambda: self._client.upload_part_copy(
                    bucket,
                    PLACEHOLDER_KEY,
                    ANY_UPLOAD,
                    ANY_PART,
                    source_bucket=source_bucket,
                    source_key=PLACEHOLDER_KEY,
                    start=7,
                    length=11,
                    pin=any_pin,
                ),
                fields,
            ),
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
        """Join the parts."""
        if algorithm is not None:
            return await self._client.complete_multipart_upload(
                bucket, key, upload_id, parts, size=size, condition=condition, algorithm=algorithm
            )
        asked = any_condition(condition)
        with_crc = crc64nvme is not None and self._client.sends_checksums
        whole_crc = with_crc and self._client.whole_checksums
        form_key = ("CompleteMultipartUpload", bucket, with_crc, whole_crc, asked)
        prepared = self._get(form_key) or await self._book.prepare(
            form_key, lambda: self._complete_recipe(bucket, asked, with_crc=with_crc, whole_crc=whole_crc)
        )
        if prepared is None or prepared.rows is None or not parts:
            return await self._client.complete_multipart_upload(
                bucket, key, upload_id, parts, size=size, crc64nvme=crc64nvme, condition=condition
            )
        fields = {"?uploadId": quote_query(upload_id), "x-amz-mp-object-size": str(size)}
        fields |= condition_fields(condition)
        if whole_crc:
            fields["x-amz-checksum-crc64nvme"] = encode_crc(crc64nvme)  # type: ignore[arg-type]
        rows = prepared.rows.rows
        body = prepared.rows.body([_part_row(rows, part, with_crc=with_crc) for part in parts])
        # Sent twice it would be answered NoSuchUpload, though it worked.
        answer = await self._send(prepared, "CompleteMultipartUpload", bucket, key, fields, body, replay=False)
        if answer.status >= FIRST_REFUSAL:
            error = self._refusal("CompleteMultipartUpload", bucket, key, answer)
            if with_crc and self._refuses_checksums(error):
                return await self._client.complete_multipart_upload(
                    bucket, key, upload_id, parts, size=size, crc64nvme=crc64nvme, condition=condition
                )
            raise error
        return self._written_inside(
            "CompleteMultipartUpload", bucket, key, answer, result="CompleteMultipartUploadResult"
        )

    def _complete_recipe(self, bucket: str, condition: Condition, *, with_crc: bool, whole_crc: bool) -> Recipe:
        fields = {"?uploadId": ANY_UPLOAD, "x-amz-mp-object-size": "987654321"} | condition_fields(condition)
        if whole_crc:
            fields["x-amz-checksum-crc64nvme"] = encode_crc(ANY_CRC)
        parts = [PartReceipt(ANY_PART, ANY_ETAG, 11), PartReceipt(ANY_PART, ANY_ETAG, 11, ANY_CRC)]
        return Recipe(
            lambda: self._client.complete_multipart_upload(
                bucket,
                PLACEHOLDER_KEY,
                ANY_UPLOAD,
                parts,
                size=987654321,
                crc64nvme=ANY_CRC if with_crc else None,
                condition=condition,
            ),
            fields,
            rows=("Part", (str(ANY_PART), ANY_ETAG, encode_crc(ANY_CRC))),
        )

    async def abort_multipart_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """Give the upload up, with its parts."""
        form_key = ("AbortMultipartUpload", bucket)
        prepared = self._get(form_key) or await self._book.prepare(
            form_key,
            lambda: Recipe(
                lambda: self._client.abort_multipart_upload(bucket, PLACEHOLDER_KEY, ANY_UPLOAD),
                {"?uploadId": ANY_UPLOAD},
            ),
        )
        if prepared is None:
            await self._client.abort_multipart_upload(bucket, key, upload_id)
            return
        fields = {"?uploadId": quote_query(upload_id)}
        answer = await self._send(prepared, "AbortMultipartUpload", bucket, key, fields)
        if answer.status >= FIRST_REFUSAL:
            error = self._refusal("AbortMultipartUpload", bucket, key, answer)
            if not (isinstance(error, NotFound) and error.code in _GONE):
                raise error


def _part_fields(upload_id: str, number: int) -> dict[str, str]:
    return {"?uploadId": quote_query(upload_id), "?partNumber": str(number)}


def _part_row(rows: tuple[str, ...], part: PartReceipt, *, with_crc: bool) -> str:
    if with_crc and part.crc64nvme is not None:
        return rows[1] % (part.number, escape(part.etag), encode_crc(part.crc64nvme))
    return rows[0] % (part.number, escape(part.etag))
