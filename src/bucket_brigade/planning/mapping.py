"""From source entries to transfers: which names they get at the target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress, repeat

from bucket_brigade.model.job import Job, LayoutName, Operation
from bucket_brigade.model.location import MAX_KEY_BYTES, LocalPath, S3Location
from bucket_brigade.model.transfer import Refused, Transfer
from bucket_brigade.planning.layouts import Layout
from bucket_brigade.planning.sources import SourceEntry

Mapping = Callable[[Sequence[SourceEntry]], tuple[list[Transfer], list[Refused]]]
"""Makes transfers of a slice's entries, and refusals of those that can have no name at the target; both in their order."""


def mapping_for(job: Job, layout: Layout) -> Mapping:
    """Return the function that makes transfers of the entries of this job's source."""
    if job.operation is Operation.DELETE:
        return _to_be_deleted
    if job.target is None:
        return lambda entries: (_transfers(entries, [entry.source for entry in entries]), [])
    target = job.target
    if isinstance(target, LocalPath):
        return _to_paths if target.recursive else _to_one(target.path.rpartition("/")[2])
    if isinstance(target, S3Location):
        if not target.recursive:
            return _to_one(target.key)
        return _to_keys(target.key, layout, plain=job.layout is LayoutName.IDENTITY)
    return _to_one("-")


def _transfers(
    entries: Sequence[SourceEntry], targets: Sequence[str], logicals: Sequence[str] | None = None
) -> list[Transfer]:
    """Return the transfers column by column: there are millions of them, and ``map`` makes one in a third of the time."""
    return list(
        map(
            Transfer,
            [entry.source for entry in entries],
            targets,
            [entry.size for entry in entries],
            [entry.etag for entry in entries],
            [entry.modified_ns for entry in entries],
            [entry.version_id for entry in entries],
            logicals or repeat(None),
            [entry.source_bucket for entry in entries],
        )
    )


def _to_be_deleted(entries: Sequence[SourceEntry]) -> tuple[list[Transfer], list[Refused]]:
    """Return transfers of what a delete needs: it pins nothing, so ETags and times would only double what is journaled."""
    keys = [entry.source for entry in entries]
    sizes = [entry.size for entry in entries]
    versions = [entry.version_id for entry in entries]
    buckets = [entry.source_bucket for entry in entries]
    return list(map(Transfer, keys, keys, sizes, repeat(""), repeat(0), versions, repeat(None), buckets)), []


def _to_one(name: str) -> Mapping:
    return lambda entries: (_transfers(entries, [name] * len(entries)), [])


def _to_paths(entries: Sequence[SourceEntry]) -> tuple[list[Transfer], list[Refused]]:
    paths = [entry.name for entry in entries]
    refused: list[Refused] = []
    if not all(paths):
        entries, paths, refused = _part(entries, paths, _path_refusal)
    return _transfers(entries, paths), refused


def _path_refusal(entry: SourceEntry, path: str) -> Refused | None:
    if path:
        return None
    return Refused(entry.source, "FolderMarker", "It marks the folder that is the target itself.", failed=False)


def _to_keys(prefix: str, layout: Layout, *, plain: bool) -> Mapping:
    def to_keys(entries: Sequence[SourceEntry]) -> tuple[list[Transfer], list[Refused]]:
        logicals = [prefix + entry.name for entry in entries]
        keys = logicals if plain else [layout.stored_key(prefix, entry.name) for entry in entries]
        refused: list[Refused] = []
        if not all(keys) or max(map(len, keys), default=0) * 4 > MAX_KEY_BYTES:
            entries, keys, refused = _part(entries, keys, _key_refusal)
            logicals = [prefix + entry.name for entry in entries]
        return _transfers(entries, keys, None if plain else logicals), refused

    return to_keys


def _key_refusal(entry: SourceEntry, key: str) -> Refused | None:
    if not key:
        return Refused(entry.source, "FolderMarker", "It marks the root of the target itself.", failed=False)
    if len(key) * 4 > MAX_KEY_BYTES and len(key.encode()) > MAX_KEY_BYTES:
        return Refused(entry.source, "KeyTooLong", f"Its key at the target would be longer than {MAX_KEY_BYTES} bytes.")
    return None


def _part(
    entries: Sequence[SourceEntry], targets: list[str], refusal: Callable[[SourceEntry, str], Refused | None]
) -> tuple[Sequence[SourceEntry], list[str], list[Refused]]:
    """Return the entries that are not refused, their targets, and the refusals of the others."""
    verdicts = list(map(refusal, entries, targets))
    kept = [verdict is None for verdict in verdicts]
    refused = [verdict for verdict in verdicts if verdict is not None]
    return list(compress(entries, kept)), list(compress(targets, kept)), refused
