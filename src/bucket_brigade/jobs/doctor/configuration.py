"""From a bucket's configuration to findings. Pure."""

from __future__ import annotations

from bucket_brigade.jobs.doctor.explain import policy_statement
from bucket_brigade.jobs.doctor.findings import Finding, Level
from bucket_brigade.s3.bucket_values import BucketInfo, Ownership, PublicAccessBlock, Versioning, public_acl_refusals

_READING = {
    "versioning": "s3:GetBucketVersioning",
    "object_lock": "s3:GetBucketObjectLockConfiguration",
    "encryption": "s3:GetEncryptionConfiguration",
    "public_access_block": "s3:GetBucketPublicAccessBlock",
    "ownership": "s3:GetBucketOwnershipControls",
    "lifecycle_rules": "s3:GetLifecycleConfiguration",
    "tags": "s3:GetBucketTagging",
}


def configuration_findings(info: BucketInfo, account: PublicAccessBlock | None) -> list[Finding]:
    """Return what a bucket's configuration means for jobs. ``account`` None: its Block Public Access is not known."""
    findings = [_public(info, account), _versioning(info), _object_lock(info), _encryption(info), _uploads(info)]
    return [finding for finding in findings if finding is not None] + _unknown(info)


def _public(info: BucketInfo, account: PublicAccessBlock | None) -> Finding | None:
    if {"ownership", "public_access_block"} <= info.unknown.keys():
        return None
    ownership = None if "ownership" in info.unknown else info.ownership
    bucket = None if "public_access_block" in info.unknown else info.public_access_block
    reasons = public_acl_refusals(ownership, bucket, account)
    if not reasons:
        return Finding(
            subject="public ACL",
            level=Level.WARNING,
            found="nothing that is known would refuse a public access control list",
            meaning="Whoever may set an access control list can open objects here to everybody.",
            remedy="Block public access, unless that is meant.",
            command=f"brigade bucket set s3://{info.name} --block-public-access",
        )
    undo = []
    if info.ownership is Ownership.ENFORCED:
        undo.append(f"brigade bucket set s3://{info.name} --ownership preferred")
    if bucket is not None and (bucket.block_public_acls or bucket.ignore_public_acls):
        undo.append(f"brigade bucket set s3://{info.name} --no-block-public-access")
    return Finding(
        subject="public ACL",
        level=Level.OK,
        found=f"would be refused: {'; '.join(reasons)}",
        meaning="Objects cannot be opened to everybody by --acl public-read. That is how new buckets are, and good.",
        remedy="Share by bucket policy, presigned URL or CloudFront; or lift each of these, if public objects are meant.",
        command="; ".join(undo),
    )


def _versioning(info: BucketInfo) -> Finding | None:
    if "versioning" in info.unknown:
        return None
    meanings = {
        Versioning.NEVER: "What is deleted or overwritten is gone.",
        Versioning.ENABLED: "What is deleted or overwritten stays, and is billed, as an old version.",
        Versioning.SUSPENDED: "Old versions stay; new ones are no longer kept.",
    }
    words = "was never enabled" if info.versioning is Versioning.NEVER else info.versioning.value
    return Finding(subject="versioning", level=Level.OK, found=words, meaning=meanings[info.versioning])


def _object_lock(info: BucketInfo) -> Finding | None:
    lock = info.object_lock
    if lock is None:
        return None
    if not lock.mode:
        return Finding(subject="object lock", level=Level.OK, found="on, without a default retention")
    period = f"{lock.days or lock.years} {'days' if lock.days else 'years'}"
    return Finding(
        subject="object lock",
        level=Level.WARNING,
        found=f"new objects are locked for {period} ({lock.mode})",
        meaning="What is written here cannot be deleted before. So nothing was written here to try what is allowed.",
        remedy="Try another bucket, or another prefix of a bucket without a default retention.",
        command=f"aws s3api get-object-lock-configuration --bucket {info.name}",
    )


def _encryption(info: BucketInfo) -> Finding | None:
    if "encryption" in info.unknown:
        return None
    encryption = info.encryption
    if encryption is None:
        return Finding(
            subject="encryption",
            level=Level.WARNING,
            found="objects are not encrypted by default",
            meaning="What is written without --sse is stored as it is.",
            remedy="Set a default.",
            command=f"brigade bucket set s3://{info.name} --encryption AES256",
        )
    kms = encryption.algorithm.startswith("aws:kms")
    return Finding(
        subject="encryption",
        level=Level.OK,
        found=f"{encryption.algorithm} by default"
        + (f", key {encryption.kms_key_id}" if encryption.kms_key_id else ""),
        meaning="Writing needs kms:GenerateDataKey, reading kms:Decrypt, multipart uploads both." if kms else "",
        command=policy_statement(("kms:GenerateDataKey", "kms:Decrypt"), encryption.kms_key_id or "*") if kms else "",
    )


def _uploads(info: BucketInfo) -> Finding | None:
    if "lifecycle_rules" in info.unknown:
        return None
    if info.abort_uploads_days is not None:
        days = info.abort_uploads_days
        return Finding(subject="stale uploads", level=Level.OK, found=f"are aborted after {days} days")
    return Finding(
        subject="stale uploads",
        level=Level.WARNING,
        found="are never aborted",
        meaning="A multipart upload that nobody completes is billed for ever, and in no listing.",
        remedy="Let the store abort them.",
        command=f"brigade bucket set s3://{info.name} --abort-uploads-after 7d",
    )


def _unknown(info: BucketInfo) -> list[Finding]:
    """Return one finding for all that may not be read, and none for what the store does not know."""
    denied = [name for name, code in info.unknown.items() if code in ("AccessDenied", "Forbidden", "AllAccessDisabled")]
    if not denied:
        return []
    permissions = tuple(_READING[name] for name in denied)
    return [
        Finding(
            subject="bucket",
            level=Level.UNKNOWN,
            found=f"may not be asked for its {', '.join(name.replace('_', ' ') for name in denied)}",
            code="AccessDenied",
            meaning="No job needs it; the doctor would say more.",
            remedy="Allow it, if you want to know.",
            command=policy_statement(permissions, f"arn:aws:s3:::{info.name}"),
        )
    ]
