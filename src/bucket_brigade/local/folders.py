"""Open folders beneath a root, reached step by step so that no symbolic link can lead elsewhere."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence


class OpenFolder:
    """An open directory.

    Its descriptor is closed when nobody refers to this any more: a cache may forget a folder while transfers still work in it.
    ``fresh`` says that we created it, or found it empty: nothing is in it but what this program put there.
    """

    __slots__ = ("fd", "fresh")

    def __init__(self, fd: int, *, fresh: bool = False) -> None:
        self.fd = fd
        self.fresh = fresh

    def __del__(self, _close: Callable[[int], None] = os.close) -> None:
        _close(self.fd)


OpenChild = Callable[[OpenFolder, str, str], OpenFolder]
"""Opens one folder: (parent, name, path for messages); raises a TransferError."""


class FolderCache:
    """The most recently used open folders beneath a root, by their paths; thread-safe.

    Transfers come in key order, so nearly all find their folder here. At most ``capacity`` descriptors are kept beside the root.
    """

    def __init__(self, root: OpenFolder, *, capacity: int) -> None:
        self.root = root
        self._capacity = capacity
        self._folders: dict[str, OpenFolder] = {}
        self._lock = threading.Lock()

    def get(self, path: str) -> OpenFolder | None:
        """Return the folder if it is open; the empty path is the root."""
        if not path:
            return self.root
        with self._lock:
            folder = self._folders.pop(path, None)
            if folder is not None:
                self._folders[path] = folder  # a dict keeps its order of insertion: the last is the most recent
            return folder

    def open(self, parts: Sequence[str], open_child: OpenChild) -> OpenFolder:
        """Return the folder ``parts``, which have been checked to be plain names; ``open_child`` opens what is not open yet."""
        depth = len(parts)
        while (folder := self.get("/".join(parts[:depth]))) is None:
            depth -= 1
        for count in range(depth + 1, len(parts) + 1):
            path = "/".join(parts[:count])
            folder = open_child(folder, parts[count - 1], path)
            self._remember(path, folder)
        return folder

    def clear(self) -> None:
        """Forget all folders but the root."""
        with self._lock:
            self._folders.clear()

    def _remember(self, path: str, folder: OpenFolder) -> None:
        with self._lock:
            self._folders[path] = folder
            while len(self._folders) > self._capacity:
                del self._folders[next(iter(self._folders))]
