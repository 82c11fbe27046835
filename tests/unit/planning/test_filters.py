import fnmatch
import timeit
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucket_brigade.model.job import Filters, Rule
from bucket_brigade.model.transfer import UNKNOWN_SIZE
from bucket_brigade.planning.filters import NameFilter

PIECES = st.sampled_from(["*", "**", "?", "[ab]", "[!a]", "[", "]", "a", "b", ".", "/", "\n", "x(|", "é"])
PATTERNS = st.lists(PIECES, max_size=5).map("".join)
RULES = st.lists(st.builds(Rule, st.booleans(), PATTERNS), max_size=5)
NAMES = st.text(st.sampled_from("ab./\nx(|é[]"), max_size=8)


def rules(*words: str) -> Filters:
    return Filters(rules=tuple(Rule(include=word[0] == "+", pattern=word[1:]) for word in words))


def as_aws_does(rules: Sequence[Rule], name: str) -> bool:
    taken = True
    for rule in rules:
        if fnmatch.fnmatchcase(name, rule.pattern):
            taken = rule.include
    return taken


@given(RULES, NAMES)
def test_rules_decide_as_fnmatch_does_one_after_the_other(given_rules: list[Rule], name: str) -> None:
    accepts = NameFilter(Filters(rules=tuple(given_rules)))
    assert accepts(name, 1, 1) is as_aws_does(given_rules, name)
    assert accepts.name(name) is as_aws_does(given_rules, name)


@pytest.mark.parametrize(
    ("words", "taken", "left"),
    [
        ((), ["a", "", "a/b"], []),
        (("-*.tmp",), ["a", "a.tmp/x"], ["a.tmp", "d/e/a.tmp"]),
        (("-*", "+*.jpg"), ["a.jpg", "d/a.jpg"], ["a.JPG", "a"]),
        (("+*.jpg", "-*"), [], ["a.jpg", "a"]),
        (("-*", "+*.jpg", "-raw/*"), ["a.jpg"], ["raw/a.jpg", "a"]),
        (("-logs/*", "+logs/keep/*", "-*.bak"), ["a", "logs/keep/a"], ["logs/a", "logs/keep/a.bak", "x.bak"]),
        (("-/a",), ["a"], ["/a"]),
    ],
)
def test_later_rules_win(words: tuple[str, ...], taken: list[str], left: list[str]) -> None:
    accepts = NameFilter(rules(*words))
    assert [name for name in taken + left if accepts(name, 1, 1)] == taken


def test_sizes_and_times_are_bounded_inclusively() -> None:
    accepts = NameFilter(Filters(min_size=10, max_size=20, modified_after_ns=100, modified_before_ns=200))
    assert accepts("a", 10, 100)
    assert accepts("a", 20, 200)
    for size, modified_ns in ((9, 150), (21, 150), (15, 99), (15, 201)):
        assert not accepts("a", size, modified_ns)


def test_a_bound_leaves_out_what_is_unknown() -> None:
    for bounded in (Filters(min_size=0), Filters(max_size=10)):
        assert not NameFilter(bounded)("a", UNKNOWN_SIZE, 5)
        assert NameFilter(bounded)("a", 0, 0)
    for bounded in (Filters(modified_after_ns=0), Filters(modified_before_ns=10)):
        assert not NameFilter(bounded)("a", 5, 0)
        assert NameFilter(bounded)("a", UNKNOWN_SIZE, 1)
    assert NameFilter(Filters())("a", UNKNOWN_SIZE, 0)


def test_a_bound_and_a_rule_must_both_agree() -> None:
    accepts = NameFilter(Filters(rules=(Rule(include=False, pattern="*.tmp"),), min_size=10))
    assert accepts("a", 10, 0)
    assert not accepts("a.tmp", 10, 0)
    assert not accepts("a", 9, 0)


def test_two_rules_cost_little_per_name() -> None:
    accepts = NameFilter(rules("-*", "+*.jpg", "-raw/*"))
    name = "photos/2026/01/31/some-camera/IMG_000123.jpg"
    per_call_s = min(timeit.repeat(lambda: accepts(name, 1, 1), number=2000, repeat=20)) / 2000
    # Measured 0.5 us; the bound leaves room for a busy machine and still catches a loop over patterns.
    assert per_call_s < 3e-6
