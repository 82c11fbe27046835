"""From what a person typed to a Location. What could mean two things is an error that says how to say each.

================================ ==========================================================================
``s3://bucket/a/b``              one object
``s3://bucket/a/``               everything below ``a/``
``s3://bucket/a --recursive``    the same: the folder ``a/``, as in ``aws s3``, and never ``abc``
``s3://bucket/a/*.gz``           what matches; ``*`` and ``?`` also match ``/``
``s3://bucket/a[*]b``            the object ``a*b``: ``[*]``, ``[?]`` and ``[[]`` stand for the character itself
``s3://bucket/``                 the whole bucket
``folder``, ``folder/``          everything below it (the first if it is a folder on disk)
``-``                            standard input or output
================================ ==========================================================================

Keys are taken as they are: a percent sign, a second slash, ``..`` and spaces are part of the key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from typing import Literal

import msgspec

from bucket_brigade.errors import ConfigError
from bucket_brigade.model.location import MAX_KEY_BYTES, LocalPath, Location, S3Location, StandardStream
from bucket_brigade.settings.hints import nearest

Role = Literal["source", "target", "listing"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,254}", re.ASCII)
_ARN = re.compile(
    r"(arn:[a-z-]+:s3[a-z-]*:[a-z0-9-]*:\d*:(?:outpost[:/][^/:]+[:/])?accesspoint[:/][^/:]+)(?:/(.*))?", re.DOTALL
)
_ESCAPED = re.compile(r"\[([*?[])\]")
# A "[" without its "]" is no glob, here as in fnmatch.
_GLOB = re.compile(r"[*?]|\[!?.[^\]]*\]", re.DOTALL)
_VERSION_IN_KEY = re.compile(r"\?versionId=", re.IGNORECASE)


def parse_location(
    text: str,
    *,
    endpoints: Collection[str],
    recursive_flag: bool = False,
    role: Role = "source",
    version_id: str | None = None,
) -> Location:
    """Return the location that ``text`` names, looking at the disk only to tell files from folders.

    Args:
        text: a URL with the name of an endpoint as its scheme, a path, or ``-``.
        endpoints: the configured names.
        recursive_flag: ``--recursive`` was given.
        role: a ``target`` cannot be a pattern; a bare ``s3://bucket`` is no ``source``, but may be listed.
        version_id: of ``--version-id``.

    Raises:
        ConfigError: what is wrong, and how to say what was meant.
    """
    if not text:
        raise ConfigError(f"the {role} is empty", remedy="Name a URL like s3://bucket/prefix/, a path, or -.")
    if "\0" in text:
        raise ConfigError(f"{text!r} holds a NUL character", remedy="No path and no key may.")
    if text == "-":
        location: Location = _parse_stream(recursive_flag)
    elif match := _SCHEME.fullmatch(text):
        location = _parse_url(text, match[1], match[2], endpoints, recursive_flag, role)
    else:
        _refuse_half_urls(text, endpoints)
        location = _parse_path(text, recursive_flag, role)
    return _with_version(location, version_id) if version_id is not None else location


def resolve_target(source: Location, target: Location) -> Location:
    """Return where ``source`` really goes: one object into a folder keeps its name, many make a folder of the target.

    Raises:
        ConfigError: many objects into one file or stream, or one without a name into a folder.
    """
    match source:
        case StandardStream() | S3Location(recursive=False) | LocalPath(recursive=False):
            return resolve_single_target(source, target)
        case _:
            return _resolve_folder_target(target)


def resolve_single_target(source: Location, target: Location) -> Location:
    """Return the target of one object: itself, or the source's last name below a prefix or folder.

    Raises:
        ConfigError: the source has no name that could be appended.
    """
    if isinstance(target, StandardStream) or not target.recursive:
        return target
    name = base_name(source)
    if name in ("", ".", ".."):
        raise ConfigError(f"{source} has no name to append to {target}", remedy="Name the target object in full.")
    if isinstance(target, S3Location):
        key = target.key + name
        _check_key(key, f"{target.endpoint}://{target.bucket}/{key}")
        return msgspec.structs.replace(target, key=key, recursive=False)
    return LocalPath(path=os.path.join(target.path, name))


def base_name(location: Location) -> str:
    """Return the last part of one object's name; empty for a stream, or a key that ends in a slash."""
    match location:
        case S3Location():
            return location.key.rpartition("/")[2]
        case LocalPath():
            return os.path.basename(location.path)
        case _:
            return ""


def root_of(location: S3Location) -> str:
    """Return what names are relative to: the key up to its last slash, where a pattern may have cut it in mid-name.

    ``s3://b/logs/2026-*`` lists by the prefix ``logs/2026-``; its names, and filters, are relative to ``logs/``.
    """
    return location.key[: location.key.rfind("/") + 1]


def _parse_stream(recursive_flag: bool) -> StandardStream:
    if recursive_flag:
        raise ConfigError("- is one object, not a folder", remedy="Leave --recursive out.")
    return StandardStream()


def _parse_url(
    text: str, scheme: str, rest: str, endpoints: Collection[str], recursive_flag: bool, role: Role
) -> S3Location:
    if scheme not in endpoints:
        raise _unknown_scheme(text, scheme, rest, endpoints)
    bucket, key = _split_bucket(rest)
    if not bucket:
        if key or rest:
            raise ConfigError(f"{text} names no bucket", remedy=f"Write {scheme}://bucket/key.")
        return S3Location(endpoint=scheme)
    if not _BUCKET.fullmatch(bucket) and not bucket.startswith("arn:"):
        remedy = "A bucket's name is letters, digits, dots and dashes, a letter or digit first; it cannot be a pattern."
        if "@" in bucket:  # as in s3://key:secret@bucket/, which must not be repeated
            raise ConfigError(
                "what stands before @ in the location belongs to no bucket",
                remedy="Give credentials by profile, environment or configuration file, never in a URL.",
            )
        raise ConfigError(f"{text}: {bucket!r} cannot be the name of a bucket", remedy=remedy)
    if _VERSION_IN_KEY.search(key):
        remedy = "Name the version with --version-id, or write [?] where the key really holds a question mark."
        raise ConfigError(f"{text} looks like a URL with a version in it", remedy=remedy)
    if role == "source" and "/" not in rest and not recursive_flag:
        raise ConfigError(f"{text} is a whole bucket", remedy=f"Write {text}/ for everything in it, or name a key.")
    prefix, pattern = _split_pattern(key, text, role)
    recursive = recursive_flag or bool(pattern) or not prefix or key.endswith("/")
    if recursive and not pattern and prefix and not prefix.endswith("/") and role != "listing":
        prefix += "/"
    _check_key(prefix, text)
    return S3Location(endpoint=scheme, bucket=bucket, key=prefix, recursive=recursive, pattern=pattern)


def _split_bucket(rest: str) -> tuple[str, str]:
    if arn := _ARN.fullmatch(rest):
        return arn[1], arn[2] or ""
    bucket, _, key = rest.partition("/")
    return bucket, key


def _unknown_scheme(text: str, scheme: str, rest: str, endpoints: Collection[str]) -> ConfigError:
    if scheme.lower() == "file":
        return ConfigError(f"{text} is a file URL", remedy=f"Write the path itself: {rest}")
    if scheme.lower() in ("http", "https"):
        remedy = "Write s3://bucket/key and give the service by --endpoint-url, or configure it as an endpoint."
        return ConfigError(f"{text} is a web address, not a location", remedy=remedy)
    guess = nearest(scheme, endpoints)
    known = f"Did you mean {guess}://{rest}?" if guess else f"Known are {', '.join(sorted(endpoints))}."
    remedy = f"{known} Another service is configured in [endpoints.{scheme}]."
    return ConfigError(f"{text}: no endpoint is called {scheme}", remedy=remedy)


def _refuse_half_urls(text: str, endpoints: Collection[str]) -> None:
    """Refuse ``s3:bucket/key`` and ``~/x``: as paths they would be folders with strange names."""
    scheme, colon, rest = text.partition(":")
    if colon and scheme in endpoints and not os.path.lexists(text):
        remedy = f"Write {scheme}://{rest.lstrip('/')} for the URL, or ./{text} for the path."
        raise ConfigError(f"{text} is half a URL", remedy=remedy)
    if (text == "~" or text.startswith("~/")) and not os.path.lexists(text):
        remedy = f"Write the path in full, or ./{text} for a folder of that name."
        raise ConfigError(f"{text}: only a shell knows whose home ~ is", remedy=remedy)


def _parse_path(text: str, recursive_flag: bool, role: Role) -> LocalPath:
    prefix, pattern = (text, "") if os.path.lexists(text) else _split_pattern(text, text, role)
    if pattern:
        folder, slash, beginning = prefix.rpartition("/")
        return LocalPath(path=_absolute(folder or slash or "."), recursive=True, pattern=_escape(beginning) + pattern)
    ends_in_slash = prefix.endswith(("/", "/.", "/..")) or prefix in (".", "..")
    path = _absolute(prefix)
    is_folder = os.path.isdir(path)
    if (ends_in_slash or recursive_flag) and not is_folder and os.path.lexists(path):
        raise ConfigError(f"{path} is a file, not a folder", remedy="Leave out the trailing slash and --recursive.")
    return LocalPath(path=path, recursive=is_folder or ends_in_slash or recursive_flag)


def _escape(text: str) -> str:
    """Return the glob that matches ``text`` and nothing else."""
    return re.sub(r"([*?[])", r"[\1]", text)


def _absolute(path: str) -> str:
    absolute = os.path.abspath(path)
    # POSIX lets "//x" be something else than "/x"; on Linux and macOS it is not.
    return "/" + absolute.lstrip("/") if absolute.startswith("//") else absolute


def _split_pattern(text: str, shown: str, role: Role) -> tuple[str, str]:
    """Return (what stands before the first glob character, the glob from there on), escapes resolved in the first.

    A pattern that ends in a slash means everything below what it matches.
    """
    literal, at = "", 0
    while match := _GLOB.search(text, at):
        escaped = _ESCAPED.fullmatch(match[0])
        if role == "target" and not escaped and match[0] not in ("*", "?"):
            # "report[1].pdf" is a common name, and a target is never matched against anything.
            literal += text[at : match.end()]
            at = match.end()
            continue
        if not escaped:
            break
        literal += text[at : match.start()] + escaped[1]
        at = match.end()
    else:
        return literal + text[at:], ""
    if role == "target":
        remedy = "Name one folder or object; for the character itself write [*] or [?]."
        raise ConfigError(f"{shown} is a pattern, and a target cannot be one", remedy=remedy)
    start = match.start()
    pattern = text[start:]
    return literal + text[at:start], pattern + "*" if pattern.endswith("/") else pattern


def _check_key(key: str, shown: str) -> None:
    try:
        length = len(key.encode())
    except UnicodeEncodeError as error:
        raise ConfigError(f"{shown!r} is not UTF-8", remedy="S3 keys are UTF-8; rename it.") from error
    if length > MAX_KEY_BYTES:
        raise ConfigError(f"the key in {shown} has {length:,} bytes", remedy=f"S3 allows {MAX_KEY_BYTES:,}.")


def _resolve_folder_target(target: Location) -> Location:
    match target:
        case StandardStream():
            raise ConfigError("many objects cannot go to standard output", remedy="Name one object, or a folder.")
        case S3Location():
            key = target.key if not target.key or target.key.endswith("/") else target.key + "/"
            return msgspec.structs.replace(target, key=key, recursive=True)
        case LocalPath():
            if os.path.lexists(target.path) and not os.path.isdir(target.path):
                raise ConfigError(f"{target.path} is a file, and the source is many", remedy="Name a folder.")
            return msgspec.structs.replace(target, recursive=True)


def _with_version(location: Location, version_id: str) -> S3Location:
    if not isinstance(location, S3Location) or location.recursive or not location.bucket:
        raise ConfigError(
            f"a version belongs to one object in a bucket, not to {location}", remedy="Leave --version-id out."
        )
    if not version_id:
        raise ConfigError("the version id is empty", remedy="Leave --version-id out for the current version.")
    return msgspec.structs.replace(location, version_id=version_id)
