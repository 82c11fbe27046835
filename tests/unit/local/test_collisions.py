"""Two keys that would become one file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bucket_brigade.errors import BadKey
from bucket_brigade.local.collisions import NameClaims, NameFolding


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
