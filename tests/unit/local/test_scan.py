"""The walk: S3's key order, going on after any entry, and every refusal by name."""

from __future__ import annotations

import os
import resource
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.local.descriptors import open_descriptors

from bucket_brigade.errors import PlanError
from bucket_brigade.local import folder_names, runs, scan
from bucket_brigade.local.scan import LocalEntry, scan_pieces, scan_tree
from bucket_brigade.model.transfer import Refused


def write(root: Path, *paths: str) -> None:
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path)


def names(root: Path, *, after: str = "", follow_symlinks: bool = False) -> list[str]:
    entries = scan_tree(str(root), after=after, follow_symlinks=follow_symlinks)
    return [entry.path if isinstance(entry, LocalEntry) else entry.source for entry in entries]


def refusals(root: Path, *, follow_symlinks: bool = False) -> list[tuple[str, str, bool]]:
    entries = scan_tree(str(root), follow_symlinks=follow_symlinks)
    return [(entry.source, entry.code, entry.failed) for entry in entries if isinstance(entry, Refused)]


def test_the_order_is_that_of_a_listing(tmp_path: Path) -> None:
    write(tmp_path, "a/b", "a.txt", "a-b", "a0", "Z", "é", "a/b.c/d", "\U0001f600", "\uffee", "a/b!", "b")
    found = names(tmp_path)
    assert found == sorted(found, key=lambda path: path.encode())
    assert found[:4] == ["Z", "a-b", "a.txt", "a/b"]
    assert len(found) == 11


def test_an_entry_tells_what_the_file_is(tmp_path: Path) -> None:
    write(tmp_path, "folder/file")
    status = (tmp_path / "folder/file").stat()
    assert list(scan_tree(str(tmp_path))) == [
        LocalEntry("folder/file", status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)
    ]


def test_empty_folders_yield_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty/within").mkdir(parents=True)
    assert names(tmp_path) == []


def test_the_root_may_be_a_link(tmp_path: Path) -> None:
    write(tmp_path, "real/file")
    (tmp_path / "link").symlink_to("real")
    assert names(tmp_path / "link") == ["file"]


@pytest.mark.parametrize("missing", ["missing", "file"])
def test_a_root_that_is_no_folder_is_a_plan_error(tmp_path: Path, missing: str) -> None:
    write(tmp_path, "file")
    with pytest.raises(PlanError, match=missing):
        names(tmp_path / missing)


AWKWARD = [
    "a",
    "a.txt",
    "a-",
    "b/c",
    "b/c.d/e",
    "b/c0",
    "b.c/d",
    "c/d/e/f",
    "c/d/e.f",
    "c0/x",
    "link",
    "pipe",
    "z/\xe4",
    "\uffee/x",
]


def test_the_walk_goes_on_after_any_entry(tmp_path: Path) -> None:
    write(tmp_path, *[path for path in AWKWARD if path not in {"a", "link", "pipe"}])
    write(tmp_path, "a")
    (tmp_path / "link").symlink_to("a")
    os.mkfifo(tmp_path / "pipe")
    everything = names(tmp_path)
    assert len(everything) == len(AWKWARD)
    for index, path in enumerate(everything):
        assert names(tmp_path, after=path) == everything[index + 1 :]


def test_a_folder_sorted_on_disk_is_walked_in_the_same_order_and_resumed_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, *AWKWARD, *(f"b/{number}" for number in range(40)))
    os.mkdir(os.fsencode(tmp_path) + b"/b/dir\xff")
    in_memory = names(tmp_path)
    monkeypatch.setattr(folder_names, "MAX_NAMES_IN_MEMORY", 3)
    monkeypatch.setattr(folder_names, "NAMES_AT_ONCE", 2)
    before = open_descriptors()
    everything = names(tmp_path)
    assert everything == in_memory == sorted(everything)
    assert len(everything) == len(AWKWARD) + 41
    for index, path in enumerate(everything):
        assert names(tmp_path, after=path) == everything[index + 1 :]
    assert open_descriptors() == before


def test_a_piece_has_so_many_files_and_folders_and_an_empty_one_comes_before_many_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_names, "NAMES_AT_ONCE", 4)
    write(tmp_path, "a/1", "a/2", "b/1", "b/2", "b/3", "b/4", "c")
    (tmp_path / "empty/below/below").mkdir(parents=True)
    pieces = [[getattr(entry, "path", "") for entry in piece] for piece in scan_pieces(str(tmp_path), at_once=3)]
    assert pieces == [[], ["a/1", "a/2"], [], ["b/1", "b/2", "b/3"], ["b/4", "c"], [], []]


def test_a_disk_too_full_to_sort_on_is_a_plan_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a", "b", "c")
    monkeypatch.setattr(folder_names, "MAX_NAMES_IN_MEMORY", 1)
    monkeypatch.setattr(runs, "_nameless_file", lambda: os.open("/dev/full", os.O_RDWR))
    with pytest.raises(PlanError, match="No space left"):
        names(tmp_path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    paths=st.lists(st.lists(st.sampled_from(["a", "a.", "a-", "a0", "b", "é"]), min_size=1, max_size=4), max_size=12),
    after=st.lists(st.sampled_from(["a", "a.", "a-", "a0", "b", "é"]), max_size=4),
)
def test_after_any_path_come_exactly_the_greater_keys(
    tmp_path_factory: pytest.TempPathFactory, paths: list[list[str]], after: list[str]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for path in paths:
        write(root, "/".join([*path, "file"]))
    everything = sorted({"/".join([*path, "file"]) for path in paths}, key=str.encode)
    cursor = "/".join(after)
    assert names(root, after=cursor) == [path for path in everything if path.encode() > cursor.encode()]


def test_folders_before_the_cursor_are_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a/x", "b/x", "b/y", "c/x")
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(scan.os, "scandir", lambda fd: listed.append(os.readlink(f"/proc/self/fd/{fd}")) or scandir(fd))
    assert names(tmp_path, after="b/x") == ["b/y", "c/x"]
    assert [os.path.relpath(path, tmp_path) for path in listed] == [".", "b", "c"]


def test_a_folder_that_was_refused_is_not_tried_again_behind_the_cursor(tmp_path: Path) -> None:
    write(tmp_path, "a/x", "b/x")
    assert names(tmp_path, after="a/") == ["b/x"]


def test_what_is_no_file_is_skipped_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    write(tmp_path, "file")
    (tmp_path / "link").symlink_to("file")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert refusals(tmp_path) == [
            ("fifo", "SpecialFile", False),
            ("link", "Symlink", False),
            ("socket", "SpecialFile", False),
        ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make device files")
def test_a_device_is_skipped(tmp_path: Path) -> None:
    os.mknod(tmp_path / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    assert refusals(tmp_path) == [("null", "SpecialFile", False)]


def test_links_are_followed_on_request(tmp_path: Path) -> None:
    write(tmp_path, "outside/deep/file", "tree/real")
    (tmp_path / "tree/folder").symlink_to("../outside")
    (tmp_path / "tree/file").symlink_to("real")
    assert names(tmp_path / "tree", follow_symlinks=True) == ["file", "folder/deep/file", "real"]
    assert names(tmp_path / "tree", after="folder/deep/file", follow_symlinks=True) == ["real"]


def test_loops_and_broken_links_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "a/b/file")
    (tmp_path / "a/b/up").symlink_to("..")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "self").symlink_to("self")
    assert refusals(tmp_path, follow_symlinks=True) == [
        ("a/b/up/", "SymlinkLoop", False),
        ("broken", "BrokenLink", True),
        ("self", "SymlinkLoop", False),
    ]


def test_names_that_are_not_utf8_fail_with_distinct_names(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path)
    os.mkdir(root + b"/dir\xff")
    for name in (b"/dir\xff/inside", b"/caf\xe9", b"/caf\\xe9", b"/good"):
        os.close(os.open(root + name, os.O_CREAT))
    found = list(scan_tree(str(tmp_path)))
    assert [entry.path for entry in found if isinstance(entry, LocalEntry)] == ["caf\\xe9", "good"]
    assert [(entry.source, entry.code, entry.failed) for entry in found if isinstance(entry, Refused)] == [
        ("caf\\xe9?", "NotUtf8", True),
        ("dir\\xff/", "NotUtf8", True),
    ]
    everything = names(tmp_path)
    for index, path in enumerate(everything):
        assert names(tmp_path, after=path) == everything[index + 1 :]


def test_a_key_that_is_too_long_fails(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(4):
        folder = folder / ("d" * 249)
    folder.mkdir(parents=True)
    (folder / ("x" * 24)).touch()
    (folder / ("y" * 25)).touch()
    (folder / ("é" * 12)).touch()
    (folder / ("ä" * 13)).touch()
    (folder / ("z" * 24)).mkdir()
    (folder / ("z" * 25)).mkdir()
    (folder / ("z" * 24) / "file").touch()
    entries = list(scan_tree(str(tmp_path)))
    assert [len(entry.path.encode()) for entry in entries if isinstance(entry, LocalEntry)] == [1024, 1024]
    assert [(len(entry.source.encode()), entry.code) for entry in entries if isinstance(entry, Refused)] == [
        (1025, "KeyTooLong"),
        (1029, "KeyTooLong"),
        (1026, "KeyTooLong"),
    ]


UNPRIVILEGED_SCAN = """
import os, sys
from bucket_brigade.local.scan import scan_tree
os.chdir(sys.argv[1])  # the folders above need not be open to nobody
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
for entry in scan_tree("."):
    print(type(entry).__name__, getattr(entry, "path", None) or (entry.source, entry.code, entry.failed))
"""


def test_an_unreadable_folder_fails_and_the_walk_goes_on(tmp_path: Path) -> None:
    write(tmp_path, "a/file", "locked/file", "z")
    tmp_path.chmod(0o755)
    (tmp_path / "locked").chmod(0o700 if os.geteuid() == 0 else 0)
    try:
        # root may read everything: the walk runs as nobody then
        walk = subprocess.run([sys.executable, "-c", UNPRIVILEGED_SCAN, str(tmp_path)], capture_output=True, text=True)
    finally:
        (tmp_path / "locked").chmod(0o700)
    assert walk.stdout.splitlines() == [
        "LocalEntry a/file",
        "Refused ('locked/', 'EACCES', True)",
        "LocalEntry z",
    ], walk.stderr


def test_a_folder_swapped_for_a_link_is_not_entered(tmp_path: Path) -> None:
    write(tmp_path, "outside/secret", "tree/a/file", "tree/b/file")
    walk = scan_tree(str(tmp_path / "tree"))
    assert next(walk).path == "a/file"
    (tmp_path / "tree/b").rename(tmp_path / "tree/c")
    (tmp_path / "tree/b").symlink_to(tmp_path / "outside")
    assert [(entry.source, entry.code) for entry in walk if isinstance(entry, Refused)] == [("b/", "SourceChanged")]


def test_what_vanishes_during_the_walk_is_not_an_error(tmp_path: Path) -> None:
    write(tmp_path, "a", "b", "c/d")
    walk = scan_tree(str(tmp_path))
    assert next(walk).path == "a"
    (tmp_path / "b").unlink()
    (tmp_path / "c/d").unlink()
    (tmp_path / "c").rmdir()
    assert list(walk) == []


def test_a_deep_tree_needs_few_descriptors_and_leaves_none(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(500):
        for name in ("a", "z"):
            os.close(os.open(name, os.O_CREAT, dir_fd=folder))
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    before = open_descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + 40, hard))
    try:
        found = names(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found == sorted(found)
    assert len(found) == 1000
    assert open_descriptors() == before


def test_what_is_left_of_a_folder_that_was_moved_is_refused_by_name(tmp_path: Path) -> None:
    deep = "/".join(["d"] * (scan._MAX_OPEN_FOLDERS + 3))
    write(tmp_path, f"{deep}/file", "d/e", "d/f/g")
    walk = scan_tree(str(tmp_path))
    assert next(walk).path == f"{deep}/file"
    (tmp_path / "d").rename(tmp_path / "elsewhere")
    write(tmp_path, "d/e")
    assert [(entry.source, entry.code) for entry in walk if isinstance(entry, Refused)] == [
        ("d/e", "SourceChanged"),
        ("d/f/", "SourceChanged"),
    ]


def test_a_walk_given_up_closes_its_folders(tmp_path: Path) -> None:
    write(tmp_path, "a/b/c/d", "a/b/c/e")
    before = open_descriptors()
    walk = scan_tree(str(tmp_path))
    next(walk)
    assert open_descriptors() > before
    walk.close()
    assert open_descriptors() == before


def test_a_hundred_thousand_files_in_one_folder(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for number in range(100_000):
        os.close(os.open(f"{number:06}", os.O_CREAT, dir_fd=folder))
    os.close(folder)
    walk = scan_tree(str(tmp_path))
    assert [entry.path for entry in walk if isinstance(entry, LocalEntry)] == [f"{n:06}" for n in range(100_000)]
    assert names(tmp_path, after="099997") == ["099998", "099999"]
