"""From a source entry to a transfer: which name it gets at the target."""

from __future__ import annotations

from collections.abc import Callable

from bucket_brigade.model.job import Job, LayoutName
from bucket_brigade.model.location import MAX_KEY_BYTES, LocalPath, S3Location
from bucket_brigade.model.transfer import Refused, Transfer
from bucket_brigade.planning.layouts import Layout
from bucket_brigade.planning.sources import SourceEntry

Mapping = Callable[[SourceEntry], Transfer | Refused]


def mapping_for(job: Job, layout: Layout) -> Mapping:
    """Return the function that makes a transfer of each entry of this job's source."""
    if job.target is None:
        return _to_itself
    target = job.target
    if isinstance(target, LocalPath):
        return _to_path if target.recursive else _to_one(target.path.rpartition("/")[2])
    if isinstance(target, S3Location):
        if not target.recursive:
            return _to_one(target.key)
        return _to_keys(target.key, layout, plain=job.layout is LayoutName.IDENTITY)
    return _to_one("-")


def _transfer(entry: SourceEntry, target: str, logical: str | None = None) -> Transfer:
    return Transfer(
        entry.source, target, entry.size, entry.etag, entry.modified_ns, entry.version_id, logical, entry.source_bucket
    )


def _to_itself(entry: SourceEntry) -> Transfer:
    source = entry.source  # written out: a delete of a million keys does nothing else here
    return Transfer(
        source, source, entry.size, entry.etag, entry.modified_ns, entry.version_id, None, entry.source_bucket
    )


def _to_path(entry: SourceEntry) -> Transfer | Refused:
    if not entry.name:
        return Refused(entry.source, "FolderMarker", "It marks the folder that is the target itself.", failed=False)
    return _transfer(entry, entry.name)


def _to_one(name: str) -> Mapping:
    return lambda entry: _transfer(entry, name)


def _to_keys(prefix: str, layout: Layout, *, plain: bool) -> Mapping:
    def to_key(entry: SourceEntry) -> Transfer | Refused:
        key = prefix + entry.name if plain else layout.stored_key(prefix, entry.name)
        if len(key) * 4 > MAX_KEY_BYTES and len(key.encode()) > MAX_KEY_BYTES:
            return Refused(
                entry.source, "KeyTooLong", f"Its key at the target would be longer than {MAX_KEY_BYTES} bytes."
            )
        if not key:
            return Refused(entry.source, "FolderMarker", "It marks the root of the target itself.", failed=False)
        return _transfer(entry, key, None if plain else prefix + entry.name)

    return to_key
