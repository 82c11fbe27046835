"""The lines of ``brigade ls``: text as ``aws s3 ls`` writes it, or JSON lines."""

from __future__ import annotations

import datetime as dt
import functools
import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from bucket_brigade.cli.output import Lines
from bucket_brigade.cli.text import printable
from bucket_brigade.s3.store import BucketEntry, ListedObject, ListedVersion
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
        self._size = _human_size if human else _size_or_dash
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
                created = _shown_time(entry.created_ns)
                self._lines.write(f"{created} {entry.name:<{width}} {entry.region}".rstrip())

    def folders(self, names: Iterable[str]) -> None:
        """Write common prefixes."""
        for name in names:
            self.prefixes += 1
            if self._as_json:
                self._lines.write_json({"prefix": name})
            else:
                self._lines.write(f"{'PRE':>30} {printable(name)}")

    def objects(self, objects: Sequence[ListedObject], *, cut: int = 0) -> None:
        """Write objects by their keys without the first ``cut`` characters."""
        if self._as_json:
            self.rows(Row(o.key[cut:], o.size, o.modified_ns, "", o.etag, o.storage_class) for o in objects)
            return
        names = [o.key[cut:] for o in objects] if cut else [o.key for o in objects]
        self._write(names, [o.size for o in objects], [o.modified_ns for o in objects])

    def rows(self, rows: Iterable[Row]) -> None:
        """Write objects."""
        rows = iter(rows)
        while some := list(itertools.islice(rows, ROWS_AT_ONCE)):
            if self._as_json:
                self._count([row.size for row in some])
                for row in some:
                    self._lines.write_json(_document(row))
            else:
                self._write([row.name for row in some], [row.size for row in some], [row.modified_ns for row in some])

    def _count(self, sizes: list[int]) -> None:
        self.totals.objects += len(sizes)
        self.totals.bytes += sum(sizes) + sizes.count(-1)

    def _write(self, names: list[str], sizes: list[int], modified_ns: list[int]) -> None:
        """Write lines of text, all by one format: a million lines are most of what listing a million objects costs."""
        self._count(sizes)
        shown = names if "".join(names).isprintable() else map(printable, names)
        cells = zip(map(_shown_time, modified_ns), map(self._size, sizes), shown, strict=True)
        self._lines.write_all(
            "\n".join(["%s %10s %s"] * len(names)) % tuple(itertools.chain.from_iterable(cells)), lines=len(names)
        )

    def version(self, name: str, one: ListedVersion) -> None:
        """Write one version or delete marker."""
        self.totals.objects += 1
        self.totals.bytes += one.size
        if self._as_json:
            self._lines.write_json(_version_document(name, one))
            return
        size = "marker" if one.is_delete_marker else self._size(one.size)
        latest = "latest" if one.is_latest else ""
        when = _shown_time(one.modified_ns)
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
def _shown_time(time_ns: int) -> str:
    """Return nanoseconds since the epoch as local date and time, a dash for what is within the epoch's first second."""
    seconds = time_ns // 1_000_000_000
    if not seconds:
        return f"{'-':>19}"
    return _shown_minute(seconds // 60) + f"{seconds % 60:02}"


@functools.lru_cache(maxsize=4096)
def _shown_minute(minutes: int) -> str:
    # Neighbours were often written in the same minute, and time zones differ by whole ones.
    return dt.datetime.fromtimestamp(minutes * 60).astimezone().strftime("%Y-%m-%d %H:%M:")


def _size_or_dash(size: int) -> str:
    return "-" if size < 0 else str(size)


def _human_size(size: int) -> str:
    return "-" if size < 0 else format_size(size)
