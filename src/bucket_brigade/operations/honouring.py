"""What a store was asked for and did not do: found out after the write, and then the object is withdrawn."""

from __future__ import annotations

from bucket_brigade.errors import NotHonoured, TransferError
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.s3.echo import lacking, names_of, needs_a_look, not_honoured
from bucket_brigade.s3.store import Pin, Store, Written


def must_look(asked: ObjectAttributes, *, in_parts: bool = False) -> bool:
    """Return whether a HEAD after the write has to prove what was asked for: what no answer echoes.

    The answer that completes a multipart upload may leave out the encryption too.
    """
    return needs_a_look(asked) or (in_parts and asked.sse is not None)


async def prove_kept(store: Store, bucket: str, key: str, written: Written, asked: ObjectAttributes) -> None:
    """Raise NotHonoured unless a HEAD tells all of ``asked`` that it can tell; what was written is withdrawn then."""
    head = await store.head_object(bucket, key, pin=Pin(version_id=written.version_id))
    missing = lacking(asked, head)
    if missing:
        raise await withdrawn(store, bucket, key, dropped(bucket, key, written, missing))


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
