"""Whether a store did what it was asked for: its answers must say so, else the object is not what the user thinks it is.

Encryption is echoed by the answer to the write itself. Lock, storage class, redirect and bucket key are told only by a HEAD.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from bucket_brigade.errors import NotHonoured
from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes
from bucket_brigade.s3.store import ObjectHead

TOLD_BY_HEAD_ONLY = (
    "storage_class",
    "website_redirect",
    "bucket_key",
    "lock_mode",
    "retain_until",
    "legal_hold",
    "checksum_algorithm",
)
"""Attributes that no answer to a write echoes."""

_NAMES = {
    "storage_class": "the storage class",
    "website_redirect": "the website redirect",
    "bucket_key": "the bucket key",
    "lock_mode": "the object lock",
    "retain_until": "the end of the object lock",
    "legal_hold": "the legal hold",
    "checksum_algorithm": "the checksum",
    "sse": "the encryption",
    "sse_kms_key_id": "the KMS key",
}


class Echo(NamedTuple):
    """What an answer says about encryption; empty where it says nothing."""

    sse: str
    kms_key_id: str
    customer_key_md5: str


def demands_echo(asked: ObjectAttributes) -> bool:
    """Tell whether the attributes ask for what the answer to a write has to confirm."""
    return asked.sse is not None or asked.sse_kms_key_id is not None


def unconfirmed(asked: ObjectAttributes, customer_key_md5: str, echo: Echo) -> str:
    """Return what the answer to a write does not confirm of the encryption asked for, half a sentence; else empty."""
    if customer_key_md5 and echo.customer_key_md5 != customer_key_md5:
        return "encryption with the customer's key (SSE-C) was asked for, and the answer does not confirm it"
    if asked.sse is not None and echo.sse != asked.sse:
        return f"the encryption {asked.sse} was asked for, the answer states {echo.sse or 'none'}"
    if asked.sse_kms_key_id is not None and not same_kms_key(asked.sse_kms_key_id, echo.kms_key_id):
        return f"the KMS key {asked.sse_kms_key_id} was asked for, the answer states {echo.kms_key_id or 'none'}"
    return ""


def same_kms_key(asked: str, stated: str) -> bool:
    """Tell whether a store's name for a KMS key can mean the one asked for: an alias may stand for any."""
    if asked == stated or (stated and "alias/" in asked):
        return True
    return stated.endswith(f"/{asked}") or asked.endswith(f"/{stated}") if stated else False


@functools.lru_cache(maxsize=256)  # asked of every object, and nearly all are written with the same attributes
def needs_a_look(asked: ObjectAttributes) -> bool:
    """Tell whether a HEAD has to prove that the store took the attributes: those that no answer echoes."""
    return asked is not NO_ATTRIBUTES and any(getattr(asked, name) is not None for name in TOLD_BY_HEAD_ONLY)


def lacking(asked: ObjectAttributes, head: ObjectHead) -> list[str]:
    """Return the fields of ``asked`` that a HEAD does not tell of the object, of those that a HEAD tells at all."""
    found = head.attributes
    same = {
        "storage_class": (asked.storage_class or "STANDARD") == (found.storage_class or "STANDARD"),
        "website_redirect": asked.website_redirect == found.website_redirect,
        "bucket_key": bool(asked.bucket_key) == bool(found.bucket_key),
        "lock_mode": asked.lock_mode == found.lock_mode,
        "retain_until": _same_instant(asked.retain_until, found.retain_until),
        "legal_hold": (asked.legal_hold or "OFF") == (found.legal_hold or "OFF"),
        "checksum_algorithm": asked.checksum_algorithm in (*head.checksums, *head.composite),
        "sse": asked.sse == found.sse,
        "sse_kms_key_id": same_kms_key(asked.sse_kms_key_id or "", found.sse_kms_key_id or ""),
    }
    return [name for name, honoured in same.items() if getattr(asked, name) is not None and not honoured]


def names_of(fields: Iterable[str]) -> str:
    """Return how messages name attributes."""
    return ", ".join(_NAMES.get(field, field.replace("_", " ")) for field in fields)


def not_honoured(
    operation: str, where: str, lack: str, *, etag: str = "", version_id: str | None = None, request_id: str = ""
) -> NotHonoured:
    """Return the error of a store that says yes and does something else."""
    return NotHonoured(
        f"{operation} {where}: {lack}",
        etag=etag,
        version_id=version_id,
        request_id=request_id,
        remedy="Leave the option out, or use an endpoint that supports it.",
    )


def _same_instant(one: str | None, other: str | None) -> bool:
    if one is None or other is None:
        return one == other
    try:
        return abs((datetime.fromisoformat(one) - datetime.fromisoformat(other)).total_seconds()) < 1
    except (TypeError, ValueError):
        return one == other
