"""A walk over a folder in the order of S3 keys, that can go on after any entry it has yielded.

The order is that of the UTF-8 bytes of the relative paths. A folder ``a`` takes its place among its siblings as ``a/``, so
that ``a.txt`` comes before ``a/b``, as in a listing. Python compares strings by code point, which is the same order.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import sys
from collections.abc import Generator, Iterator

import msgspec

from bucket_brigade.errors import PlanError
from bucket_brigade.local.oserrors import errno_name
from bucket_brigade.local.runs import SortedNames
from bucket_brigade.model.location import MAX_KEY_BYTES
from bucket_brigade.model.transfer import Refused

_MAX_OPEN_FOLDERS = 32
_MAX_NAMES_IN_MEMORY = 100_000
"""Names of one folder; what is more is sorted on disk."""
_NAMES_AT_ONCE = 1000
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK
_NAMES_ARE_UTF8 = sys.getfilesystemencoding().lower() in {"utf-8", "utf8"}


class LocalEntry(msgspec.Struct, frozen=True, gc=False):
    """A regular file of the tree.

    Attributes:
        path: below the root, ``/`` between the parts.
        size: in bytes.
        modified_ns: nanoseconds since the epoch.
        device, inode: which file it was; of the target, where a symbolic link was followed. Device numbers may differ after a
            restart of the machine, so they are of no use in a journal.
    """

    path: str
    size: int
    modified_ns: int
    device: int
    inode: int


def scan_tree(
    root: str, *, after: str = "", follow_symlinks: bool = False
) -> Generator[LocalEntry | Refused, None, None]:
    """Yield every regular file below ``root`` in key order, and in its place what can never be a transfer.

    Empty folders yield nothing, nor does what vanishes during the walk. In memory are the listings of the folders on the current
    path, of each at most ``_MAX_NAMES_IN_MEMORY`` names: what is more waits, sorted, in a temporary file. A few dozen descriptors
    are open at most, and are closed with the generator: ``close()`` it when it is given up.

    Args:
        root: the folder; it may itself be a symbolic link.
        after: the ``path`` (or ``source``) of the last entry of an earlier walk: this one begins behind it, and lists no
            folder that lies wholly before it.
        follow_symlinks: take links for what they point to, outside ``root`` too; else each is refused as ``Symlink``.

    Raises:
        PlanError: ``root`` cannot be opened or listed, or the temporary file cannot be read back.
    """
    try:
        descriptor = os.open(root, _OPEN_FOLDER)
    except OSError as exc:
        raise _unlistable_root(root, exc) from exc
    walk = _Walk(descriptor, follow_symlinks=follow_symlinks, after=after)
    try:
        try:
            walk.push("", descriptor)
        except OSError as exc:
            raise _unlistable_root(root, exc) from exc
        yield from walk.entries()
    finally:
        walk.close()


def _unlistable_root(root: str, error: OSError) -> PlanError:
    shown = os.fsencode(root).decode("utf-8", "backslashreplace")
    return PlanError(
        f"cannot list the folder {shown!r}: {error.strerror}",
        remedy="check the path and its permissions, then run it again",
    )


class _Folder:
    """One folder on the current path. ``names`` are the next ones, the nearest last; a folder's ends in ``/``."""

    __slots__ = ("_later", "descriptor", "identity", "names", "not_utf8", "prefix")

    def __init__(self, prefix: str, descriptor: int) -> None:
        self.prefix = prefix
        self.descriptor: int | None = descriptor
        self.identity = (0, 0)
        self.names: list[str] = []
        self.not_utf8: set[str] = set()
        self._later: SortedNames | None = None

    def read(self, descriptor: int, after: str, *, follow_symlinks: bool) -> None:
        """Read the names behind ``after``."""
        after = after[len(self.prefix) :] if after.startswith(self.prefix) else ""
        with os.scandir(descriptor) as entries:
            found = _names_of(entries, follow_symlinks=follow_symlinks)
            printable = (name for piece in _pieces(found) for name in self._printable(descriptor, piece))
            names = (name for name in printable if _is_behind(name, after)) if after else printable
            self._later = SortedNames(names, in_memory=_MAX_NAMES_IN_MEMORY)
        self.take_more()

    def take_more(self) -> bool:
        """Make ``names`` the next ones; return False if there are none."""
        self.names = self._later.take(_NAMES_AT_ONCE) if self._later is not None else []
        self.names.reverse()
        return bool(self.names)

    def close_descriptor(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def close(self) -> None:
        self.close_descriptor()
        if self._later is not None:
            self._later.close()
            self._later = None

    def _printable(self, descriptor: int, names: list[str]) -> list[str]:
        r"""Return the names with bytes that are not UTF-8 written as ``\xNN``; those are added to ``not_utf8``.

        No two come out the same: what is printed also says where a resumed walk goes on.
        """
        try:
            "".join(names).encode()  # one look at all names: a surrogate stands for a byte that is not UTF-8
        except UnicodeEncodeError:
            return [name if _is_utf8(name) else self._distinct(descriptor, name) for name in names]
        return names

    def _distinct(self, descriptor: int, name: str) -> str:
        ending = "/" if name.endswith("/") else ""
        shown = name.removesuffix("/").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        while shown + ending in self.not_utf8 or _exists(descriptor, shown):
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
    while piece := list(itertools.islice(names, _NAMES_AT_ONCE)):
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


def _exists(descriptor: int, name: str) -> bool:
    try:
        os.stat(name.encode(), dir_fd=descriptor, follow_symlinks=False)
    except OSError:
        return False
    return True


class _Walk:
    """The folders from the root to where the walk is."""

    def __init__(self, root: int, *, follow_symlinks: bool, after: str) -> None:
        self._root = root
        self._follow = follow_symlinks
        self._after = after
        self._flags = _OPEN_FOLDER | (0 if follow_symlinks else os.O_NOFOLLOW)
        self._folders: list[_Folder] = []

    def push(self, prefix: str, descriptor: int) -> bool:
        """Go into an open folder, whose descriptor is this walk's to close from here on; False if it is an ancestor of itself.

        OSError if it cannot be listed.
        """
        folder = _Folder(prefix, descriptor)
        try:
            folder.identity = _identity(descriptor)
            if any(folder.identity == ancestor.identity for ancestor in self._folders):
                folder.close()
                return False
            folder.read(descriptor, self._after, follow_symlinks=self._follow)
        except BaseException:
            folder.close()
            raise
        self._folders.append(folder)
        if len(self._folders) > _MAX_OPEN_FOLDERS + 1:
            self._folders[
                -_MAX_OPEN_FOLDERS - 1
            ].close_descriptor()  # never the root: the others are found again from it
        return True

    def entries(self) -> Iterator[LocalEntry | Refused]:
        while self._folders:
            folder = self._folders[-1]
            if folder.descriptor is None:
                self._reopen()
            yield from self._files_until_folder(folder)
            if folder.names:
                refused = self._enter(folder, folder.names.pop())
                if refused is not None:
                    yield refused
            elif not self._take_more(folder):
                folder.close()
                self._folders.pop()

    def close(self) -> None:
        for folder in self._folders:
            folder.close()

    def _take_more(self, folder: _Folder) -> bool:
        try:
            return folder.take_more()
        except OSError as exc:
            raise PlanError(
                f"cannot read the sorted names of {folder.prefix!r} back: {exc.strerror or exc}",
                remedy="check the disk of TMPDIR, then resume the job",
            ) from exc

    def _files_until_folder(self, folder: _Folder) -> Iterator[LocalEntry | Refused]:
        names, prefix, descriptor = folder.names, folder.prefix, folder.descriptor
        while names and names[-1][-1] != "/":
            name = names.pop()
            if name in folder.not_utf8:
                yield Refused(prefix + name, "NotUtf8", "the file's name is not UTF-8, so no key can stand for it")
            elif descriptor is None:
                yield _moved(prefix + name)
            else:
                entry = _describe(descriptor, name, prefix + name, follow_symlinks=self._follow)
                if entry is not None:
                    yield entry

    def _enter(self, parent: _Folder, name: str) -> Refused | None:
        path = parent.prefix + name
        if name in parent.not_utf8:
            return Refused(path, "NotUtf8", "the folder's name is not UTF-8, so no key can stand for what is in it")
        if parent.descriptor is None:
            return _moved(path)
        try:
            descriptor = os.open(name[:-1].encode(), self._flags, dir_fd=parent.descriptor)
            entered = self.push(path, descriptor)
        except OSError as exc:
            return _refuse_folder(path, exc)
        if not entered:
            return Refused(path, "SymlinkLoop", "the link leads back to a folder that contains it", failed=False)
        return None

    def _reopen(self) -> None:
        """Open the current folder again, step by step from the root, if it is still the one that was listed."""
        folder = self._folders[-1]
        descriptor = os.dup(self._root)
        try:
            for name in folder.prefix[:-1].split("/"):
                below = os.open(name.encode(), self._flags, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
            if _identity(descriptor) == folder.identity:
                folder.descriptor, descriptor = descriptor, -1
        except OSError:
            return  # it was moved or removed: what is left of it is refused by name
        finally:
            if descriptor >= 0:
                os.close(descriptor)


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return (status.st_dev, status.st_ino)


def _describe(descriptor: int, name: str, path: str, *, follow_symlinks: bool) -> LocalEntry | Refused | None:
    """Return what ``name`` in an open folder is, or None if it is gone."""
    encoded = name.encode()
    try:
        status = os.stat(encoded, dir_fd=descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as exc:
        return Refused(path, errno_name(exc), f"cannot be examined: {exc.strerror}")
    if stat.S_ISLNK(status.st_mode):
        if not follow_symlinks:
            return Refused(path, "Symlink", "a symbolic link, and links are not followed", failed=False)
        try:
            status = os.stat(encoded, dir_fd=descriptor)
        except OSError as exc:
            return _refuse_link(path, exc)
    if not stat.S_ISREG(status.st_mode):
        return _refuse_kind(path, status.st_mode)
    if len(path) > MAX_KEY_BYTES // 4 and len(path.encode()) > MAX_KEY_BYTES:
        return Refused(path, "KeyTooLong", f"its key would have more than {MAX_KEY_BYTES} bytes")
    return LocalEntry(path, status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)


def _refuse_link(path: str, error: OSError) -> Refused:
    if error.errno == errno.ELOOP:
        return Refused(path, "SymlinkLoop", "the link leads only to links", failed=False)
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return Refused(path, "BrokenLink", "what the link points to does not exist")
    return Refused(path, errno_name(error), f"the link cannot be followed: {error.strerror}")


def _refuse_kind(path: str, mode: int) -> Refused:
    if stat.S_ISDIR(mode):
        return _moved(path)
    kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    kind = kinds.get(stat.S_IFMT(mode), "a special file")
    return Refused(path, "SpecialFile", f"{kind}, not a regular file", failed=False)


def _refuse_folder(path: str, error: OSError) -> Refused | None:
    if error.errno == errno.ENOENT:
        return None
    if error.errno in {errno.ENOTDIR, errno.ELOOP}:
        return _moved(path)
    return Refused(path, errno_name(error), f"the folder cannot be listed: {error.strerror}")


def _moved(path: str) -> Refused:
    return Refused(path, "SourceChanged", "it was moved or replaced while its folder was being read")
