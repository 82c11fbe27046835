"""One folder on the path of a walk: open, with its names in the order of S3 keys, however many there are."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from typing import Protocol

from bucket_brigade.local.runs import SortedNames

MAX_NAMES_IN_MEMORY = 100_000
"""Names of one folder; what is more is sorted on disk."""

NAMES_AT_ONCE = 1000
_NAMES_ARE_UTF8 = sys.getfilesystemencoding().lower() in {"utf-8", "utf8"}


class _Entries(Protocol):
    """What ``os.scandir`` returns, which has no name at run time."""

    def close(self) -> None:
        """Close the copy of the descriptor."""
        ...


class ListedFolder:
    """A folder that is being walked.

    Attributes:
        prefix: its path below the root, with a ``/`` at the end; that of the root is empty.
        descriptor: None while it is closed for the sake of deeper ones.
        identity: device and inode, once the walk has looked.
        names: the next ones, the nearest last; a folder's ends in ``/``.
        not_utf8: names that no key can stand for, as they are shown.
    """

    __slots__ = ("_entries", "_later", "_unread", "descriptor", "identity", "names", "not_utf8", "prefix")

    def __init__(self, prefix: str, descriptor: int) -> None:
        self.prefix = prefix
        self.descriptor: int | None = descriptor
        self.identity = (0, 0)
        self.names: list[str] = []
        self.not_utf8: set[str] = set()
        self._entries: _Entries | None = None
        self._unread: Iterator[list[str]] | None = None
        self._later: SortedNames | None = None

    def read(self, after: str, *, follow_symlinks: bool) -> None:
        """Read the names behind ``after``; of very many only the first, and ``has_more_names`` then. OSError."""
        entries = self._entries = os.scandir(self.descriptor)
        found = _pieces(_names_of(entries, follow_symlinks=follow_symlinks))
        first = next(found, [])
        self._unread = itertools.chain([first], found)
        if len(first) < NAMES_AT_ONCE:
            self.read_all(after)

    @property
    def has_more_names(self) -> bool:
        """Whether ``read_all`` has to be called before there are ``names``."""
        return self._unread is not None

    def read_all(self, after: str) -> None:
        """Read what ``read`` has left. OSError."""
        unread, self._unread = self._unread or iter(()), None
        after = after[len(self.prefix) :] if after.startswith(self.prefix) else ""
        printable = (name for piece in unread for name in self._printable(piece))
        names = (name for name in printable if _is_behind(name, after)) if after else printable
        self._later = SortedNames(names, in_memory=MAX_NAMES_IN_MEMORY)
        self._close_entries()
        self.take_more()

    def take_files(self, most: int) -> list[str]:
        """Take up to ``most`` of the next names, until a folder's comes."""
        names = self.names
        taken: list[str] = []
        while names and len(taken) < most and names[-1][-1] != "/":
            taken.append(names.pop())
        return taken

    def take_more(self) -> bool:
        """Make ``names`` the next ones; return False if there are none. OSError."""
        self.names = self._later.take(NAMES_AT_ONCE) if self._later is not None else []
        self.names.reverse()
        return bool(self.names)

    def close_descriptor(self) -> None:
        """Close it until the walk comes back."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def close(self) -> None:
        """Close everything. Idempotent."""
        self._close_entries()
        self.close_descriptor()
        if self._later is not None:
            self._later.close()
            self._later = None

    def _close_entries(self) -> None:
        if self._entries is not None:
            self._entries.close()
            self._entries = None

    def _printable(self, names: list[str]) -> list[str]:
        r"""Return the names with bytes that are not UTF-8 written as ``\xNN``; those are added to ``not_utf8``.

        No two come out the same: what is printed also says where a resumed walk goes on.
        """
        try:
            "".join(names).encode()  # one look at all names: a surrogate stands for a byte that is not UTF-8
        except UnicodeEncodeError:
            return [name if _is_utf8(name) else self._distinct(name) for name in names]
        return names

    def _distinct(self, name: str) -> str:
        ending = "/" if name.endswith("/") else ""
        shown = name.removesuffix("/").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        while shown + ending in self.not_utf8 or _exists(self.descriptor, shown):
            shown += "?"
        self.not_utf8.add(shown + ending)
        return shown + ending


def _names_of(entries: Iterator[os.DirEntry[str]], *, follow_symlinks: bool) -> Iterator[str]:
    for entry in entries:
        name = entry.name if _NAMES_ARE_UTF8 else os.fsencode(entry.name).decode("utf-8", "surrogateescape")
        try:
            yield name + "/" if entry.is_dir(follow_symlinks=follow_symlinks) else name
        except OSError:  # a link that cannot be followed: refused in its turn
            yield name


def _pieces(names: Iterator[str]) -> Iterator[list[str]]:
    while piece := list(itertools.islice(names, NAMES_AT_ONCE)):
        yield piece


def _is_behind(name: str, after: str) -> bool:
    """Return whether a walk that goes on after ``after`` still has to look at ``name``, as at the folder that ``after`` is in."""
    return name > after or (name.endswith("/") and after.startswith(name) and after != name)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _exists(descriptor: int | None, name: str) -> bool:
    try:
        os.stat(name.encode(), dir_fd=descriptor, follow_symlinks=False)
    except OSError:
        return False
    return True
