"""Source files: the planned file or none, whatever happens to its path."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bucket_brigade.errors import BadKey, LocalError, NotFound, SourceChanged
from bucket_brigade.local.sources import SourceFile, SourceFolder, read_as_planned, remove_source_file


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/b/file").write_bytes(b"content")
    (tmp_path / "outside/b").mkdir(parents=True)
    (tmp_path / "outside/b/file").write_bytes(b"private")
    return tree


@pytest.fixture
def folder(tree: Path) -> Iterator[SourceFolder]:
    with SourceFolder(str(tree)) as folder:
        yield folder


class WantedFile(NamedTuple):
    path: str
    size: int
    modified_ns: int
    inode: int = 0


def read_small(folder: SourceFolder, wanted: WantedFile) -> bytes | None:
    return read_as_planned(folder, wanted.path, size=wanted.size, modified_ns=wanted.modified_ns)


def planned(tree: Path, path: str) -> WantedFile:
    status = (tree / path).stat()
    return WantedFile(path, status.st_size, status.st_mtime_ns, status.st_ino)


def test_a_file_is_read_whole_and_by_parts(folder: SourceFolder) -> None:
    with SourceFile.open(folder, "a/b/file") as file:
        assert (file.size, file.read_whole()) == (7, b"content")
        buffer = bytearray(4)
        assert file.read_at(3, memoryview(buffer)) == 4
        assert bytes(buffer) == b"tent"
        assert file.read_at(5, memoryview(buffer)) == 2
        assert file.read_at(7, memoryview(buffer)) == 0
        file.check_unchanged()


@pytest.mark.parametrize("content", [b"", b"x", os.urandom(100_000)])
def test_read_small_gives_the_content(tree: Path, folder: SourceFolder, content: bytes) -> None:
    (tree / "file").write_bytes(content)
    wanted = planned(tree, "file")
    assert read_small(folder, wanted) == content
    assert read_small(folder, WantedFile("file", -1, 0)) is None, "nothing was planned"


@pytest.mark.parametrize("change", ["size", "mtime", "inode"])
def test_another_file_than_planned_is_refused(tree: Path, folder: SourceFolder, change: str) -> None:
    wanted = planned(tree, "a/b/file")
    file = tree / "a/b/file"
    if change == "size":
        file.write_bytes(b"content+")
        os.utime(file, ns=(wanted.modified_ns, wanted.modified_ns))
    elif change == "mtime":
        os.utime(file, ns=(0, wanted.modified_ns + 1))
    else:
        (tree / "new").write_bytes(b"CONTENT")
        os.utime(tree / "new", ns=(wanted.modified_ns, wanted.modified_ns))
        (tree / "new").rename(file)
    with pytest.raises(SourceChanged):
        SourceFile.open(folder, wanted.path, size=wanted.size, modified_ns=wanted.modified_ns, inode=wanted.inode)
    if change != "inode":  # what has the planned size and time is taken for the planned file
        assert read_small(folder, wanted) is None


def test_a_file_that_changes_while_it_is_read_is_found_out(tree: Path, folder: SourceFolder) -> None:
    path = tree / "a/b/file"
    with SourceFile.open(folder, "a/b/file") as file:
        os.utime(path, ns=(0, file.modified_ns + 1))
        with pytest.raises(SourceChanged):
            file.check_unchanged()
    for content in (b"shorter"[:-1], b"longer than before"):
        path.write_bytes(b"content")
        with SourceFile.open(folder, "a/b/file") as file:
            path.write_bytes(content)
            with pytest.raises(SourceChanged):
                file.read_whole()


def test_a_file_that_was_replaced_is_found_out_by_its_path(tree: Path, folder: SourceFolder) -> None:
    with SourceFile.open(folder, "a/b/file") as file:
        file.check_still_in_place(folder)
        (tree / "a/b/file").rename(tree / "a/b/old")
        with pytest.raises(NotFound):
            file.check_still_in_place(folder)
        (tree / "a/b/file").write_bytes(b"content")
        with pytest.raises(SourceChanged):
            file.check_still_in_place(folder)


@pytest.mark.parametrize("path", ["a/b/gone", "a/gone/file", "gone"])
def test_what_has_vanished_is_not_found(folder: SourceFolder, path: str) -> None:
    with pytest.raises(NotFound) as caught:
        SourceFile.open(folder, path)
    assert caught.value.code == "ENOENT"


def test_a_file_swapped_for_a_link_is_refused(tree: Path, folder: SourceFolder) -> None:
    wanted = planned(tree, "a/b/file")
    (tree / "a/b/file").unlink()
    (tree / "a/b/file").symlink_to(tree.parent / "outside/b/file")
    with pytest.raises(SourceChanged, match="link"):
        SourceFile.open(folder, "a/b/file")
    assert read_small(folder, wanted) is None


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("component", ["a", "a/b"])
def test_a_folder_swapped_for_a_link_leads_nowhere(
    tree: Path, folder: SourceFolder, component: str, *, warm: bool
) -> None:
    if warm:
        SourceFile.open(folder, "a/b/file").close()
    (tree / component).rename(tree / "moved")
    (tree / component).symlink_to(tree.parent / "outside" / component.removeprefix("a").removeprefix("/"))
    assert (tree / "a/b/file").read_bytes() == b"private", "the link leads outside"
    if warm:
        with SourceFile.open(folder, "a/b/file") as file:
            assert file.read_whole() == b"content", "the folder that was planned, under its new name"
    with SourceFolder(str(tree)) as cold, pytest.raises(SourceChanged):
        SourceFile.open(cold, "a/b/file")


@pytest.mark.timeout(10)
def test_special_files_are_refused_without_blocking(tree: Path, folder: SourceFolder) -> None:
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "socket"))
        for name in ("fifo", "socket", "a"):
            assert read_small(folder, WantedFile(name, 0, 1)) is None
            with pytest.raises(SourceChanged):
                SourceFile.open(folder, name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make device files")
def test_a_device_is_refused(tree: Path, folder: SourceFolder) -> None:
    os.mknod(tree / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    status = (tree / "null").stat()
    assert read_small(folder, WantedFile("null", 0, status.st_mtime_ns)) is None
    with pytest.raises(SourceChanged):
        SourceFile.open(folder, "null")


@pytest.mark.parametrize("path", ["../outside/b/file", "/etc/passwd", "a/../../outside/b/file", "a//b/file", ""])
@pytest.mark.parametrize("follow", [True, False])
def test_a_path_of_a_manifest_cannot_leave_the_folder(tree: Path, path: str, *, follow: bool) -> None:
    with SourceFolder(str(tree), follow_symlinks=follow) as folder, pytest.raises(BadKey):
        SourceFile.open(folder, path)


def test_links_are_followed_on_request(tree: Path) -> None:
    (tree / "link").symlink_to(tree.parent / "outside")
    with SourceFolder(str(tree), follow_symlinks=True) as folder, SourceFile.open(folder, "link/b/file") as file:
        assert file.read_whole() == b"private"


UNPRIVILEGED_READ = """
import os, sys
from bucket_brigade.errors import LocalError
from bucket_brigade.local.sources import SourceFile, SourceFolder
folder = SourceFolder(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    SourceFile.open(folder, "locked")
except LocalError as error:
    print(error.code, error)
"""


def test_an_unreadable_file_is_a_local_error(tree: Path) -> None:
    (tree / "locked").touch()
    (tree / "locked").chmod(0o600 if os.geteuid() == 0 else 0)
    # root may read everything: the attempt is made as nobody then
    attempt = subprocess.run([sys.executable, "-c", UNPRIVILEGED_READ, str(tree)], capture_output=True, text=True)
    assert attempt.stdout == "EACCES cannot open 'locked': Permission denied.\n", attempt.stderr


def test_a_missing_source_folder_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        SourceFolder(str(tmp_path / "missing"))


def test_an_error_while_reading_names_the_file(folder: SourceFolder) -> None:
    file = SourceFile.open(folder, "a/b/file")
    file.close()
    file.close()
    with pytest.raises(LocalError, match="'a/b/file'") as caught:
        file.read_at(0, memoryview(bytearray(1)))
    assert caught.value.code == "EBADF"


def test_a_moved_file_is_removed_if_it_is_still_the_same(tree: Path, folder: SourceFolder) -> None:
    wanted = planned(tree, "a/b/file")
    os.utime(tree / "a/b/file", ns=(0, wanted.modified_ns + 1))
    with pytest.raises(SourceChanged):
        remove_source_file(folder, wanted.path, size=wanted.size, modified_ns=wanted.modified_ns)
    os.utime(tree / "a/b/file", ns=(0, wanted.modified_ns))
    with pytest.raises(SourceChanged):
        remove_source_file(folder, wanted.path, size=7, modified_ns=wanted.modified_ns, inode=wanted.inode + 1)
    assert (tree / "a/b/file").exists()
    remove_source_file(folder, wanted.path, size=7, modified_ns=wanted.modified_ns, inode=wanted.inode)
    assert not (tree / "a/b/file").exists()
    with pytest.raises(NotFound):
        remove_source_file(folder, wanted.path, size=7, modified_ns=wanted.modified_ns)


def test_removing_a_followed_link_keeps_what_it_points_to(tree: Path) -> None:
    (tree / "link").symlink_to("a/b/file")
    wanted = planned(tree, "a/b/file")
    with SourceFolder(str(tree), follow_symlinks=True) as folder:
        remove_source_file(folder, "link", size=7, modified_ns=wanted.modified_ns)
    assert not (tree / "link").is_symlink()
    assert (tree / "a/b/file").read_bytes() == b"content"
