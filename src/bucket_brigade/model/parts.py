"""Part arithmetic of multipart uploads. Limits: docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

MIB = 1 << 20
GIB = 1 << 30
MAX_PARTS = 10_000
MIN_PART_BYTES = 5 * MIB
MAX_PART_BYTES = 5 * GIB
MAX_SINGLE_PUT_BYTES = 5 * GIB


class Part(msgspec.Struct, frozen=True, gc=False):
    """A byte range of one object: ``[start, start + length)``; ``number`` counts from 1."""

    number: int
    start: int
    length: int


def fit_part_size_bytes(size: int, configured_bytes: int) -> int:
    """Return the part size for an object of ``size`` bytes.

    It is the configured one, or what keeps the object within ``MAX_PARTS`` parts, rounded up to a whole MiB.
    """
    needed = -(-size // MAX_PARTS)
    if needed <= configured_bytes:
        return configured_bytes
    return -(-needed // MIB) * MIB


def plan_parts(size: int, part_size_bytes: int) -> Iterator[Part]:
    """Yield the parts that cover ``size`` bytes exactly once, in order. An empty object has one empty part."""
    if size == 0:
        yield Part(number=1, start=0, length=0)
        return
    for index, start in enumerate(range(0, size, part_size_bytes)):
        yield Part(number=index + 1, start=start, length=min(part_size_bytes, size - start))
