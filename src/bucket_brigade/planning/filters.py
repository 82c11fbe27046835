"""Which names, sizes and times become transfers: ``--include``, ``--exclude`` and the bounds beside them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable

from bucket_brigade.model.job import Filters, Rule
from bucket_brigade.model.transfer import UNKNOWN_SIZE

_ENDLESS = 1 << 63


class NameFilter:
    """The predicate of a job's filters.

    Patterns are those of ``aws s3``: ``*``, ``?``, ``[abc]`` and ``[!abc]``, case-sensitive, over the whole name below the
    source's root, where ``*`` and ``?`` match ``/`` too. All names are taken at first; the last rule that matches decides.
    What has no known size (``UNKNOWN_SIZE``) or time (0) is left out where a bound asks for it: a bound is a promise.

    ``accepts(name, size, modified_ns)`` says whether an entry becomes a transfer; ``accepts.name(name)`` asks the include and
    exclude rules alone. Names are relative to the source's root, sizes bytes, times nanoseconds since the epoch.
    ``accepts.everything`` says that there is no filter at all.
    """

    __slots__ = ("_after", "_before", "_bounded", "_high", "_low", "everything", "name")

    name: Callable[[str], bool]

    def __init__(self, filters: Filters) -> None:
        self.name = compile_rules(filters.rules)
        low, high, after, before = (
            filters.min_size,
            filters.max_size,
            filters.modified_after_ns,
            filters.modified_before_ns,
        )
        self._bounded = any(bound is not None for bound in (low, high, after, before))
        self.everything = not filters.rules and not self._bounded
        # An unknown size is below zero and an unknown time is zero: a bound on either leaves them out.
        self._low = max(low or 0, 0) if low is not None or high is not None else UNKNOWN_SIZE
        self._high = _ENDLESS if high is None else high
        self._after = max(after or 1, 1) if after is not None or before is not None else 0
        self._before = _ENDLESS if before is None else before

    def __call__(self, name: str, size: int, modified_ns: int) -> bool:
        """Say whether the entry becomes a transfer."""
        if self._bounded and not (self._low <= size <= self._high and self._after <= modified_ns <= self._before):
            return False
        return self.name(name)


def compile_rules(rules: Iterable[Rule]) -> Callable[[str], bool]:
    """Return the predicate of include and exclude rules alone: one compiled expression, whatever their number."""
    default, deciding = _simplify(rules)
    if not deciding:
        return lambda name: default
    if all(rule.include is not default for rule in deciding):
        match = re.compile("|".join(_expression(rule) for rule in deciding)).match
        if default:
            return lambda name: match(name) is None
        return lambda name: match(name) is not None
    # An alternation takes the first alternative that matches: the last rule, as they stand in reverse. Each ends with an
    # empty group, whose number tells which one it was.
    matched = re.compile("|".join(_expression(rule) + "()" for rule in deciding)).match
    verdicts = (default, *(rule.include for rule in deciding))

    def decide(name: str) -> bool:
        found = matched(name)
        return verdicts[found.lastindex or 0] if found else default

    return decide


def _simplify(rules: Iterable[Rule]) -> tuple[bool, list[Rule]]:
    """Return the verdict on names that no rule matches, and the rules that can change it, the last one first.

    ``*`` matches every name, so nothing before it counts; and what repeats the verdict so far decides nothing.
    """
    default = True
    deciding: list[Rule] = []
    for rule in rules:
        if rule.pattern and not rule.pattern.strip("*"):
            default, deciding = rule.include, []
        elif deciding or rule.include is not default:
            deciding.append(rule)
    return default, deciding[::-1]


def _expression(rule: Rule) -> str:
    return fnmatch.translate(rule.pattern)
