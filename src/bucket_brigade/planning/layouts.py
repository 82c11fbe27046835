"""How a logical key becomes a stored key.

S3 spreads its load over ranges of keys, and splits a range only under sustained load. A burst into a fresh, ordered namespace
is therefore throttled; twenty random bits in front of each key spread it over a million ranges from the first second on. The
shape ``0101/0110/1001/10110010/`` is Apache Iceberg's object store layout: base 2, so that S3 finds few, even split points.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Protocol

from bucket_brigade.model.job import LayoutName

PREFIX_BITS = 20

_SHAPE = re.compile(r"[01]{4}/[01]{4}/[01]{4}/[01]{8}/")
_SHAPE_LENGTH = 4 + 1 + 4 + 1 + 4 + 1 + 8 + 1
_FOUR_BITS = tuple(f"{n:04b}/" for n in range(1 << 4))
_LAST_EIGHT_BITS = tuple(f"{n:08b}/" for n in range(1 << 8))


class Layout(Protocol):
    """Maps names below a target prefix to stored keys and, where the stored key alone tells, back."""

    name: LayoutName

    def stored_key(self, prefix: str, logical: str) -> str:
        """Return the whole key under which ``logical``, a name below ``prefix``, is stored.

        Whatever the layout adds stands between the two. The result may be longer than S3 allows: the caller refuses that.
        """
        ...

    def logical_of(self, prefix: str, stored: str) -> str | None:
        """Return the name below ``prefix`` of a stored key, None where this layout cannot have made that key."""
        ...


class IdentityLayout:
    """The stored key is the prefix and the name."""

    name = LayoutName.IDENTITY

    def stored_key(self, prefix: str, logical: str) -> str:
        """Return ``prefix + logical``."""
        return prefix + logical

    def logical_of(self, prefix: str, stored: str) -> str | None:
        """Return what stands behind the prefix."""
        return stored[len(prefix) :] if stored.startswith(prefix) else None


class HashedLayout:
    """Twenty bits of the name's hash stand before it: computable from the name alone, so a re-run finds the same keys."""

    name = LayoutName.HASHED

    def stored_key(self, prefix: str, logical: str) -> str:
        """Return ``prefix + 0101/0110/1001/10110010/ + logical``."""
        return prefix + directories(hash_bits(logical)) + logical

    def logical_of(self, prefix: str, stored: str) -> str | None:
        """Return the name, if its hash is the one that stands before it."""
        logical = _behind_directories(prefix, stored)
        return logical if logical is not None and self.stored_key(prefix, logical) == stored else None


class RandomLayout:
    """Twenty random bits stand before the name: only a catalog tells where it is."""

    name = LayoutName.RANDOM

    def __init__(self, random_bits: Callable[[], int]) -> None:
        self._random_bits = random_bits

    def stored_key(self, prefix: str, logical: str) -> str:
        """Return ``prefix + 1100/0001/1110/01011001/ + logical``, with other bits at every call."""
        return prefix + directories(self._random_bits()) + logical

    def logical_of(self, prefix: str, stored: str) -> str | None:
        """Return what stands behind anything of the right shape."""
        return _behind_directories(prefix, stored)


def make_layout(name: LayoutName, *, random_bits: Callable[[], int] | None = None) -> Layout:
    """Return a layout by its name. ``random_bits`` gives an int of 20 bits; the default asks the operating system."""
    match name:
        case LayoutName.IDENTITY:
            return IdentityLayout()
        case LayoutName.HASHED:
            return HashedLayout()
        case LayoutName.RANDOM:
            return RandomLayout(random_bits or _draw_bits().__next__)


def _draw_bits() -> Iterator[int]:
    """Yield 20 random bits for ever, asking the operating system once for a thousand of them."""
    while True:
        for number in array("I", os.urandom(4096)):
            yield number & ((1 << PREFIX_BITS) - 1)


def hash_bits(logical: str) -> int:
    """Return the first 20 bits of BLAKE2b-32 over the name in UTF-8. Frozen: stored keys depend on it for ever."""
    return int.from_bytes(blake2b(logical.encode(), digest_size=4).digest()[:3], "big") >> 4


def directories(bits: int) -> str:
    """Return 20 bits as ``0101/0110/1001/10110010/``."""
    return (
        _FOUR_BITS[bits >> 16] + _FOUR_BITS[bits >> 12 & 15] + _FOUR_BITS[bits >> 8 & 15] + _LAST_EIGHT_BITS[bits & 255]
    )


def _behind_directories(prefix: str, stored: str) -> str | None:
    if stored.startswith(prefix) and _SHAPE.match(stored, len(prefix)):
        return stored[len(prefix) + _SHAPE_LENGTH :]
    return None
