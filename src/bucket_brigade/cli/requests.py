"""From flags to the request that the facade takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from bucket_brigade.cli.attributes import object_attributes, side_overrides
from bucket_brigade.cli.terminal import confirm
from bucket_brigade.errors import ConfigError
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.model.job import PRESERVABLE, Filters, LayoutName, Overwrite, Rule, TransferOptions
from bucket_brigade.settings.schema import expand_preserve

_GLOB_CHARACTERS = "*?["


def build_request(
    verb: str,
    source: str,
    target: str,
    *,
    flags: Mapping[str, Any],
    rules: list[tuple[bool, str]],
    defaults: TransferOptions,
    now_ns: int,
) -> JobRequest:
    """Return the request that the flags describe. Raises ConfigError for a value that cannot be read."""
    of_source, of_target = side_overrides(source, target, flags)
    attributes = object_attributes(flags, defaults.attributes)
    follow = flags.get("follow_symlinks")
    options = msgspec.structs.replace(
        defaults,
        overwrite=_overwrite(flags, defaults.overwrite),
        unarchive=defaults.unarchive or bool(flags.get("unarchive")),
        attributes=attributes,
        guess_content_type=defaults.guess_content_type and not flags.get("no_guess_mime_type"),
        follow_symlinks=defaults.follow_symlinks if follow is None else follow,
        preserve=_preserve(flags, defaults.preserve),
        must_preserve=defaults.must_preserve or flags.get("preserve") not in (None, "all", "none"),
        allow_public_acl=defaults.allow_public_acl or bool(flags.get("allow_public_acl")),
    )
    return JobRequest(
        verb=verb,
        source=source,
        target=target,
        version_id=flags.get("version_id"),
        recursive=bool(flags.get("recursive")),
        filters=build_filters(flags, rules, now_ns=now_ns),
        options=options,
        layout=LayoutName(flags.get("layout") or LayoutName.IDENTITY),
        manifest=flags.get("manifest"),
        manifest_format=flags.get("manifest_format") or "auto",
        catalog=flags.get("catalog"),
        source_endpoint=of_source,
        target_endpoint=of_target,
        all_versions=bool(flags.get("all_versions")),
        noncurrent=bool(flags.get("noncurrent")),
        keep_last=flags.get("keep_last"),
        as_of=flags.get("as_of"),
        delete_newer=bool(flags.get("delete_newer")),
    )


def _preserve(flags: Mapping[str, Any], default: tuple[str, ...]) -> tuple[str, ...]:
    written = flags.get("preserve")
    if written is None:
        return default
    names = tuple(name.strip() for name in written.split(",") if name.strip())
    unknown = [name for name in names if name not in ("all", "none", *PRESERVABLE)]
    if unknown or not names:
        raise ConfigError(
            f"--preserve does not know {unknown[0] if unknown else 'nothing'}",
            remedy=f"Name any of {', '.join(PRESERVABLE)}, or all, or none.",
        )
    return expand_preserve(names)


def _overwrite(flags: Mapping[str, Any], default: Overwrite) -> Overwrite:
    if flags.get("no_clobber") and flags.get("if_unchanged"):
        raise ConfigError("--no-clobber and --if-unchanged contradict each other", remedy="Give one of them.")
    if flags.get("no_clobber"):
        return Overwrite.NEVER
    return Overwrite.IF_UNCHANGED if flags.get("if_unchanged") else default


def build_filters(flags: Mapping[str, Any], rules: list[tuple[bool, str]], *, now_ns: int) -> Filters:
    """Return the filters that the flags describe; ages count back from ``now_ns``."""
    from bucket_brigade.settings.units import parse_size, parse_time

    def size(name: str) -> int | None:
        text = flags.get(name)
        return None if text is None else _named(name, text, parse_size)

    def moment(name: str) -> int | None:
        text = flags.get(name)
        return None if text is None else _named(name, text, lambda written: parse_time(written, now_ns=now_ns))

    return Filters(
        rules=tuple(Rule(include, pattern) for include, pattern in rules),
        min_size=size("min_size"),
        max_size=size("max_size"),
        modified_after_ns=moment("newer_than"),
        modified_before_ns=moment("older_than"),
    )


def _named(name: str, text: str, read: Callable[[str], int]) -> int:
    try:
        return read(text)
    except ConfigError as error:
        raise ConfigError(f"--{name.replace('_', '-')}: {error}", remedy=error.remedy) from error


def deletes_many(request: JobRequest) -> bool:
    """Say whether a request deletes more than one named object."""
    location = request.source
    below = request.recursive or location.endswith("/") or any(character in location for character in _GLOB_CHARACTERS)
    return below or request.manifest is not None or _deletes_versions(request)


def _deletes_versions(request: JobRequest) -> bool:
    return request.all_versions or request.noncurrent or request.keep_last is not None


def confirm_delete(request: JobRequest, *, yes: bool) -> None:
    """Ask before many objects are deleted. Raises ConfigError where nobody can be asked, or the answer is no."""
    if request.verb == "rm" and deletes_many(request) and not yes:
        what = f"everything named by {request.manifest} in" if request.manifest else "everything that matches below"
        if _deletes_versions(request):
            what = (
                f"for good {'all' if request.all_versions else 'noncurrent'} versions of {what.removesuffix(' below')}:"
            )
        confirm(f"delete {what} {request.source}")
