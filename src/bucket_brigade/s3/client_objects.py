"""Single objects through the aioboto3 client: put, get, head, copy, delete, tags."""

from __future__ import annotations

import asyncio
from typing import Any

from bucket_brigade.errors import (
    ConnectionLost,
    NotFound,
    NotSupported,
    PermanentError,
    SourceChanged,
    StoreUnavailable,
    TransferError,
)
from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes
from bucket_brigade.s3.calls import (
    Answer,
    Caller,
    attribute_parameters,
    checksum_parameters,
    condition_parameters,
    digest_parameters,
    other_algorithm,
    pin_parameters,
)
from bucket_brigade.s3.checksums import content_md5
from bucket_brigade.s3.errors import code_in, error_from_exception, redact
from bucket_brigade.s3.reading import fill, head_from_answer, same_etag, total_of_range
from bucket_brigade.s3.store import (
    UNCONDITIONAL,
    UNPINNED,
    Body,
    Condition,
    DeleteError,
    DeleteKey,
    ObjectHead,
    Pin,
    Written,
)
from bucket_brigade.s3.xml_messages import fits_xml

SINGLE_DELETES_IN_FLIGHT = 16

_REPLACED_TOGETHER = frozenset(
    {
        "ContentType",
        "ContentEncoding",
        "ContentDisposition",
        "ContentLanguage",
        "CacheControl",
        "Expires",
        "Metadata",
    }
)
"""``MetadataDirective: REPLACE`` drops all of these that the request does not name; COPY ignores what it names."""
_GONE = frozenset({"NoSuchKey", "NoSuchVersion", "NotFound"})


class ObjectCalls(Caller):
    """The operations of ``Store`` on single objects; their contracts are stated there."""

    _deletes_many = True

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
        """Write the whole object."""
        params = {"Bucket": bucket, "Key": key, "Body": body, **attribute_parameters(attributes)}
        params |= condition_parameters(condition)
        if attributes.lock_mode is not None or attributes.legal_hold is not None:
            params["ContentMD5"] = content_md5(
                body
            )  # S3 demands a checksum with a lock, and the endpoint may take no other
        if (algorithm := other_algorithm(attributes)) is not None:
            params |= digest_parameters(algorithm, body)
        elif crc64nvme is not None:
            params |= checksum_parameters(crc64nvme)
        send = self.call_with_checksums if algorithm is None else self.call
        answer = await send("PutObject", params)
        written = self.written("PutObject", params, answer, answer)
        self.demand_echo("PutObject", params, answer, attributes, etag=written.etag)
        return written

    async def get_object(
        self, bucket: str, key: str, into: memoryview, *, start: int | None = None, pin: Pin = UNPINNED
    ) -> ObjectHead:
        """Fill ``into`` with the whole object or a range of it."""
        if start is not None and not len(into):
            return await self.head_object(bucket, key, pin=pin)
        params: dict[str, Any] = {"Bucket": bucket, "Key": key, **pin_parameters(pin)}
        if start is not None:
            params["Range"] = f"bytes={start}-{start + len(into) - 1}"
        try:
            answer = await self.call("GetObject", params, pinned=True)
        except PermanentError as error:
            if error.code == "InvalidRange":
                raise SourceChanged(f"{self.location(bucket, key)}: the object is shorter than it was") from error
            raise
        return await self._receive(params, answer, into, start, pin)

    async def _receive(
        self, params: dict[str, Any], answer: Answer, into: memoryview, start: int | None, pin: Pin
    ) -> ObjectHead:
        where = self.location(params["Bucket"], params["Key"])
        response = answer["Body"].__wrapped__
        complete = False
        try:
            self._check_state(where, answer, pin)
            size = (
                _whole_size(where, answer, len(into)) if start is None else total_of_range(where, answer, start, into)
            )
            received = await fill(response.content, into, window_s=self.endpoint.read_timeout_s)
            complete = True
        except (TransferError, asyncio.CancelledError):
            raise
        except Exception as exc:
            raise error_from_exception(exc, operation="GetObject", location=where) from exc
        finally:
            if not complete:
                response.close()
        if received > len(into):
            response.close()
            raise SourceChanged(f"{where}: the object is larger than {len(into)} bytes")
        if received < len(into):
            raise ConnectionLost(f"GetObject {where}: the body ended after {received} of {len(into)} bytes")
        return head_from_answer(answer, size, with_checksums=start is None)

    def _check_state(self, where: str, answer: Answer, pin: Pin) -> None:
        """Raise SourceChanged where a store ignored the pin and answered with another state of the object."""
        etag = answer.get("ETag", "")
        if pin.etag and etag and not same_etag(pin.etag, etag):
            raise SourceChanged(f"{where}: the object was replaced since it was listed")

    async def head_object(self, bucket: str, key: str, *, pin: Pin = UNPINNED) -> ObjectHead:
        """Return what the store tells about the object."""
        params = {"Bucket": bucket, "Key": key, "ChecksumMode": "ENABLED", **pin_parameters(pin)}
        answer = await self.call("HeadObject", params, pinned=True)
        where = self.location(bucket, key)
        self._check_state(where, answer, pin)
        size = answer.get("ContentLength")
        if size is None:
            raise self.unproven("HeadObject", params, answer, "without a size")
        return head_from_answer(answer, int(size), with_checksums=True)

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
        """Copy on the server."""
        params: dict[str, Any] = {"Bucket": bucket, "Key": key, **copy_source(source_bucket, source_key, pin)}
        params |= condition_parameters(condition)
        if attributes is not None:
            params |= attribute_parameters(attributes, tagging=False)
            if _REPLACED_TOGETHER & params.keys():
                params["MetadataDirective"] = "REPLACE"
        if attributes is not None and attributes.checksum_algorithm is not None:
            params["ChecksumAlgorithm"] = attributes.checksum_algorithm
        if tagging:
            tags = attribute_parameters(attributes or NO_ATTRIBUTES).get("Tagging", "")
            params |= {"TaggingDirective": "REPLACE", "Tagging": tags}
        answer = await self.call("CopyObject", params, pinned=condition == UNCONDITIONAL)
        written = self.written("CopyObject", params, answer, answer.get("CopyObjectResult") or {})
        self.demand_echo("CopyObject", params, answer, attributes or NO_ATTRIBUTES, etag=written.etag)
        return written

    async def delete_object(self, bucket: str, key: str, *, version_id: str | None = None, if_match: str = "") -> None:
        """Remove the key, or one version of it."""
        params: dict[str, Any] = {"Bucket": bucket, "Key": key}
        if version_id is not None:
            params["VersionId"] = version_id
        if if_match:
            params["IfMatch"] = if_match
        try:
            await self.call("DeleteObject", params)
        except NotFound as error:
            if error.code not in _GONE:
                raise

    async def delete_objects(self, bucket: str, keys: list[DeleteKey]) -> dict[int, DeleteError]:
        """Remove up to 1,000 keys; return those that were not, by position."""
        many: list[int] = []
        single: list[int] = []
        for index, one in enumerate(keys):
            (many if fits_xml(one.key) and self._deletes_many else single).append(index)
        errors: dict[int, DeleteError] = {}
        if many:
            try:
                errors = await self._delete_many(bucket, keys, many)
            except PermanentError as error:
                if not isinstance(error, NotSupported) and error.code != "MethodNotAllowed":
                    raise
                self._deletes_many = False
                single = list(range(len(keys)))
        if single:
            errors |= await self._delete_singly(bucket, keys, single)
        return errors

    async def _delete_many(self, bucket: str, keys: list[DeleteKey], indexes: list[int]) -> dict[int, DeleteError]:
        entries = [_delete_entry(keys[index]) for index in indexes]
        params = {"Bucket": bucket, "Delete": {"Objects": entries, "Quiet": False}}
        answer = await self.call("DeleteObjects", params)
        return reconcile(keys, indexes, answer.get("Deleted", ()), answer.get("Errors", ()))

    async def _delete_singly(self, bucket: str, keys: list[DeleteKey], indexes: list[int]) -> dict[int, DeleteError]:
        errors: dict[int, DeleteError] = {}
        pending = iter(indexes)

        async def work() -> None:
            for index in pending:
                one = keys[index]
                try:
                    await self.delete_object(bucket, one.key, version_id=one.version_id, if_match=one.etag)
                except TransferError as error:
                    errors[index] = DeleteError(error.code, str(error))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(len(indexes), SINGLE_DELETES_IN_FLIGHT)):
                group.create_task(work())
        return errors

    async def get_object_tags(
        self, bucket: str, key: str, *, version_id: str | None = None
    ) -> tuple[tuple[str, str], ...]:
        """Return the object's tags."""
        params: dict[str, Any] = {"Bucket": bucket, "Key": key}
        if version_id is not None:
            params["VersionId"] = version_id
        try:
            answer = await self.call("GetObjectTagging", params)
        except NotFound as error:
            if error.code == "NoSuchTagSet":
                return ()
            raise
        if "TagSet" not in answer:
            raise self.unproven("GetObjectTagging", params, answer, "without a set of tags")
        return tuple((tag["Key"], tag.get("Value", "")) for tag in answer["TagSet"])


def copy_source(bucket: str, key: str, pin: Pin) -> dict[str, Any]:
    """Return the parameters that name the source of a server-side copy, and which state of it."""
    source = {"Bucket": bucket, "Key": key}
    if pin.version_id is not None:
        source["VersionId"] = pin.version_id
    params: dict[str, Any] = {"CopySource": source}
    if pin.etag:
        params["CopySourceIfMatch"] = pin.etag
    return params


def reconcile(keys: list[DeleteKey], indexes: list[int], deleted: Any, refused: Any) -> dict[int, DeleteError]:
    """Return the error of every key of a DeleteObjects request that its answer does not call deleted.

    A key that is in neither list gets the code ``NoAnswer``; a missing key counts as deleted.
    """
    if not refused and not any(keys[index].version_id for index in indexes):
        told = {entry.get("Key") for entry in deleted}
        if all(keys[index].key in told for index in indexes):
            return {}
    waiting: dict[tuple[str, str], list[int]] = {}
    for index in indexes:
        waiting.setdefault((keys[index].key, keys[index].version_id or ""), []).append(index)
    errors: dict[int, DeleteError] = {}
    for entry in deleted:
        _take(waiting, entry)
    for entry in refused:
        code = entry.get("Code", "")
        for index in _take(waiting, entry):
            if code not in _GONE:
                errors[index] = DeleteError(code_in(code) or "NoCode", redact(entry.get("Message", "")))
    for left in waiting.values():
        errors |= {index: DeleteError("NoAnswer", "the endpoint's answer does not mention this key") for index in left}
    return errors


def _take(waiting: dict[tuple[str, str], list[int]], entry: dict[str, Any]) -> list[int]:
    """Return the positions that an entry of the answer speaks of; some stores leave the version out, or add one."""
    key, version = entry.get("Key", ""), entry.get("VersionId", "")
    for exact in ((key, version), (key, "")):
        if exact in waiting:
            return waiting.pop(exact)
    same_key = [name for name in waiting if name[0] == key]
    return waiting.pop(same_key[0]) if not version and len(same_key) == 1 else []


def _delete_entry(one: DeleteKey) -> dict[str, str]:
    entry = {"Key": one.key}
    if one.version_id is not None:
        entry["VersionId"] = one.version_id
    if one.etag:
        entry["ETag"] = one.etag
    return entry


def _whole_size(where: str, answer: Answer, expected: int) -> int:
    status = answer["ResponseMetadata"]["HTTPStatusCode"]
    if status != 200:
        raise StoreUnavailable(f"GetObject {where}: a whole object is answered with HTTP {status}", status=status)
    length = answer.get("ContentLength")
    if length is not None and int(length) != expected:
        raise SourceChanged(f"{where}: the object has {length} bytes, {expected} were expected")
    return expected
