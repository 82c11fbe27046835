"""The promises name their tests; a test that is renamed or removed must not leave them behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
PROMISES = (ROOT / "docs" / "reliability.md").read_text(), (ROOT / "SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:\w+/)+test_\w+\.py(?:::test_\w+)?)`", "\n".join(PROMISES))))
ROWS = re.findall(r"^\| (\d+) \|(.*)\|(.*)\|(.*)\|$", PROMISES[0], re.MULTILINE)


@pytest.mark.parametrize("named", NAMED)
def test_every_test_that_a_promise_names_is_there(named: str) -> None:
    path, _, function = named.partition("::")
    source = (TESTS / path).read_text()
    assert not function or re.search(rf"def {function}\(", source)


def test_every_fault_has_one_row() -> None:
    assert [int(row[0]) for row in ROWS] == list(range(1, 57))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_says_what_is_done_and_what_proves_it(row: tuple[str, str, str, str]) -> None:
    _, fault, answer, proof = row
    assert fault.strip()
    assert answer.strip()
    assert re.search(r"`[\w/.-]+\.py|not testable here", proof)
