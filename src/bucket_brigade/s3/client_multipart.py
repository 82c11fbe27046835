"""Multipart uploads through the aioboto3 client."""

from __future__ import annotations

from typing import Any

import msgspec

from bucket_brigade.errors import NotFound, NotHonoured, PlanError
from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes
from bucket_brigade.model.parts import MAX_PARTS
from bucket_brigade.s3.calls import (
    FULL_OBJECT_ALGORITHMS,
    Answer,
    Caller,
    attribute_parameters,
    checksum_parameters,
    condition_parameters,
    digest_parameters,
    other_algorithm,
)
from bucket_brigade.s3.checksums import CRC64NVME, decode_crc, encode_crc
from bucket_brigade.s3.client_objects import copy_source
from bucket_brigade.s3.reading import nanoseconds, quoted
from bucket_brigade.s3.store import (
    UNCONDITIONAL,
    UNPINNED,
    Body,
    Condition,
    OpenUpload,
    PartReceipt,
    Pin,
    UploadPage,
    Written,
)
from bucket_brigade.s3.urls import decode_key

OTHER_ALGORITHMS = ("CRC32", "CRC32C", "SHA1", "SHA256")
"""Of checksums besides CRC64NVME."""


class MultipartCalls(Caller):
    """The operations of ``Store`` on multipart uploads; their contracts are stated there."""

    whole_checksums = True
    """The endpoint keeps a checksum of the whole object, not one of its parts' checksums."""

    def learn_checksum_type(self, stated: str) -> None:
        """Remember what the endpoint makes of an upload's checksums; "" tells nothing."""
        if stated not in ("", "FULL_OBJECT"):
            self.whole_checksums = False

    async def create_multipart_upload(
        self, bucket: str, key: str, *, attributes: ObjectAttributes = NO_ATTRIBUTES, checksum: bool = True
    ) -> str:
        """Return the id of a new multipart upload."""
        params: dict[str, Any] = {"Bucket": bucket, "Key": key, **attribute_parameters(attributes)}
        if (algorithm := other_algorithm(attributes)) is not None:
            whole = algorithm in FULL_OBJECT_ALGORITHMS
            params |= {"ChecksumAlgorithm": algorithm, "ChecksumType": "FULL_OBJECT" if whole else "COMPOSITE"}
        elif checksum or attributes.checksum_algorithm is not None:
            params |= {"ChecksumAlgorithm": CRC64NVME, "ChecksumType": "FULL_OBJECT"}
        send = self.call_with_checksums if attributes.checksum_algorithm is None else self.call
        answer = await send("CreateMultipartUpload", params)
        if checksum and algorithm is None:
            self.learn_checksum_type(answer.get("ChecksumType", ""))
        upload_id: str = answer.get("UploadId", "")
        if not upload_id:
            raise self.unproven("CreateMultipartUpload", params, answer, "without an upload id")
        try:
            self.demand_echo("CreateMultipartUpload", params, answer, attributes)
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
        params = {"Bucket": bucket, "Key": key, "UploadId": upload_id, "PartNumber": number, "Body": body}
        if algorithm is not None:
            digest = digest_parameters(algorithm, body)
            answer = await self.call("UploadPart", params | digest)
            written = self.written("UploadPart", params, answer, answer)
            return msgspec.structs.replace(written, checksum=digest[f"Checksum{algorithm}"])
        if crc64nvme is not None:
            params |= checksum_parameters(crc64nvme)
        answer = await self.call_with_checksums("UploadPart", params)
        return self.written("UploadPart", params, answer, answer)

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
        params: dict[str, Any] = {
            "Bucket": bucket,
            "Key": key,
            "UploadId": upload_id,
            "PartNumber": number,
            "CopySourceRange": f"bytes={start}-{start + length - 1}",
            **copy_source(source_bucket, source_key, pin),
        }
        answer = await self.call("UploadPartCopy", params, pinned=True)
        result = answer.get("CopyPartResult") or {}
        written = self.written("UploadPartCopy", params, answer, result)
        return written if algorithm is None else msgspec.structs.replace(written, checksum=_checksum(result, algorithm))

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
        params: dict[str, Any] = {
            "Bucket": bucket,
            "Key": key,
            "UploadId": upload_id,
            "MpuObjectSize": size,
            **condition_parameters(condition),
        }
        with_crc = crc64nvme is not None and self.sends_checksums and algorithm is None
        params["MultipartUpload"] = {"Parts": [_part(one, with_crc=with_crc, algorithm=algorithm) for one in parts]}
        if algorithm is not None:
            params["ChecksumType"] = "FULL_OBJECT" if algorithm in FULL_OBJECT_ALGORITHMS else "COMPOSITE"
        if crc64nvme is not None and with_crc and self.whole_checksums:
            params |= {"ChecksumCRC64NVME": encode_crc(crc64nvme), "ChecksumType": "FULL_OBJECT"}
        answer = await self.call("CompleteMultipartUpload", params)
        return self.written("CompleteMultipartUpload", params, answer, answer)

    async def abort_multipart_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """Give the upload up, with its parts."""
        try:
            await self.call("AbortMultipartUpload", {"Bucket": bucket, "Key": key, "UploadId": upload_id})
        except NotFound as error:
            if error.code not in {"NoSuchUpload", "NoSuchKey", "NotFound"}:
                raise

    async def list_parts(self, bucket: str, key: str, upload_id: str) -> list[PartReceipt]:
        """Return all parts that the store holds, by number."""
        params: dict[str, Any] = {"Bucket": bucket, "Key": key, "UploadId": upload_id}
        parts: dict[int, PartReceipt] = {}
        marker = 0
        while True:
            answer = await self.call("ListParts", params)
            if "UploadId" not in answer and "IsTruncated" not in answer:
                raise self.unproven("ListParts", params, answer, "with a page that is no list of parts")
            self.learn_checksum_type(answer.get("ChecksumType", ""))
            parts |= {part["PartNumber"]: _receipt(part) for part in answer.get("Parts", ())}
            if not answer.get("IsTruncated"):
                return [parts[number] for number in sorted(parts)]
            following = _next_marker(answer)
            if following <= marker or len(parts) > MAX_PARTS:
                raise PlanError(f"{self.location(bucket, key)}: the list of its parts does not come to an end.")
            marker = params["PartNumberMarker"] = following

    async def list_multipart_uploads(
        self, bucket: str, *, prefix: str = "", markers: tuple[str, str] | None = None
    ) -> UploadPage:
        """Return one page of the uploads in progress."""
        params: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "EncodingType": "url"}
        if markers is not None:
            params |= {"KeyMarker": markers[0], "UploadIdMarker": markers[1]}
        answer = await self.call("ListMultipartUploads", params)
        if "Bucket" not in answer and "IsTruncated" not in answer:
            raise self.unproven("ListMultipartUploads", params, answer, "with a page that is no list of uploads")
        encoded = answer.get("EncodingType") == "url"
        uploads = [
            OpenUpload(decode_key(one["Key"], encoded), one["UploadId"], nanoseconds(one.get("Initiated")))
            for one in answer.get("Uploads", ())
        ]
        following = None
        if answer.get("IsTruncated"):
            following = (decode_key(answer.get("NextKeyMarker", ""), encoded), answer.get("NextUploadIdMarker", ""))
        return UploadPage(uploads, following)


def _part(receipt: PartReceipt, *, with_crc: bool, algorithm: str | None = None) -> dict[str, Any]:
    part: dict[str, Any] = {"PartNumber": receipt.number, "ETag": receipt.etag}
    if algorithm is not None and receipt.checksum:
        part[f"Checksum{algorithm}"] = receipt.checksum
    if with_crc and receipt.crc64nvme is not None:
        part["ChecksumCRC64NVME"] = encode_crc(receipt.crc64nvme)
    return part


def _receipt(part: Answer) -> PartReceipt:
    crc = decode_crc(part.get("ChecksumCRC64NVME", ""))
    other = next((value for name in OTHER_ALGORITHMS if (value := _checksum(part, name))), "")
    return PartReceipt(part["PartNumber"], quoted(part.get("ETag", "")), int(part.get("Size", 0)), crc, other)


def _checksum(answer: Answer, algorithm: str) -> str:
    stated: str = answer.get(f"Checksum{algorithm}", "")
    return stated


def _next_marker(answer: Answer) -> int:
    stated = answer.get("NextPartNumberMarker")
    if stated is None:
        return max((part["PartNumber"] for part in answer.get("Parts", ())), default=0)
    return int(stated)
