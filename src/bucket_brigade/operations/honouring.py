"""What a store was asked for and did not do: found out after the write, and then the object is withdrawn."""

from __future__ import annotations

import contextlib

from bucket_brigade.errors import AccessDenied, NotHonoured, PermanentError, TransferError
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.operations.access import asked_acl, shared_grants
from bucket_brigade.operations.attributes import grants_of
from bucket_brigade.s3.echo import lacking, names_of, needs_a_look, not_honoured
from bucket_brigade.s3.store import ObjectHead, Pin, Store, Written

_LOCK = frozenset({"lock_mode", "retain_until", "legal_hold"})


def must_look(asked: ObjectAttributes, *, in_parts: bool = False) -> bool:
    """Return whether a HEAD after the write has to prove what was asked for: what no answer echoes.

    The answer that completes a multipart upload may leave out the encryption too.
    """
    return needs_a_look(asked) or (in_parts and asked.sse is not None)


async def prove_kept(store: Store, bucket: str, key: str, written: Written, asked: ObjectAttributes) -> None:
    """Raise NotHonoured unless a HEAD tells all of ``asked`` that it can tell; what was written is withdrawn then."""
    _, missing = await look_at_kept(store, bucket, key, written, asked)
    if missing:
        raise await withdrawn(store, bucket, key, dropped(bucket, key, written, missing))


async def look_at_kept(
    store: Store, bucket: str, key: str, written: Written, asked: ObjectAttributes
) -> tuple[ObjectHead, list[str]]:
    """Return the HEAD of what was written, and the fields of ``asked`` that the store took and does not keep.

    A lock that is missing is set by its own request first: some stores take it with PutObject only.
    """
    pin = Pin(version_id=version_of(written))
    head = await store.head_object(bucket, key, pin=pin)
    missing = lacking(asked, head)
    if not _LOCK & set(missing):
        return head, missing
    try:
        await store.put_object_lock(bucket, key, asked, version_id=version_of(written))
    except PermanentError:
        return head, missing
    head = await store.head_object(bucket, key, pin=pin)
    return head, lacking(asked, head)


def version_of(written: Written) -> str | None:
    """Return the version that a receipt names, None for the one without a version, which some stores do not find by its name."""
    return None if written.version_id in ("", "null") else written.version_id


def dropped(bucket: str, key: str, written: Written, fields: list[str]) -> NotHonoured:
    """Return the error for attributes that the store accepted and does not keep."""
    lack = f"the store accepted {names_of(fields)} and does not keep it"
    return not_honoured("write", f"{bucket}/{key}", lack, etag=written.etag, version_id=written.version_id)


async def withdrawn(store: Store, bucket: str, key: str, error: NotHonoured) -> NotHonoured:
    """Remove what was written (that version, or the object if it is still this one) and return the error to raise."""
    if not error.etag:
        return error
    try:
        await store.delete_object(
            bucket, key, version_id=error.version_id, if_match="" if error.version_id else error.etag
        )
    except TransferError as refused:
        return NotHonoured(
            f"{error}. It could not be removed again: {refused}",
            request_id=error.request_id,
            remedy=f"Remove {bucket}/{key} yourself.",
        )
    return error


async def amend(store: Store, bucket: str, key: str, written: Written, asked: ObjectAttributes) -> None:
    """Set the tags and the access control list of an object written in parts, where the store took them and forgot them.

    Some stores keep what CreateMultipartUpload is given but for these. Who may not read them has to trust the store.
    """
    version_id = version_of(written)
    if asked.tagging:
        with contextlib.suppress(AccessDenied):
            if sorted(await store.get_object_tags(bucket, key, version_id=version_id)) != sorted(asked.tagging):
                await store.put_object_tags(bucket, key, asked.tagging, version_id=version_id)
    if asked.acl not in (None, "private") or grants_of(asked):
        with contextlib.suppress(AccessDenied):
            present = await store.get_object_acl(bucket, key, version_id=version_id)
            if not shared_grants(present):
                await store.put_object_acl(bucket, key, asked_acl(asked, present.owner), version_id=version_id)
