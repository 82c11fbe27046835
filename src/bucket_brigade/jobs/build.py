"""From a request to a Job: what it means, and every check of it that needs no network."""

from __future__ import annotations

import os
import secrets
import time
from datetime import UTC, datetime

import msgspec

from bucket_brigade.errors import ConfigError
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.jobs.sides import same_service, side_endpoint
from bucket_brigade.jobs.versions import as_restore, filters_beside, preserved_in_place, select_versions
from bucket_brigade.model.acl import public_access
from bucket_brigade.model.job import (
    NO_ATTRIBUTES,
    PRESERVABLE,
    EndpointOverrides,
    Job,
    LayoutName,
    Manifest,
    Operation,
    TransferOptions,
)
from bucket_brigade.model.location import LocalPath, Location, S3Location, StandardStream
from bucket_brigade.model.parts import MAX_PART_BYTES, MIB, MIN_PART_BYTES
from bucket_brigade.model.transfer import UNKNOWN_SIZE, JobId
from bucket_brigade.planning.catalog import read_header
from bucket_brigade.planning.manifest import check_manifest, read_manifest
from bucket_brigade.settings.attributes import checked_attributes, is_aws
from bucket_brigade.settings.locations import parse_location, resolve_target, root_of
from bucket_brigade.settings.values import EndpointSettings, Settings

_VERBS_IN_PLACE = {
    "rm": Operation.DELETE,
    "undelete": Operation.DELETE,
    "set": Operation.SET,
    "unarchive": Operation.UNARCHIVE,
}
_WRITING = frozenset({Operation.UPLOAD, Operation.COPY, Operation.RELAY, Operation.SET})


def new_job_id() -> JobId:
    """Return an id that sorts by time and can be typed: ``20261122-140559-7f3a``."""
    return JobId(f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}")


def build_job(request: JobRequest, settings: Settings) -> Job:
    """Return the job that the request means.

    Raises:
        ConfigError: bad input; the message says what is wrong and the remedy what to do.
    """
    request = as_restore(request)
    options = request.options or settings.transfer
    _check_options(options)
    if request.verb == "set":
        options = _options_of_set(options)
    source = _parse_source(request, settings)
    target = _parse_target(request, settings, source)
    one = side_endpoint(settings, source, request.source_endpoint)
    other = side_endpoint(settings, target, request.target_endpoint)
    operation = _operation(request, source, target, can_copy=same_service(one, other))
    _check_sides(request, source, target)
    versions = select_versions(request, operation, source, target)
    if versions.in_place:
        options = preserved_in_place(options)
    if one is not None and other is not None and one.endpoint_url == other.endpoint_url and not versions.in_place:
        _check_apart(request, source, target)
    _check_link(source, options)
    if operation in _WRITING:
        _check_public(options)
        options = _check_attributes(options, other or one)
    catalog, read_catalog = _catalogs(request, settings, operation)
    if request.manifest is not None:
        check_manifest(request.manifest, request.manifest_format)
    _check_filters(request, reads_catalog=read_catalog is not None)
    return Job(
        id=new_job_id(),
        operation=operation,
        source=source,
        target=target,
        move=request.verb == "mv",
        filters=filters_beside(request, versions),
        options=options,
        layout=request.layout,
        manifest=Manifest(path=os.path.abspath(request.manifest), format=request.manifest_format)
        if request.manifest is not None
        else None,
        catalog=catalog,
        read_catalog=read_catalog,
        source_endpoint=_absolute(request.source_endpoint),
        target_endpoint=_absolute(request.target_endpoint),
        created_ns=time.time_ns(),
        versions=versions,
        unarchive=request.unarchive,
    )


def _absolute(overrides: EndpointOverrides) -> EndpointOverrides:
    """Return the overrides for the journal: the job may be resumed from another folder."""
    named = {name: getattr(overrides, name) for name in ("ca_bundle", "sse_c_key_file")}
    found = {name: os.path.abspath(os.path.expanduser(path)) for name, path in named.items() if path is not None}
    return msgspec.structs.replace(overrides, **found)


def _check_options(options: TransferOptions) -> None:
    if not MIN_PART_BYTES <= options.part_size_bytes <= MAX_PART_BYTES:
        raise ConfigError(
            f"a part size of {options.part_size_bytes:,} bytes is out of range",
            remedy="S3 takes parts of 5 MiB to 5 GiB.",
        )
    if not 0 < options.multipart_threshold_bytes <= MAX_PART_BYTES:
        raise ConfigError("the multipart threshold is out of range", remedy="S3 takes 5 GiB at most in a single PUT.")
    if not MIB <= options.copy_limit_bytes <= MAX_PART_BYTES:
        raise ConfigError("the copy limit is out of range", remedy="S3 copies 5 GiB at most in a single request.")


def _options_of_set(options: TransferOptions) -> TransferOptions:
    """Return the options of a job that changes attributes in place: what is not changed is carried over."""
    asked = options.attributes
    if asked == NO_ATTRIBUTES:
        raise ConfigError("nothing to set is named", remedy="Name it: --tags, --metadata, --acl, --storage-class, …")
    kept = tuple(name for name in PRESERVABLE if name not in ("mode", "owner"))
    return msgspec.structs.replace(options, preserve=kept, guess_content_type=False)


def _check_attributes(options: TransferOptions, target: EndpointSettings | None) -> TransferOptions:
    attributes = checked_attributes(
        options.attributes,
        aws=target is not None and is_aws(target, os.environ),
        customer_key=target is not None and target.sse_c_key is not None,
        now=datetime.now(UTC),
    )
    return msgspec.structs.replace(options, attributes=attributes)


def _check_public(options: TransferOptions) -> None:
    """Refuse to open objects to everybody unless that was said twice."""
    access = public_access(options.attributes)
    if access is not None and not options.allow_public_acl:
        raise ConfigError(
            f"{access} would let everybody reach what this job writes",
            remedy="Leave it out, or say that it is meant: --allow-public-acl (transfer.allow_public_acl).",
        )


def _parse_source(request: JobRequest, settings: Settings) -> Location:
    return parse_location(
        request.source,
        endpoints=settings.endpoints,
        recursive_flag=request.recursive or request.manifest is not None,
        role="source",
        version_id=request.version_id,
    )


def _parse_target(request: JobRequest, settings: Settings, source: Location) -> Location | None:
    if request.verb in _VERBS_IN_PLACE:
        return None
    if request.verb == "restore" and isinstance(source, S3Location):
        return msgspec.structs.replace(source, key=root_of(source) if source.recursive else source.key, pattern="")
    if not request.target:
        raise ConfigError(f"{request.verb} needs a target", remedy=f"brigade {request.verb} SOURCE TARGET")
    return resolve_target(source, parse_location(request.target, endpoints=settings.endpoints, role="target"))


def _operation(request: JobRequest, source: Location, target: Location | None, *, can_copy: bool) -> Operation:
    if request.verb in _VERBS_IN_PLACE:
        if not isinstance(source, S3Location):
            raise ConfigError(f"{source} is not in a bucket", remedy=f"brigade {request.verb} is for objects.")
        return _VERBS_IN_PLACE[request.verb]
    if isinstance(source, S3Location) and isinstance(target, S3Location):
        return Operation.COPY if can_copy else Operation.RELAY
    if isinstance(target, S3Location):
        return Operation.UPLOAD
    if isinstance(source, S3Location):
        return Operation.DOWNLOAD
    raise ConfigError(
        "both sides are local",
        remedy="One side at least must be a bucket: s3://bucket/prefix/. For local files use cp.",
    )


def _check_sides(request: JobRequest, source: Location, target: Location | None) -> None:
    if isinstance(source, LocalPath):
        _check_local_source(source)
    if isinstance(target, LocalPath):
        _check_local_target(target)
    if request.verb == "mv" and StandardStream() in (source, target):
        raise ConfigError("a stream cannot be moved", remedy="Use cp.")
    if request.manifest is not None and not isinstance(source, S3Location):
        raise ConfigError(
            "a manifest names objects, and the source is not a bucket", remedy="Name s3://bucket/ as the source."
        )
    if request.layout is not LayoutName.IDENTITY and not (isinstance(target, S3Location) and target.recursive):
        raise ConfigError(
            f"--layout {request.layout} needs a bucket or prefix as its target",
            remedy="Name s3://bucket/prefix/ as the target.",
        )


def _check_local_source(source: LocalPath) -> None:
    if not os.path.lexists(source.path):
        raise ConfigError(f"{source.path} does not exist", remedy="Name an existing file or folder.")
    if not source.recursive and not os.path.isfile(source.path):
        raise ConfigError(f"{source.path} is no regular file", remedy="Name a file, or a folder with --recursive.")
    if not os.access(source.path, os.R_OK):
        raise ConfigError(f"{source.path} cannot be read", remedy="Ask its owner for permission.")


def _check_link(source: Location, options: TransferOptions) -> None:
    """Refuse a link that is named itself, as a walk would leave it out; the way to it may lead through links."""
    if options.follow_symlinks or not isinstance(source, LocalPath) or source.recursive:
        return
    if os.path.islink(source.path):
        raise ConfigError(
            f"{source.path} is a symbolic link", remedy="Name the file it leads to, or add --follow-symlinks."
        )


def _check_filters(request: JobRequest, *, reads_catalog: bool) -> None:
    """Refuse bounds on what a list does not tell: they would leave everything out."""
    filters = request.filters
    timed = filters.modified_after_ns is not None or filters.modified_before_ns is not None
    if timed and (request.manifest is not None or reads_catalog):
        raise ConfigError(
            f"a {'catalog' if reads_catalog else 'manifest'} does not tell when its objects were modified",
            remedy="Leave the bounds on the time out, or name a prefix.",
        )
    if request.manifest is not None and (filters.min_size is not None or filters.max_size is not None):
        for entry in read_manifest(request.manifest, request.manifest_format):
            if entry.size == UNKNOWN_SIZE:
                raise ConfigError(
                    f"{request.manifest}, line {entry.place[1]:,}: it tells no size, which the filters ask for",
                    remedy="Add a column size, or leave the bounds on the size out.",
                )


def _check_local_target(target: LocalPath) -> None:
    if target.recursive and os.path.lexists(target.path) and not os.path.isdir(target.path):
        raise ConfigError(f"{target.path} is a file, and many objects go there", remedy="Name a folder as the target.")
    if not target.recursive and os.path.isdir(target.path):
        raise ConfigError(f"{target.path} is a folder", remedy=f"Write {target.path}/ to put the object into it.")


def _check_apart(request: JobRequest, source: Location, target: Location | None) -> None:
    """Refuse a copy onto itself (unless it changes attributes), and one into its own source, which would never end."""
    if not isinstance(source, S3Location) or not isinstance(target, S3Location):
        return
    if source.bucket != target.bucket or source.version_id is not None or request.manifest is not None:
        return
    if not source.recursive:
        if source.key == target.key and (
            request.verb == "mv" or request.options is None or not _changes(request.options)
        ):
            raise ConfigError(f"{source} would be copied onto itself", remedy="Name another target.")
        return
    root = root_of(source)
    if target.key.startswith(source.key) and (target.key != root or request.verb == "mv"):
        raise ConfigError(
            f"the target {target} lies inside the source {source}",
            remedy="Name a target outside of the source's prefix.",
        )
    if (
        target.key == root
        and request.layout is LayoutName.IDENTITY
        and not (request.options and _changes(request.options))
    ):
        raise ConfigError(f"{source} would be copied onto itself", remedy="Name another target.")


def _changes(options: TransferOptions) -> bool:
    return options.attributes != TransferOptions().attributes


def _catalogs(request: JobRequest, settings: Settings, operation: Operation) -> tuple[Location | None, Location | None]:
    """Return where the catalog is written, and which one is read."""
    if request.catalog is None:
        return None, None
    location = parse_location(request.catalog, endpoints=settings.endpoints, role="source")
    if isinstance(location, StandardStream) or location.recursive:
        raise ConfigError(
            f"the catalog {request.catalog} is not one file or object", remedy="Name a file or an object."
        )
    if operation is Operation.DOWNLOAD:
        if isinstance(location, LocalPath):
            read_header(location.path)
        return None, location
    if isinstance(location, LocalPath) and not os.path.isdir(os.path.dirname(location.path)):
        raise ConfigError(f"there is no folder for the catalog {location.path}", remedy="Create the folder first.")
    if operation in (Operation.DELETE,):
        raise ConfigError("a delete writes no catalog", remedy="Leave --catalog out.")
    return location, None
