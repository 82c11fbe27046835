"""How much a prefix holds: objects, versions and bytes by storage class, folder by folder, at flat memory."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator

import msgspec

from bucket_brigade.model.parts import GIB
from bucket_brigade.s3.listing import iterate_as_of, iterate_version_pages
from bucket_brigade.s3.shards import iterate_in_order
from bucket_brigade.s3.store import ListedVersion, Store
from bucket_brigade.settings.values import PriceSettings


class Tally(msgspec.Struct):
    """So many objects (or versions) of so many bytes."""

    objects: int = 0
    bytes: int = 0

    def add(self, other: Tally) -> None:
        """Add ``other`` to this."""
        self.objects += other.objects
        self.bytes += other.bytes


class Usage(msgspec.Struct):
    """What there is below a prefix, everything deeper included.

    Attributes:
        prefix: a whole key's beginning.
        current: by storage class, what is there now (or was, with an instant).
        noncurrent: by storage class, versions that are not current any more; empty where versions were not asked for.
        delete_markers: how many of them; no bytes.
    """

    prefix: str
    current: dict[str, Tally] = msgspec.field(default_factory=dict)
    noncurrent: dict[str, Tally] = msgspec.field(default_factory=dict)
    delete_markers: int = 0

    @property
    def total(self) -> Tally:
        """Return all objects and versions together."""
        total = Tally()
        for tallies in (self.current, self.noncurrent):
            for tally in tallies.values():
                total.add(tally)
        return total

    def add(self, other: Usage) -> None:
        """Add what is below another prefix."""
        for mine, theirs in ((self.current, other.current), (self.noncurrent, other.noncurrent)):
            for name, tally in theirs.items():
                mine.setdefault(name, Tally()).add(tally)
        self.delete_markers += other.delete_markers


class Cost(msgspec.Struct, frozen=True):
    """What the storage costs for a month: bytes times price, without minimum sizes, durations and requests.

    Attributes:
        unpriced: storage classes with bytes in them that the price table does not know.
    """

    amount: float
    currency: str
    unpriced: tuple[str, ...]


def cost_of(tallies: Iterable[tuple[str, Tally]], prices: PriceSettings) -> Cost:
    """Return what these (storage class, tally) cost."""
    known = dict(prices.gb_month)
    amount = 0.0
    unpriced: set[str] = set()
    for name, tally in tallies:
        if name in known:
            amount += tally.bytes / GIB * known[name]
        elif tally.bytes:
            unpriced.add(name)
    return Cost(amount, prices.currency, tuple(sorted(unpriced)))


async def measure(
    store: Store,
    bucket: str,
    prefix: str = "",
    *,
    accepts: Callable[[str], bool] | None = None,
    versions: bool = False,
    as_of_ns: int | None = None,
    depth: int = 0,
    shards: int = 1,
) -> AsyncGenerator[Usage]:
    """Yield the usage of each folder down to ``depth`` below the prefix, as soon as it is complete; the prefix's own comes last.

    Args:
        store: lists.
        bucket: its name.
        prefix: of the keys.
        accepts: which keys count; None for all.
        versions: count versions and delete markers too.
        as_of_ns: count what was current at this instant, nanoseconds since the epoch.
        depth: folders below the last slash of the prefix.
        shards: ranges of current objects that are listed side by side.

    Raises:
        TransferError, PlanError: the listing failed.
    """
    folders = Folders(prefix, depth)
    if as_of_ns is not None:
        pages = _then(store, bucket, prefix, as_of_ns)
    elif versions:
        pages = _versions(store, bucket, prefix)
    else:
        pages = _objects(store, bucket, prefix, shards)
    async with contextlib.aclosing(pages):
        async for page in pages:
            for key, kind, storage_class, size in page:
                if accepts is None or accepts(key):
                    for complete in folders.leave(key):
                        yield complete
                    folders.count(kind, storage_class, size)
    for complete in folders.leave(None):
        yield complete


_Counted = tuple[str, str, str, int]
"""Key, which table of Usage (or "" for a delete marker), storage class, bytes."""


async def _objects(store: Store, bucket: str, prefix: str, shards: int) -> AsyncGenerator[list[_Counted]]:
    async with contextlib.aclosing(iterate_in_order(store, bucket, prefix=prefix, shards=shards)) as pages:
        async for page in pages:
            yield [(one.key, "current", one.storage_class, one.size) for one in page.objects]


async def _versions(store: Store, bucket: str, prefix: str) -> AsyncGenerator[list[_Counted]]:
    async with contextlib.aclosing(iterate_version_pages(store, bucket, prefix=prefix)) as pages:
        async for page in pages:
            yield [_counted(one) for one in page.versions]


async def _then(store: Store, bucket: str, prefix: str, as_of_ns: int) -> AsyncGenerator[list[_Counted]]:
    async with contextlib.aclosing(iterate_as_of(store, bucket, prefix=prefix, as_of_ns=as_of_ns)) as pages:
        async for page in pages:
            yield [(one.key, "current", one.storage_class, one.size) for one in page]


def _counted(one: ListedVersion) -> _Counted:
    if one.is_delete_marker:
        return one.key, "", "", 0
    return one.key, "current" if one.is_latest else "noncurrent", one.storage_class, one.size


class Folders:
    """The folders that the listing stands in, from the prefix down; keys come in order, so each is entered once."""

    def __init__(self, prefix: str, depth: int) -> None:
        self._depth = depth
        self._root_length = prefix.rfind("/") + 1
        self._open = [Usage(prefix)]

    def leave(self, key: str | None) -> Iterator[Usage]:
        """Yield the folders that ``key`` is not in any more, the deepest first, and enter its own; None ends all."""
        while len(self._open) > 1 and not (key or "").startswith(self._open[-1].prefix):
            complete = self._open.pop()
            self._open[-1].add(complete)
            yield complete
        if key is None:
            yield self._open.pop()
            return
        while len(self._open) <= self._depth:
            start = self._root_length if len(self._open) == 1 else len(self._open[-1].prefix)
            slash = key.find("/", start)
            if slash < 0:
                break
            self._open.append(Usage(key[: slash + 1]))

    def count(self, kind: str, storage_class: str, size: int) -> None:
        """Count one entry of the folder that was entered last."""
        usage = self._open[-1]
        if not kind:
            usage.delete_markers += 1
            return
        tally = getattr(usage, kind).setdefault(storage_class, Tally())
        tally.objects += 1
        tally.bytes += size
