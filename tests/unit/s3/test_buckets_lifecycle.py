"""The one lifecycle rule of ours among those of others."""

from __future__ import annotations

from typing import Any

import pytest

from bucket_brigade.s3.bucket_values import (
    ALL_BLOCKED,
    NOTHING_BLOCKED,
    Ownership,
    PublicAccessBlock,
    public_acl_refusals,
)
from bucket_brigade.s3.lifecycle import RULE_ID, abort_days, unknown_elements, with_aborting_rule

OTHERS: list[dict[str, Any]] = [
    {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}},
    {"Status": "Enabled", "Prefix": "old/", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
]


def test_the_rule_is_added_behind_all_others_and_set_anew() -> None:
    rules = with_aborting_rule(OTHERS, 7)
    assert rules[:2] == OTHERS
    assert abort_days(rules) == 7
    again = with_aborting_rule(rules, 3)
    assert (again[:2], len(again), abort_days(again)) == (OTHERS, 3, 3)


def test_removing_the_rule_leaves_the_others() -> None:
    assert with_aborting_rule(with_aborting_rule(OTHERS, 7), 0) == OTHERS
    assert with_aborting_rule(OTHERS, 0) == OTHERS


@pytest.mark.parametrize(
    "rule",
    [
        {"Status": "Disabled", "Filter": {}},
        {"Status": "Enabled", "Filter": {"Prefix": "p/"}},
        {"Status": "Enabled", "Filter": {"Tag": {"Key": "a", "Value": "b"}}},
        {"Status": "Enabled", "Prefix": "p/"},
    ],
    ids=["disabled", "of a prefix", "of a tag", "of a prefix as before 2018"],
)
def test_a_rule_of_a_part_of_the_bucket_does_not_abort_all_uploads(rule: dict[str, Any]) -> None:
    assert abort_days([{**rule, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}]) is None


def test_a_rule_of_somebody_else_for_the_whole_bucket_counts() -> None:
    rule = {"Status": "Enabled", "Prefix": "", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}}
    assert abort_days([rule, *with_aborting_rule([], 9)]) == 2


def test_what_no_model_knows_is_found_wherever_it_stands() -> None:
    document = b"<L xmlns='urn:x'><Rule><ID>a</ID><Vendor><Deep/></Vendor></Rule></L>"
    assert unknown_elements(document, {"L", "Rule", "ID"}) == ["Deep", "Vendor"]
    assert unknown_elements(document, {"L", "Rule", "ID", "Vendor", "Deep"}) == []
    assert RULE_ID.startswith("bucket-brigade")


@pytest.mark.parametrize(
    ("ownership", "bucket", "account", "reasons"),
    [
        (Ownership.WRITER, NOTHING_BLOCKED, NOTHING_BLOCKED, []),
        (None, None, None, []),
        (Ownership.ENFORCED, NOTHING_BLOCKED, None, ["disabled"]),
        (Ownership.PREFERRED, ALL_BLOCKED, None, ["the bucket blocks"]),
        (
            Ownership.WRITER,
            PublicAccessBlock(ignore_public_acls=True),
            ALL_BLOCKED,
            ["the bucket ignores", "the account blocks"],
        ),
    ],
)
def test_every_reason_why_the_public_stays_out_is_told(
    ownership: Ownership | None,
    bucket: PublicAccessBlock | None,
    account: PublicAccessBlock | None,
    reasons: list[str],
) -> None:
    told = public_acl_refusals(ownership, bucket, account)
    assert len(told) == len(reasons)
    assert all(reason in words for reason, words in zip(reasons, told, strict=True))
