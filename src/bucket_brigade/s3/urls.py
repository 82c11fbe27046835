"""Keys as S3's listings with ``encoding-type=url`` write them."""

from __future__ import annotations

from urllib.parse import unquote_plus


def decode_key(key: str, encoded: bool = True) -> str:
    """Return a key of a listing byte for byte; bytes that are no UTF-8 become surrogates, as in names of files."""
    if not encoded or not needs_decoding(key):
        return key
    return unquote_plus(key, errors="surrogateescape")


def needs_decoding(text: str) -> bool:
    """Tell whether an encoded key (or one of several, joined) differs from what it stands for."""
    return "%" in text or "+" in text
