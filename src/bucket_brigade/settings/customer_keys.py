"""Keys of SSE-C: read from a file or a text, never shown."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os

from bucket_brigade.errors import ConfigError
from bucket_brigade.settings.values import Secret

KEY_BYTES = 32
_LONGEST_FILE = 256
_REMEDY = "Make one with: openssl rand -out brigade.key 32 (32 bytes, or their base64)."


def read_key_file(path: str) -> Secret:
    """Return the key in a file: 32 raw bytes, or their base64 on one line.

    Raises:
        ConfigError: it cannot be read, or holds something else. The message never shows what.
    """
    try:
        with open(os.path.expanduser(path), "rb") as file:
            content = file.read(_LONGEST_FILE + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"the key file {path} cannot be read: {reason}", remedy=_REMEDY) from error
    key = content if len(content) == KEY_BYTES else _from_base64(content.strip())
    if key is None:
        raise ConfigError(f"the key file {path} holds no key of {KEY_BYTES} bytes", remedy=_REMEDY)
    return Secret(base64.b64encode(key).decode("ascii"))


def key_and_digest(secret: Secret) -> tuple[str, str]:
    """Return a key in base64 as S3's headers hold it, and its MD5.

    Raises:
        ConfigError: it is neither 32 bytes nor their base64.
    """
    text = secret.reveal().encode()
    key = text if len(text) == KEY_BYTES else _from_base64(text)
    if key is None:
        raise ConfigError(f"the key for SSE-C has not {KEY_BYTES} bytes", remedy=_REMEDY)
    digest = hashlib.md5(key, usedforsecurity=False).digest()
    return base64.b64encode(key).decode("ascii"), base64.b64encode(digest).decode("ascii")


def _from_base64(text: bytes) -> bytes | None:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None
