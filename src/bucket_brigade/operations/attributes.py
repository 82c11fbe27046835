"""Which attributes an object gets that is written from another one."""

from __future__ import annotations

import msgspec

from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes
from bucket_brigade.s3.store import ObjectHead, Store

REPLACED_TOGETHER = (
    "content_type",
    "content_encoding",
    "content_disposition",
    "content_language",
    "cache_control",
    "expires",
    "metadata",
)
"""CopyObject's ``MetadataDirective: REPLACE`` drops all of these that the request does not name."""


def overlay(source: ObjectAttributes, asked: ObjectAttributes) -> ObjectAttributes:
    """Return the source's attributes with what the job asks for put over them."""
    if asked == NO_ATTRIBUTES:
        return source
    changes = {name: value for name in asked.__struct_fields__ if (value := getattr(asked, name)) is not None}
    return msgspec.structs.replace(source, **changes)


def inherited(head: ObjectHead) -> ObjectAttributes:
    """Return what a copy inherits from its source: everything but encryption and storage class, as with CopyObject."""
    return msgspec.structs.replace(head.attributes, sse=None, sse_kms_key_id=None, storage_class=None)


def replaces_metadata(asked: ObjectAttributes) -> bool:
    """Return whether a server-side copy with these attributes must restate all metadata of its source."""
    return any(getattr(asked, name) is not None for name in REPLACED_TOGETHER)


async def carried_over(
    store: Store, bucket: str, key: str, head: ObjectHead, asked: ObjectAttributes, *, version_id: str | None = None
) -> ObjectAttributes:
    """Return what the object written elsewhere must get: the source's metadata and tags, and what the job asks for.

    Encryption and storage class are the target's own unless the job asks for them.
    Costs a GetObjectTagging only where the HEAD tells of tags and the job names none.
    """
    attributes = overlay(inherited(head), asked)
    if head.tag_count and asked.tagging is None:
        tags = await store.get_object_tags(bucket, key, version_id=version_id)
        attributes = msgspec.structs.replace(attributes, tagging=tags)
    return attributes
