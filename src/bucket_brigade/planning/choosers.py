"""Which versions of a key become entries: one chooser for each ``VersionsOf``, fed version by version, the newest first.

A version is *noncurrent* from the moment when a newer one was written, as in S3's lifecycle rules (``NoncurrentDays``).
"""

from __future__ import annotations

from typing import Protocol, assert_never

import msgspec

from bucket_brigade.errors import ConfigError
from bucket_brigade.model.job import Operation, VersionSelection, VersionsOf
from bucket_brigade.model.transfer import Refused
from bucket_brigade.planning.sources import SourceEntry
from bucket_brigade.s3.store import ListedVersion

Entries = list[SourceEntry | Refused]


class Place(msgspec.Struct, array_like=True):
    """What is remembered of the key that a listing stands at.

    Attributes:
        key: in UTF-8.
        versions: how many versions and markers of it have passed; 0 before the first.
        version_id: of the last one that passed.
        newer_ns: when that one was written: since then the next one has been noncurrent.
        kept: noncurrent versions that stay because they are the newest.
        size: in bytes, of all versions that passed.
        latest_ns, latest_etag, latest_size: of the latest one.
        is_live: the latest one is no delete marker.
        decided: nothing of what follows is taken.
        existed: there was an object at the instant asked for.
    """

    key: bytes = b""
    versions: int = 0
    version_id: str = ""
    newer_ns: int = 0
    kept: int = 0
    size: int = 0
    latest_ns: int = 0
    latest_etag: str = ""
    latest_size: int = 0
    is_live: bool = False
    decided: bool = False
    existed: bool = False

    def begin(self, key: bytes) -> None:
        """Forget all for another key."""
        fresh = Place(key)
        for name in self.__struct_fields__:
            setattr(self, name, getattr(fresh, name))

    def passed(self, version: ListedVersion) -> None:
        """Remember a version."""
        if not self.versions:
            self.latest_ns, self.latest_etag, self.latest_size = version.modified_ns, version.etag, version.size
            self.is_live = not version.is_delete_marker
        self.versions += 1
        self.version_id = version.version_id
        self.newer_ns = version.modified_ns
        self.size += version.size

    @property
    def source(self) -> str:
        """The key."""
        return self.key.decode("utf-8", "surrogateescape")


class Chooser(Protocol):
    """Takes versions of one key after the other.

    Attributes:
        needs_order: all versions of a key must be listed together.
    """

    needs_order: bool

    def take(self, place: Place, version: ListedVersion, name: str, entries: Entries) -> None:
        """Append what becomes of ``version``, the one behind those that have passed; ``name`` is relative to the source."""
        ...

    def end(self, place: Place, name: str, entries: Entries) -> None:
        """Append what becomes of the key as a whole: no more versions of it follow."""
        ...


def chooser_for(selection: VersionSelection, operation: Operation) -> Chooser:
    """Return what takes the versions that a job means.

    Raises:
        ConfigError: the selection is of another operation.
    """
    match selection.which:
        case VersionsOf.ALL if operation is Operation.DELETE:
            return EveryVersion()
        case VersionsOf.ALL:
            return Histories()
        case VersionsOf.NONCURRENT:
            return Noncurrent(before_ns=selection.noncurrent_before_ns, keep_last=selection.keep_last or 0)
        case VersionsOf.MARKERS:
            return LatestMarkers()
        case VersionsOf.AS_OF if selection.as_of_ns is not None and selection.in_place:
            return Restoring(selection.as_of_ns, delete_newer=selection.delete_newer)
        case VersionsOf.AS_OF if selection.as_of_ns is not None:
            return AsOf(selection.as_of_ns)
        case VersionsOf.AS_OF | VersionsOf.CURRENT:
            raise ConfigError("the selection of versions names none", remedy="This is a bug; please report it.")
        case _:
            assert_never(selection.which)


class _PlainEnd:
    needs_order = True

    def end(self, place: Place, name: str, entries: Entries) -> None:
        """See Chooser: nothing."""


class EveryVersion(_PlainEnd):
    """Every version and delete marker, each by its id: for a delete."""

    needs_order = False

    def take(self, place: Place, version: ListedVersion, name: str, entries: Entries) -> None:
        """See Chooser."""
        entries.append(_by_id(version, name))


class Noncurrent(_PlainEnd):
    """Versions and markers that are no longer current, but for the newest ``keep_last`` versions and the markers among them.

    Args:
        before_ns: only those that stopped being current before; None for all.
        keep_last: so many of each key stay whatever their age.
    """

    def __init__(self, *, before_ns: int | None, keep_last: int) -> None:
        self._before_ns = before_ns
        self._keep_last = keep_last

    def take(self, place: Place, version: ListedVersion, name: str, entries: Entries) -> None:
        """See Chooser."""
        if not place.versions:
            return
        if place.kept < self._keep_last:
            place.kept += not version.is_delete_marker
        elif self._before_ns is None or place.newer_ns < self._before_ns:
            entries.append(_by_id(version, name))


class LatestMarkers(_PlainEnd):
    """The delete markers above the newest version of a key: without them it is back."""

    def take(self, place: Place, version: ListedVersion, name: str, entries: Entries) -> None:
        """See Chooser."""
        place.decided = place.decided or not version.is_delete_marker
        if not place.decided:
            entries.append(_by_id(version, name))


class AsOf(_PlainEnd):
    """The version that was current at an instant, where there was one."""

    def __init__(self, as_of_ns: int) -> None:
        self._as_of_ns = as_of_ns

    def take(self, place: Place, version: ListedVersion, name: str, entries: Entries) -> None:
        """See Chooser."""
        if not place.decided and version.modified_ns <= self._as_of_ns:
            place.decided = True
            if not version.is_delete_marker:
                entries.append(_pinned(version, name))


class Histories:
    """One entry for each key, with the size of all its versions: they are written by ``operations.history``."""

    needs_order = True

    def take(self, place: Place, version: ListedVersion, name: str, entries: Entries) -> None:
        """See Chooser: nothing, before the last one is known."""

    def end(self, place: Place, name: str, entries: Entries) -> None:
        """See Chooser."""
        if place.versions:
            entries.append(SourceEntry(name, place.source, place.size, "", place.latest_ns))


class Restoring:
    """What differs now from what it was at an instant: versions to be written over others, and keys that did not exist.

    Those are reported, or with ``delete_newer`` become entries without a version, which ``operations.history`` deletes.
    """

    needs_order = True

    def __init__(self, as_of_ns: int, *, delete_newer: bool) -> None:
        self._as_of_ns = as_of_ns
        self._delete_newer = delete_newer

    def take(self, place: Place, version: ListedVersion, name: str, entries: Entries) -> None:
        """See Chooser."""
        if place.decided or version.modified_ns > self._as_of_ns:
            return
        place.decided = True
        place.existed = not version.is_delete_marker
        if place.existed and place.versions:
            entries.append(_pinned(version, name))

    def end(self, place: Place, name: str, entries: Entries) -> None:
        """See Chooser."""
        if place.existed or not place.is_live:
            return
        if self._delete_newer:
            entries.append(SourceEntry(name, place.source, place.latest_size, place.latest_etag, place.latest_ns))
        else:
            entries.append(
                Refused(place.source, "DidNotExist", "It did not exist then, and was left as it is.", failed=False)
            )


def _by_id(version: ListedVersion, name: str) -> SourceEntry:
    return SourceEntry(name, version.key, version.size, "", version.modified_ns, version.version_id)


def _pinned(version: ListedVersion, name: str) -> SourceEntry:
    return SourceEntry(name, version.key, version.size, version.etag, version.modified_ns, version.version_id)
