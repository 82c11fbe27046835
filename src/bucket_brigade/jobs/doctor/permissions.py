"""From what was tried to findings: what the credentials may do, and what the endpoint can do. Pure."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from bucket_brigade.errors import AccessDenied, NotSupported, TransferError, TransientError
from bucket_brigade.jobs.doctor.explain import Place, finding_of, policy_statement
from bucket_brigade.jobs.doctor.findings import Finding, Level
from bucket_brigade.jobs.doctor.probing import LEFT_UPLOAD, Probed
from bucket_brigade.s3.profile import EndpointProfile

_ACLS_DISABLED = "AccessControlListNotSupported"
_NO_ANSWER = frozenset({"NoProof", "NotS3"})
"""A store that says yes to what it does not know."""


class Action(NamedTuple):
    """Something that jobs do: the permissions it needs, on objects or on the bucket, and how much it matters."""

    permissions: tuple[str, ...]
    meaning: str
    on_bucket: bool = False
    level: Level = Level.ERROR


ACTIONS: dict[str, Action] = {
    "list": Action(("s3:ListBucket",), "Nothing below a prefix can be found: only objects named one by one.", True),
    "put": Action(("s3:PutObject",), "Nothing can be written here."),
    "get": Action(("s3:GetObject",), "Nothing can be read here, nor copied from here."),
    "copy": Action(("s3:GetObject", "s3:PutObject"), "Nothing can be copied on the server."),
    "multipart": Action(
        ("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"), "Large objects cannot be written."
    ),
    "delete": Action(("s3:DeleteObject",), "Nothing can be deleted or moved away from here."),
    "tag": Action(
        ("s3:GetObjectTagging", "s3:PutObjectTagging"),
        "Tags can be neither read nor set: a copy that preserves them fails.",
        level=Level.WARNING,
    ),
    "acl": Action(
        ("s3:GetObjectAcl", "s3:PutObjectAcl"), "Access control lists can be neither read nor set.", level=Level.WARNING
    ),
}


class Capability(NamedTuple):
    """Something that endpoints do or do not: in words, and what follows where it is missing."""

    words: str
    meaning: str
    remedy: str = ""


CAPABILITIES: dict[str, Capability] = {
    "checksums": Capability(
        "CRC64NVME checksums",
        "Writes are checked by MD5 or size alone: the endpoint does not refuse a body that was damaged on the way.",
        'Nothing, or checksum = "when_required" for this endpoint, which saves asking.',
    ),
    "put_if_absent": Capability(
        "If-None-Match on PUT",
        "--no-clobber is checked before the write, not by the endpoint: a write at the same moment can be lost.",
        "Let nobody else write there meanwhile.",
    ),
    "put_if_match": Capability(
        "If-Match on PUT",
        "--if-unchanged is checked before the write, not by the endpoint: a write at the same moment can be lost.",
        "Let nobody else write there meanwhile.",
    ),
    "complete_if_absent": Capability(
        "If-None-Match on CompleteMultipartUpload",
        "--no-clobber of large objects is checked before the write, not by the endpoint.",
        "Let nobody else write there meanwhile.",
    ),
    "copy_if_absent": Capability(
        "If-None-Match on CopyObject", "--no-clobber of copies is checked before the copy, not by the endpoint."
    ),
    "delete_if_match": Capability(
        "If-Match on DELETE", "A move looks at each source again, and then deletes it without a condition."
    ),
    "copy_source_if_match": Capability(
        "conditional copies",
        "A source that is replaced during a copy is noticed only afterwards.",
        "Let nobody else write to the source meanwhile.",
    ),
    "multipart": Capability("multipart uploads", "Objects above 5 GiB cannot be written.", "Use another endpoint."),
    "multipart_copy": Capability("multipart copies", "Objects above the copy limit go through this machine instead."),
    "multi_delete": Capability("DeleteObjects", "Objects are deleted one by one, which takes longer."),
    "tags": Capability("object tags", "Tags are lost in a copy to here.", "Leave tags out of --preserve."),
    "tag_count": Capability("the number of tags on HEAD", "A copy asks for the tags of every object."),
    "acls": Capability("access control lists", "Access control lists are lost in a copy to here."),
    "versions": Capability("versions", "Old versions can be neither kept nor listed."),
    "ordered_listings": Capability(
        "listings in the order of keys", "Long listings are not divided into shards.", "Nothing; they take longer."
    ),
    "start_after": Capability("StartAfter", "Long listings are not divided into shards.", "Nothing; they take longer."),
    "url_encoding": Capability(
        "encoding-type=url", "Keys with control characters cannot be listed as they are.", "Rename such keys."
    ),
}


def permission_findings(probed: Probed, place: Place, prefix: str, *, user: str = "") -> list[Finding]:
    """Return what the credentials may do. ``user`` is the IAM user or role whose policy would have to change."""
    return [
        _permission(action, error, place, prefix, user)
        for action, error in probed.allowed.items()
        if not (action == "copy" and probed.allowed.get("get") is not None)
    ]


def listing_finding(error: TransferError | None, place: Place, prefix: str) -> Finding:
    """Return whether the bucket may be listed, where nothing else is tried."""
    return _permission("list", error, place, prefix, "")


def _permission(action: str, error: TransferError | None, place: Place, prefix: str, user: str) -> Finding:
    known = ACTIONS[action]
    if error is None:
        return Finding(subject=action, level=Level.OK, found="allowed")
    if error.code == _ACLS_DISABLED:
        return Finding(
            subject=action,
            level=Level.OK,
            found="access control lists are disabled (ownership BucketOwnerEnforced)",
            code=error.code,
            meaning="The bucket's owner owns every object; --acl and grants are refused.",
        )
    answers_nonsense = error.code in _NO_ANSWER
    if isinstance(error, TransientError) and not answers_nonsense:
        return Finding(
            subject=action, level=Level.UNKNOWN, found=str(error), code=error.code, remedy="Ask again in a moment."
        )
    if isinstance(error, NotSupported) or answers_nonsense:
        return Finding(
            subject=action,
            level=Level.WARNING,
            found=str(error),
            code=error.code,
            meaning=known.meaning,
            remedy="Use another endpoint where this is needed.",
        )
    if not isinstance(error, AccessDenied):
        return msgspec.structs.replace(finding_of(error, action, place), level=known.level)
    resource = f"arn:aws:s3:::{place.bucket}" + ("" if known.on_bucket else f"/{prefix}*")
    statement = policy_statement(known.permissions, resource)
    return Finding(
        subject=action,
        level=known.level,
        found=str(error),
        code=error.code,
        meaning=known.meaning,
        remedy=f"Allow {' and '.join(known.permissions)}{f' to {user}' if user else ''}; and look for what denies it: "
        "bucket policy, permission boundary, organization.",
        command=statement,
    )


def capability_findings(profile: EndpointProfile) -> list[Finding]:
    """Return what the endpoint can do: in one finding, and what it cannot in one each."""
    able = [known.words for name, known in CAPABILITIES.items() if getattr(profile, name) is True]
    findings = [Finding(subject="endpoint", level=Level.OK, found=f"does {', '.join(able)}")] if able else []
    for name, known in CAPABILITIES.items():
        if getattr(profile, name) is False:
            findings.append(
                Finding(
                    subject="endpoint",
                    level=Level.WARNING,
                    found=f"does not do {known.words}, or not so that it can be relied on",
                    code=name,
                    meaning=known.meaning,
                    remedy=known.remedy,
                )
            )
    return findings


def leftover_finding(probed: Probed, place: Place) -> list[Finding]:
    """Return what of the probe is still there."""
    if not probed.left:
        return []
    names = ", ".join(f"{name} ({code})" for name, code in sorted(probed.left.items())[:5])
    count = f"{len(probed.left)} probe object{'s' if len(probed.left) > 1 else ''}"
    uploads = any(name.startswith(LEFT_UPLOAD) for name in probed.left)
    listing = "list-multipart-uploads" if uploads else "list-object-versions"
    return [
        Finding(
            subject="probe",
            level=Level.ERROR,
            found=f"{count} could not be deleted: {names}",
            code="ProbeLeft",
            meaning="It is small, of no use to anybody, and billed. What else the endpoint can do was not tried.",
            remedy="Delete it with credentials that may.",
            command=f"aws s3api {listing} --bucket {place.bucket} --prefix {probed.base}",
        )
    ]
