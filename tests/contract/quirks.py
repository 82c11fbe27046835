"""Where each server departs from S3. Every entry is asserted by a test: one that no longer holds fails there.

So the table says what the servers prove and what they cannot, and no test is skipped without being named here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from enum import Enum

import pytest

from bucket_brigade.errors import TransferError


class Quirk(Enum):
    """One departure from S3."""

    # who asks
    CHECKS_NO_SIGNATURE = "a wrong secret key is accepted"
    KNOWS_NO_REGIONS = "every bucket is in the one region, or in none"
    # checksums
    TRUSTS_ANY_CHECKSUM = "a body whose CRC64NVME is wrong is stored"
    TRUSTS_ANY_CHECKSUM_OF_PARTS = "a part whose CRC64NVME is wrong is stored"
    TRUSTS_ANY_CHECKSUM_OF_UPLOADS = "an upload is completed whose CRC64NVME is wrong"
    STATES_NO_CHECKSUM = "a head holds no CRC64NVME"
    RECEIPT_WITHOUT_CHECKSUM = "the receipt of a write holds no CRC64NVME"
    STATES_NO_CHECKSUM_OF_UPLOADS = "the head of an object from parts holds no CRC64NVME"
    # conditions
    IGNORES_IF_MATCH = "a read whose If-Match is false is answered"
    IGNORES_COPY_SOURCE_IF_MATCH = "a copy whose source has changed is made"
    IGNORES_PART_SOURCE_IF_MATCH = "a part is copied from a source that has changed"
    DELETES_REGARDLESS_OF_ETAG = "DeleteObject ignores If-Match"
    DELETES_MANY_REGARDLESS_OF_ETAG = "DeleteObjects ignores the ETags of its keys"
    # objects
    TAKES_ANY_KEY_LENGTH = "a key of more than 1,024 bytes is stored"
    FORGETS_CONTENT_HEADERS = "content encoding, disposition, language or cache control are lost"
    MERGES_METADATA_OF_COPIES = "a copy that replaces metadata keeps those of its source too"
    NO_TAGS = "tags are neither kept nor given"
    COUNTS_NO_TAGS = "a head does not tell how many tags there are"
    NO_VERSIONS = "buckets keep no versions"
    LISTS_OUT_OF_ORDER = "keys are listed in another order than that of their bytes"
    # multipart uploads
    REFUSES_PARTS_OUT_OF_ORDER = "parts must come by number, each once"
    FORGETS_ATTRIBUTES_OF_UPLOADS = "the content type of a multipart upload is lost"
    LISTS_NO_PARTS = "ListParts is missing"
    LISTS_NO_UPLOADS = "ListMultipartUploads is missing"
    COPIES_NO_PARTS = "UploadPartCopy is missing"
    TAKES_SMALL_PARTS = "parts below 5 MiB are joined"
    TRUSTS_ANY_SIZE = "MpuObjectSize is ignored"
    TRUSTS_ANY_PART_ETAG = "the ETags that Complete names are ignored"


_QUIRKS: dict[str, set[Quirk]] = {
    "memory": set(),
    "moto": {Quirk.CHECKS_NO_SIGNATURE},
    "ministack": set(),
    "rclone": set(),
}


_REFUSED_KEYS: dict[str, set[str]] = {
    "memory": set(),
    "moto": set(),
    "ministack": set(),
    "rclone": set(),
}
"""The names of the samples that a server refuses to store, or stores as something else."""


class Quirks(frozenset[Quirk]):
    """The quirks of one server.

    Attributes:
        refused_keys: which of the awkward keys it cannot hold, by name.
    """

    refused_keys: frozenset[str]

    @classmethod
    def of(cls, server: str) -> Quirks:
        """Return the quirks of a server; over TLS it has the same ones."""
        product = server.removesuffix("-tls")
        quirks = cls(_QUIRKS[product])
        quirks.refused_keys = frozenset(_REFUSED_KEYS[product])
        return quirks

    def refused(
        self, error: type[TransferError] | tuple[type[TransferError], ...], *, unless: Quirk | Iterable[Quirk] = ()
    ) -> AbstractContextManager[object]:
        """Expect ``error``; on a server with one of these quirks expect that there is none."""
        exempting = {unless} if isinstance(unless, Quirk) else set(unless)
        return contextlib.nullcontext() if exempting & self else pytest.raises(error)
