"""Checksums over bytes that pass by once, in order."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Self


class RunningChecksum:
    """A checksum in progress, and the value that the store states for the whole object (base64)."""

    def __init__(
        self, algorithm: str, stated: str, update: Callable[[memoryview], None], digest: Callable[[], bytes]
    ) -> None:
        self.algorithm = algorithm
        self.stated = stated
        self.update = update
        self._digest = digest

    @classmethod
    def of(cls, stated: Mapping[str, str]) -> Self | None:
        """Begin the cheapest of the checksums that the store states; None where it states none that is known."""
        for algorithm in ("CRC64NVME", "CRC32C", "CRC32"):
            if algorithm in stated:
                crc = _Crc(algorithm)
                return cls(algorithm, stated[algorithm], crc.update, crc.digest)
        for algorithm in ("SHA256", "SHA1"):
            if algorithm in stated:
                # SHA-1 is what the store chose to state; it guards against accidents here, not against forgery.
                sha = hashlib.new(algorithm.lower(), usedforsecurity=False)
                return cls(algorithm, stated[algorithm], sha.update, sha.digest)
        return None

    def value(self) -> str:
        """Return the checksum of everything so far, in S3's base64 form."""
        return base64.b64encode(self._digest()).decode()


class _Crc:
    def __init__(self, algorithm: str) -> None:
        from awscrt import checksums

        self._function = {"CRC64NVME": checksums.crc64nvme, "CRC32C": checksums.crc32c, "CRC32": checksums.crc32}[
            algorithm
        ]
        self._width = 8 if algorithm == "CRC64NVME" else 4
        self._crc = 0

    def update(self, chunk: memoryview) -> None:
        self._crc = self._function(chunk, self._crc)

    def digest(self) -> bytes:
        return self._crc.to_bytes(self._width, "big")
