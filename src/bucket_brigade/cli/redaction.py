"""Keeps secrets out of everything that is logged or printed."""

from __future__ import annotations

import re

HIDDEN = "***"

_SECRET_NAMES = re.compile(
    r"authorization|secret|password|passphrase|session.?token|security.?token|signature|credential"
    r"|customer.?(?:key|algorithm)|sse.?c.?key|access.?key(?!.?id)",
    re.IGNORECASE,
)
_PATTERNS = (
    # Userinfo and query of a URL: presigned URLs carry their signature there. Object keys (s3://…?…) are left alone.
    (re.compile(r"(https?://)[^\s/@'\"]+@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    (re.compile(r"(https?://[^\s?'\"<>]+)\?[^\s'\"<>]+", re.IGNORECASE), rf"\1?{HIDDEN}"),
    (re.compile(r"(AWS4-HMAC-SHA256\s+)[^\r\n'\"]+"), rf"\1{HIDDEN}"),
    (
        re.compile(
            r"((?:authorization|x-amz-security-token|x-amz-signature|x-amz-credential"
            r"|x-amz-(?:copy-source-)?server-side-encryption-customer-key(?:-md5)?"
            r"|aws_secret_access_key|aws_session_token|secret_access_key|session_token)"
            r"['\"]?\s*[:=]\s*['\"]?)(?:(?:Bearer|Basic|AWS)\s+)?[^\s'\",;&<>]+",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
)


def redact_text(text: str) -> str:
    """Return ``text`` with signatures, tokens, credentials and the queries of web addresses replaced by ``***``."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


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
