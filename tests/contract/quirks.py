"""Where each server departs from S3. Every entry is asserted by a test: one that no longer holds fails there.

So the table says what the servers prove and what they cannot, and no test is skipped without being named here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum

import pytest

from bucket_brigade.errors import TransferError


class Quirk(Enum):
    """One departure from S3."""

    # who asks
    CHECKS_NO_SIGNATURE = "a wrong secret key is accepted"
    KNOWS_NO_REGIONS = "the region of a bucket is not told"
    REDIRECTS_TO_REGIONS = "the head of a bucket in another region is a redirect that names the region, as on AWS"
    # checksums
    TRUSTS_ANY_CHECKSUM = "a body whose CRC64NVME is wrong is stored"
    TRUSTS_ANY_CHECKSUM_OF_PARTS = "a part whose CRC64NVME is wrong is stored"
    TRUSTS_ANY_CHECKSUM_OF_UPLOADS = "an upload is completed whose CRC64NVME is wrong"
    STATES_NO_CHECKSUM = "a head holds no CRC64NVME"
    RECEIPT_WITHOUT_CHECKSUM = "the receipt of a write holds no CRC64NVME"
    STATES_NO_CHECKSUM_OF_UPLOADS = "the head of an object from parts holds no CRC64NVME of the whole"
    # conditions
    REPLACES_REGARDLESS = "PutObject ignores If-Match and If-None-Match"
    COPIES_REGARDLESS = "CopyObject ignores If-Match and If-None-Match"
    COMPLETES_REGARDLESS = "CompleteMultipartUpload ignores If-Match and If-None-Match"
    IGNORES_COPY_SOURCE_IF_MATCH = "a copy whose source has changed is made"
    IGNORES_PART_SOURCE_IF_MATCH = "a part is copied from a source that has changed"
    DELETES_REGARDLESS_OF_ETAG = "DeleteObject ignores If-Match"
    DELETES_MANY_REGARDLESS_OF_ETAG = "DeleteObjects ignores the ETags of its keys"
    # objects
    TAKES_ANY_KEY_LENGTH = "a key of more than 1,024 bytes is stored"
    ADDS_MTIME_TO_COPIES = "a copy has the metadata mtime too, and never loses those of its source"
    NO_TAGS = "tags are neither kept nor given"
    COUNTS_NO_TAGS = "a head does not tell how many tags there are"
    NO_VERSIONS = "buckets keep no versions"
    LISTS_MARKERS_APART = "delete markers are listed behind the versions, in whole seconds: which came first is lost"
    REPEATS_MARKER_KEYS = "a listing of versions behind a key begins with its last version"
    IGNORES_RANGES_OF_VERSIONS = "a range of an old version is answered with all of it"
    HIDES_TAGS_BEHIND_MARKERS = "the tags of a version cannot be read while a delete marker is the latest"
    ENDS_BEHIND_LOST_MARKERS = "a listing that goes on behind a version that is gone is empty"
    # multipart uploads
    REFUSES_TO_REPLACE_PARTS = "a part that was written cannot be written again"
    FAILS_ON_UNKNOWN_UPLOADS = "a part of an unknown upload, and its completion, is a 500"
    RENAMES_JOINED_ETAG = "the receipt of Complete has another ETag than the object"
    COPIES_NO_PARTS = "UploadPartCopy is missing"
    TAKES_SMALL_PARTS = "parts below 5 MiB are joined"
    TRUSTS_ANY_SIZE = "MpuObjectSize is ignored"
    TRUSTS_ANY_PART_ETAG = "the ETags that Complete names are ignored"


SENDS_NO_CHECKSUMS = frozenset(
    {
        Quirk.TRUSTS_ANY_CHECKSUM,
        Quirk.TRUSTS_ANY_CHECKSUM_OF_PARTS,
        Quirk.TRUSTS_ANY_CHECKSUM_OF_UPLOADS,
        Quirk.STATES_NO_CHECKSUM,
        Quirk.RECEIPT_WITHOUT_CHECKSUM,
        Quirk.STATES_NO_CHECKSUM_OF_UPLOADS,
    }
)
"""What an endpoint looks like that is told no checksum (``checksum = "when_required"``)."""

_QUIRKS: dict[str, set[Quirk]] = {
    "memory": set(),
    "hostile": {Quirk.CHECKS_NO_SIGNATURE, Quirk.NO_VERSIONS},
    "moto": {
        Quirk.CHECKS_NO_SIGNATURE,
        Quirk.TRUSTS_ANY_CHECKSUM,
        Quirk.TRUSTS_ANY_CHECKSUM_OF_PARTS,
        Quirk.TRUSTS_ANY_CHECKSUM_OF_UPLOADS,
        Quirk.COPIES_REGARDLESS,
        Quirk.IGNORES_COPY_SOURCE_IF_MATCH,
        Quirk.IGNORES_PART_SOURCE_IF_MATCH,
        Quirk.DELETES_MANY_REGARDLESS_OF_ETAG,
        Quirk.TAKES_ANY_KEY_LENGTH,
        Quirk.FAILS_ON_UNKNOWN_UPLOADS,
        Quirk.TRUSTS_ANY_SIZE,
        Quirk.LISTS_MARKERS_APART,
        Quirk.REPEATS_MARKER_KEYS,
        Quirk.ENDS_BEHIND_LOST_MARKERS,
    },
    "ministack": {
        Quirk.REDIRECTS_TO_REGIONS,
        Quirk.RECEIPT_WITHOUT_CHECKSUM,
        Quirk.COPIES_REGARDLESS,
        # It keeps a checksum of the parts' checksums, so the adapters do not send it the one of the whole.
        Quirk.TRUSTS_ANY_CHECKSUM_OF_UPLOADS,
        Quirk.STATES_NO_CHECKSUM_OF_UPLOADS,
        Quirk.TAKES_ANY_KEY_LENGTH,
        Quirk.COUNTS_NO_TAGS,
        Quirk.TAKES_SMALL_PARTS,
        Quirk.IGNORES_RANGES_OF_VERSIONS,
        Quirk.HIDES_TAGS_BEHIND_MARKERS,
    },
    "rclone": {
        Quirk.KNOWS_NO_REGIONS,
        Quirk.TRUSTS_ANY_CHECKSUM,
        Quirk.TRUSTS_ANY_CHECKSUM_OF_PARTS,
        Quirk.TRUSTS_ANY_CHECKSUM_OF_UPLOADS,
        Quirk.RECEIPT_WITHOUT_CHECKSUM,
        Quirk.STATES_NO_CHECKSUM_OF_UPLOADS,
        Quirk.REPLACES_REGARDLESS,
        Quirk.COPIES_REGARDLESS,
        Quirk.COMPLETES_REGARDLESS,
        Quirk.IGNORES_COPY_SOURCE_IF_MATCH,
        Quirk.DELETES_REGARDLESS_OF_ETAG,
        Quirk.DELETES_MANY_REGARDLESS_OF_ETAG,
        Quirk.ADDS_MTIME_TO_COPIES,
        Quirk.NO_TAGS,
        Quirk.NO_VERSIONS,
        Quirk.REFUSES_TO_REPLACE_PARTS,
        Quirk.RENAMES_JOINED_ETAG,
        Quirk.COPIES_NO_PARTS,
        Quirk.TAKES_SMALL_PARTS,
        Quirk.TRUSTS_ANY_SIZE,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyQuirks:
    """What becomes of the awkward keys, by the names of the samples.

    Attributes:
        refused: cannot be written.
        altered: become another key, or one with another sample, without a word.
        uncopyable: cannot be the source of a copy.
    """

    refused: frozenset[str] = frozenset()
    altered: frozenset[str] = frozenset()
    uncopyable: frozenset[str] = frozenset()


_KEY_QUIRKS = {
    "memory": KeyQuirks(),
    "hostile": KeyQuirks(),
    "moto": KeyQuirks(refused=frozenset({"crlf", "newline", "newline-ends"})),
    "ministack": KeyQuirks(),
    "rclone": KeyQuirks(
        refused=frozenset(
            {
                # Empty components, "." and "..": its keys are paths.
                "absolute",
                "deep-empty",
                "dot-component",
                "dot-component-ends",
                "dotdot-component",
                "dotdot-ends",
                "dotdot-leads",
                "dotdot-leads-deep",
                "dotdot-slash",
                "double-slash",
                "leading-double-slash",
                "leading-slash",
                "leading-triple-slash",
                "like-a-url",
                "like-an-s3-url",
                "only-dot",
                "only-dotdot",
                "only-slash",
                "only-two-slashes",
                "slash-dot-slash",
                "slash-dotdot-slash",
                "triple-slash",
            }
        ),
        altered=frozenset(
            {
                "trailing-slash",
                "trailing-double-slash",
                # Unicode is normalized: of two names for one text the later write wins.
                "accent-order-a",
                "accent-order-b",
                "a-ring",
                "angstrom-sign",
                "hangul-nfc",
                "hangul-nfd",
                "latin-nfc",
                "latin-nfd",
            }
        ),
        # Headers are limited, and the name of the source is one.
        uncopyable=frozenset(
            {"1024-bytes-two-byte", "1024-bytes-three-byte", "1024-bytes-four-byte", "1024-bytes-escaped"}
        ),
    ),
}


class Quirks(frozenset[Quirk]):
    """The quirks of one server.

    Attributes:
        keys: what it does with awkward keys.
    """

    keys: KeyQuirks

    @classmethod
    def of(cls, server: str, others: frozenset[Quirk] = frozenset()) -> Quirks:
        """Return the quirks of a server (over TLS it has the same ones) and ``others``."""
        product = server.removesuffix("-tls")
        quirks = cls(_QUIRKS[product] | others)
        quirks.keys = _KEY_QUIRKS[product]
        return quirks

    def refused(
        self, error: type[TransferError] | tuple[type[TransferError], ...], *, unless: Quirk | Iterable[Quirk] = ()
    ) -> AbstractContextManager[object]:
        """Expect ``error``; on a server with one of these quirks expect that there is none."""
        exempting = {unless} if isinstance(unless, Quirk) else set(unless)
        return contextlib.nullcontext() if exempting & self else pytest.raises(error)
