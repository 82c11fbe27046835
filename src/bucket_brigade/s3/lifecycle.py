"""The one lifecycle rule that brigade writes, and how it gets among the rules that others wrote. Pure.

Rules are the dictionaries of botocore. The rules of a bucket can only be replaced all together, so every other rule has to go
back exactly as it came. botocore drops what its model does not know without a word: ``unknown_elements`` finds it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bucket_brigade.s3.xml_tree import Element, parse_document

Rule = dict[str, Any]

RULE_ID = "bucket-brigade: abort stale multipart uploads"


def aborting_rule(days: int) -> Rule:
    """Return the rule that aborts every upload of the bucket ``days`` days after it began."""
    return {
        "ID": RULE_ID,
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days},
    }


def with_aborting_rule(rules: Iterable[Rule], days: int) -> list[Rule]:
    """Return the rules with ours set to ``days``, or without it for 0; all others as they are, in their order."""
    others = [rule for rule in rules if rule.get("ID") != RULE_ID]
    return [*others, aborting_rule(days)] if days else others


def abort_days(rules: Iterable[Rule]) -> int | None:
    """Return after how many days uploads of the whole bucket are aborted, by whoever's rule; None where they are not."""
    days = [
        int(rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"])
        for rule in rules
        if rule.get("Status") == "Enabled" and "AbortIncompleteMultipartUpload" in rule and _covers_all(rule)
    ]
    return min(days, default=None)


def _covers_all(rule: Rule) -> bool:
    # The prefix stands beside the filter in rules of before 2018.
    conditions = {**rule.get("Filter", {}), "Prefix": rule.get("Filter", {}).get("Prefix", rule.get("Prefix", ""))}
    return not any(conditions.values())


def unknown_elements(document: bytes, known: Iterable[str]) -> list[str]:
    """Return the names of elements in a lifecycle document that are not ``known``. Raises MalformedXml."""
    found: set[str] = set()
    pending = [parse_document(document)]
    while pending:
        element: Element = pending.pop()
        found.add(element.tag)
        pending += element.children
    return sorted(found.difference(known))
