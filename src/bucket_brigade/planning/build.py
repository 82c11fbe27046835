"""From a job to its planner: which source, filters, layout and mapping."""

from __future__ import annotations

import contextlib
import fnmatch
import re
from collections.abc import AsyncGenerator

from bucket_brigade.errors import ConfigError
from bucket_brigade.model.job import Job, VersionsOf
from bucket_brigade.model.location import LocalPath, S3Location, StandardStream
from bucket_brigade.model.transfer import Refused
from bucket_brigade.planning.choosers import chooser_for
from bucket_brigade.planning.filters import NameFilter
from bucket_brigade.planning.layouts import make_layout
from bucket_brigade.planning.listed import CatalogSource, ManifestSource
from bucket_brigade.planning.mapping import mapping_for
from bucket_brigade.planning.pinning import PinningSource
from bucket_brigade.planning.planner import Planner
from bucket_brigade.planning.sharded import ShardedListingSource
from bucket_brigade.planning.sources import SingleSource, Slice, Source, SourceEntry, WalkSource
from bucket_brigade.planning.versions import VersionsSource
from bucket_brigade.s3.store import Store
from bucket_brigade.settings.locations import root_of


def build_planner(
    job: Job,
    store: Store | None,
    *,
    single: SourceEntry | None,
    catalog_path: str | None,
    batch_size: int,
    list_shards: int = 0,
) -> Planner:
    """Return the planner of this job.

    Args:
        job: what is planned.
        store: gives access to the source, where that is a bucket.
        single: the entry of a job that moves one object, looked at beforehand.
        catalog_path: the catalog that names are read from, on disk.
        batch_size: transfers in a full batch.
        list_shards: ranges of a bucket that are listed side by side; 0 chooses.
    """
    layout = make_layout(job.layout)
    source = _source(job, store, single, catalog_path, list_shards)
    return Planner(source, NameFilter(job.filters), mapping_for(job, layout), batch_size=batch_size)


def _source(
    job: Job, store: Store | None, single: SourceEntry | None, catalog_path: str | None, list_shards: int
) -> Source:
    location = job.source
    if single is not None:
        return SingleSource(single)
    if isinstance(location, S3Location) and job.versions.which is not VersionsOf.CURRENT and store is not None:
        return _versions_source(job, location, store)
    if isinstance(location, StandardStream) or not location.recursive:
        # A listing by its name as the prefix would find, and delete, its namesakes.
        raise ConfigError(f"{location} is one object, and was not looked at", remedy="This is a bug; please report it.")
    if isinstance(location, LocalPath):
        walk = WalkSource(location.path, follow_symlinks=job.options.follow_symlinks)
        return MatchingSource(walk, location.pattern) if location.pattern else walk
    if store is None:
        raise ConfigError(f"{location} cannot be listed", remedy="Name a bucket, a prefix or a folder.")
    base = root_of(location)
    if catalog_path is not None:
        source: Source = CatalogSource(catalog_path, location.key)
        return PinningSource(source, store, location.bucket) if job.move else source
    if job.manifest is not None:
        source = ManifestSource(job.manifest, location.bucket, base)
        return PinningSource(source, store, location.bucket) if job.move else source
    listing = ShardedListingSource(store, location.bucket, location.key, base=base, shards=list_shards)
    return _matching(listing, location)


def _versions_source(job: Job, location: S3Location, store: Store) -> Source:
    """Return the versions that the job means, also of a single key: then of none that only begins like it."""
    chooser = chooser_for(job.versions, job.operation)
    base = root_of(location)
    source = VersionsSource(
        store, location.bucket, location.key, base=base, chooser=chooser, single=not location.recursive
    )
    return _matching(source, location)


def _matching(source: Source, location: S3Location) -> Source:
    if not location.pattern:
        return source
    return MatchingSource(source, literal(location.key[len(root_of(location)) :]) + location.pattern)


def literal(text: str) -> str:
    """Return the glob that matches just this text."""
    return re.sub(r"([*?[])", r"[\1]", text)


class MatchingSource:
    """Of another source, the entries whose name matches a glob; ``*`` matches ``/`` too."""

    def __init__(self, source: Source, pattern: str) -> None:
        self._source = source
        self._matches = re.compile(fnmatch.translate(pattern)).match

    async def slices(self, cursor: bytes) -> AsyncGenerator[Slice]:
        """See Source."""
        async with contextlib.aclosing(self._source.slices(cursor)) as slices:
            async for piece in slices:
                yield Slice([entry for entry in piece.entries if self._takes(entry)], piece.cursor)

    def _takes(self, entry: SourceEntry | Refused) -> bool:
        return self._matches(entry.source if isinstance(entry, Refused) else entry.name) is not None
