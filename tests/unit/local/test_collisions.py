"""Two keys that would become one file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucket_brigade.errors import BadKey
from bucket_brigade.local.collisions import CollisionDetector, NameClaims, NameFolding


def refused(keys: list[str]) -> list[str]:
    detector = CollisionDetector()
    result = []
    for key in keys:
        try:
            detector.check(key)
        except BadKey:
            result.append(key)
    return result


def test_a_file_and_a_folder_of_the_same_name_exclude_each_other() -> None:
    keys = sorted(["a", "a-b", "a.txt", "a/b", "a/c/d", "ab", "b/", "b/c", "c/d", "c/d/e"])
    assert refused(keys) == ["a/b", "a/c/d", "c/d/e"]


@given(keys=st.sets(st.text(alphabet="ab/.-", min_size=1, max_size=6)))
def test_it_finds_exactly_the_keys_below_an_earlier_file(keys: set[str]) -> None:
    ordered = sorted(keys, key=str.encode)
    files = {key for key in keys if not key.endswith("/")}
    below_a_file = [key for key in ordered if any(key.startswith(file + "/") for file in files)]
    assert refused(ordered) == below_a_file


def test_its_memory_does_not_grow_with_the_keys() -> None:
    detector = CollisionDetector()
    for number in range(10_000):
        detector.check(f"folder/{number:08}")
    assert len(detector._beginnings) == 1


@pytest.fixture
def folder_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


FOLDS = NameFolding(case=True)


def names_as_first_written(fd: int) -> list[str]:
    """What a folding file system lists after ``Foo`` was created, whoever asks for ``foo``."""
    return ["Foo" if name == "foo" else name for name in os.listdir(fd)]


def test_a_free_name_is_claimed(folder_fd: int, tmp_path: Path) -> None:
    NameClaims(FOLDS).claim(folder_fd, "foo")
    assert (tmp_path / "foo").read_bytes() == b""


def test_a_name_that_exists_as_spelled_is_ours(folder_fd: int, tmp_path: Path) -> None:
    (tmp_path / "foo").write_text("old")
    claims = NameClaims(FOLDS)
    claims.claim(folder_fd, "foo")
    claims.claim(folder_fd, "foo")
    assert (tmp_path / "foo").read_text() == "old"


def test_a_name_that_exists_under_another_spelling_is_refused(folder_fd: int, tmp_path: Path) -> None:
    (tmp_path / "foo").write_text("another's")
    with pytest.raises(BadKey, match="differs only in case"):
        NameClaims(FOLDS, names_in=names_as_first_written).claim(folder_fd, "foo")
    assert (tmp_path / "foo").read_text() == "another's"


def test_a_folder_is_listed_once_for_many_names(folder_fd: int, tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}").touch()
    listings = []
    claims = NameClaims(FOLDS, names_in=lambda fd: listings.append(fd) or os.listdir(fd))
    for number in range(10):
        claims.claim(folder_fd, f"{number}")
    assert len(listings) == 1


def test_nothing_is_claimed_where_all_names_differ(folder_fd: int, tmp_path: Path) -> None:
    NameClaims(NameFolding()).claim(folder_fd, "foo")
    assert list(tmp_path.iterdir()) == []
