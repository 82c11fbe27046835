"""A walk over a folder in the order of S3 keys, that can go on after any entry it has yielded.

The order is that of the UTF-8 bytes of the relative paths. A folder ``a`` takes its place among its siblings as ``a/``, so
that ``a.txt`` comes before ``a/b``, as in a listing. Python compares strings by code point, which is the same order.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Generator, Iterator, Sequence

import msgspec

from bucket_brigade.errors import PlanError
from bucket_brigade.local.folder_names import ListedFolder
from bucket_brigade.local.oserrors import errno_name
from bucket_brigade.model.location import MAX_KEY_BYTES
from bucket_brigade.model.transfer import Refused

_MAX_OPEN_FOLDERS = 32
FILES_AT_ONCE = 50
"""A piece of a walk: what takes a quick disk a quarter of a millisecond, and a slow one no more than a tenth of a second."""
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK


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
    """Yield every regular file below ``root`` in key order, and in its place what can never be a transfer, one by one.

    See ``scan_pieces``.
    """
    with contextlib.closing(scan_pieces(root, after=after, follow_symlinks=follow_symlinks, at_once=1)) as pieces:
        for piece in pieces:
            yield from piece


def scan_pieces(
    root: str, *, after: str = "", follow_symlinks: bool = False, at_once: int = FILES_AT_ONCE
) -> Generator[list[LocalEntry | Refused], None, None]:
    """Yield every regular file below ``root`` in key order, and in its place what can never be a transfer, in pieces.

    Between two of them lie at most ``at_once`` files and folders, so that a caller who must not wait long need not. An empty
    piece says that there was nothing yet, and that the next one may take long: a folder of very many names is to be read.

    Empty folders yield nothing, nor does what vanishes during the walk. In memory are the listings of the folders on the current
    path, of each at most 100,000 names: what is more waits, sorted, in a temporary file. A few dozen descriptors
    are open at most, and are closed with the generator: ``close()`` it when it is given up.

    Args:
        root: the folder; it may itself be a symbolic link.
        after: the ``path`` (or ``source``) of the last entry of an earlier walk: this one begins behind it, and lists no
            folder that lies wholly before it.
        follow_symlinks: take links for what they point to, outside ``root`` too; else each is refused as ``Symlink``.
        at_once: entries in a full piece.

    Raises:
        PlanError: ``root`` cannot be opened or listed, or the temporary file cannot be read back.
    """
    try:
        descriptor = os.open(root, _OPEN_FOLDER)
    except OSError as exc:
        raise _unlistable_root(root, exc) from exc
    walk = _Walk(descriptor, follow_symlinks=follow_symlinks, after=after)
    try:
        walk.push("", descriptor)
        yield from walk.pieces(at_once)
    except OSError as exc:
        raise _unlistable_root(root, exc) from exc
    finally:
        walk.close()


def _unlistable_root(root: str, error: OSError) -> PlanError:
    shown = os.fsencode(root).decode("utf-8", "backslashreplace")
    return PlanError(
        f"cannot list the folder {shown!r}: {error.strerror}",
        remedy="check the path and its permissions, then run it again",
    )


class _Walk:
    """The folders from the root to where the walk is."""

    def __init__(self, root: int, *, follow_symlinks: bool, after: str) -> None:
        self._root = root
        self._follow = follow_symlinks
        self._after = after
        self._flags = _OPEN_FOLDER | (0 if follow_symlinks else os.O_NOFOLLOW)
        self._folders: list[ListedFolder] = []

    def push(self, prefix: str, descriptor: int) -> bool:
        """Go into an open folder, whose descriptor is this walk's to close from here on; False if it is an ancestor of itself.

        OSError if it cannot be listed.
        """
        folder = ListedFolder(prefix, descriptor)
        try:
            folder.identity = _identity(descriptor)
            if any(folder.identity == ancestor.identity for ancestor in self._folders):
                folder.close()
                return False
            folder.read(self._after, follow_symlinks=self._follow)
        except BaseException:
            folder.close()
            raise
        self._folders.append(folder)
        if len(self._folders) > _MAX_OPEN_FOLDERS + 1:
            self._folders[
                -_MAX_OPEN_FOLDERS - 1
            ].close_descriptor()  # never the root: the others are found again from it
        return True

    def pieces(self, at_once: int) -> Iterator[list[LocalEntry | Refused]]:
        """Yield what ``scan_pieces`` does. OSError if the root cannot be listed."""
        found: list[LocalEntry | Refused] = []
        steps = 0
        while self._folders:
            folder = self._folders[-1]
            if folder.has_more_names:
                if found:
                    yield found
                yield []
                found, steps = self._read_all_names(folder), 0
            elif steps >= at_once:
                yield found
                found, steps = [], 0
            else:
                names = folder.take_files(at_once - steps)
                found += self._describe(folder, names) if names else self._go_on(folder)
                steps += len(names) or 1  # folders count too: a tree of empty ones would be one endless piece
        if found:
            yield found

    def _go_on(self, folder: ListedFolder) -> list[Refused]:
        """Go into the folder's next folder, or, where it has no more names, back; return what is refused."""
        if folder.descriptor is None:
            self._reopen()
        if folder.names:
            refused = self._enter(folder, folder.names.pop())
            return [] if refused is None else [refused]
        if not self._take_more(folder):
            folder.close()
            self._folders.pop()
        return []

    def _read_all_names(self, folder: ListedFolder) -> list[LocalEntry | Refused]:
        try:
            folder.read_all(self._after)
        except OSError as exc:
            if not folder.prefix:
                raise
            self._folders.pop().close()
            refused = _refuse_folder(folder.prefix, exc)
            return [] if refused is None else [refused]
        return []

    def close(self) -> None:
        for folder in self._folders:
            folder.close()

    def _take_more(self, folder: ListedFolder) -> bool:
        try:
            return folder.take_more()
        except OSError as exc:
            raise PlanError(
                f"cannot read the sorted names of {folder.prefix!r} back: {exc.strerror or exc}",
                remedy="check the disk of TMPDIR, then resume the job",
            ) from exc

    def _describe(self, folder: ListedFolder, names: Sequence[str]) -> Iterator[LocalEntry | Refused]:
        if folder.descriptor is None:
            self._reopen()
        prefix, descriptor, follow_symlinks = folder.prefix, folder.descriptor, self._follow
        for name in names:
            if name in folder.not_utf8:
                yield Refused(prefix + name, "NotUtf8", "the file's name is not UTF-8, so no key can stand for it")
            elif descriptor is None:
                yield _moved(prefix + name)
            elif entry := _describe(descriptor, name, prefix + name, follow_symlinks=follow_symlinks):
                yield entry

    def _enter(self, parent: ListedFolder, name: str) -> Refused | None:
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
