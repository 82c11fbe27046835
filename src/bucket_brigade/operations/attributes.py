"""Which attributes an object gets that is written from another one: what ``--preserve`` means, decided purely."""

from __future__ import annotations

import time
from datetime import datetime

import msgspec

from bucket_brigade.model.job import NO_ATTRIBUTES, PRESERVABLE, ObjectAttributes, TransferOptions
from bucket_brigade.operations.filemeta import ITEMS, MTIME, encode_mtime
from bucket_brigade.s3.store import Acl, ObjectHead

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

FIELDS = {
    "lock": ("lock_mode", "retain_until", "legal_hold"),
    "encryption": ("sse", "sse_kms_key_id", "bucket_key"),
    "storage-class": ("storage_class",),
    "tags": ("tagging",),
    "metadata": REPLACED_TOGETHER,
    "website-redirect": ("website_redirect",),
}
"""What can be preserved -> the attributes that it is made of."""


class Preserve(msgspec.Struct, frozen=True):
    """What is carried over.

    Attributes:
        names: of ``PRESERVABLE``.
        demanded: what cannot be carried over fails the transfer. Else it is noted.
    """

    names: frozenset[str]
    demanded: bool

    @classmethod
    def of(cls, options: TransferOptions) -> Preserve:
        """Return what a job's options mean."""
        return cls(frozenset(options.preserve), demanded=options.must_preserve)

    @property
    def adds_mtime(self) -> bool:
        """Whether objects without a time of modification in their metadata get one. Not by default: it changes them."""
        return "mtime" in self.names and (self.demanded or len(self.names) == len(PRESERVABLE))

    @property
    def is_what_copies_keep(self) -> bool:
        """Whether CopyObject by itself carries over just this."""
        beyond = {"lock", "storage-class", "encryption", "website-redirect"} & self.names
        return {"metadata", "tags"} <= self.names and not beyond and not self.adds_mtime


class Carried(msgspec.Struct):
    """What one object gets, and what is to be told about it.

    Attributes:
        attributes: of the write.
        wished: fields that came from the source, and not from the job's own attributes.
        notes: what could not be carried over, a phrase each.
        acl: the source's access control list, where it is to be carried over and lets others in.
        customer_key: the source is under SSE-C, and the copy should be too.
    """

    attributes: ObjectAttributes
    wished: frozenset[str] = frozenset()
    notes: list[str] = []
    acl: Acl | None = None
    customer_key: bool = False

    @property
    def note(self) -> str:
        """All notes in one sentence, or empty."""
        return f"Not carried over: {'; '.join(self.notes)}." if self.notes else ""


def overlay(source: ObjectAttributes, asked: ObjectAttributes) -> ObjectAttributes:
    """Return the source's attributes with what the job asks for put over them."""
    if asked == NO_ATTRIBUTES:
        return source
    changes = {name: value for name in asked.__struct_fields__ if (value := getattr(asked, name)) is not None}
    if asked.sse is not None:
        changes = {"sse_kms_key_id": None, "bucket_key": None} | changes
    return msgspec.structs.replace(source, **changes)


def replaces_metadata(asked: ObjectAttributes) -> bool:
    """Return whether a server-side copy with these attributes must restate all metadata of its source."""
    return any(getattr(asked, name) is not None for name in REPLACED_TOGETHER)


def restate(
    head: ObjectHead, asked: ObjectAttributes, preserve: Preserve, *, same_service: bool, now_s: float | None = None
) -> Carried:
    """Return what the object written from ``head``'s must get, but for its tags: what is preserved, under what is asked for.

    Args:
        head: of the source.
        asked: the job's own attributes.
        preserve: what is carried over.
        same_service: KMS keys of the source mean something at the target.
        now_s: seconds since the epoch; a retention that is over is not carried over.
    """
    carried = Carried(NO_ATTRIBUTES, notes=[])
    found = head.attributes
    kept: dict[str, object] = {}
    if "metadata" in preserve.names:
        kept |= {name: getattr(found, name) for name in FIELDS["metadata"]}
        if head.missing_metadata:
            carried.notes.append(f"{head.missing_metadata} metadata that the source cannot show (x-amz-missing-meta)")
    if "lock" in preserve.names:
        kept |= _lock(found, carried, time.time() if now_s is None else now_s)
    if "storage-class" in preserve.names:
        kept["storage_class"] = found.storage_class
    if "website-redirect" in preserve.names:  # apart from the metadata, because CopyObject by itself never carries it
        kept["website_redirect"] = found.website_redirect
    if "encryption" in preserve.names and asked.sse is None:
        kept |= _encryption(head, carried, same_service=same_service)
    attributes = overlay(msgspec.structs.replace(NO_ATTRIBUTES, **kept), asked)
    items = _file_items(head, attributes, preserve)
    if items:
        attributes = msgspec.structs.replace(attributes, metadata=items)
    carried.attributes = attributes
    carried.wished = frozenset(
        name for name in kept if getattr(attributes, name) is not None and getattr(asked, name) is None
    )
    return carried


class Restater:
    """``restate`` for one stage. Most objects of a bucket have the attributes of the one before: what that got, they get."""

    def __init__(self, asked: ObjectAttributes, preserve: Preserve, *, same_service: bool) -> None:
        self._asked = asked
        self._preserve = preserve
        self._adds_mtime = preserve.adds_mtime
        self._same_service = same_service
        self._last: tuple[ObjectAttributes, Carried] | None = None

    def of(self, head: ObjectHead) -> Carried:
        """Return what ``restate`` returns."""
        usual = not (head.missing_metadata or head.sse_customer_key_md5 or self._adds_mtime)
        if usual and self._last is not None and self._last[0] == head.attributes:
            before = self._last[1]
            return Carried(before.attributes, before.wished, [*before.notes])
        carried = restate(head, self._asked, self._preserve, same_service=self._same_service)
        if usual and head.attributes.retain_until is None:  # a retention may end between two objects
            self._last = head.attributes, Carried(carried.attributes, carried.wished, [*carried.notes])
        return carried


def _lock(found: ObjectAttributes, carried: Carried, now_s: float) -> dict[str, object]:
    kept: dict[str, object] = {"legal_hold": "ON" if found.legal_hold == "ON" else None}
    if found.lock_mode is not None and found.retain_until is not None:
        if _seconds_of(found.retain_until) > now_s:
            kept |= {"lock_mode": found.lock_mode, "retain_until": found.retain_until}
        else:
            carried.notes.append(f"the retention {found.lock_mode}, which ended at {found.retain_until}")
    return kept


def _seconds_of(moment: str) -> float:
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return float("inf")


def _encryption(head: ObjectHead, carried: Carried, *, same_service: bool) -> dict[str, object]:
    found = head.attributes
    if head.sse_customer_key_md5:
        carried.customer_key = True
        return {}
    kept: dict[str, object] = {"sse": found.sse}
    if same_service:
        kept |= {"sse_kms_key_id": found.sse_kms_key_id, "bucket_key": found.bucket_key}
    elif found.sse_kms_key_id is not None:
        carried.notes.append(f"the KMS key {found.sse_kms_key_id}, which the target's service does not know")
    return kept


def _file_items(
    head: ObjectHead, attributes: ObjectAttributes, preserve: Preserve
) -> tuple[tuple[str, str], ...] | None:
    """Return the metadata with what they must hold of the file's time, mode and owner; None where nothing is added."""
    present = dict(attributes.metadata or ())
    origin = dict(head.attributes.metadata or ())
    wanted = [item for name, items in ITEMS.items() if name in preserve.names for item in items]
    added = {item: origin[item] for item in wanted if item in origin and item not in present}
    if preserve.adds_mtime and MTIME not in present and MTIME not in added and head.modified_ns:
        added[MTIME] = encode_mtime(head.modified_ns)
    return tuple(sorted((present | added).items())) if added else None


def grants_of(asked: ObjectAttributes) -> bool:
    """Return whether the attributes grant access, besides a canned list."""
    grants = (asked.grant_full_control, asked.grant_read, asked.grant_read_acp, asked.grant_write_acp)
    return any(grant is not None for grant in grants)
