"""What a user submits: one operation from a source to a target, with everything that decides the result.

A job is stored whole in its journal, so it holds no secret: endpoints are named, and resolved anew at each run.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from bucket_brigade.model.location import Location
from bucket_brigade.model.parts import GIB, MIB
from bucket_brigade.model.transfer import JobId


class Operation(StrEnum):
    """What a job does with each object."""

    UPLOAD = "upload"
    DOWNLOAD = "download"
    COPY = "copy"
    """Server side, within one endpoint."""
    RELAY = "relay"
    """From one endpoint to another through this machine's memory, never its disk."""
    DELETE = "delete"
    SET = "set"
    """Change attributes of objects where they are."""
    UNARCHIVE = "unarchive"
    """RestoreObject: make archived objects readable for a while."""


class LayoutName(StrEnum):
    """How a logical key becomes a stored key."""

    IDENTITY = "identity"
    HASHED = "hashed"
    RANDOM = "random"


class JobState(StrEnum):
    """Where a job stands."""

    PLANNED = "planned"
    """Submitted; nothing has run."""
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    """Stopped by a signal, a full disk, expired credentials or a crash; ``brigade resume`` goes on."""
    DONE = "done"
    DONE_WITH_FAILURES = "done_with_failures"
    CANCELLED = "cancelled"


class Rule(msgspec.Struct, frozen=True):
    """One ``--include`` or ``--exclude``; of the rules that match a name, the last one decides (as in ``aws s3``)."""

    include: bool
    pattern: str


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which source entries become transfers. Times are nanoseconds since the epoch, sizes bytes, bounds inclusive."""

    rules: tuple[Rule, ...] = ()
    min_size: int | None = None
    max_size: int | None = None
    modified_after_ns: int | None = None
    modified_before_ns: int | None = None


class ObjectAttributes(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """What is set on every object that a job writes. None (or empty) leaves it to the store, or to the copy's source.

    The names are those of S3's API; ``metadata`` holds pairs of lower-case name and value, without ``x-amz-meta-``.
    Keys of SSE-C are secrets and never in here: they belong to the store (``EndpointSettings.sse_c_key``).

    Attributes:
        acl: canned.
        grant_full_control, grant_read, grant_read_acp, grant_write_acp: as in S3's headers: ``id="…", uri="…"``.
        sse: ``AES256``, ``aws:kms`` or ``aws:kms:dsse``.
        sse_kms_context: JSON in base64.
        retain_until: ISO 8601 with its zone, as S3 gives it.
        legal_hold: ``ON`` or ``OFF``.
        lock_mode: ``GOVERNANCE`` or ``COMPLIANCE``.
        checksum_algorithm: the additional checksum that the object is to keep; None for CRC64NVME.
    """

    acl: str | None = None
    sse: str | None = None
    sse_kms_key_id: str | None = None
    storage_class: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    content_disposition: str | None = None
    content_language: str | None = None
    cache_control: str | None = None
    expires: str | None = None
    metadata: tuple[tuple[str, str], ...] | None = None
    tagging: tuple[tuple[str, str], ...] | None = None
    grant_full_control: str | None = None
    grant_read: str | None = None
    grant_read_acp: str | None = None
    grant_write_acp: str | None = None
    sse_kms_context: str | None = None
    bucket_key: bool | None = None
    website_redirect: str | None = None
    lock_mode: str | None = None
    retain_until: str | None = None
    legal_hold: str | None = None
    checksum_algorithm: str | None = None


NO_ATTRIBUTES = ObjectAttributes()


class EndpointOverrides(msgspec.Struct, frozen=True, kw_only=True):
    """What flags said about one side's endpoint; kept with the job so that ``resume`` finds the same service."""

    endpoint_url: str | None = None
    profile: str | None = None
    region: str | None = None
    no_sign_request: bool | None = None
    request_payer: str | None = None
    allow_http: bool | None = None
    ca_bundle: str | None = None
    addressing: str | None = None
    checksum: str | None = None
    payload_signing: str | None = None
    sse_c_key_file: str | None = None
    expected_bucket_owner: str | None = None


class Overwrite(StrEnum):
    """What happens where the target has an object (or file) of the same name."""

    ALWAYS = "always"
    NEVER = "never"
    """``--no-clobber``: it stays, and the transfer is skipped."""
    IF_UNCHANGED = "if-unchanged"
    """``--if-unchanged``: it is replaced only in the state that it had when the job was submitted, else the transfer fails."""


PRESERVABLE = (
    "metadata",
    "tags",
    "acl",
    "lock",
    "storage-class",
    "encryption",
    "website-redirect",
    "mtime",
    "mode",
    "owner",
)
"""What ``--preserve`` can name; ``all`` means every one of these."""

DEFAULT_PRESERVE = ("metadata", "tags", "mtime")


class TransferOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How each object is moved; part of the job, because a resumed transfer must use the same parts.

    Attributes:
        part_size_bytes: of multipart uploads and ranged downloads, before it is fitted to 10,000 parts.
        multipart_threshold_bytes: objects of at least this size are moved in parts.
        copy_limit_bytes: server-side copies above this size are multipart copies. S3's own limit is 5 GiB.
        attributes: set on every object written.
        guess_content_type: uploads without ``attributes.content_type`` get one by the file's suffix.
        follow_symlinks: also walk into what symbolic links point to; else they are skipped and reported.
        overwrite: what happens to what is at the target already.
        preserve: what is carried over from the source, of ``PRESERVABLE``.
        unarchive: objects in an archive class are restored first; else they fail.
        must_preserve: what of ``preserve`` cannot be carried over fails the transfer; else it ends as a note in the report.
        allow_public_acl: ``attributes`` may open objects to everybody; else such a job is refused.
    """

    part_size_bytes: int = 8 * MIB
    multipart_threshold_bytes: int = 16 * MIB
    copy_limit_bytes: int = 5 * GIB
    attributes: ObjectAttributes = NO_ATTRIBUTES
    guess_content_type: bool = True
    follow_symlinks: bool = False
    overwrite: Overwrite = Overwrite.ALWAYS
    preserve: tuple[str, ...] = DEFAULT_PRESERVE
    unarchive: bool = False
    allow_public_acl: bool = False
    must_preserve: bool = False


class Unarchive(msgspec.Struct, frozen=True, kw_only=True):
    """What RestoreObject is asked for.

    Attributes:
        days: how long the restored copy stays.
        tier: ``Standard``, ``Bulk`` or ``Expedited``; None for the store's own choice.
        wait: a transfer is done when the object is readable, not when it was asked for.
    """

    days: int = 7
    tier: str | None = None
    wait: bool = False


class VersionsOf(StrEnum):
    """Which versions of each key a job means."""

    CURRENT = "current"
    ALL = "all"
    """Every version and delete marker; a copy or relay writes them in their order."""
    NONCURRENT = "noncurrent"
    """For a delete: versions that are no longer current, within the bounds of the selection."""
    MARKERS = "markers"
    """For a delete: delete markers that are the latest version: without them the objects are back."""
    AS_OF = "as-of"
    """What was current at an instant."""


class VersionSelection(msgspec.Struct, frozen=True, kw_only=True):
    """Which versions of each key become transfers. Times are nanoseconds since the epoch.

    Attributes:
        as_of_ns: the instant of ``AS_OF``.
        noncurrent_before_ns: only versions that stopped being current before this instant (``--older-than``).
        keep_last: so many of the newest noncurrent versions of each key stay.
        in_place: of ``AS_OF``: what was current then is written over what is there now, where that is another version.
        delete_newer: of ``in_place``: what did not exist then is deleted, by a delete marker.
    """

    which: VersionsOf = VersionsOf.CURRENT
    as_of_ns: int | None = None
    noncurrent_before_ns: int | None = None
    keep_last: int | None = None
    in_place: bool = False
    delete_newer: bool = False


CURRENT_VERSIONS = VersionSelection()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A list of the objects of a job: CSV ``bucket,key[,version]`` (keys URL-encoded, as S3's own) or JSON lines."""

    path: str
    format: str = "auto"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One operation from a source to a target. Frozen: what was submitted is what is resumed.

    Attributes:
        source: what is read (or deleted).
        target: where it goes; None for a delete.
        move: delete the source of each object after its copy was verified, if it is unchanged by then.
        manifest: names the objects instead of a walk or a listing of ``source``.
        layout: how a logical key becomes a stored key at an S3 target.
        catalog: where the catalog is to be written besides the job's folder; for a download with original names,
            the catalog that is read (``read_catalog``).
        created_ns: nanoseconds since the epoch.
        versions: which versions of each key.
        unarchive: what an ``UNARCHIVE`` (or ``options.unarchive``) asks for.
    """

    id: JobId
    operation: Operation
    source: Location
    target: Location | None = None
    move: bool = False
    filters: Filters = Filters()
    options: TransferOptions = TransferOptions()
    layout: LayoutName = LayoutName.IDENTITY
    manifest: Manifest | None = None
    catalog: Location | None = None
    read_catalog: Location | None = None
    source_endpoint: EndpointOverrides = EndpointOverrides()
    target_endpoint: EndpointOverrides = EndpointOverrides()
    created_ns: int = 0
    versions: VersionSelection = CURRENT_VERSIONS
    unarchive: Unarchive = Unarchive()
