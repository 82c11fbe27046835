"""The history of one key, from its first version to its last; and how far one history is the beginning of another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field

from bucket_brigade.errors import PermanentError, StoreUnavailable
from bucket_brigade.operations.multipart import CLOCK_TOLERANCE_NS
from bucket_brigade.operations.port import BucketSide
from bucket_brigade.s3.store import ListedVersion, ObjectHead, Pin, Store

PAGE_SIZE = 250
"""A history is listed by its key as the prefix, so a page may hold the versions of namesakes too: ``key`` and ``key2``."""

_Markers = tuple[str, str]


class TargetHasHistory(PermanentError):
    """What the target holds under the key is no beginning of the source's history, so that cannot be continued."""


async def oldest_first(store: Store, bucket: str, key: str) -> AsyncGenerator[ListedVersion]:
    """Yield the versions and delete markers of one key, the oldest first.

    Stores list the newest first, and a key may have any number: of all pages but two only the place is remembered, and they
    are listed again in their turn.
    """
    newest: list[ListedVersion] = []
    middle: list[_Markers] = []
    markers: _Markers | None = None
    while True:
        found, following = await _page(store, bucket, key, markers)
        if following is None:
            break
        if following == markers:
            raise StoreUnavailable(
                f"The listing of the versions of {key} in {bucket} does not advance.", code="NoProof"
            )
        if markers is None:
            newest = found
        else:
            middle.append(markers)
        markers = following
    for version in reversed(found):
        yield version
    while middle:
        for version in reversed((await _page(store, bucket, key, middle.pop()))[0]):
            yield version
    for version in reversed(newest):
        yield version


async def count_versions(store: Store, bucket: str, key: str) -> int:
    """Return how many versions and delete markers a key has."""
    found, following = await _page(store, bucket, key, None)
    count = len(found)
    while following is not None:
        found, following = await _page(store, bucket, key, following)
        count += len(found)
    return count


async def _page(
    store: Store, bucket: str, key: str, markers: _Markers | None
) -> tuple[list[ListedVersion], _Markers | None]:
    page = await store.list_object_versions(bucket, prefix=key, markers=markers, page_size=PAGE_SIZE)
    mine = [version for version in page.versions if version.key == key]
    return mine, page.next_markers if len(mine) == len(page.versions) else None


@dataclass(slots=True)
class Continuation:
    """How far a target's history goes along with its source's.

    Attributes:
        matched: so many of the source's versions, from the first on, are at the target.
        following: the first one of the source that is not; None where all are.
        surplus: of the target, repetitions that a request left whose answer was lost: sent once more, it made two versions.
    """

    matched: int = 0
    following: ListedVersion | None = None
    surplus: list[ListedVersion] = field(default_factory=list)


class Comparer:
    """Compares the history of a key at the source and at the target.

    Args:
        source, target: where the key is.
        since_ns: when the job was submitted: only what the target got later can have been written by it.
    """

    def __init__(self, source: BucketSide, target: BucketSide, *, since_ns: int) -> None:
        self._source = source
        self._target = target
        self._since_ns = since_ns - CLOCK_TOLERANCE_NS

    async def compare(self, of_source: AsyncIterator[ListedVersion], target_key: str) -> Continuation:
        """Walk along both histories; ``of_source`` is left behind ``Continuation.following``.

        Raises:
            TargetHasHistory: the target's is another one.
            TransferError: a history cannot be read.
        """
        found = Continuation(following=await anext(of_source, None))
        before: ListedVersion | None = None
        async for theirs in oldest_first(self._target.store, self._target.bucket, target_key):
            if found.following is not None and await self._is_same(found.following, theirs):
                found.matched += 1
                found.following = await anext(of_source, None)
            elif await self._repeats(before, theirs):
                found.surplus.append(theirs)
            else:
                raise _another_history(target_key, theirs, found)
            before = theirs
        return found

    async def _repeats(self, before: ListedVersion | None, theirs: ListedVersion) -> bool:
        if before is None or theirs.modified_ns < self._since_ns:
            return False
        if (before.is_delete_marker, before.size) != (theirs.is_delete_marker, theirs.size):
            return False
        if theirs.is_delete_marker or before.etag == theirs.etag:
            return True
        heads = await asyncio.gather(_head(self._target, before), _head(self._target, theirs))
        return same_content(*heads) is True  # under a key of KMS the same bytes have another ETag each time

    async def _is_same(self, mine: ListedVersion, theirs: ListedVersion) -> bool:
        if mine.is_delete_marker or theirs.is_delete_marker:
            return mine.is_delete_marker and theirs.is_delete_marker
        if mine.size != theirs.size or mine.etag == theirs.etag:
            return mine.size == theirs.size
        heads = await asyncio.gather(_head(self._source, mine), _head(self._target, theirs))
        verdict = same_content(*heads)
        # What cannot be compared (other parts, other keys of encryption) is ours if it was written since the job began.
        return theirs.modified_ns >= self._since_ns if verdict is None else verdict


async def _head(side: BucketSide, version: ListedVersion) -> ObjectHead:
    return await side.store.head_object(side.bucket, version.key, pin=Pin(version_id=version.version_id))


def same_content(one: ObjectHead, other: ObjectHead) -> bool | None:
    """Say whether two objects of the same size hold the same bytes, None where their stores do not tell."""
    common = one.checksums.keys() & other.checksums.keys()
    if common:
        return all(one.checksums[name] == other.checksums[name] for name in common)
    if _has_md5(one) and _has_md5(other):
        return one.etag == other.etag
    return None


def _has_md5(head: ObjectHead) -> bool:
    """Say whether the ETag is an MD5, as of an object that was written whole and is not encrypted by a key of its own."""
    encrypted = head.sse_customer_key_md5 or (head.attributes.sse or "").startswith("aws:kms")
    return "-" not in head.etag and not encrypted


def _another_history(key: str, theirs: ListedVersion, found: Continuation) -> TargetHasHistory:
    what = "delete marker" if theirs.is_delete_marker else f"version of {theirs.size:,} bytes"
    where = (
        f"version {found.matched + 1} of the source's history" if found.following else "the end of the source's history"
    )
    return TargetHasHistory(
        f"The target has a history of its own under {key}: its {what} {theirs.version_id} is not {where}.",
        remedy="Copy to another prefix, or remove it with `brigade rm --all-versions`.",
    )
