"""From keys to paths below a target folder, so that no key, and no link, leads outside it.

A key is refused, by name and with the reason, when no file can carry its name; nothing is renamed silently.
"""

from __future__ import annotations

import os
import stat

from bucket_brigade.errors import BadKey
from bucket_brigade.local.collisions import NameClaims, probe_name_folding
from bucket_brigade.local.folders import FolderCache, OpenFolder
from bucket_brigade.local.oserrors import translate

MAX_NAME_BYTES = 255
"""The longest file name of all common file systems, in bytes."""

FOREIGN_SEPARATORS = "".join(mark for mark in (os.sep, os.altsep) if mark and mark != "/")
"""What this system, besides ``/``, takes for the end of a folder's name: nothing on POSIX, the backslash on Windows."""

_OPEN_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_CHILD = _OPEN_ROOT | os.O_NOFOLLOW


def target_path_parts(key: str, *, separators: str = FOREIGN_SEPARATORS) -> tuple[str, ...]:
    """Return the names of the folders, and of the file, that ``key`` stands for.

    A key that ends in ``/`` is a folder marker: its last part is the empty string.

    Raises:
        BadKey: it is empty, absolute, has an empty part, ``.`` or ``..``, a NUL, a part over ``MAX_NAME_BYTES`` bytes, or one of
            ``separators``.
    """
    if not key:
        raise BadKey("the key is empty, so it names no file")
    if key[0] == "/":
        raise BadKey(f"{key!r} begins with '/', and would leave the target folder")
    parts = tuple(key.split("/"))
    for part in parts if parts[-1] else parts[:-1]:
        reason = component_fault(part, separators)
        if reason:
            raise BadKey(f"{key!r} cannot be a path below the target folder: {reason}")
    return parts


def component_fault(part: str, separators: str = FOREIGN_SEPARATORS) -> str:
    """Return why ``part`` cannot be the name of a file or folder; empty if it can."""
    if not part:
        return "it has an empty part ('//')"
    if part in {".", ".."}:
        return f"it has the part {part!r}"
    if "\0" in part:
        return "it has a NUL character"
    try:
        too_long = len(part) > MAX_NAME_BYTES // 4 and len(part.encode()) > MAX_NAME_BYTES
        if not too_long and not part.isascii():
            part.encode()
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    if too_long:
        return f"it has a part of more than {MAX_NAME_BYTES} bytes"
    if separators and any(mark in part for mark in separators):
        return "it has a character that separates folders on this system"
    return ""


class TargetFolder:
    """The folder that downloads are written into. Thread-safe.

    Parents are created beneath its descriptor one by one and never through a symbolic link, so nothing is written outside,
    whatever the keys are and whatever happens to the tree meanwhile. At most ``max_open_folders`` of them are kept open.
    """

    def __init__(self, path: str, *, max_open_folders: int = 64, replaces: bool = True) -> None:
        """Open ``path``, creating it with its parents, and find out which names the file system takes for the same.

        ``replaces`` False keeps every file that is there: writing it is a LocalError of code ``EEXIST``.

        Raises:
            LocalError: it cannot be created or written. DiskFull.
        """
        try:
            os.makedirs(path, exist_ok=True)
            self._root = OpenFolder(os.open(path, _OPEN_ROOT))
            folding = probe_name_folding(self._root.fd)
            with os.scandir(self._root.fd) as entries:
                self._root.fresh = next(entries, None) is None
            self._filesystems = {os.fstat(self._root.fd).st_dev: self._root}
        except OSError as exc:
            raise translate(exc, f"write into the folder {path!r}") from exc
        self.replaces = replaces
        self.claims = NameClaims(folding)
        self._folders = FolderCache(self._root, capacity=max_open_folders)

    def locate(self, key: str) -> tuple[OpenFolder, str]:
        """Return the open folder that the file ``key`` belongs in, created if need be, and its name there.

        Raises:
            BadKey: no file can have this name here; a parent is a file, or a symbolic link.
            LocalError: the operating system refuses to create a parent. DiskFull.
        """
        parent, separator, name = key.rpartition("/")
        folder = self._folders.get(parent) if parent or not separator else None
        if folder is None or component_fault(name):
            parts = target_path_parts(key)
            name = parts[-1]
            if not name:
                raise BadKey(f"{key!r} is a folder marker, not a file")
            folder = self._folders.open(parts[:-1], self._open_child)
        return folder, name

    def make_folder(self, key: str) -> None:
        """Create the folder that the marker ``key`` (which ends in ``/``) stands for. One that exists is not an error."""
        parts = target_path_parts(key)
        if parts[-1]:
            raise BadKey(f"{key!r} is a file, not a folder marker")
        self._folders.open(parts[:-1], self._open_child)

    def filesystems(self) -> list[OpenFolder]:
        """Return one open folder of each file system that was written to: what ``sync_filesystem`` has to be called on."""
        return list(self._filesystems.values())

    def close(self) -> None:
        """Forget the open folders. Their descriptors are closed when the files in progress are done with them."""
        self._folders.clear()
        self._filesystems.clear()

    def _open_child(self, parent: OpenFolder, name: str, path: str) -> OpenFolder:
        try:
            created = _make_child(parent, name)
            folder = OpenFolder(os.open(name.encode(), _OPEN_CHILD, dir_fd=parent.fd), fresh=created)
            self._filesystems.setdefault(os.fstat(folder.fd).st_dev, folder)
        except OSError as exc:
            _refuse_obstacle(parent, name, path)
            raise translate(exc, f"open or create the folder {path!r}") from exc
        if not created:
            self.claims.check_spelling(parent.fd, name)
        return folder


def _make_child(parent: OpenFolder, name: str) -> bool:
    """Create the folder; return False if there is something of that name."""
    try:
        os.mkdir(name.encode(), 0o777, dir_fd=parent.fd)
    except FileExistsError:
        return False
    return True


def _refuse_obstacle(parent: OpenFolder, name: str, path: str) -> None:
    """Raise BadKey if what stands where a folder should be is none."""
    try:
        mode = os.stat(name.encode(), dir_fd=parent.fd, follow_symlinks=False).st_mode
    except OSError:
        return
    if stat.S_ISLNK(mode):
        raise BadKey(
            f"{path!r} is a symbolic link in the target folder: what lies below it would leave the target folder"
        )
    if not stat.S_ISDIR(mode):
        raise BadKey(
            f"{path!r} is a file, so nothing can lie below it", remedy="remove the file, or exclude these keys"
        )
