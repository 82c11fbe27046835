"""The least IAM policy under which a job can run: decided from the job alone. Pure.

Actions and their resources: docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html. What is only of use
where it is allowed (looking at the bucket before the job, reading its configuration) is left out: jobs do without.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from bucket_brigade.model.job import Job, LayoutName, Operation, Overwrite, VersionsOf
from bucket_brigade.model.location import Location, S3Location
from bucket_brigade.operations.change import needs_rewriting
from bucket_brigade.s3.addresses import is_aws
from bucket_brigade.s3.echo import needs_a_look
from bucket_brigade.settings.locations import root_of
from bucket_brigade.settings.values import EndpointSettings

_VERSION_ACTIONS = {
    "s3:GetObject": "s3:GetObjectVersion",
    "s3:GetObjectTagging": "s3:GetObjectVersionTagging",
    "s3:GetObjectAcl": "s3:GetObjectVersionAcl",
    "s3:PutObjectTagging": "s3:PutObjectVersionTagging",
    "s3:PutObjectAcl": "s3:PutObjectVersionAcl",
    "s3:DeleteObject": "s3:DeleteObjectVersion",
}
"""A request that names a version is another action."""

_COPIES = frozenset({Operation.COPY, Operation.RELAY})
_WRITES = frozenset({Operation.COPY, Operation.RELAY, Operation.UPLOAD})
_TOLD_BY_HEAD = frozenset({"storage-class", "encryption", "website-redirect"})
"""What is preserved, and proven by a look at what was written."""
_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov", "eusc-": "aws-eusc"}


class Statement(msgspec.Struct, frozen=True):
    """One statement that allows something.

    Attributes:
        sid: what it is for, in a word.
        prefix: bound on ``s3:prefix``, for listings; None for none.
    """

    sid: str
    actions: tuple[str, ...]
    resource: str
    prefix: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as IAM writes it."""
        found: dict[str, Any] = {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": list(self.actions),
            "Resource": self.resource,
        }
        if self.prefix:
            found["Condition"] = {"StringLike": {"s3:prefix": self.prefix}}
        return found


class JobPolicy(msgspec.Struct, frozen=True):
    """What the identities of a job's two sides have to be allowed. A copy on the server has one: all is its target's.

    Attributes:
        notes: what may be needed besides, and cannot be known from the job; a sentence each.
    """

    source: tuple[Statement, ...] = ()
    target: tuple[Statement, ...] = ()
    notes: tuple[str, ...] = ()


def least_policy(job: Job, source: EndpointSettings | None, target: EndpointSettings | None) -> JobPolicy:
    """Return the least that a job needs, by side.

    Args:
        job: submitted, or only built.
        source: the endpoint of its source; None where that is no bucket.
        target: that of its target.
    """
    of_source = tuple(_source_statements(job, source)) if source is not None else ()
    of_target = tuple(_target_statements(job, target)) if target is not None else ()
    if job.operation is Operation.COPY:
        of_source, of_target = (), of_source + of_target
    return JobPolicy(of_source, of_target, tuple(_notes(job)))


def policy_document(statements: Iterable[Statement]) -> dict[str, Any]:
    """Return the policy of these statements; those that are said twice are said once, and their names made unique."""
    documents: list[dict[str, Any]] = []
    for statement in dict.fromkeys(statements):
        document = statement.document()
        same = sum(one["Sid"].rstrip("0123456789") == statement.sid for one in documents)
        documents.append({**document, "Sid": f"{statement.sid}{same + 1}"} if same else document)
    return {"Version": "2012-10-17", "Statement": documents}


# --- the source --------------------------------------------------------------------------------------------------------


def _source_statements(job: Job, endpoint: EndpointSettings) -> Iterable[Statement]:
    source = job.source
    if not isinstance(source, S3Location):
        return
    bucket, objects = _arns(endpoint, source, source.bucket)
    if job.manifest is not None:
        objects = f"{bucket}/*"  # a manifest names keys anywhere in the bucket
    listing = _listing_actions(job)
    if listing:
        yield Statement("List", listing, bucket, f"{_literal(source.key)}*" if source.key else None)
    if job.versions.in_place:
        yield Statement("AskVersioning", ("s3:GetBucketVersioning",), bucket)
    reading = _reading_actions(job)
    if reading:
        yield Statement("Read", _of_versions(job, reading), objects)
    changing = _changing_actions(job)
    if changing:
        yield Statement("Change", changing, objects)
    if job.operation is Operation.DELETE or job.move:
        yield Statement("Delete", _deleting_actions(job), objects)
    if job.operation is Operation.UNARCHIVE or job.options.unarchive:
        yield Statement("Restore", ("s3:RestoreObject",), objects)
    if isinstance(job.read_catalog, S3Location) and job.read_catalog.endpoint == source.endpoint:
        catalog = job.read_catalog
        yield Statement(
            "Catalog", ("s3:GetObject",), f"{_arns(endpoint, catalog, catalog.bucket)[0]}/{_literal(catalog.key)}"
        )


def _listing_actions(job: Job) -> tuple[str, ...]:
    source = job.source
    if not isinstance(source, S3Location) or job.manifest is not None:
        return ()
    if job.versions.which is not VersionsOf.CURRENT:
        return ("s3:ListBucketVersions",)
    return ("s3:ListBucket",) if source.recursive and job.read_catalog is None else ()


def _reading_actions(job: Job) -> tuple[str, ...]:
    options, preserve = job.options, set(job.options.preserve)
    if job.operation is Operation.DELETE:
        single = isinstance(job.source, S3Location) and not job.source.recursive
        return ("s3:GetObject",) if single else ()
    if job.operation is Operation.UNARCHIVE:
        return ("s3:GetObject",)
    if job.operation is Operation.SET:
        return _reading_to_set(job)
    actions = ["s3:GetObject"]
    if job.operation in _COPIES:
        if "tags" in preserve and options.attributes.tagging is None:
            actions.append("s3:GetObjectTagging")
        if "acl" in preserve:
            actions.append("s3:GetObjectAcl")
        if "lock" in preserve:  # without these, a HEAD keeps silent about the lock
            actions += ["s3:GetObjectRetention", "s3:GetObjectLegalHold"]
    return tuple(actions)


def _reading_to_set(job: Job) -> tuple[str, ...]:
    asked = job.options.attributes
    single = isinstance(job.source, S3Location) and not job.source.recursive
    rewriting = needs_rewriting(asked)
    actions = ["s3:GetObject"] if rewriting or single else []
    if rewriting and asked.tagging is None:
        actions.append("s3:GetObjectTagging")
    if rewriting or _grants(job):
        actions.append("s3:GetObjectAcl")
    return tuple(actions)


def _changing_actions(job: Job) -> tuple[str, ...]:
    """Return what SET does to the objects, in the actions that S3 checks."""
    if job.operation is not Operation.SET:
        return ()
    asked = job.options.attributes
    if needs_rewriting(asked):
        return _writing_actions(job)
    return _of_versions(job, _attribute_actions(job))


def _deleting_actions(job: Job) -> tuple[str, ...]:
    # S3 asks for the former also where every key of DeleteObjects names its version.
    names_versions = isinstance(job.source, S3Location) and job.source.version_id is not None
    if names_versions or job.manifest is not None or job.versions.which is not VersionsOf.CURRENT:
        return ("s3:DeleteObject", "s3:DeleteObjectVersion")
    return ("s3:DeleteObject",)


# --- the target --------------------------------------------------------------------------------------------------------


def _target_statements(job: Job, endpoint: EndpointSettings) -> Iterable[Statement]:
    target = job.target
    if not isinstance(target, S3Location):
        return
    bucket, objects = _arns(endpoint, target, target.bucket)
    if job.layout is not LayoutName.IDENTITY:
        objects = f"{bucket}/{_literal(root_of(target))}*"
    history = job.versions.which is VersionsOf.ALL
    if history:
        yield Statement("AskVersioning", ("s3:GetBucketVersioning",), bucket)
        yield Statement(
            "ListTarget", ("s3:ListBucketVersions",), bucket, f"{_literal(target.key)}*" if target.key else None
        )
    yield Statement("Write", _writing_actions(job), objects)
    looking = _looking_actions(job, endpoint)
    if looking:
        yield Statement("LookAtTarget", looking, objects)
    if (job.options.overwrite is not Overwrite.ALWAYS and not history) or job.versions.in_place:
        # Without it, S3 answers 403 in place of 404 where there is no object.
        yield Statement("TellAbsence", ("s3:ListBucket",), bucket)
    if history:
        yield Statement("WriteMarkers", ("s3:DeleteObject", "s3:DeleteObjectVersion"), objects)
    elif job.versions.delete_newer:
        yield Statement("WriteMarkers", ("s3:DeleteObject",), objects)
    key = _kms_key(job, endpoint)
    if key:
        yield Statement("UseKey", ("kms:GenerateDataKey", "kms:Decrypt"), key)
    if isinstance(job.catalog, S3Location) and job.catalog.endpoint == target.endpoint:
        where = _arns(endpoint, job.catalog, job.catalog.bucket)[0]
        catalog_actions = ("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
        yield Statement("Catalog", catalog_actions, f"{where}/{_literal(job.catalog.key)}")


def _writing_actions(job: Job) -> tuple[str, ...]:
    """Return what a write needs; the latter two of the first three end and continue uploads in parts."""
    return ("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", *_attribute_actions(job))


def _attribute_actions(job: Job) -> tuple[str, ...]:
    """Return what each attribute that is set needs besides the write."""
    asked, copies = job.options.attributes, job.operation in _COPIES
    preserve = set(job.options.preserve) if copies else set()
    rewriting = job.operation is Operation.SET and needs_rewriting(asked)
    actions: list[str] = []
    if asked.tagging is not None or "tags" in preserve or rewriting:
        actions.append("s3:PutObjectTagging")
    if asked.acl is not None or _grants(job) or "acl" in preserve or rewriting:
        actions.append("s3:PutObjectAcl")
    if asked.lock_mode is not None or "lock" in preserve:
        actions.append("s3:PutObjectRetention")
    if asked.legal_hold is not None or "lock" in preserve:
        actions.append("s3:PutObjectLegalHold")
    return tuple(actions)


def proves_by_looking(endpoint: EndpointSettings) -> bool:
    """Tell whether uploads may have to be proven by a HEAD: AWS states a checksum for each, of others that is not sure."""
    return endpoint.checksum == "when_required" or (
        endpoint.endpoint_url is not None and not is_aws(endpoint.endpoint_url)
    )


def _looking_actions(job: Job, endpoint: EndpointSettings) -> tuple[str, ...]:
    """Return what is read at the target: to prove a copy, to replace nothing else, to see that a wish was kept."""
    asked, preserve = job.options.attributes, set(job.options.preserve) if job.operation in _COPIES else set()
    locks = asked.lock_mode is not None or asked.legal_hold is not None or "lock" in preserve
    sets_access = asked.acl not in (None, "private") or _grants(job) or "acl" in preserve
    actions: list[str] = []
    if (
        job.operation is Operation.COPY
        or job.options.overwrite is not Overwrite.ALWAYS
        or proves_by_looking(endpoint)
        or asked.sse is not None
        or needs_a_look(asked)
        or preserve & _TOLD_BY_HEAD
        or locks
        or job.versions.which is not VersionsOf.CURRENT
    ):
        actions.append("s3:GetObject")
    if locks:
        actions += ["s3:GetObjectRetention", "s3:GetObjectLegalHold"]
    if sets_access:
        actions.append("s3:GetObjectAcl")
    if proves_by_looking(endpoint) and (asked.tagging or "tags" in preserve):  # some forget them, and are reminded
        actions.append("s3:GetObjectTagging")
    if job.versions.which is not VersionsOf.CURRENT:
        actions.append("s3:GetObjectVersion")
    return tuple(actions)


# --- names -------------------------------------------------------------------------------------------------------------


def _of_versions(job: Job, actions: tuple[str, ...]) -> tuple[str, ...]:
    """Return the actions as they are called where versions are named; both where a manifest may name some."""
    source = job.source
    of_versions = tuple(_VERSION_ACTIONS.get(action, action) for action in actions)
    if job.manifest is not None:
        return tuple(dict.fromkeys([*actions, *of_versions]))
    one = isinstance(source, S3Location) and source.version_id is not None
    return of_versions if one or job.versions.which is not VersionsOf.CURRENT else actions


def _grants(job: Job) -> bool:
    asked = job.options.attributes
    return any((asked.grant_full_control, asked.grant_read, asked.grant_read_acp, asked.grant_write_acp))


def _arns(endpoint: EndpointSettings, location: S3Location, bucket: str) -> tuple[str, str]:
    """Return the names of the bucket, and of the objects of a location in it."""
    name = bucket if bucket.startswith("arn:") else f"arn:{_partition(endpoint)}:s3:::{_literal(bucket)}"
    inside = f"{name}/object" if bucket.startswith("arn:") else name
    return name, f"{inside}/{_literal(location.key)}" + ("*" if location.recursive else "")


def _partition(endpoint: EndpointSettings) -> str:
    region = endpoint.region or ""
    return next((name for prefix, name in _PARTITIONS.items() if region.startswith(prefix)), "aws")


def _literal(text: str) -> str:
    """Return text as IAM takes it at its word: ``*``, ``?`` and ``$`` mean something there."""
    return "".join(f"${{{character}}}" if character in "*?$" else character for character in text)


def _kms_key(job: Job, endpoint: EndpointSettings) -> str:
    """Return the resource of the KMS key that is written with; "" for none, and for the one that S3 keeps for the account."""
    asked = job.options.attributes
    if job.operation not in _WRITES or not (asked.sse or "").startswith("aws:kms") or not asked.sse_kms_key_id:
        return ""
    key = asked.sse_kms_key_id
    if key.startswith("arn:") and ":key/" in key:
        return key
    name = "*" if "alias/" in key else key
    return f"arn:{_partition(endpoint)}:kms:*:*:key/{name}"


def _notes(job: Job) -> Iterable[str]:
    locations: tuple[Location | None, ...] = (job.source, job.target)
    if isinstance(job.source, S3Location) and job.operation is not Operation.DELETE:
        yield "Objects of the source that are under a KMS key also need kms:Decrypt on that key."
    if isinstance(job.target, S3Location) and not job.options.attributes.sse:
        yield "A target whose default encryption is a KMS key also needs kms:GenerateDataKey and kms:Decrypt on that key."
    if any(isinstance(one, S3Location) and one.endpoint != "s3" for one in locations):
        yield "Not every S3-compatible service knows all of these actions, or IAM at all."
