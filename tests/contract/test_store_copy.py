"""The contract of the store port: copies on the server."""

from __future__ import annotations

import pytest

from bucket_brigade.errors import NotFound, SourceChanged, TransferError
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.s3.store import ObjectHead, Pin, Store
from tests.contract.actions import read
from tests.contract.quirks import Quirk, Quirks

pytestmark = pytest.mark.asyncio(loop_scope="session")

ATTRIBUTES = ObjectAttributes(content_type="text/x-brigade", metadata=(("owner", "somebody"),))


async def test_copy_holds_the_same_bytes_and_attributes(store: Store, bucket: str, quirks: Quirks) -> None:
    await store.put_object(bucket, "source", b"content", attributes=ATTRIBUTES)

    written = await store.copy_object(bucket, "target", source_bucket=bucket, source_key="source")

    head = await store.head_object(bucket, "target")
    assert head.etag == written.etag
    assert head.attributes.content_type == "text/x-brigade"
    assert _metadata(head, quirks) == {"owner": "somebody"}
    assert await read(store, bucket, "target", 7) == b"content"


async def test_copy_with_content_attributes_replaces_all_of_them(store: Store, bucket: str, quirks: Quirks) -> None:
    await store.put_object(bucket, "source", b"content", attributes=ATTRIBUTES)
    new = ObjectAttributes(content_type="text/plain", metadata=(("color", "green"),))

    await store.copy_object(bucket, "target", source_bucket=bucket, source_key="source", attributes=new)

    head = await store.head_object(bucket, "target")
    assert head.attributes.content_type == "text/plain"
    kept = {"owner": "somebody"} if Quirk.ADDS_MTIME_TO_COPIES in quirks else {}
    assert _metadata(head, quirks) == {"color": "green", **kept}


async def test_copy_with_a_storage_class_alone_keeps_the_metadata(store: Store, bucket: str, quirks: Quirks) -> None:
    await store.put_object(bucket, "source", b"content", attributes=ATTRIBUTES)

    await store.copy_object(
        bucket,
        "target",
        source_bucket=bucket,
        source_key="source",
        attributes=ObjectAttributes(storage_class="STANDARD"),
    )

    head = await store.head_object(bucket, "target")
    assert head.attributes.content_type == "text/x-brigade"
    assert _metadata(head, quirks) == {"owner": "somebody"}


async def test_copy_carries_tags_over(store: Store, bucket: str, quirks: Quirks) -> None:
    if Quirk.NO_TAGS in quirks:
        pytest.skip(Quirk.NO_TAGS.value)
    tagged = ObjectAttributes(tagging=(("project", "brigade"),))
    await store.put_object(bucket, "source", b"content", attributes=tagged)

    await store.copy_object(bucket, "target", source_bucket=bucket, source_key="source")

    assert await store.get_object_tags(bucket, "target") == (("project", "brigade"),)


async def test_copy_replaces_tags_when_told_to(store: Store, bucket: str, quirks: Quirks) -> None:
    if Quirk.NO_TAGS in quirks:
        pytest.skip(Quirk.NO_TAGS.value)
    tagged = ObjectAttributes(tagging=(("project", "brigade"),))
    await store.put_object(bucket, "source", b"content", attributes=tagged)

    await store.copy_object(
        bucket,
        "target",
        source_bucket=bucket,
        source_key="source",
        attributes=ObjectAttributes(tagging=(("color", "green"),)),
        tagging=True,
    )

    assert await store.get_object_tags(bucket, "target") == (("color", "green"),)


async def test_copy_between_buckets(store: Store, bucket: str) -> None:
    other = f"{bucket}-other"
    await store.create_bucket(other)
    await store.put_object(bucket, "a b/ü+%", b"content")

    await store.copy_object(other, "target", source_bucket=bucket, source_key="a b/ü+%")

    assert await read(store, other, "target", 7) == b"content"


async def test_pinned_copy_of_an_unchanged_source(store: Store, bucket: str) -> None:
    source = await store.put_object(bucket, "source", b"content")

    await store.copy_object(bucket, "target", source_bucket=bucket, source_key="source", pin=Pin(source.etag))

    assert await read(store, bucket, "target", 7) == b"content"


async def test_copy_of_a_replaced_source_has_changed(store: Store, bucket: str, quirks: Quirks) -> None:
    before = await store.put_object(bucket, "source", b"content")
    await store.put_object(bucket, "source", b"CONTENT")

    with quirks.refused(SourceChanged, unless=Quirk.IGNORES_COPY_SOURCE_IF_MATCH):
        await store.copy_object(bucket, "target", source_bucket=bucket, source_key="source", pin=Pin(before.etag))

    if Quirk.IGNORES_COPY_SOURCE_IF_MATCH not in quirks:
        with pytest.raises(NotFound):
            await store.head_object(bucket, "target")


async def test_copy_of_a_missing_source_is_not_found(store: Store, bucket: str) -> None:
    with pytest.raises(NotFound):
        await store.copy_object(bucket, "target", source_bucket=bucket, source_key="missing")
    with pytest.raises(TransferError):
        await store.copy_object(bucket, "target", source_bucket="no-such-bucket-here", source_key="missing")


def _metadata(head: ObjectHead, quirks: Quirks) -> dict[str, str]:
    """Return the metadata of a copy, without what the server is known to add."""
    metadata = dict(head.attributes.metadata or ())
    if Quirk.ADDS_MTIME_TO_COPIES in quirks:
        del metadata["mtime"]
    return metadata
