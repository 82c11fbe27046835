"""Keys to paths: nothing outside the target folder is ever opened, and what cannot be a path is refused by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.unit.local.descriptors import open_descriptors

from bucket_brigade.errors import BadKey, LocalError, TransferError
from bucket_brigade.local.folders import OpenFolder
from bucket_brigade.local.paths import TargetFolder, target_path_parts
from bucket_brigade.local.targets import write_small


@pytest.fixture
def target(tmp_path: Path) -> Iterator[TargetFolder]:
    folder = TargetFolder(str(tmp_path / "target"))
    yield folder
    folder.close()


def where(folder: OpenFolder) -> str:
    return os.readlink(f"/proc/self/fd/{folder.fd}")


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("a", ("a",)),
        ("a/b c/d+e%2F", ("a", "b c", "d+e%2F")),
        ("a/", ("a", "")),
        ("...", ("...",)),
        (".hidden/..x", (".hidden", "..x")),
        ("back\\slash", ("back\\slash",)),
        ("line\nbreak", ("line\nbreak",)),
        ("é" * 127, ("é" * 127,)),
        ("x" * 255, ("x" * 255,)),
    ],
)
def test_a_key_becomes_its_parts(key: str, parts: tuple[str, ...]) -> None:
    assert target_path_parts(key) == parts


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "empty"),
        ("/", "begins with"),
        ("/etc/passwd", "begins with"),
        ("a//b", "empty part"),
        ("a//", "empty part"),
        ("..", "'..'"),
        ("../x", "'..'"),
        ("a/../b", "'..'"),
        ("a/./b", "'.'"),
        ("./a", "'.'"),
        ("a/..", "'..'"),
        ("../", "'..'"),
        ("a\0b", "NUL"),
        ("x" * 256, "255 bytes"),
        ("é" * 128, "255 bytes"),
        ("a/" + "\U0001f600" * 64 + "/b", "255 bytes"),
        ("a/\ud800", "Unicode"),
    ],
)
def test_a_key_that_no_path_can_carry_is_refused_with_the_reason(key: str, reason: str) -> None:
    with pytest.raises(BadKey, match=reason):
        target_path_parts(key)


def test_the_backslash_is_refused_where_it_separates_folders() -> None:
    with pytest.raises(BadKey, match="separates folders"):
        target_path_parts("a\\..\\b", separators="\\")


def test_parents_are_created_beneath_the_target(tmp_path: Path, target: TargetFolder) -> None:
    folder, name = target.locate("a/b/c.txt")
    assert (where(folder), name) == (str(tmp_path / "target/a/b"), "c.txt")
    assert target.locate("a/b/d")[0] is folder
    assert where(target.locate("top")[0]) == str(tmp_path / "target")


def test_a_cached_folder_does_not_soften_the_check_of_names(target: TargetFolder) -> None:
    target.locate("a/b")
    for key in ("a/..", "a/.", "a/", "a//b", "/b", "/", "", "a/x\0", "a/" + "x" * 256):
        with pytest.raises(BadKey):
            target.locate(key)


def test_a_folder_marker_makes_its_folder(tmp_path: Path, target: TargetFolder) -> None:
    target.make_folder("a/b/")
    target.make_folder("a/b/")
    assert (tmp_path / "target/a/b").is_dir()
    with pytest.raises(BadKey):
        target.make_folder("a/b")


def test_a_link_in_the_target_leads_nowhere(tmp_path: Path, target: TargetFolder) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "target/link").symlink_to(tmp_path / "outside")
    (tmp_path / "target/dangling").symlink_to(tmp_path / "outside/new")
    for key in ("link/file", "link/sub/file", "dangling/file"):
        with pytest.raises(BadKey, match="would leave the target folder"):
            target.locate(key)
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_folder_swapped_for_a_link_between_calls_leads_nowhere(tmp_path: Path, target: TargetFolder) -> None:
    (tmp_path / "outside").mkdir()
    target.locate("a/b/first")
    (tmp_path / "target/a").rename(tmp_path / "target/moved")
    (tmp_path / "target/a").symlink_to(tmp_path / "outside")
    write_small(target, "a/b/second", b"bytes", tag="00000000")
    with pytest.raises(BadKey, match="symbolic link"):
        TargetFolder(str(tmp_path / "target")).locate("a/b/third")
    assert list((tmp_path / "outside").iterdir()) == []
    assert (tmp_path / "target/moved/b/second").read_bytes() == b"bytes"


def test_a_file_where_a_folder_is_needed_is_named(tmp_path: Path, target: TargetFolder) -> None:
    (tmp_path / "target/a").write_text("file")
    with pytest.raises(BadKey, match="'a' is a file"):
        target.locate("a/b/c")
    assert (tmp_path / "target/a").read_text() == "file"


def test_open_folders_are_bounded_and_closed(tmp_path: Path) -> None:
    before = open_descriptors()
    target = TargetFolder(str(tmp_path / "target"), max_open_folders=8)
    held = target.locate("kept/file")[0]
    for number in range(100):
        target.locate(f"folder{number}/sub/file")
    assert open_descriptors() <= before + 1 + 8 + 1
    assert where(held) == str(tmp_path / "target/kept"), "a folder in use stays open though the cache has forgotten it"
    del held
    target.close()
    del target
    assert open_descriptors() == before


def test_a_tree_two_hundred_deep(tmp_path: Path, target: TargetFolder) -> None:
    key = "/".join(["deep"] * 200) + "/file"
    write_small(target, key, b"bytes", tag="00000000")
    assert (tmp_path / "target" / key).read_bytes() == b"bytes"


def test_a_target_that_cannot_be_made_is_a_local_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in ("file", "file/below"):
        with pytest.raises(LocalError) as caught:
            TargetFolder(str(tmp_path / path))
        assert caught.value.code in {"ENOTDIR", "EEXIST"}


def test_the_probe_leaves_nothing_behind(tmp_path: Path, target: TargetFolder) -> None:
    assert not target.claims.folding, "the tests run on file systems that tell all names apart"
    assert list((tmp_path / "target").iterdir()) == []


PARTS = st.sampled_from(["..", ".", "", "a", "link", "up", "file", "\\..\\", "a\0", "..a", "é", "x" * 256, "//"])
KEYS = st.one_of(
    st.lists(PARTS, max_size=6).map("/".join),
    st.text(max_size=20),
    st.text(alphabet="./\\a\0", max_size=12),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=KEYS)
@example("link/../../x")
@example("up/x")
@example("a/b")
def test_no_key_opens_anything_outside(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    base = tmp_path_factory.mktemp("fuzz")
    (base / "outside").mkdir()
    root = base / "target"
    target = TargetFolder(str(root))
    (root / "link").symlink_to(base / "outside")
    (root / "up").symlink_to("..")
    (root / "file").touch()
    with pytest.MonkeyPatch.context() as patch:
        opened = record_opens(patch)
        for again in (b"0", b"1"):  # the second time out of the cache
            try:
                write_small(target, key, again, tag="00000000")
            except TransferError:
                continue
            assert opened, "the watch sees what is opened"
            assert (root / key).read_bytes() == again
    assert [path for path in opened if not path.startswith(f"{root}/")] == []
    assert sorted(entry.name for entry in base.iterdir()) == ["outside", "target"]
    assert list((base / "outside").iterdir()) == []


def record_opens(patch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by the real path of everything that is opened."""
    opened: list[str] = []
    really_open = os.open

    def watched_open(path: bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        fd = really_open(path, flags, mode, dir_fd=dir_fd)
        opened.append(os.readlink(f"/proc/self/fd/{fd}"))
        return fd

    patch.setattr(os, "open", watched_open)
    return opened
