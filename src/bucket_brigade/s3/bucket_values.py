"""What can be configured of a bucket, as values; ``s3.buckets`` reads and writes them."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Versioning(StrEnum):
    """Whether a bucket keeps old versions. Once enabled, it can only be suspended."""

    NEVER = "never"
    ENABLED = "enabled"
    SUSPENDED = "suspended"


class Ownership(StrEnum):
    """Who owns what others write into a bucket, and whether access control lists mean anything."""

    ENFORCED = "BucketOwnerEnforced"
    """The owner of the bucket; access control lists are disabled."""
    PREFERRED = "BucketOwnerPreferred"
    WRITER = "ObjectWriter"


class PublicAccessBlock(msgspec.Struct, frozen=True, kw_only=True):
    """S3 Block Public Access, of a bucket or an account; the names are S3's."""

    block_public_acls: bool = False
    ignore_public_acls: bool = False
    block_public_policy: bool = False
    restrict_public_buckets: bool = False


ALL_BLOCKED = PublicAccessBlock(
    block_public_acls=True, ignore_public_acls=True, block_public_policy=True, restrict_public_buckets=True
)
NOTHING_BLOCKED = PublicAccessBlock()


class Encryption(msgspec.Struct, frozen=True, kw_only=True):
    """How objects are encrypted that are written without saying how: ``AES256``, ``aws:kms`` or ``aws:kms:dsse``."""

    algorithm: str
    kms_key_id: str = ""
    bucket_key: bool = False


class ObjectLock(msgspec.Struct, frozen=True, kw_only=True):
    """Object lock of a bucket. ``mode`` and ``days`` (or ``years``) are the default retention; empty and 0 for none."""

    mode: str = ""
    days: int = 0
    years: int = 0


class BucketInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How a bucket is configured.

    Attributes:
        region: "" where the endpoint does not tell.
        object_lock, encryption: None where there is none.
        ownership: None where it is not known.
        abort_uploads_days: a lifecycle rule aborts uploads of the whole bucket this many days after they began; None: none does.
        lifecycle_rules: how many rules there are.
        unknown: the settings, by the names of the fields here, that could not be read, and why (the endpoint's error code);
            their fields then hold their defaults.
    """

    name: str
    region: str = ""
    versioning: Versioning = Versioning.NEVER
    object_lock: ObjectLock | None = None
    encryption: Encryption | None = None
    public_access_block: PublicAccessBlock = NOTHING_BLOCKED
    ownership: Ownership | None = None
    abort_uploads_days: int | None = None
    lifecycle_rules: int = 0
    tags: tuple[tuple[str, str], ...] = ()
    unknown: dict[str, str] = {}


class BucketChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What to change about a bucket; None leaves a setting as it is.

    Attributes:
        abort_uploads_days: 0 removes the rule that ``brigade`` made; other lifecycle rules are never touched.
        tags: replace all tags.
    """

    versioning: Versioning | None = None
    encryption: Encryption | None = None
    public_access_block: PublicAccessBlock | None = None
    ownership: Ownership | None = None
    abort_uploads_days: int | None = None
    tags: tuple[tuple[str, str], ...] | None = None


NO_CHANGES = BucketChanges()


class Identity(msgspec.Struct, frozen=True):
    """Whose credentials they are, as STS tells it."""

    account: str
    arn: str
    user_id: str


def public_acl_refusals(
    ownership: Ownership | None, bucket: PublicAccessBlock | None, account: PublicAccessBlock | None
) -> list[str]:
    """Return why an access control list that lets the public in would be refused or without effect, in words.

    None stands for what is not known, and counts as no reason.
    """
    reasons: list[str] = []
    if ownership is Ownership.ENFORCED:
        reasons.append("the bucket has access control lists disabled (ownership BucketOwnerEnforced)")
    for whose, block in (("the bucket", bucket), ("the account", account)):
        if block is not None and block.block_public_acls:
            reasons.append(f"{whose} blocks public access control lists (BlockPublicAcls)")
        elif block is not None and block.ignore_public_acls:
            reasons.append(f"{whose} ignores public access control lists (IgnorePublicAcls)")
    return reasons
