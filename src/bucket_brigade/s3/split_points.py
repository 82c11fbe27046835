"""Where to divide a big listing, found by a few requests for one key each.

The keys below a prefix are seen as a tree of characters. A probe asks for the first key behind a text. From the answers the
search learns where keys first differ, and which characters stand there, and takes the branches to be about as heavy as each
other until somebody knows better. What it finds is never more than a good guess: who lists the shards enforces their bounds,
and divides again what turns out to be long.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from bucket_brigade.errors import TransferError
from bucket_brigade.s3.store import ListPage, Store

T = TypeVar("T")

PROBES_PER_SHARD = 8
MIN_PROBES = 40
"""A search is over after ``max(MIN_PROBES, PROBES_PER_SHARD * count)`` requests, whatever it knows by then."""

_CELLS_PER_SHARD = 2
_MAX_WEIGHT = 8
_EMPTY_PAGES = 3
_AT_ONCE = 8
_FIRST_OF_CLASS = "0:[\u00a1"
"""Where digits, capitals, small letters and all that is not ASCII begin; punctuation falls among them."""
_LETTERS = "abcdefgkpu"
"""Which of the letters are asked for: all that hexadecimal has, then every fifth."""
_LAST_CHARACTER = "\ud7ff"
"""Behind it UTF-16 and UTF-8 sort differently. A store that sorts by UTF-16 lists the same shards while no point holds those."""


class _NotDivisible(Exception):
    """The store does not answer as one whose listings can be divided."""


class _Cell(NamedTuple):
    """A range of keys: its first one, and how heavy it is taken to be."""

    first: str
    weight: float


class _Branch(NamedTuple):
    """Where the keys of a cell first differ: all begin with ``base``, and ``firsts`` are the first keys of what follows it."""

    base: str
    firsts: list[str]
    weights: list[int]


def byte_order(key: str) -> bytes:
    """Return what sorts keys as S3 does: their UTF-8, also of keys that are none."""
    return key.encode("utf-8", "surrogateescape")


async def find_split_points(
    store: Store, bucket: str, prefix: str, *, start_after: str = "", up_to: str | None = None, count: int
) -> list[str]:
    """Return at most ``count - 1`` texts that divide the keys below a prefix into about equal shards, in UTF-8 byte order.

    Each is a key or the beginning of keys, behind the first key of the range, and can be sent as StartAfter. None come back where
    there are too few keys, or where the store ignores StartAfter, keeps another order, or refuses the question.

    Args:
        store: is asked for pages of one key.
        bucket: its name.
        prefix: every key begins with it.
        start_after: only keys behind it are divided.
        up_to: only keys up to and with it are divided.
        count: how many shards are wanted.
    """
    if count < 2:
        return []
    search = _Search(store, bucket, prefix, start_after, up_to, budget=max(MIN_PROBES, PROBES_PER_SHARD * count))
    try:
        cells = await search.cells(count * _CELLS_PER_SHARD)
    except _NotDivisible:
        return []
    bound = None if up_to is None else byte_order(up_to)
    return [point for point in _choose(cells, count, len(prefix)) if bound is None or byte_order(point) < bound]


class _Search:
    """One search for cells. Keys compare by ``byte_order``; None is behind all keys."""

    def __init__(
        self, store: Store, bucket: str, prefix: str, start_after: str, up_to: str | None, *, budget: int
    ) -> None:
        self._store = store
        self._bucket = bucket
        self._prefix = prefix
        self._start_after = start_after
        self._up_to = up_to
        self._budget = budget
        self._refused = False
        self._page_end = ""
        self._shared = len(prefix)

    async def cells(self, wanted: int) -> list[_Cell]:
        """Return cells in order, ``wanted`` or more of them where there are so many and the budget allows."""
        first = await self._first_of_many()
        if first is None:
            return []
        cells = [_Cell(first, 1.0)]
        while len(cells) < wanted and self._budget > 0:
            finer = await self._refine(cells)
            if len(finer) == len(cells):
                break
            cells = finer
        return cells

    async def _refine(self, cells: list[_Cell]) -> list[_Cell]:
        """Divide one cell with care, and the others as that one: what is below siblings mostly looks alike."""
        model = len(cells) // 2
        branch = await self._branch(cells, model)
        if branch is None:
            return cells
        depth = len(branch.base)
        self._shared = depth if len(cells) == 1 else self._shared
        cells = [*cells[:model], cells[model]._replace(first=branch.firsts[0]), *cells[model + 1 :]]
        guesses = {
            cell.first[:depth] + key[depth] for cell in cells if len(cell.first) > depth for key in branch.firsts[1:]
        }
        texts = sorted(
            (one for one in guesses if not one.startswith(branch.base) and self._sendable(one)), key=byte_order
        )
        answers = await self._probe(_thinned(texts, self._budget))
        found = {key for key in answers if key is not None} | set(branch.firsts[1:])
        return _divided(cells, sorted(found, key=byte_order), branch)

    async def _branch(self, cells: list[_Cell], index: int) -> _Branch | None:
        """Return where the keys of a cell differ first; None where nothing says that they do."""
        first = cells[index].first
        end = cells[index + 1].first if index + 1 < len(cells) else None
        if first.endswith("/") or len(first) == len(self._prefix):
            # The marker of a folder says nothing about the names in it.
            (behind,) = await self._probe([first])
            first = behind if behind is not None and self._before(behind, end) and behind.startswith(first) else first
        # Of the beginnings of `first`, the shortest that some key of the cell does not have: that key differs in its last place.
        bound = end or self._up_to
        low = max(self._shared, _common(first, bound) if bound else 0)
        # Siblings mostly differ soon behind their beginnings, and the keys of a page late in theirs.
        second = self._page_end if len(cells) == 1 and self._before(first, self._page_end) else ""
        second = "" if second.startswith(first) else second
        reach = _common(first, second)
        steps = [2**n for n in range(11) if low + 2**n < (reach if second else len(first))]
        lengths = (
            [reach + 1 - step for step in reversed(steps)] if second else [*(low + step for step in steps), len(first)]
        )
        low, nearer = await self._narrowed(first, lengths, low, end)
        second = nearer or second
        while second and (shortest := _common(first, second) + 1) - low > 1:
            lengths = _thinned(range(low + 1, shortest), _AT_ONCE)
            low, nearer = await self._narrowed(first, lengths, low, end)
            second = nearer or second
        return await self._children(first, second, end) if second else None

    async def _narrowed(self, first: str, lengths: Sequence[int], low: int, end: str | None) -> tuple[int, str]:
        """Return the longest of the lengths up to which all keys are as ``first``, and the first key that differs ("": none)."""
        texts = {
            length: first[: length - 1] + _successor(first[length - 1]) for length in lengths if length <= len(first)
        }
        texts = {length: text for length, text in texts.items() if text > first and self._sendable(text)}
        # Longer beginnings come earlier in the order of keys.
        answers = await self._probe(list(texts.values())[::-1])
        for length, key in zip(texts, reversed(answers), strict=True):
            if key is not None and self._before(key, end):
                return low, key
            low = length
        return max([low, *lengths]), ""

    async def _children(self, first: str, second: str, end: str | None) -> _Branch:
        depth = _common(first, second)
        base, known = first[:depth], second[depth]
        # A coarse look at what kinds of characters there are, then a closer one at each kind.
        asked: dict[str, str | None] = {first[depth]: first, known: second}
        coarse = sorted({_successor(known), *(one for one in _FIRST_OF_CLASS if one > known)})
        await self._ask(base, coarse, asked, end)
        if asked.get(_successor(known)) is not None:
            seen = sorted(asked)
            fine: list[str] = []
            for low, high in zip(seen, [*seen[1:], chr(ord(_LAST_CHARACTER) + 1)], strict=True):
                key = asked[low]
                if key is not None and low > known and key[depth] < high:
                    fine += _between(key[depth], high)
            await self._ask(base, fine, asked, end)
        return _branch_of(base, asked)

    async def _ask(self, base: str, characters: Iterable[str], asked: dict[str, str | None], end: str | None) -> None:
        wanted = [one for one in dict.fromkeys(characters) if one not in asked and self._sendable(base + one)]
        wanted = _thinned(wanted, self._budget)
        answers = await self._probe([base + one for one in wanted])
        for one, key in zip(wanted, answers, strict=True):
            asked[one] = key if key is not None and self._before(key, end) and key.startswith(base) else None

    def _before(self, key: str, end: str | None) -> bool:
        return end is None or byte_order(key) < byte_order(end)

    def _sendable(self, text: str) -> bool:
        return _is_sendable(text, len(self._prefix))

    # --- requests ------------------------------------------------------------------------------------------------

    async def _probe(self, texts: Sequence[str]) -> list[str | None]:
        """Return the first key behind each text, asked for side by side. The texts must be in order."""
        self._budget -= len(texts)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._first_behind(text)) for text in texts]
        answers = [task.result() for task in tasks]
        if self._refused or not _in_order(answers):
            raise _NotDivisible
        bound = None if self._up_to is None else byte_order(self._up_to)
        return [key if key is None or bound is None or byte_order(key) <= bound else None for key in answers]

    async def _first_of_many(self) -> str | None:
        """Return the first key of the range; None where one page holds them all: that is not worth dividing."""
        self._budget -= 1
        page = await self._page(self._start_after, 1000)
        if page is None or page.next_token is None or not page.objects:
            return None
        keys = [one.key for one in page.objects]
        if not _in_order(keys) or byte_order(keys[0]) <= byte_order(self._start_after):
            raise _NotDivisible
        self._page_end = keys[-1]
        return keys[0] if self._up_to is None or byte_order(keys[-1]) < byte_order(self._up_to) else None

    async def _first_behind(self, text: str) -> str | None:
        page = await self._page(text, 1)
        if page is None or not page.objects:
            return None
        key = page.objects[0].key
        if byte_order(key) <= byte_order(text) or not key.startswith(self._prefix):
            self._refused = True
        return key

    async def _page(self, start_after: str, page_size: int) -> ListPage | None:
        try:
            page = await self._store.list_objects(
                self._bucket, prefix=self._prefix, start_after=start_after, page_size=page_size
            )
            for _ in range(_EMPTY_PAGES):  # a page may be empty although more follows
                if page.objects or page.next_token is None:
                    break
                page = await self._store.list_objects(
                    self._bucket, prefix=self._prefix, token=page.next_token, page_size=page_size
                )
        except TransferError:
            # Whether the listing can be read is for the listing itself to find out.
            self._refused = True
            return None
        return page


# --- pure ------------------------------------------------------------------------------------------------------------


def _is_sendable(text: str, prefix_length: int) -> bool:
    """Say whether a text can be a StartAfter, and cuts the keys alike in the orders of UTF-8 and UTF-16."""
    return text.isprintable() and all(one <= _LAST_CHARACTER for one in text[prefix_length:])


def _successor(character: str) -> str:
    """Return the next character that can be in a StartAfter; there is none behind the last, which stands for itself."""
    if "\x7e" <= character < "\u00a1":
        return "\u00a1"  # the control characters between, and the space that does not break
    return min(max(" ", chr(ord(character) + 1)), _LAST_CHARACTER) if character < _LAST_CHARACTER else _LAST_CHARACTER


def _between(low: str, high: str) -> list[str]:
    """Return the characters behind ``low`` and before ``high`` to ask for."""
    if low < "0" or low > "z":
        steps = [2, 8, 32, 128, 512, *range(2048, ord(_LAST_CHARACTER), 2048)]
        return [one for one in (chr(min(ord(low) + step, ord(_LAST_CHARACTER))) for step in steps) if one < high]
    return [one for one in "123456789" + _LETTERS.upper() + _LETTERS if low < one < high]


def _branch_of(base: str, asked: dict[str, str | None]) -> _Branch:
    """Weigh the children by the characters that each may stand for: up to the next one that was asked for."""
    depth = len(base)
    seen = sorted(asked)
    firsts = sorted({key for key in asked.values() if key is not None}, key=byte_order)
    weights = [1]  # behind the first of all, the second one is known
    for key in firsts[1:]:
        following = next((one for one in seen if one > key[depth]), None)
        weights.append(min(_MAX_WEIGHT, ord(following) - ord(key[depth])) if following else 1)
    return _Branch(base, firsts, weights)


def _divided(cells: list[_Cell], firsts: list[str], branch: _Branch) -> list[_Cell]:
    """Return the cells divided at ``firsts``; the parts of one share its weight as the children of the branch would."""
    divided: list[_Cell] = []
    bounds = [byte_order(cell.first) for cell in cells[1:]]
    place = 0
    for cell, bound in itertools.zip_longest(cells, bounds):
        parts = [cell.first]
        while place < len(firsts) and (bound is None or byte_order(firsts[place]) < bound):
            if byte_order(firsts[place]) > byte_order(cell.first):
                parts.append(firsts[place])
            place += 1
        shares = _shares(parts, branch)
        divided += (_Cell(key, cell.weight * one / sum(shares)) for key, one in zip(parts, shares, strict=True))
    return divided


def _shares(parts: list[str], branch: _Branch) -> list[int]:
    depth = len(branch.base)
    lows = [key[depth : depth + 1] for key in parts]
    children = [(key[depth], weight) for key, weight in zip(branch.firsts, branch.weights, strict=True)]
    return [
        sum(weight for one, weight in children if low <= one and (high is None or one < high)) or 1
        for low, high in itertools.zip_longest(lows, lows[1:])
    ]


def _choose(cells: list[_Cell], count: int, prefix_length: int) -> list[str]:
    """Return the boundaries between cells that come nearest to equal shards."""
    points: list[tuple[float, str]] = []
    weight = 0.0
    for before, cell in itertools.pairwise(cells):
        weight += before.weight
        point = cell.first[: _common(before.first, cell.first) + 1]
        if _is_sendable(point, prefix_length):
            points.append((weight, point))
    total = sum(cell.weight for cell in cells)
    targets = (total * number / count for number in range(1, count))
    nearest = {min(points, key=lambda one: abs(one[0] - target))[1] for target in targets} if points else set()
    return sorted(nearest, key=byte_order)


def _common(one: str, other: str) -> int:
    """Return how many characters both begin with."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _in_order(answers: Sequence[str | None]) -> bool:
    """Say whether answers to questions in order are in order; none is behind all."""
    last = b""
    for index, key in enumerate(answers):
        if key is None:
            return all(one is None for one in answers[index:])
        if byte_order(key) < last:
            return False
        last = byte_order(key)
    return True


def _thinned(items: Sequence[T], most: int) -> list[T]:
    """Return at most so many of the items, evenly spread."""
    if len(items) <= most:
        return list(items)
    return [items[len(items) * n // most] for n in range(max(0, most))]
