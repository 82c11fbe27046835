"""Names in order, in bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.local.descriptors import open_descriptors

from bucket_brigade.local import runs
from bucket_brigade.local.runs import SortedNames

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8)


def taken(names: SortedNames, count: int = 7) -> Iterator[str]:
    while piece := names.take(count):
        yield from piece


@given(names=st.sets(NAMES, max_size=60), in_memory=st.integers(1, 70))
def test_all_names_come_once_and_in_order(names: set[str], in_memory: int) -> None:
    found = SortedNames(names, in_memory=in_memory)
    assert list(taken(found)) == sorted(names)
    found.close()


def test_runs_longer_than_a_block_are_read_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "BLOCK_BYTES", 5)
    names = [f"{(number * 37) % 100:0{1 + number % 20}}é" for number in range(100)]
    found = SortedNames(names, in_memory=30)
    assert list(taken(found)) == sorted(names)
    found.close()


def test_few_names_need_no_file_and_many_leave_none() -> None:
    before = open_descriptors()
    few = SortedNames(map(str, range(10)), in_memory=10)
    assert open_descriptors() == before
    many = SortedNames(map(str, range(11)), in_memory=10)
    assert open_descriptors() == before + 1
    assert many.take(1) == ["0"]
    for names in (few, many, many):
        names.close()
        assert names.take(1) == []
    assert open_descriptors() == before


def test_an_error_while_reading_the_names_leaves_no_file() -> None:
    def failing() -> Iterator[str]:
        yield from map(str, range(30))
        raise OSError("the folder cannot be read any more")

    before = open_descriptors()
    with pytest.raises(OSError, match="any more"):
        SortedNames(failing(), in_memory=10)
    assert open_descriptors() == before


def test_a_file_that_was_cut_is_an_error_and_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "BLOCK_BYTES", 5)
    names = SortedNames(map(str, range(1000)), in_memory=100)
    assert names.take(1)
    os.ftruncate(names._descriptor, 50)
    with pytest.raises(OSError, match="shorter"):
        list(taken(names))
    names.close()


SORT = """
import sys
from bucket_brigade.local.runs import SortedNames
def peak_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
count, before = int(sys.argv[1]), peak_mb()
names = SortedNames((f"{number * 7919 % count:08}.some-picture.jpg" for number in range(count)), in_memory=100_000)
found = 0
while piece := names.take(1000):
    assert piece[0].startswith(f"{found:08}")
    found += len(piece)
print(found, peak_mb() - before)
"""


@pytest.mark.parametrize("count", [1_000_000, pytest.param(10_000_000, marks=pytest.mark.slow)])
def test_a_folder_of_millions_needs_some_megabytes(count: int) -> None:
    done = subprocess.run([sys.executable, "-c", SORT, str(count)], capture_output=True, text=True, check=True)
    found, grown_mb = done.stdout.split()
    assert int(found) == count
    assert float(grown_mb) < 50, "a million names in a list take 80 MB"
