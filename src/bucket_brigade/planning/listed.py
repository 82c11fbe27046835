"""Sources that are lists in a file: manifests and catalogs."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Iterator

import msgspec

from bucket_brigade.errors import ConfigError, PlanError
from bucket_brigade.model.job import Manifest
from bucket_brigade.model.transfer import Refused
from bucket_brigade.planning.catalog import CatalogEntry, read_catalog, read_header
from bucket_brigade.planning.manifest import START, ManifestEntry, fingerprint, read_manifest
from bucket_brigade.planning.sources import SLICE_SIZE, Slice, SourceEntry


class ManifestCursor(msgspec.Struct, frozen=True, array_like=True):
    """Behind which line a manifest resumes, and what the file was then."""

    place: tuple[int, int]
    fingerprint: str


class ManifestSource:
    """The objects that a manifest names. Names at the target are relative to ``base``, which every key must begin with."""

    def __init__(self, manifest: Manifest, bucket: str, base: str) -> None:
        self._manifest = manifest
        self._bucket = bucket
        self._base = base

    async def slices(self, cursor: bytes) -> AsyncGenerator[Slice]:
        """See Source. A file that is not the one planning began with is a PlanError."""
        path = self._manifest.path
        try:
            now = fingerprint(path)
            at = msgspec.msgpack.decode(cursor, type=ManifestCursor) if cursor else ManifestCursor(START, now)
            if at.fingerprint != now:
                raise PlanError(
                    f"The manifest {path} changed since planning began.",
                    remedy="Put the old file back, or begin a new job.",
                )
            entries = read_manifest(path, self._manifest.format, after=at.place)
            while found := await asyncio.to_thread(_take, entries):
                place = ManifestCursor(found[-1].place, now)
                yield Slice([self._entry(entry) for entry in found], msgspec.msgpack.encode(place))
        except ConfigError as error:
            raise PlanError(str(error), remedy=error.remedy) from error

    def _entry(self, entry: ManifestEntry) -> SourceEntry | Refused:
        if not entry.key.startswith(self._base):
            return Refused(entry.key, "OutsideSource", f"The manifest names it, but it is not below {self._base!r}.")
        other = entry.bucket if entry.bucket not in ("", self._bucket) else None
        name = entry.key[len(self._base) :]
        return SourceEntry(name, entry.key, entry.size, entry.etag, 0, entry.version_id, other)


def _take(entries: Iterator[ManifestEntry]) -> list[ManifestEntry]:
    return list(itertools.islice(entries, SLICE_SIZE))


class CatalogSource:
    """The stored keys below ``prefix`` that a catalog lists, under their logical names. The cursor counts its entries."""

    def __init__(self, path: str, prefix: str) -> None:
        self._path = path
        self._prefix = prefix

    async def slices(self, cursor: bytes) -> AsyncGenerator[Slice]:
        """See Source."""
        seen = int.from_bytes(cursor, "big")
        try:
            root = (await asyncio.to_thread(read_header, self._path)).prefix
            entries = itertools.islice(read_catalog(self._path), seen, None)
            while found := await asyncio.to_thread(_take_entries, entries):
                seen += len(found)
                mine = [_named(entry, root) for entry in found if entry.stored.startswith(self._prefix)]
                yield Slice(mine, seen.to_bytes(8, "big"))
        except ConfigError as error:
            raise PlanError(str(error), remedy=error.remedy) from error


def _take_entries(entries: Iterator[CatalogEntry]) -> list[CatalogEntry]:
    return list(itertools.islice(entries, SLICE_SIZE))


def _named(entry: CatalogEntry, root: str) -> SourceEntry:
    return SourceEntry(entry.logical.removeprefix(root), entry.stored, entry.size, entry.etag)
