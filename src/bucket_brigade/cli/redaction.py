"""Keeps secrets out of everything that is logged or printed."""

from __future__ import annotations

import re

from bucket_brigade.model.redaction import HIDDEN, redact_text

__all__ = ["HIDDEN", "redact", "redact_text"]

_SECRET_NAMES = re.compile(
    r"authorization|secret|password|passphrase|session.?token|security.?token|signature|credential"
    r"|customer.?(?:key|algorithm)|sse.?c.?key|access.?key(?!.?id)",
    re.IGNORECASE,
)


def redact(name: str, value: object) -> object:
    """Return a logged value without secrets: wholly hidden where its name says so, else with secrets in its text hidden."""
    if _SECRET_NAMES.search(name):
        return HIDDEN
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        return {key: redact(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact("", inner) for inner in value]
    return value
