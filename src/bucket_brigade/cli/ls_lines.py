"""The lines of ``brigade ls``: text as ``aws s3 ls`` writes it, or JSON lines."""

from __future__ import annotations

import datetime as dt
import functools
import itertools
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from bucket_brigade.cli.output import Lines
from bucket_brigade.cli.text import printable
from bucket_brigade.s3.store import BucketEntry, ListedVersion
from bucket_brigade.settings.units import format_size, format_time

ROWS_AT_ONCE = 1000


class Row(NamedTuple):
    """One object of a listing: the name to show, and what is known of it (times in nanoseconds, 0 unknown; size -1 unknown)."""

    name: str
    size: int
    modified_ns: int = 0
    key: str = ""
    etag: str = ""
    storage_class: str = ""


class Totals(msgspec.Struct):
    """What ``--summarize`` tells."""

    objects: int = 0
    bytes: int = 0


class Listing:
    """Writes rows as they come, and counts them."""

    def __init__(self, lines: Lines, *, as_json: bool, human: bool) -> None:
        self._lines = lines
        self._as_json = as_json
        self._size = _human_size if human else _plain_size
        self.totals = Totals()
        self.prefixes = 0

    def buckets(self, entries: Iterable[BucketEntry]) -> None:
        """Write buckets."""
        listed = list(entries)
        width = max((len(entry.name) for entry in listed), default=0)
        for entry in listed:
            if self._as_json:
                created = format_time(entry.created_ns) if entry.created_ns else None
                self._lines.write_json({"bucket": entry.name, "created": created, "region": entry.region or None})
            else:
                created = _shown_time(entry.created_ns // 1_000_000_000)
                self._lines.write(f"{created} {entry.name:<{width}} {entry.region}".rstrip())

    def folders(self, names: Iterable[str]) -> None:
        """Write common prefixes."""
        for name in names:
            self.prefixes += 1
            if self._as_json:
                self._lines.write_json({"prefix": name})
            else:
                self._lines.write(f"{'PRE':>30} {printable(name)}")

    def rows(self, rows: Iterable[Row]) -> None:
        """Write objects."""
        rows = iter(rows)
        while some := list(itertools.islice(rows, ROWS_AT_ONCE)):
            self.totals.objects += len(some)
            self.totals.bytes += sum([row.size for row in some if row.size > 0])
            if self._as_json:
                for row in some:
                    self._lines.write_json(_document(row))
            else:
                self._lines.write_all(self._texts(some))

    def _texts(self, rows: list[Row]) -> list[str]:
        size_of = self._size
        return [
            f"{_shown_time(row.modified_ns // 1_000_000_000)} {size_of(row.size):>10} {printable(row.name)}"
            for row in rows
        ]

    def version(self, name: str, one: ListedVersion) -> None:
        """Write one version or delete marker."""
        self.totals.objects += 1
        self.totals.bytes += one.size
        if self._as_json:
            self._lines.write_json(_version_document(name, one))
            return
        size = "marker" if one.is_delete_marker else self._size(one.size)
        latest = "latest" if one.is_latest else ""
        when = _shown_time(one.modified_ns // 1_000_000_000)
        self._lines.write(f"{when} {size:>10} {latest:<6} {printable(one.version_id)} {printable(name)}")

    def summary(self) -> None:
        """Write the totals."""
        if self._as_json:
            self._lines.write_json(self.totals)
            return
        self._lines.write("")
        self._lines.write(f"Total Objects: {self.totals.objects}")
        self._lines.write(f"   Total Size: {self._size(self.totals.bytes)}")


def _document(row: Row) -> dict[str, str | int | None]:
    document: dict[str, str | int | None] = {
        "key": row.name,
        "size": None if row.size < 0 else row.size,
        "modified": format_time(row.modified_ns) if row.modified_ns else None,
        "etag": row.etag or None,
        "storage_class": row.storage_class or None,
    }
    return document | {"stored": row.key} if row.key else document


def _version_document(name: str, one: ListedVersion) -> dict[str, str | int | bool | None]:
    return {
        "key": name,
        "version_id": one.version_id,
        "is_latest": one.is_latest,
        "is_delete_marker": one.is_delete_marker,
        "size": None if one.is_delete_marker else one.size,
        "modified": format_time(one.modified_ns) if one.modified_ns else None,
        "etag": one.etag or None,
        "storage_class": one.storage_class or None,
    }


@functools.lru_cache(maxsize=4096)
def _shown_time(seconds: int) -> str:
    if not seconds:
        return f"{'-':>19}"
    return dt.datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _plain_size(size: int) -> str:
    return "-" if size < 0 else str(size)


def _human_size(size: int) -> str:
    return "-" if size < 0 else format_size(size)
