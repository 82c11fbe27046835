"""One object and one operation (a transfer), and up to a thousand of them (a batch)."""

from __future__ import annotations

from typing import NewType

import msgspec

BATCH_SIZE = 1000
"""Transfers in a full batch: the unit that is leased, journaled and recovered, and one DeleteObjects request."""

BatchId = NewType("BatchId", int)
JobId = NewType("JobId", str)

UNKNOWN_SIZE = -1


class Transfer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One object, one operation. The names are relative to nothing: they are whole keys, or paths below the root.

    Attributes:
        source: the source's key, or its path below the source folder with ``/`` between the parts.
        target: the target's stored key, or its path below the target folder; equal to ``source`` for a delete.
        size: in bytes; ``UNKNOWN_SIZE`` where the source did not tell.
        etag: of an S3 source, as listed, with its quotes; pins what is read. Empty where unknown.
        modified_ns: of the source, nanoseconds since the epoch; 0 where unknown.
        version_id: the version to read, copy or delete; None for the current one.
        logical: the user's own name for the target, where the layout gives it another stored key; else None.
        source_bucket: where a manifest names several buckets; None for the bucket of the job's source.
    """

    source: str
    target: str
    size: int = UNKNOWN_SIZE
    etag: str = ""
    modified_ns: int = 0
    version_id: str | None = None
    logical: str | None = None
    source_bucket: str | None = None


class Refused(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A source entry that can never be a transfer; it is journaled as failed (or skipped) with its reason.

    Attributes:
        source: as in Transfer, made printable.
        code: short and constant, such as ``NotUtf8`` or ``SpecialFile``.
        message: one sentence with the reason.
        failed: True counts it as failed, False as skipped with a warning.
    """

    source: str
    code: str
    message: str
    failed: bool = True


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[Transfer, ...])


def encode_transfers(transfers: tuple[Transfer, ...] | list[Transfer]) -> bytes:
    """Return the stable encoding (MessagePack, fields by position) that the journal and the wire between processes use."""
    return _encoder.encode(transfers)


def decode_transfers(encoded: bytes) -> tuple[Transfer, ...]:
    """Return what encode_transfers was given."""
    return _decoder.decode(encoded)
