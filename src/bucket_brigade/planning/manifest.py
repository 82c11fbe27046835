"""Manifests: files that name the objects of a job, one line each.

``csv``
    ``bucket,key`` or ``bucket,key,version`` with URL-encoded keys, as S3 Inventory and S3 Batch Operations write them: a space
    is ``+`` or ``%20``, a plus sign ``%2B``. A first line ``bucket,key,…`` names the columns, ``version_id``, ``size`` and
    ``etag`` among them; columns of other names are passed over.
``csv-plain``
    The same, with keys as they are.
``jsonl``
    One JSON object each: ``{"bucket": …, "key": …, "version_id": …, "size": …, "etag": …}``, of which only ``key`` must be there.

Each may be compressed with gzip. A line is checked whole: what is unclear is an error, for it may name an object to delete.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote_to_bytes

import msgspec

from bucket_brigade.errors import ConfigError
from bucket_brigade.model.location import MAX_KEY_BYTES
from bucket_brigade.model.transfer import UNKNOWN_SIZE
from bucket_brigade.planning.linefile import Line, damaged, read_lines
from bucket_brigade.settings.hints import did_you_mean

FORMATS = ("auto", "csv", "csv-plain", "jsonl")
START = (0, 0)
"""The place before the first line: (bytes, lines)."""

_BY_POSITION = ("bucket", "key", "version_id")
_COLUMNS = {
    "bucket": "bucket",
    "key": "key",
    "version": "version_id",
    "versionid": "version_id",
    "version_id": "version_id",
    "size": "size",
    "etag": "etag",
    "e_tag": "etag",
}
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class ManifestEntry(msgspec.Struct, frozen=True, gc=False):
    """One line.

    Attributes:
        bucket: empty where a JSON line leaves it out: the bucket of the job's source.
        etag: with its quotes, as stores give them; empty where unknown.
        place: behind this line, (bytes, lines): where ``read_manifest`` goes on.
    """

    bucket: str
    key: str
    version_id: str | None = None
    size: int = UNKNOWN_SIZE
    etag: str = ""
    place: tuple[int, int] = START


class _JsonLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str
    bucket: str = ""
    version_id: str | None = None
    size: int | None = None
    etag: str | None = None


_decoder = msgspec.json.Decoder(_JsonLine)
_Parse = Callable[[Line], ManifestEntry]


def read_manifest(
    path: str, manifest_format: str = "auto", *, after: tuple[int, int] = START
) -> Iterator[ManifestEntry]:
    """Yield the entries behind the place ``after``, in the file's order, duplicates included. Empty lines are passed over.

    Raises:
        ConfigError: the file cannot be read, or a line is broken; its number is named.
    """
    parse, body = _open(path, manifest_format)
    offset, lines = max(after, body)
    for line in read_lines(path, after=offset, number=lines):
        if line.content.strip():
            yield parse(line)


def check_manifest(path: str, manifest_format: str = "auto") -> int:
    """Read the whole file, and return how many entries it has.

    Raises:
        ConfigError: it cannot be read, has a broken line, or no entry at all.
    """
    count = sum(1 for _ in read_manifest(path, manifest_format))
    if not count:
        raise ConfigError(f"{path} names no object", remedy="Write at least one line of bucket,key.")
    return count


def fingerprint(path: str) -> str:
    """Return what tells, without reading it, whether the file is still the one that was checked: its size and time."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", remedy="Put the manifest back.") from error
    return f"{status.st_size}-{status.st_mtime_ns}"


def _open(path: str, manifest_format: str) -> tuple[_Parse, tuple[int, int]]:
    """Return the parser of this file's lines, and the place where its entries begin."""
    if manifest_format not in FORMATS:
        raise ConfigError(
            f"no manifest format is called {manifest_format}", remedy=did_you_mean(manifest_format, FORMATS)
        )
    first = next((line for line in read_lines(path) if line.content.strip()), None)
    if first is None:
        return _csv_parser(path, _BY_POSITION, encoded=True), START
    if manifest_format == "auto":
        manifest_format = "jsonl" if first.content.lstrip().startswith(b"{") else "csv"
    if manifest_format == "jsonl":
        return lambda line: _parse_json(path, line), START
    encoded = manifest_format == "csv"
    fields = [field.strip().casefold() for field in _split(path, first)]
    if "bucket" in fields and "key" in fields:
        columns = tuple(_COLUMNS.get(field.replace(" ", "_"), "") for field in fields)
        named = [column for column in columns if column]
        if len(set(named)) < len(named):
            raise damaged(path, first.number, "it names a column twice")
        return _csv_parser(path, columns, encoded=encoded), (first.end, first.number)
    return _csv_parser(path, _BY_POSITION, encoded=encoded), START


def _csv_parser(path: str, columns: tuple[str, ...], *, encoded: bool) -> _Parse:
    named = columns is not _BY_POSITION

    def parse(line: Line) -> ManifestEntry:
        fields = _split(path, line)
        if not (len(fields) == len(columns) if named else 2 <= len(fields) <= len(columns)):
            expected = f"{len(columns)} columns" if named else "bucket,key or bucket,key,version"
            remedy = "Put quotes around what holds a comma, or name the columns in a first line."
            raise damaged(path, line.number, f"{len(fields)} columns, where {expected} should be", remedy=remedy)
        row = dict(zip(columns, fields, strict=False))
        key = _decode_key(path, line, row["key"]) if encoded else row["key"]
        if not row["bucket"]:
            raise damaged(path, line.number, "it names no bucket")
        size = _size(path, line, row.get("size", ""))
        return _entry(path, line, row["bucket"], key, row.get("version_id"), size, row.get("etag", ""))

    return parse


def _split(path: str, line: Line) -> list[str]:
    try:
        text = line.content.decode()
        if '"' not in text:
            return text.split(",")
        return next(csv.reader([text], strict=True))
    except UnicodeDecodeError as error:
        raise damaged(path, line.number, "it is not UTF-8") from error
    except csv.Error as error:
        raise damaged(path, line.number, f"its quotes do not match ({error})") from error


def _decode_key(path: str, line: Line, encoded: str) -> str:
    if "%" not in encoded and "+" not in encoded:
        return encoded
    if _BROKEN_ESCAPE.search(encoded):
        remedy = "Keys of this format are URL-encoded (% is %25); for keys as they are, choose the format csv-plain."
        raise damaged(path, line.number, "a % is not followed by two hexadecimal digits", remedy=remedy)
    try:
        return unquote_to_bytes(encoded.replace("+", " ")).decode()
    except UnicodeDecodeError as error:
        raise damaged(path, line.number, "its key is not UTF-8 once it is URL-decoded") from error


def _size(path: str, line: Line, written: str) -> int:
    if not written:
        return UNKNOWN_SIZE
    if not (written.isascii() and written.isdigit()):
        raise damaged(path, line.number, f"{written!r} is not a size in bytes")
    return int(written)


def _parse_json(path: str, line: Line) -> ManifestEntry:
    try:
        found = _decoder.decode(line.content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        unknown = re.search(r"unknown field `(.*)`", str(error))
        remedy = did_you_mean(unknown[1], _JsonLine.__struct_fields__) if unknown else ""
        raise damaged(path, line.number, str(error).rstrip("."), remedy=remedy) from error
    size = UNKNOWN_SIZE if found.size is None else found.size
    if size < 0 and found.size is not None:
        raise damaged(path, line.number, f"{size} is not a size in bytes")
    return _entry(path, line, found.bucket, found.key, found.version_id, size, found.etag or "")


def _entry(path: str, line: Line, bucket: str, key: str, version_id: str | None, size: int, etag: str) -> ManifestEntry:
    if not key:
        raise damaged(path, line.number, "it names no key")
    if len(key) * 4 > MAX_KEY_BYTES and len(key.encode()) > MAX_KEY_BYTES:
        raise damaged(path, line.number, f"its key is longer than {MAX_KEY_BYTES:,} bytes")
    if etag and not etag.startswith(('"', "W/")):
        etag = f'"{etag}"'
    return ManifestEntry(bucket, key, version_id or None, size, etag, (line.end, line.number))
