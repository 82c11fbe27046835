"""Which versions a request means, and what cannot be done with them: decided before anything is asked or changed."""

from __future__ import annotations

import time

import msgspec

from bucket_brigade.errors import ConfigError
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.model.job import (
    CURRENT_VERSIONS,
    DEFAULT_PRESERVE,
    Filters,
    LayoutName,
    Operation,
    Overwrite,
    TransferOptions,
    VersionSelection,
    VersionsOf,
)
from bucket_brigade.model.location import Location, S3Location
from bucket_brigade.settings.locations import root_of
from bucket_brigade.settings.units import parse_time

_RESTORED_LIKE = (*DEFAULT_PRESERVE, "storage-class", "encryption", "website-redirect")


def as_restore(request: JobRequest) -> JobRequest:
    """Return a request whose target is its source's endpoint where the verb is ``restore``, else as it is."""
    if request.verb != "restore":
        return request
    return msgspec.structs.replace(request, target_endpoint=request.source_endpoint)


def preserved_in_place(options: TransferOptions) -> TransferOptions:
    """Return the options of a restore: unless the job names what to preserve, a version comes back where it was stored."""
    if options.preserve != DEFAULT_PRESERVE:
        return options
    return msgspec.structs.replace(options, preserve=_RESTORED_LIKE)


def select_versions(
    request: JobRequest, operation: Operation, source: Location, target: Location | None
) -> VersionSelection:
    """Return which versions of each key the request means.

    Raises:
        ConfigError: flags that contradict each other, or an operation that cannot do this with versions.
    """
    selection = _selection(request)
    _check_words(request)
    if selection.which is VersionsOf.CURRENT:
        return selection
    if not isinstance(source, S3Location):
        raise ConfigError(f"{source} keeps no versions", remedy="Only buckets do; leave the flag out.")
    _check_source(request)
    if selection.which is VersionsOf.ALL:
        _check_all(request, operation)
    if selection.which is VersionsOf.AS_OF:
        if operation is Operation.DELETE:
            raise ConfigError("--as-of reads the past, and rm has nothing to do there", remedy="Name a --version-id.")
        return msgspec.structs.replace(selection, in_place=is_in_place(source, target))
    return selection


def filters_beside(request: JobRequest, selection: VersionSelection) -> Filters:
    """Return the filters that are left: of noncurrent versions the age counts from their replacement, in the selection."""
    if selection.which is VersionsOf.NONCURRENT:
        return msgspec.structs.replace(request.filters, modified_before_ns=None)
    return request.filters


def is_in_place(source: Location, target: Location | None) -> bool:
    """Say whether every object would be written where it came from (on the same endpoint, by its name)."""
    if not isinstance(source, S3Location) or not isinstance(target, S3Location):
        return False
    key = root_of(source) if source.recursive else source.key
    return (source.endpoint, source.bucket, key, source.recursive) == (
        target.endpoint,
        target.bucket,
        target.key,
        target.recursive,
    )


def _selection(request: JobRequest) -> VersionSelection:
    noncurrent = request.noncurrent or request.keep_last is not None
    asked = [
        name
        for name, given in (
            ("--all-versions", request.all_versions),
            ("--noncurrent", noncurrent),
            ("--as-of", request.as_of is not None),
            ("--version-id", request.version_id is not None),
        )
        if given
    ]
    if len(asked) > 1:
        raise ConfigError(f"{asked[0]} and {asked[1]} mean different versions", remedy="Give one of them.")
    if request.verb == "undelete":
        return VersionSelection(which=VersionsOf.MARKERS)
    if request.all_versions:
        return VersionSelection(which=VersionsOf.ALL)
    if noncurrent:
        return VersionSelection(
            which=VersionsOf.NONCURRENT,
            noncurrent_before_ns=request.filters.modified_before_ns,
            keep_last=request.keep_last,
        )
    if request.as_of is not None:
        as_of_ns = instant_ns(request.as_of)
        return VersionSelection(which=VersionsOf.AS_OF, as_of_ns=as_of_ns, delete_newer=request.delete_newer)
    return CURRENT_VERSIONS


def instant_ns(text: str) -> int:
    """Return the instant of ``--as-of``, nanoseconds since the epoch.

    Raises:
        ConfigError: neither an age nor a date, or in the future.
    """
    now_ns = time.time_ns()
    try:
        instant = parse_time(text, now_ns=now_ns)
    except ConfigError as error:
        raise ConfigError(f"--as-of: {error}", remedy=error.remedy) from error
    if instant > now_ns:
        raise ConfigError(f"--as-of {text} is in the future", remedy="Without the flag you get what is current.")
    return instant


def _check_words(request: JobRequest) -> None:
    if request.verb == "restore" and request.as_of is None:
        raise ConfigError("restore needs an instant", remedy="Say --as-of 2d or --as-of 2026-01-31T12:00:00Z.")
    if request.verb == "undelete" and (request.all_versions or request.noncurrent or request.as_of is not None):
        raise ConfigError("undelete takes no selection of versions", remedy="It removes the latest delete markers.")
    if (request.noncurrent or request.keep_last is not None) and request.verb != "rm":
        raise ConfigError("--noncurrent belongs to rm", remedy="cp --all-versions copies all versions.")
    if request.keep_last is not None and request.keep_last < 0:
        raise ConfigError("--keep-last is below zero", remedy="Say how many noncurrent versions of each key stay.")
    if request.delete_newer and request.verb != "restore":
        raise ConfigError("--delete-newer belongs to restore", remedy="brigade restore LOCATION --as-of TIME.")


def _check_source(request: JobRequest) -> None:
    if request.verb == "mv":
        raise ConfigError(
            "versions are not moved", remedy="Copy them with cp --all-versions, and then rm --all-versions."
        )
    if request.manifest is not None:
        raise ConfigError("a manifest names versions itself", remedy="Leave the flag, or the manifest, out.")


def _check_all(request: JobRequest, operation: Operation) -> None:
    filters = request.filters
    if filters.modified_after_ns is not None or filters.modified_before_ns is not None:
        raise ConfigError(
            "all versions are not chosen by their age", remedy="rm --noncurrent --older-than 30d is about old versions."
        )
    if operation is Operation.DELETE:
        return
    if operation is Operation.DOWNLOAD:
        raise ConfigError("a folder keeps one version of a file", remedy="--as-of TIME or --version-id names which.")
    if filters.min_size is not None or filters.max_size is not None:
        raise ConfigError("a history has no size to choose it by", remedy="Leave the bounds on the size out.")
    if request.options is not None and request.options.overwrite is not Overwrite.ALWAYS:
        raise ConfigError("a history is continued, never written over", remedy="Leave --no-clobber out.")
    if request.layout is not LayoutName.IDENTITY or request.catalog is not None:
        raise ConfigError("a catalog holds one version of each key", remedy="Leave --layout and --catalog out.")
