"""Local files as sources: opened beneath a folder, never through a link, and proved to be the file that was planned."""

from __future__ import annotations

import errno
import os
import stat
from types import TracebackType
from typing import Self

from bucket_brigade.errors import SourceChanged, TransferError
from bucket_brigade.local.folders import FolderCache, OpenFolder
from bucket_brigade.local.oserrors import translate
from bucket_brigade.local.paths import component_fault, target_path_parts
from bucket_brigade.model.transfer import UNKNOWN_SIZE

_OPEN_ROOT = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_CHILD = _OPEN_ROOT | os.O_NOFOLLOW
_OPEN_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK  # or a FIFO would block until it is written to
_NOT_WHAT_IT_WAS = frozenset({errno.ELOOP, errno.ENOTDIR, errno.ENXIO})  # a link, a file for a folder, a socket


class SourceFolder:
    """The folder that uploads are read from. Thread-safe; at most ``max_open_folders`` parents are kept open.

    ``follow_symlinks`` lets links lead anywhere. Without it every step below the folder refuses one, so that a file or folder
    that is swapped for a link after planning cannot make anything else leave this machine.
    """

    def __init__(self, path: str, *, follow_symlinks: bool = False, max_open_folders: int = 64) -> None:
        """Open ``path``, which may itself be a link.

        Raises:
            NotFound, LocalError: it cannot be opened.
        """
        try:
            self._root = OpenFolder(os.open(path, _OPEN_ROOT))
        except OSError as exc:
            raise translate(exc, f"open the folder {path!r}") from exc
        self.follow_symlinks = follow_symlinks
        self.open_flags = _OPEN_FILE if follow_symlinks else _OPEN_FILE | os.O_NOFOLLOW
        self._folders = FolderCache(self._root, capacity=max_open_folders)

    def locate(self, path: str) -> tuple[OpenFolder, str]:
        """Return an open folder, and the path from there to ``path``: a plain name, unless links are followed.

        Raises:
            BadKey: ``path`` is no plain relative path. NotFound, SourceChanged, LocalError: a parent is not there any more.
        """
        parent, separator, name = path.rpartition("/")
        folder = self._folders.get(parent) if parent or not separator else None
        if folder is None or component_fault(name):
            parts = target_path_parts(path)
            if self.follow_symlinks:
                return self._root, path
            folder = self._folders.open(parts[:-1], _open_child)
        return folder, name

    def close(self) -> None:
        """Forget the open folders."""
        self._folders.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open_child(parent: OpenFolder, name: str, path: str) -> OpenFolder:
    try:
        return OpenFolder(os.open(name.encode(), _OPEN_CHILD, dir_fd=parent.fd))
    except OSError as exc:
        raise _translate_open(exc, path) from exc


def _translate_open(error: OSError, path: str) -> TransferError:
    if error.errno in _NOT_WHAT_IT_WAS:
        return SourceChanged(f"{path!r} is a link or a special file where a plain file or folder was expected")
    return translate(error, f"open {path!r}")


class SourceFile:
    """An open regular file, and its state when it was opened.

    Attributes:
        size: in bytes, at opening.
        modified_ns: nanoseconds since the epoch, at opening.
    """

    __slots__ = ("_fd", "_identity", "modified_ns", "path", "size")

    def __init__(self, fd: int, path: str, status: os.stat_result) -> None:
        self._fd = fd
        self.path = path
        self.size = status.st_size
        self.modified_ns = status.st_mtime_ns
        self._identity = (status.st_dev, status.st_ino)

    @classmethod
    def open(
        cls, folder: SourceFolder, path: str, *, size: int = UNKNOWN_SIZE, modified_ns: int = 0, inode: int = 0
    ) -> SourceFile:
        """Open ``path`` below ``folder`` if it is still the regular file of this size, mtime and inode (0: not asked).

        Raises:
            NotFound: it has vanished.
            SourceChanged: it is another file, or none, or a link.
            LocalError: the operating system refuses (EACCES, EIO).
        """
        parent, name = folder.locate(path)
        try:
            fd = os.open(name.encode(), folder.open_flags, dir_fd=parent.fd)
        except OSError as exc:
            raise _translate_open(exc, path) from exc
        try:
            status = os.fstat(fd)
            _demand_same(path, status, size=size, modified_ns=modified_ns, inode=inode)
        except BaseException:
            os.close(fd)
            raise
        return cls(fd, path, status)

    def read_whole(self) -> bytes:
        """Return all ``size`` bytes. SourceChanged if there are fewer or more by now, LocalError if it cannot be read."""
        try:
            data = os.read(self._fd, self.size + 1)  # one byte more shows a file that has grown
            while 0 < len(data) < self.size:  # a read returns 2 GiB at most
                more = os.pread(self._fd, self.size + 1 - len(data), len(data))
                if not more:
                    break
                data += more
        except OSError as exc:
            raise translate(exc, f"read {self.path!r}") from exc
        if len(data) != self.size:
            raise SourceChanged(f"{self.path!r} changed its size while it was read")
        return data

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """Fill ``buffer`` from ``offset``; return how many bytes came: fewer only where the file ends. LocalError."""
        filled = 0
        try:
            while filled < len(buffer):
                count = os.preadv(self._fd, [buffer[filled:]], offset + filled)
                if count == 0:
                    break
                filled += count
        except OSError as exc:
            raise translate(exc, f"read {self.path!r}") from exc
        return filled

    def check_unchanged(self) -> None:
        """Raise SourceChanged if the file's size or mtime is not what it was at opening."""
        try:
            status = os.fstat(self._fd)
        except OSError as exc:
            raise translate(exc, f"examine {self.path!r}") from exc
        if status.st_size != self.size or status.st_mtime_ns != self.modified_ns:
            raise SourceChanged(f"{self.path!r} changed while it was read")

    def check_still_in_place(self, folder: SourceFolder) -> None:
        """Raise SourceChanged (or NotFound) unless the path still leads to this very file, unchanged."""
        status = _status_of(folder, self.path)
        if (status.st_dev, status.st_ino) != self._identity:
            raise SourceChanged(f"{self.path!r} was replaced by another file")
        _demand_same(self.path, status, size=self.size, modified_ns=self.modified_ns, inode=0)

    def close(self) -> None:
        """Close the file. More than once does no harm."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_as_planned(folder: SourceFolder, path: str, *, size: int, modified_ns: int) -> bytes | None:
    """Return the content of a file that is still as it was planned, in the fewest system calls.

    None where there is more to find out, or to say: it is gone, changed, unreadable, or was not planned with size and time.
    One look, after reading, is enough where these are known: a file that has them still was not written to before.
    """
    if size < 0 or not modified_ns:
        return None
    parent, name = folder.locate(path)
    try:
        fd = os.open(name.encode(), folder.open_flags, dir_fd=parent.fd)
        try:
            data = os.read(fd, size + 1)  # one byte more shows a file that has grown
            status = os.fstat(fd)
        finally:
            os.close(fd)
    except OSError:
        return None
    as_planned = (
        len(data) == size == status.st_size and status.st_mtime_ns == modified_ns and stat.S_ISREG(status.st_mode)
    )
    return data if as_planned else None


def _demand_same(path: str, status: os.stat_result, *, size: int, modified_ns: int, inode: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SourceChanged(f"{path!r} is not a regular file")
    if (
        (size >= 0 and status.st_size != size)
        or (modified_ns and status.st_mtime_ns != modified_ns)
        or (inode and status.st_ino != inode)
    ):
        raise SourceChanged(f"{path!r} is no longer the file that was planned: its size, time or identity differ")


def _status_of(folder: SourceFolder, path: str) -> os.stat_result:
    parent, name = folder.locate(path)
    try:
        return os.stat(name.encode(), dir_fd=parent.fd, follow_symlinks=folder.follow_symlinks)
    except OSError as exc:
        raise _translate_open(exc, path) from exc


def status_of_source(folder: SourceFolder, path: str) -> os.stat_result:
    """Return what the file system tells of a file. NotFound, SourceChanged, LocalError."""
    return _status_of(folder, path)


def remove_source_file(folder: SourceFolder, path: str, *, size: int, modified_ns: int, inode: int = 0) -> None:
    """Remove a file that was moved, if it is still the one that was copied.

    Between the look and the removal lie some microseconds in which a replaced file would be lost; no system call joins the two.
    Where links are followed, the link is removed and not what it points to.

    Raises:
        NotFound: it is gone already. SourceChanged: it is not the same; it stays. LocalError: it cannot be removed.
    """
    _demand_same(path, _status_of(folder, path), size=size, modified_ns=modified_ns, inode=inode)
    parent, name = folder.locate(path)
    try:
        os.unlink(name.encode(), dir_fd=parent.fd)
    except OSError as exc:
        raise translate(exc, f"remove {path!r}") from exc
