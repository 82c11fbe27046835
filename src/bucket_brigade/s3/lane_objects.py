"""Single objects through the lane; the contracts are stated in ``s3.store``."""

from __future__ import annotations

import msgspec

from bucket_brigade.errors import NotFound, NotSupported, SourceChanged
from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes
from bucket_brigade.s3.checksums import encode_crc
from bucket_brigade.s3.client_objects import reconcile
from bucket_brigade.s3.lane_answers import check_range, check_state, check_whole, object_head
from bucket_brigade.s3.lane_calls import FIRST_REFUSAL, LaneCalls, header_value, in_utf8
from bucket_brigade.s3.lane_forms import Recipe
from bucket_brigade.s3.prepared import PLACEHOLDER_KEY, copy_source, quote_query
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
from bucket_brigade.s3.wire_answer import Answer
from bucket_brigade.s3.xml_messages import delete_lists, deleted_keys, escape, fits_xml
from bucket_brigade.s3.xml_tree import MalformedXml

ANY_CRC = 0x0123456789ABCDEF
ANY_ETAG = '"bucket-brigade-placeholder-etag"'
ANY_VERSION = "bucket-brigade-placeholder-version"
ANY_VALUE = "bucket-brigade-placeholder-value"
ANY_BODY = b"placeholder"

_OWN_CHECKSUM = (None, "CRC64NVME")
"""What a job may ask for where the CRC64NVME goes with the write anyway."""
_GONE = frozenset({"NoSuchKey", "NoSuchVersion", "NotFound"})
_SOURCE_ARN = "arn:"


class ObjectLane(LaneCalls):
    """The operations of ``Store`` on single objects."""

    _deletes_many = True

    # --- put ---------------------------------------------------------------------------------------------------------

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
        fields: dict[str, str] = {"content-length": "0"}
        shape = attributes
        if attributes.metadata:
            shape = _with_placeholders(attributes, fields)
        with_crc = (
            crc64nvme is not None and self._client.sends_checksums and attributes.checksum_algorithm in _OWN_CHECKSUM
        )
        asked = UNCONDITIONAL
        if condition != UNCONDITIONAL:
            asked = any_condition(condition)
            fields |= condition_fields(condition)
        form_key = ("PutObject", bucket, shape, with_crc, asked)
        prepared = self._get(form_key) or await self._book.prepare(
            form_key, lambda: self._put_recipe(bucket, shape, asked, with_crc=with_crc)
        )
        if prepared is None:
            return await self._client.put_object(
                bucket, key, body, attributes=attributes, crc64nvme=crc64nvme, condition=condition
            )
        if with_crc:
            fields["x-amz-checksum-crc64nvme"] = encode_crc(crc64nvme)  # type: ignore[arg-type]
        # Sent twice a conditional write may fail because of itself: then the retries decide what that means.
        replay = condition == UNCONDITIONAL
        answer = await self._send(prepared, "PutObject", bucket, key, fields, body, replay=replay)
        if answer.status < FIRST_REFUSAL:
            written = self._written("PutObject", bucket, key, answer)
            self._demand_echo("PutObject", bucket, key, answer, attributes, etag=written.etag)
            return written
        error = self._refusal("PutObject", bucket, key, answer)
        if with_crc and self._refuses_checksums(error):
            return await self._client.put_object(
                bucket, key, body, attributes=attributes, crc64nvme=crc64nvme, condition=condition
            )
        raise error

    def _put_recipe(self, bucket: str, shape: ObjectAttributes, condition: Condition, *, with_crc: bool) -> Recipe:
        varying = {f"x-amz-meta-{name}": value for name, value in shape.metadata or () if value == ANY_VALUE}
        fields = varying | condition_fields(condition)
        if with_crc:
            fields["x-amz-checksum-crc64nvme"] = encode_crc(ANY_CRC)
        return Recipe(
            lambda: self._client.put_object(
                bucket,
                PLACEHOLDER_KEY,
                ANY_BODY,
                attributes=shape,
                crc64nvme=ANY_CRC if with_crc else None,
                condition=condition,
            ),
            fields,
        )

    # --- get and head ------------------------------------------------------------------------------------------------

    async def get_object(
        self, bucket: str, key: str, into: memoryview, *, start: int | None = None, pin: Pin = UNPINNED
    ) -> ObjectHead:
        """Fill ``into`` with the whole object or a range of it."""
        length = len(into)
        if start is not None and not length:
            return await self.head_object(bucket, key, pin=pin)
        form_key = ("GetObject", bucket, start is not None, bool(pin.etag), pin.version_id is not None)
        prepared = self._get(form_key) or await self._book.prepare(
            form_key, lambda: self._get_recipe(bucket, ranged=start is not None, pin=_any(pin))
        )
        if prepared is None:
            return await self._client.get_object(bucket, key, into, start=start, pin=pin)
        fields = {} if pin is UNPINNED else _pin_fields(pin)
        if start is not None:
            fields["range"] = f"bytes={start}-{start + length - 1}"
        answer = await self._send(prepared, "GetObject", bucket, key, fields, into=into)
        where = self._where(bucket, key)
        if answer.status >= FIRST_REFUSAL:
            error = self._refusal("GetObject", bucket, key, answer, pinned=True)
            if error.code == "InvalidRange":
                raise SourceChanged(f"{where}: the object is shorter than it was") from error
            raise error
        check_state(where, answer, pin)
        size = check_whole(where, answer, length) if start is None else check_range(where, answer, start, length)
        return object_head(answer, size, with_checksums=start is None)

    def _get_recipe(self, bucket: str, *, ranged: bool, pin: Pin) -> Recipe:
        fields = _pin_fields(pin)
        if ranged:
            fields["range"] = f"bytes=7-{7 + len(ANY_BODY) - 1}"
        into = memoryview(bytearray(ANY_BODY))
        return Recipe(
            lambda: self._client.get_object(bucket, PLACEHOLDER_KEY, into, start=7 if ranged else None, pin=pin), fields
        )

    async def head_object(self, bucket: str, key: str, *, pin: Pin = UNPINNED) -> ObjectHead:
        """Return what the store tells about the object."""
        form_key = ("HeadObject", bucket, bool(pin.etag), pin.version_id is not None)
        prepared = self._get(form_key) or await self._book.prepare(
            form_key,
            lambda: Recipe(
                lambda: self._client.head_object(bucket, PLACEHOLDER_KEY, pin=_any(pin)), _pin_fields(_any(pin))
            ),
        )
        if prepared is None:
            return await self._client.head_object(bucket, key, pin=pin)
        answer = await self._send(prepared, "HeadObject", bucket, key, _pin_fields(pin))
        if answer.status >= FIRST_REFUSAL:
            raise self._refusal("HeadObject", bucket, key, answer, pinned=True)
        check_state(self._where(bucket, key), answer, pin)
        length = answer.header(b"content-length")
        if not length.isdecimal():
            raise self._unproven("HeadObject", bucket, key, answer, "without a size")
        return object_head(answer, int(length), with_checksums=True)

    # --- copy --------------------------------------------------------------------------------------------------------

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
        asked = any_condition(condition)
        form_key = (
            "CopyObject",
            bucket,
            source_bucket,
            bool(pin.etag),
            pin.version_id is not None,
            attributes,
            tagging,
            asked,
        )
        prepared = (
            None
            if source_bucket.startswith(_SOURCE_ARN)
            else self._get(form_key)
            or await self._book.prepare(
                form_key,
                lambda: Recipe(
                    lambda: self._client.copy_object(
                        bucket,
                        PLACEHOLDER_KEY,
                        source_bucket=source_bucket,
                        source_key=PLACEHOLDER_KEY,
                        pin=_any(pin),
                        attributes=attributes,
                        tagging=tagging,
                        condition=asked,
                    ),
                    source_fields(source_bucket, PLACEHOLDER_KEY, _any(pin)) | condition_fields(asked),
                ),
            )
        )
        if prepared is None:
            return await self._client.copy_object(
                bucket,
                key,
                source_bucket=source_bucket,
                source_key=source_key,
                pin=pin,
                attributes=attributes,
                tagging=tagging,
                condition=condition,
            )
        fields = source_fields(source_bucket, source_key, pin)
        pinned = condition == UNCONDITIONAL  # else nobody knows which of the two is false
        if not pinned:
            fields |= condition_fields(condition)
        answer = await self._send(prepared, "CopyObject", bucket, key, fields, replay=pinned)
        if answer.status >= FIRST_REFUSAL:
            raise self._refusal("CopyObject", bucket, key, answer, pinned=pinned)
        written = self._written_inside("CopyObject", bucket, key, answer, result="CopyObjectResult", pinned=pinned)
        self._demand_echo("CopyObject", bucket, key, answer, attributes or NO_ATTRIBUTES, etag=written.etag)
        return written

    # --- delete ------------------------------------------------------------------------------------------------------

    async def delete_object(self, bucket: str, key: str, *, version_id: str | None = None, if_match: str = "") -> None:
        """Remove the key, or one version of it."""
        pin = Pin(if_match, version_id)
        form_key = ("DeleteObject", bucket, bool(if_match), version_id is not None)
        prepared = self._get(form_key) or await self._book.prepare(
            form_key,
            lambda: Recipe(
                lambda: self._client.delete_object(
                    bucket, PLACEHOLDER_KEY, version_id=_any(pin).version_id, if_match=_any(pin).etag
                ),
                _pin_fields(_any(pin)),
            ),
        )
        if prepared is None:
            await self._client.delete_object(bucket, key, version_id=version_id, if_match=if_match)
            return
        answer = await self._send(prepared, "DeleteObject", bucket, key, _pin_fields(pin))
        if answer.status >= FIRST_REFUSAL:
            error = self._refusal("DeleteObject", bucket, key, answer)
            if not (isinstance(error, NotFound) and error.code in _GONE):
                raise error

    async def delete_objects(self, bucket: str, keys: list[DeleteKey]) -> dict[int, DeleteError]:
        """Remove up to 1,000 keys; return those that were not, by position."""
        form_key = ("DeleteObjects", bucket)
        prepared = self._get(form_key) or await self._book.prepare(form_key, lambda: self._delete_recipe(bucket))
        if (
            prepared is None
            or prepared.rows is None
            or not keys
            or not self._deletes_many
            or not fits_xml("".join([one.key for one in keys]))
        ):
            return await self._client.delete_objects(bucket, keys)
        rows = prepared.rows.rows
        if any(one.version_id or one.etag for one in keys):
            body = prepared.rows.body([_delete_row(rows, one) for one in keys])
        else:
            body = prepared.rows.body_of_keys([one.key for one in keys])
        answer = await self._send(prepared, "DeleteObjects", bucket, "", {}, body)
        if answer.status >= FIRST_REFUSAL:
            error = self._refusal("DeleteObjects", bucket, "", answer)
            if isinstance(error, NotSupported) or error.code == "MethodNotAllowed":
                self._deletes_many = False
                return await self._client.delete_objects(bucket, keys)
            raise error
        return self._reconciled(bucket, keys, answer)

    def _delete_recipe(self, bucket: str) -> Recipe:
        keys = [DeleteKey(PLACEHOLDER_KEY, version, etag) for version in (None, ANY_VERSION) for etag in ("", ANY_ETAG)]
        return Recipe(
            lambda: self._client.delete_objects(bucket, keys),
            {},
            object_path=False,
            rows=("Object", (PLACEHOLDER_KEY, ANY_VERSION, ANY_ETAG)),
        )

    def _reconciled(self, bucket: str, keys: list[DeleteKey], answer: Answer) -> dict[int, DeleteError]:
        told = deleted_keys(bytes(answer.body))
        if told and told.issuperset([one.key for one in keys]) and not any(one.version_id for one in keys):
            return {}
        try:
            deleted, refused = delete_lists(bytes(answer.body))
        except MalformedXml as exc:
            self._document("DeleteObjects", bucket, "", answer)  # raises what is wrong with it, if it is that
            raise self._unproven("DeleteObjects", bucket, "", answer, "with a page that is none of S3's") from exc
        return reconcile(keys, list(range(len(keys))), deleted, refused)


def _with_placeholders(attributes: ObjectAttributes, fields: dict[str, str]) -> ObjectAttributes:
    """Return attributes of the same shape with placeholders for metadata that differ from object to object.

    Their values go into ``fields``. A value that needs botocore's own judgement (empty, inner white space, no ASCII) stays.
    """
    shape: list[tuple[str, str]] = []
    for name, value in attributes.metadata or ():
        if (
            name.islower()
            and name.isascii()
            and value.isascii()
            and value.isprintable()
            and value == " ".join(value.split())
        ):
            fields[f"x-amz-meta-{name}"] = value
            shape.append((name, ANY_VALUE))
        else:
            shape.append((name, value))
    return msgspec.structs.replace(attributes, metadata=tuple(shape))


def _any(pin: Pin) -> Pin:
    """Return a placeholder that asks for as much as the pin does."""
    return Pin(ANY_ETAG if pin.etag else "", None if pin.version_id is None else ANY_VERSION)


def _pin_fields(pin: Pin) -> dict[str, str]:
    fields: dict[str, str] = {}
    if pin.etag:
        fields["if-match"] = header_value("ETag", pin.etag)
    if pin.version_id is not None:
        fields["?versionId"] = quote_query(pin.version_id)
    return fields


def any_condition(condition: Condition) -> Condition:
    """Return a condition of the same form, whatever its ETag."""
    return Condition(ANY_ETAG, condition.if_absent) if condition.if_match else condition


def condition_fields(condition: Condition) -> dict[str, str]:
    """Return the field of a write's condition that varies; ``If-None-Match: *`` is always the same."""
    return {"if-match": header_value("ETag", condition.if_match)} if condition.if_match else {}


def source_fields(bucket: str, key: str, pin: Pin) -> dict[str, str]:
    """Return the fields that name the source of a server-side copy, and which state of it."""
    source = in_utf8(lambda key: copy_source(bucket, key, pin.version_id), "CopyObject", key)
    fields = {"x-amz-copy-source": header_value("source", source)}
    if pin.etag:
        fields["x-amz-copy-source-if-match"] = header_value("ETag", pin.etag)
    return fields


def _delete_row(rows: tuple[str, ...], one: DeleteKey) -> str:
    if one.version_id is None:
        if not one.etag:
            return rows[0] % escape(one.key)
        return rows[1] % (escape(one.key), escape(one.etag))
    if not one.etag:
        return rows[2] % (escape(one.key), escape(one.version_id))
    return rows[3] % (escape(one.key), escape(one.version_id), escape(one.etag))
