"""A listing of versions as the source of a job: which versions of each key become transfers, resumable and at flat memory.

Nothing but a ``Place`` is remembered of the key that the listing stands at, however many versions it has; so a page may end,
and planning resume, in the middle of one. What a page's markers name is planned with the page after it: a job that deletes
versions while it plans must never ask a store to go on behind a version that is gone (some then answer that nothing follows).
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

import msgspec

from bucket_brigade.errors import PlanError
from bucket_brigade.model.transfer import Refused
from bucket_brigade.planning.choosers import Chooser, Place
from bucket_brigade.planning.sources import Slice, SourceEntry
from bucket_brigade.s3.listing import iterate_version_pages
from bucket_brigade.s3.store import ListedVersion, Store, VersionPage

Entries = list[SourceEntry | Refused]


class VersionCursor(msgspec.Struct, array_like=True):
    """Where a listing of versions resumes. Keys are UTF-8, as in the listing.

    Attributes:
        markers: of the next page; None at the beginning.
        held: the version that the markers name, not yet planned.
        place: what is remembered of the key that the listing stands at.
        is_over: the listing has come to its end.
    """

    markers: tuple[bytes, str] | None = None
    held: tuple[bytes, str, bool, bool, int, str, int] | None = None
    place: Place = msgspec.field(default_factory=Place)
    is_over: bool = False


class VersionsSource:
    """The versions below a prefix that ``chooser`` takes.

    Args:
        store: lists.
        bucket: its name.
        prefix: every key begins with it.
        base: what the names of the entries are relative to; the prefix begins with it.
        chooser: decides, version by version.
        single: only the key that is the prefix, none that goes on behind it.
    """

    def __init__(
        self, store: Store, bucket: str, prefix: str, *, base: str, chooser: Chooser, single: bool = False
    ) -> None:
        self._store = store
        self._bucket = bucket
        self._prefix = prefix
        self._base_length = len(base)
        self._chooser = chooser
        self._single = single

    async def slices(self, cursor: bytes) -> AsyncGenerator[Slice]:
        """See Source.

        Raises:
            TransferError: a page could not be listed.
            PlanError: a page cannot be trusted, or the store does not list all versions of a key together.
        """
        at = msgspec.msgpack.decode(cursor, type=VersionCursor) if cursor else VersionCursor()
        if not at.is_over:
            async with contextlib.aclosing(self._behind(at)) as pieces:
                async for piece in pieces:
                    yield piece

    async def _behind(self, at: VersionCursor) -> AsyncGenerator[Slice]:
        markers = None if at.markers is None else (_text(at.markers[0]), at.markers[1])
        pages = iterate_version_pages(self._store, self._bucket, prefix=self._prefix, markers=markers)
        async with contextlib.aclosing(pages):
            async for page in pages:
                entries = self._advance(at, page)
                yield Slice(entries, msgspec.msgpack.encode(at))
                if at.is_over:
                    break

    def _advance(self, at: VersionCursor, page: VersionPage) -> Entries:
        """Return what is planned now that this page is here; move the cursor behind it."""
        versions = [*([_unheld(at.held)] if at.held else ()), *page.versions]
        at.is_over = page.next_markers is None
        if self._single:
            mine = [one for one in versions if one.key == self._prefix]
            at.is_over = at.is_over or len(mine) < len(versions)  # a key comes before all that only begin with it
            versions = mine
        at.held = None if at.is_over or not versions else _held(versions.pop())
        entries: Entries = []
        for version in versions:
            self._take(at.place, version, entries)
        if page.next_markers is not None:
            at.markers = (_bytes(page.next_markers[0]), page.next_markers[1])
        if at.is_over:
            self._chooser.end(at.place, self._name(at.place.key), entries)
        return entries

    def _take(self, place: Place, version: ListedVersion, entries: Entries) -> None:
        key = _bytes(version.key)
        if key != place.key or not place.versions:
            if place.versions:
                if key < place.key and self._chooser.needs_order:
                    raise self._out_of_order()
                self._chooser.end(place, self._name(place.key), entries)
            place.begin(key)
        elif version.version_id == place.version_id:  # from a store whose pages overlap
            return
        self._chooser.take(place, version, version.key[self._base_length :], entries)
        place.passed(version)

    def _name(self, key: bytes) -> str:
        return _text(key)[self._base_length :]

    def _out_of_order(self) -> PlanError:
        return PlanError(
            f"The versions in {self._bucket}/{self._prefix} are not listed in the order of S3: histories cannot be told apart.",
            remedy="Name smaller prefixes, or single objects.",
        )


def _held(version: ListedVersion) -> tuple[bytes, str, bool, bool, int, str, int]:
    one = version
    return (
        _bytes(one.key),
        one.version_id,
        one.is_latest,
        one.is_delete_marker,
        one.size,
        one.etag,
        one.modified_ns,
    )


def _unheld(held: tuple[bytes, str, bool, bool, int, str, int]) -> ListedVersion:
    return ListedVersion(_text(held[0]), *held[1:])


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


def _text(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape")
