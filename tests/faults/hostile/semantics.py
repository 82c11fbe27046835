"""What each operation does when nothing is wrong: S3's rules for conditions, checksums, copies and parts."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Callable
from email.utils import formatdate
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from bucket_brigade.s3.checksums import crc64nvme, encode_crc
from tests.faults.hostile.listing import iso_date, list_objects, list_uploads
from tests.faults.hostile.messages import Answer, Request, document, error
from tests.faults.hostile.state import KEPT_HEADERS, Bucket, State, StoredObject, Upload, etag_of, utf8_order

MAX_KEY_BYTES = 1024
MIN_PART_BYTES = 5 << 20
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_CRC = "x-amz-checksum-crc64nvme"
_TYPE = "x-amz-checksum-type"


class Refused(Exception):
    """The answer is this one, and nothing has happened."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Semantics:
    """Carries requests out on a state. Every method takes a request and returns its answer, or raises Refused.

    Args:
        state: what is changed.
        verify: check Content-MD5, CRC64NVME and the payload's SHA-256; off, the server is cheaper than its clients.
        checksums: state CRC64NVME in receipts and heads.
        small_parts: join parts below 5 MiB.
    """

    def __init__(
        self,
        state: State,
        *,
        verify: bool = True,
        checksums: bool = True,
        small_parts: bool = False,
    ) -> None:
        self.state = state
        self.checksums = checksums
        self.verify = verify
        self._small_parts = small_parts

    def carry_out(self, request: Request) -> Answer:
        """Do what the request asks for, as S3 would."""
        method: Callable[[Request], Answer] | None = getattr(self, _method_of(request.operation), None)
        if method is None:
            return error(501, "NotImplemented")
        if len(utf8_order(request.key)) > MAX_KEY_BYTES:
            return error(400, "KeyTooLongError")
        try:
            return method(request)
        except Refused as refused:
            return refused.answer

    # --- buckets -------------------------------------------------------------------------------------------------

    def _bucket(self, name: str) -> Bucket:
        bucket = self.state.buckets.get(name)
        if bucket is None:
            raise Refused(error(404, "NoSuchBucket"))
        return bucket

    def _list_buckets(self, _request: Request) -> Answer:
        names = "".join(
            f"<Bucket><Name>{name}</Name><CreationDate>2026-01-01T00:00:00.000Z</CreationDate></Bucket>"
            for name in self.state.buckets
        )
        return document("ListAllMyBucketsResult", f"<Buckets>{names}</Buckets>")

    def _create_bucket(self, request: Request) -> Answer:
        region = ET.fromstring(request.body).findtext("{*}LocationConstraint") if request.body else None
        self.state.create_bucket(request.bucket, region or "us-east-1")
        return Answer(200, {"Location": f"/{request.bucket}"})

    def _head_bucket(self, request: Request) -> Answer:
        return Answer(200, {"x-amz-bucket-region": self._bucket(request.bucket).region})

    def _delete_bucket(self, request: Request) -> Answer:
        if self._bucket(request.bucket).objects:
            return error(409, "BucketNotEmpty")
        del self.state.buckets[request.bucket]
        return Answer(204)

    def _list_objects_v2(self, request: Request) -> Answer:
        return list_objects(self._bucket(request.bucket), request)

    def _list_multipart_uploads(self, request: Request) -> Answer:
        return list_uploads(self.state, self._bucket(request.bucket), request)

    # --- objects -------------------------------------------------------------------------------------------------

    def _object(self, bucket: str, key: str) -> StoredObject:
        stored = self._bucket(bucket).objects.get(key)
        if stored is None:
            raise Refused(error(404, "NoSuchKey"))
        return stored

    def _put_object(self, request: Request) -> Answer:
        bucket = self._bucket(request.bucket)
        self._check_digests(request)
        self._check_target(request, bucket)
        stored = StoredObject(request.body, etag_of(request.body), _kept(request), _tags(request))
        self.state.write(bucket, request.key, stored, request.number)
        return Answer(200, {"ETag": stored.etag, **self._receipt(request, stored)})

    def _get_object(self, request: Request) -> Answer:
        stored = self._object(request.bucket, request.key)
        _check_if_match(request.headers.get("if-match"), stored)
        headers = self._head_of(request, stored)
        asked = request.headers.get("range")
        if asked is None:
            return Answer(200, headers, stored.content)
        match = _RANGE.fullmatch(asked)
        size = len(stored.content)
        start = int(match[1]) if match else size
        if start >= size:
            return error(416, "InvalidRange")
        end = min(int(match[2]) if match and match[2] else size - 1, size - 1)
        headers["Content-Range"] = f"bytes {start}-{end}/{size}"
        return Answer(206, headers, stored.content[start : end + 1])

    def _head_object(self, request: Request) -> Answer:
        stored = self._object(request.bucket, request.key)
        _check_if_match(request.headers.get("if-match"), stored)
        return Answer(200, self._head_of(request, stored), length=len(stored.content))

    def _delete_object(self, request: Request) -> Answer:
        bucket = self._bucket(request.bucket)
        if (stored := bucket.objects.get(request.key)) is not None:
            _check_if_match(request.headers.get("if-match"), stored)
            self.state.delete(bucket, request.key, request.number)
        return Answer(204)

    def _delete_objects(self, request: Request) -> Answer:
        bucket = self._bucket(request.bucket)
        self._check_digests(request)
        inside = ""
        for one in ET.fromstring(request.body).iterfind("{*}Object"):
            key, etag = one.findtext("{*}Key") or "", one.findtext("{*}ETag")
            stored = bucket.objects.get(key)
            if stored is not None and etag and etag.strip('"') != stored.etag.strip('"'):
                inside += (
                    f"<Error><Key>{escape(key)}</Key><Code>PreconditionFailed</Code><Message>ETag</Message></Error>"
                )
                continue
            self.state.delete(bucket, key, request.number)
            inside += f"<Deleted><Key>{escape(key)}</Key></Deleted>"
        return document("DeleteResult", inside)

    def _copy_object(self, request: Request) -> Answer:
        bucket = self._bucket(request.bucket)
        source = self._source(request)
        self._check_target(request, bucket)
        replaced = request.headers.get("x-amz-metadata-directive") == "REPLACE"
        tagged = request.headers.get("x-amz-tagging-directive") == "REPLACE"
        stored = StoredObject(
            source.content,
            etag_of(source.content),
            _kept(request) if replaced else {**source.headers, **_encryption(request)},
            _tags(request) if tagged else source.tags,
        )
        self.state.write(bucket, request.key, stored, request.number)
        return document("CopyObjectResult", _copied(stored), **_encryption(request))

    def _source(self, request: Request) -> StoredObject:
        named, _, _version = request.headers["x-amz-copy-source"].partition("?versionId=")
        bucket, _, key = unquote(named, errors="surrogateescape").lstrip("/").partition("/")
        stored = self._object(bucket, key)
        _check_if_match(request.headers.get("x-amz-copy-source-if-match"), stored)
        return stored

    def _get_object_tagging(self, request: Request) -> Answer:
        tags = self._object(request.bucket, request.key).tags
        inside = "".join(f"<Tag><Key>{escape(k)}</Key><Value>{escape(v)}</Value></Tag>" for k, v in tags.items())
        return document("Tagging", f"<TagSet>{inside}</TagSet>")

    def _put_object_tagging(self, request: Request) -> Answer:
        tags = self._object(request.bucket, request.key).tags
        tags.clear()
        for one in ET.fromstring(request.body).iterfind(".//{*}Tag"):
            tags[one.findtext("{*}Key") or ""] = one.findtext("{*}Value") or ""
        return Answer(200)

    # --- multipart uploads ---------------------------------------------------------------------------------------

    def _upload(self, request: Request) -> Upload:
        upload = self.state.uploads.get(request.query["uploadId"])
        if upload is None or (upload.bucket, upload.key) != (request.bucket, request.key):
            raise Refused(error(404, "NoSuchUpload"))
        return upload

    def _create_multipart_upload(self, request: Request) -> Answer:
        bucket = self._bucket(request.bucket)
        upload = self.state.begin_upload(bucket, request.key, _kept(request), _tags(request), request.number)
        headers = {_TYPE: "FULL_OBJECT"} if self.checksums and "x-amz-checksum-algorithm" in request.headers else {}
        return document(
            "InitiateMultipartUploadResult", f"<UploadId>{upload.id}</UploadId>", **headers, **_encryption(request)
        )

    def _upload_part(self, request: Request) -> Answer:
        upload = self._upload(request)
        self._check_digests(request)
        part = self.state.add_part(upload, int(request.query["partNumber"]), request.body, request.number)
        return Answer(200, {"ETag": part.etag, **self._receipt(request, part)})

    def _upload_part_copy(self, request: Request) -> Answer:
        upload = self._upload(request)
        content = self._source(request).content
        match = _RANGE.fullmatch(request.headers.get("x-amz-copy-source-range", f"bytes=0-{len(content) - 1}"))
        if match is None or int(match[2]) >= len(content):
            return error(416, "InvalidRange")
        content = content[int(match[1]) : int(match[2]) + 1]
        part = self.state.add_part(upload, int(request.query["partNumber"]), content, request.number)
        return document("CopyPartResult", _copied(part))

    def _list_parts(self, request: Request) -> Answer:
        upload = self._upload(request)
        marker = int(request.query.get("part-number-marker") or 0)
        numbers = sorted(number for number in upload.parts if number > marker)
        page = numbers[:1000]
        inside = f"<UploadId>{upload.id}</UploadId>"
        inside += f"<IsTruncated>{'true' if len(numbers) > len(page) else 'false'}</IsTruncated>"
        if self.checksums:
            inside += "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>"
        if len(numbers) > len(page):
            inside += f"<NextPartNumberMarker>{page[-1]}</NextPartNumberMarker>"
        for number in page:
            part = upload.parts[number]
            inside += f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(part.etag)}</ETag>"
            inside += f"<Size>{len(part.content)}</Size>"
            inside += f"<ChecksumCRC64NVME>{part.crc64nvme}</ChecksumCRC64NVME>" if self.checksums else ""
            inside += "</Part>"
        return document("ListPartsResult", inside)

    def _abort_multipart_upload(self, request: Request) -> Answer:
        self.state.abort(self._upload(request), request.number)
        return Answer(204)

    def _complete_multipart_upload(self, request: Request) -> Answer:
        upload = self._upload(request)
        bucket = self._bucket(request.bucket)
        named = list(ET.fromstring(request.body).iterfind("{*}Part"))
        parts = [self._named_part(upload, one) for one in named]
        numbers = [int(one.findtext("{*}PartNumber") or 0) for one in named]
        if not parts or numbers != sorted(set(numbers)):
            return error(400, "InvalidPartOrder" if parts else "MalformedXML")
        if not self._small_parts and any(len(part.content) < MIN_PART_BYTES for part in parts[:-1]):
            return error(400, "EntityTooSmall")
        content = b"".join(part.content for part in parts)
        self._check_whole(request, content)
        self._check_target(request, bucket)
        joined = hashlib.md5(b"".join(bytes.fromhex(part.digest) for part in parts), usedforsecurity=False)
        stored = StoredObject(content, f'"{joined.hexdigest()}-{len(parts)}"', upload.headers, upload.tags)
        del self.state.uploads[upload.id]
        self.state.write(bucket, request.key, stored, request.number)
        inside = f"<ETag>{escape(stored.etag)}</ETag>"
        inside += f"<ChecksumCRC64NVME>{stored.crc64nvme}</ChecksumCRC64NVME>" if self.checksums else ""
        return document("CompleteMultipartUploadResult", inside)

    def _named_part(self, upload: Upload, named: ET.Element) -> StoredObject:
        part = upload.parts.get(int(named.findtext("{*}PartNumber") or 0))
        if part is None or (named.findtext("{*}ETag") or "").strip('"') != part.etag.strip('"'):
            raise Refused(error(400, "InvalidPart"))
        stated = named.findtext("{*}ChecksumCRC64NVME")
        if self.verify and stated is not None and stated != part.crc64nvme:
            raise Refused(error(400, "InvalidPart"))
        return part

    def _check_whole(self, request: Request, content: bytes) -> None:
        size, stated = request.headers.get("x-amz-mp-object-size"), request.headers.get(_CRC)
        if size is not None and int(size) != len(content):
            raise Refused(error(400, "InvalidRequest", "the size of the object is another one"))
        if self.verify and stated is not None and stated != encode_crc(crc64nvme(content)):
            raise Refused(error(400, "BadDigest"))

    # --- what they share -----------------------------------------------------------------------------------------

    def _check_digests(self, request: Request) -> None:
        if not self.verify:
            return
        headers, body = request.headers, request.body
        md5, crc, sha = headers.get("content-md5"), headers.get(_CRC), headers.get("x-amz-content-sha256", "")
        if md5 is not None and base64.b64decode(md5) != hashlib.md5(body, usedforsecurity=False).digest():
            raise Refused(error(400, "BadDigest"))
        if crc is not None and crc != encode_crc(crc64nvme(body)):
            raise Refused(error(400, "BadDigest"))
        if len(sha) == 64 and sha != hashlib.sha256(body).hexdigest():
            raise Refused(error(400, "XAmzContentSHA256Mismatch"))

    def _check_target(self, request: Request, bucket: Bucket) -> None:
        stored = bucket.objects.get(request.key)
        if request.headers.get("if-none-match") == "*" and stored is not None:
            raise Refused(error(412, "PreconditionFailed"))
        if request.headers.get("if-match") is not None:
            if stored is None:
                raise Refused(error(404, "NoSuchKey"))
            _check_if_match(request.headers["if-match"], stored)

    def _receipt(self, request: Request, stored: StoredObject) -> dict[str, str]:
        headers = _encryption(request)
        if self.checksums:
            headers |= {_CRC: stored.crc64nvme, _TYPE: "FULL_OBJECT"}
        return headers

    def _head_of(self, request: Request, stored: StoredObject) -> dict[str, str]:
        headers = {
            "ETag": stored.etag,
            "Last-Modified": formatdate(stored.modified_s, usegmt=True),
            "Accept-Ranges": "bytes",
            **stored.headers,
        }
        if stored.tags:
            headers["x-amz-tagging-count"] = str(len(stored.tags))
        if self.checksums and "x-amz-checksum-mode" in request.headers and "range" not in request.headers:
            headers |= {_CRC: stored.crc64nvme, _TYPE: "FULL_OBJECT"}
        return headers


@functools.cache
def _method_of(operation: str) -> str:
    return re.sub("(?=[A-Z])", "_", operation).lower()


def _check_if_match(etag: str | None, stored: StoredObject) -> None:
    if etag is not None and etag.strip('"') != stored.etag.strip('"'):
        raise Refused(error(412, "PreconditionFailed"))


def _kept(request: Request) -> dict[str, str]:
    return {
        name: value for name, value in request.headers.items() if name in KEPT_HEADERS or name.startswith("x-amz-meta-")
    }


def _tags(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.headers.get("x-amz-tagging", ""), keep_blank_values=True))


def _encryption(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name.startswith("x-amz-server-side-encryption")}


def _copied(stored: StoredObject) -> str:
    return (
        f"<ETag>{escape(stored.etag)}</ETag><LastModified>{iso_date(stored.modified_s)}</LastModified>"
        f"<ChecksumCRC64NVME>{stored.crc64nvme}</ChecksumCRC64NVME>"
    )
