"""Checksums of S3: computed on one buffer, combined over parts, compared with what a store states.

CRCs are unsigned integers here and base64 of their big-endian bytes on the wire. The CRC family can be combined: the CRC of
a whole object follows from its parts' CRCs and lengths, so parts read or written in any order are never read again.
awscrt is loaded when more than a few bytes have to be summed: it takes 45 ms, and the jobs of one small object need none.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import zlib
from collections.abc import Iterable
from typing import Any, Final

from bucket_brigade.errors import ChecksumMismatch
from bucket_brigade.s3.store import Body, ObjectHead

CRC64NVME: Final = "CRC64NVME"

_CRC_BYTES: Final = {CRC64NVME: 8, "CRC32": 4, "CRC32C": 4}

SUMMED_HERE: Final = 32 * 1024
"""So many bytes are summed in Python (0.2 us each) before awscrt is loaded for the rest."""

_POLYNOMIAL: Final = 0x9A6C9329AC4BC9B5  # of the NVM Express specification, reflected
_ALL_ONES: Final = (1 << 64) - 1

_left_here = SUMMED_HERE


@functools.cache
def _crt() -> Any:
    from awscrt import checksums

    return checksums


@functools.cache
def _remainders() -> tuple[int, ...]:
    remainders = []
    for remainder in range(256):
        for _ in range(8):
            remainder = remainder >> 1 ^ (_POLYNOMIAL if remainder & 1 else 0)
        remainders.append(remainder)
    return tuple(remainders)


def crc64nvme(data: Body, previous: int = 0) -> int:
    """Return the CRC64NVME of ``data``, or of what ``previous`` is the CRC of with ``data`` behind it."""
    global _left_here  # what a process has summed is a matter of the process
    _left_here -= len(data)
    if _left_here >= 0:
        return summed_in_python(data, previous)
    result: int = _crt().crc64nvme(data, previous)
    return result


def summed_in_python(data: Body, previous: int = 0) -> int:
    """Return what ``crc64nvme`` returns, for a few bytes."""
    remainders = _remainders()
    crc = previous ^ _ALL_ONES
    for byte in memoryview(data).cast("B"):
        crc = remainders[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ _ALL_ONES


def combine_crc64nvme(first: int, second: int, second_length: int) -> int:
    """Return the CRC of two buffers in a row from the CRC of each; ``second_length`` is in bytes."""
    result: int = _crt().combine_crc64nvme(first, second, second_length)
    return result


def crc_of(algorithm: str, data: Body) -> int:
    """Return the CRC of ``data`` by one of the algorithms of S3's CRC family."""
    if algorithm == CRC64NVME:
        return crc64nvme(data)
    if algorithm == "CRC32":
        return zlib.crc32(data)
    result: int = _crt().crc32c(data)
    return result


def _combined(algorithm: str, first: int, second: int, second_length: int) -> int:
    result: int = getattr(_crt(), f"combine_{algorithm.lower()}")(first, second, second_length)
    return result


def combine_parts(parts: Iterable[tuple[int, int]]) -> int:
    """Return the CRC64NVME of a whole object from (CRC, length in bytes) of each of its parts, in order."""
    whole = 0
    for crc, length in parts:
        whole = combine_crc64nvme(whole, crc, length)
    return whole


def digest_of(algorithm: str, data: Body) -> str:
    """Return the checksum of a body by any of S3's algorithms, as its headers hold it."""
    if algorithm in _HASHES:
        return base64.b64encode(hashlib.new(algorithm.lower(), data, usedforsecurity=False).digest()).decode("ascii")
    return encode_crc(crc_of(algorithm, data), algorithm)


def content_md5(data: Body) -> str:
    """Return the MD5 of a body as the header Content-MD5 holds it."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode("ascii")


def encode_crc(crc: int, algorithm: str = CRC64NVME) -> str:
    """Return a CRC as S3's headers hold it: base64 of its big-endian bytes."""
    return binascii.b2a_base64(crc.to_bytes(_CRC_BYTES[algorithm], "big"), newline=False).decode("ascii")


def decode_crc(encoded: str | bytes, algorithm: str = CRC64NVME) -> int | None:
    """Return the CRC that a header holds, or None where it holds none (empty, composite, of another length)."""
    try:
        raw = binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError:
        return None
    return int.from_bytes(raw, "big") if len(raw) == _CRC_BYTES[algorithm] else None


# The cheapest first: 19, 14 and 4 GiB/s. The secure hashes (1.7 GiB/s) cannot be combined, so they serve whole reads only.
_CRCS: Final = (CRC64NVME, "CRC32C", "CRC32")
_HASHES: Final = ("SHA1", "SHA256")


def choose_algorithm(checksums: dict[str, str], *, in_order: bool) -> str | None:
    """Return the cheapest algorithm that a head states and that can be verified, or None where there is none.

    ``in_order`` says that all bytes will pass in their order; only then can SHA1 and SHA256 be verified.
    """
    for algorithm in _CRCS:
        if decode_crc(checksums.get(algorithm, ""), algorithm) is not None:
            return algorithm
    if in_order:
        for algorithm in _HASHES:
            if checksums.get(algorithm):
                return algorithm
    return None


class ReadDigest:
    """The checksum of one object as it is read, to be compared with the one that its head states.

    Feed it the whole body, or its parts in any order; then ``verify``. Where the head states nothing that can be verified,
    ``algorithm`` is None and it costs nothing.

    Args:
        head: of the object that is read.
        in_order: parts will come one after the other, from the first to the last byte.
    """

    def __init__(self, head: ObjectHead, *, in_order: bool = False) -> None:
        self.algorithm = choose_algorithm(head.checksums, in_order=in_order)
        self._expected = head.checksums.get(self.algorithm or "", "")
        self._size = head.size
        self._crc = self.algorithm if self.algorithm in _CRCS else None
        self._hash = hashlib.new(self.algorithm.lower()) if self.algorithm in _HASHES else None
        self._next = 0
        self._parts: dict[int, tuple[int, int]] = {}

    def add(self, start: int, data: Body) -> None:
        """Take the bytes of the object from offset ``start`` on; a part that comes again (a retry) replaces the first."""
        if self._crc is not None:
            self._parts[start] = (crc_of(self._crc, data), len(data))
        elif self._hash is not None:
            if start != self._next:
                raise ValueError(f"bytes from {start} on, where {self._next} was next")
            self._hash.update(data)
            self._next += len(data)

    def verify(self, location: str) -> None:
        """Raise ChecksumMismatch, naming what was expected and found, unless all bytes came and are the object's."""
        if self.algorithm is None:
            return
        covered, found = self._result()
        if covered != self._size:
            raise _cut_short(location, covered, self._size)
        if found != self._expected:
            raise _mismatch(location, self.algorithm, found, self._expected)

    def _result(self) -> tuple[int, str]:
        """Return how many bytes came without a gap, and their checksum in base64."""
        if self._hash is not None:
            return self._next, base64.b64encode(self._hash.digest()).decode("ascii")
        assert self._crc is not None  # noqa: S101 - one of the two is there where an algorithm was chosen
        covered = whole = 0
        for start in sorted(self._parts):
            crc, length = self._parts[start]
            if start != covered:
                break
            whole = _combined(self._crc, whole, crc, length)
            covered += length
        return covered, encode_crc(whole, self._crc)


def verify_whole(head: ObjectHead, data: Body, location: str) -> bool:
    """Raise ChecksumMismatch unless ``data`` is the whole object of ``head``; return whether that states a checksum at all."""
    stated = head.checksums
    algorithm = choose_algorithm(stated, in_order=True) if stated else None
    if algorithm is None:
        return False
    if len(data) != head.size:
        raise _cut_short(location, len(data), head.size)
    found = digest_of(algorithm, data)
    if found != stated[algorithm]:
        raise _mismatch(location, algorithm, found, stated[algorithm])
    return True


def _cut_short(location: str, found: int, expected: int) -> ChecksumMismatch:
    return ChecksumMismatch(f"{location}: {found} bytes were read of {expected}")


def _mismatch(location: str, algorithm: str, found: str, stated: str) -> ChecksumMismatch:
    return ChecksumMismatch(
        f"{location}: the bytes read have the {algorithm} {found}, the store states {stated}",
        remedy="Read it again; if it fails again, the object is damaged in the store.",
    )
