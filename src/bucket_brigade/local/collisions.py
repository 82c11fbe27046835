"""Two keys that would become one file: found by the file system itself, when the second one is written.

``a`` and ``a/b`` exclude each other on every file system: TargetFolder and TargetFile find a file where a folder is needed, or a
folder where a file is. ``Foo`` and ``foo``, or ``é`` written as one code point and as two, are one file where the file system
folds names: NameClaims finds them. Such keys lie far apart in a listing, and come from several processes and in any order from a
catalog, so no bounded memory finds them all beforehand; the file system does: a name is claimed by exclusive creation, and where
that fails the folder must hold the name exactly as it is spelled. The rule in both cases: what was written first stays, the other
key fails by name, and the run goes on.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import unicodedata
from collections.abc import Callable

import msgspec

from bucket_brigade.errors import BadKey
from bucket_brigade.local.oserrors import translate, translated


class NameFolding(msgspec.Struct, frozen=True):
    """Which different names a file system takes for the same."""

    case: bool = False
    normalization: bool = False

    def __bool__(self) -> bool:
        return self.case or self.normalization


def probe_name_folding(folder_fd: int) -> NameFolding:
    """Find out by creating, and removing, one file. OSError if it cannot be created."""
    name = f".brigade-probe-{secrets.token_hex(8)}-\u00e9"
    os.close(os.open(name.encode(), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder_fd))
    try:
        return NameFolding(
            case=_exists(folder_fd, name.replace("brigade", "BRIGADE")),
            normalization=_exists(folder_fd, unicodedata.normalize("NFD", name)),
        )
    finally:
        os.unlink(name.encode(), dir_fd=folder_fd)


def _exists(folder_fd: int, name: str) -> bool:
    try:
        os.stat(name.encode(), dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _names_in(folder_fd: int) -> list[str]:
    return [os.fsencode(name).decode("utf-8", "surrogateescape") for name in os.listdir(folder_fd)]


class NameClaims:
    """Makes sure, on a file system that folds names, that a name in a folder is ours and not another's under a second spelling.

    Does nothing, at no cost, on all others. Holds the names of the one folder that was looked at last. Thread-safe.
    """

    def __init__(self, folding: NameFolding, *, names_in: Callable[[int], list[str]] = _names_in) -> None:
        self.folding = folding
        self._names_in = names_in
        self._known: tuple[tuple[int, int], frozenset[str]] = ((0, 0), frozenset())
        self._lock = threading.Lock()

    def claim(self, folder_fd: int, name: str) -> bool:
        """Take ``name`` before a file is renamed to it; return whether it was free, and an empty file lies there now.

        Raises:
            BadKey: the folder holds this file under another spelling. LocalError, DiskFull.
        """
        if not self.folding:
            return False
        try:
            os.close(
                os.open(name.encode(), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder_fd)
            )
        except FileExistsError:
            self.check_spelling(folder_fd, name)
            return False
        except OSError as exc:
            raise translate(exc, f"create {name!r}") from exc
        return True

    def give_up(self, folder_fd: int, name: str) -> None:
        """Remove the empty file of a claim that no file follows."""
        with contextlib.suppress(OSError):
            os.unlink(name.encode(), dir_fd=folder_fd)

    def check_spelling(self, folder_fd: int, name: str) -> None:
        """Raise BadKey unless the folder holds something that is called exactly ``name``. LocalError if it cannot be listed."""
        if not self.folding:
            return
        with self._lock, translated(f"look for {name!r}"):
            status = os.fstat(folder_fd)
            folder = (status.st_dev, status.st_ino)
            if self._known[0] == folder and name in self._known[1]:
                return
            self._known = (folder, frozenset(self._names_in(folder_fd)))
            if name not in self._known[1]:
                raise BadKey(
                    f"{name!r} would become the same file as one whose name differs only in case or in Unicode form",
                    remedy="write to a file system that tells these names apart, or exclude one of them",
                )
