"""Takes secrets out of text before anybody reads it: a log, a message, a journal, a report. Pure."""

from __future__ import annotations

import re

HIDDEN = "***"

_PATTERNS = (
    # Userinfo and query of a URL: presigned URLs carry their signature there. Object keys (s3://…?…) are left alone.
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/:@'\"]*:[^\s@'\"]+@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    (re.compile(r"(https?://)[^\s/@'\"]+@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    (re.compile(r"(https?://[^\s?'\"<>]+)\?[^\s'\"<>]+", re.IGNORECASE), rf"\1?{HIDDEN}"),
    (re.compile(r"(AWS4-HMAC-SHA256\s+)[^\r\n'\"]+"), rf"\1{HIDDEN}"),
    (
        re.compile(
            r"((?:authorization|(?:x-amz-)?security-token|(?:x-amz-)?signature|(?:x-amz-)?credential"
            r"|x-amz-(?:copy-source-)?server-side-encryption-customer-key(?:-md5)?"
            r"|aws_secret_access_key|aws_session_token|secret_access_key|session_token)"
            r"['\"]?\s*[:=]\s*['\"]?)(?:(?:Bearer|Basic|AWS)\s+)?[^\s'\",;&<>]+",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
)
_BY_SHAPE = (
    (re.compile(r"\b((?:AKIA|ASIA)[A-Z0-9]{4})[A-Z0-9]{8,}"), rf"\1{HIDDEN}"),
    # A key of 32 bytes (SSE-C), and what is as long as a signature or longer, as session tokens are.
    (re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{43}="), HIDDEN),
    (re.compile(r"[A-Za-z0-9+/=_%-]{64,}"), HIDDEN),
)


def redact_text(text: str) -> str:
    """Return ``text`` with signatures, tokens, credentials and the queries of web addresses replaced by ``***``."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_foreign(text: str) -> str:
    """Return what a store or a library wrote, also without what only looks like a secret.

    A store knows the token and the keys that it was sent, and may repeat them without a name by which to find them.
    """
    text = redact_text(text)
    for pattern, replacement in _BY_SHAPE:
        text = pattern.sub(replacement, text)
    return text
