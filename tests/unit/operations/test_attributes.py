from __future__ import annotations

import itertools

import msgspec
import pytest

from bucket_brigade.model.job import DEFAULT_PRESERVE, NO_ATTRIBUTES, PRESERVABLE, ObjectAttributes, TransferOptions
from bucket_brigade.operations.attributes import Carried, Preserve, Restater, restate
from bucket_brigade.s3.store import ObjectHead

RICH = ObjectAttributes(
    content_type="x/y",
    metadata=(("a", "b"), ("mode", "100644"), ("mtime", "1.5")),
    sse="aws:kms",
    sse_kms_key_id="key",
    bucket_key=True,
    storage_class="STANDARD_IA",
    website_redirect="/r",
    lock_mode="GOVERNANCE",
    retain_until="2030-01-01T00:00:00Z",
    legal_hold="ON",
)
HEAD = ObjectHead(size=1, etag='"e"', modified_ns=7_000_000_000, attributes=RICH)


def carried(
    *names: str,
    asked: ObjectAttributes = NO_ATTRIBUTES,
    head: ObjectHead = HEAD,
    same_service: bool = True,
    demanded: bool = False,
) -> Carried:
    return restate(head, asked, Preserve(frozenset(names), demanded), same_service=same_service, now_s=1e9)


def test_everything_is_carried_over_by_all() -> None:
    assert carried(*PRESERVABLE).attributes == RICH


def test_by_default_metadata_cross_and_what_costs_or_locks_does_not() -> None:
    kept = carried(*DEFAULT_PRESERVE).attributes
    assert (kept.content_type, kept.metadata, kept.website_redirect) == ("x/y", RICH.metadata, None)
    assert (kept.sse, kept.storage_class, kept.lock_mode, kept.legal_hold) == (None, None, None, None)


def test_nothing_is_carried_over_by_none() -> None:
    assert carried().attributes == NO_ATTRIBUTES


def test_what_is_asked_for_wins_and_takes_its_key_with_it() -> None:
    kept = carried(*PRESERVABLE, asked=ObjectAttributes(sse="AES256", storage_class="STANDARD")).attributes
    assert (kept.sse, kept.sse_kms_key_id, kept.bucket_key) == ("AES256", None, None)
    assert kept.storage_class == "STANDARD"


def test_a_time_survives_metadata_that_replace_all_others() -> None:
    kept = carried(*DEFAULT_PRESERVE, asked=ObjectAttributes(metadata=(("new", "1"),))).attributes
    assert kept.metadata == (("mtime", "1.5"), ("new", "1"))


def test_a_time_is_added_only_where_it_was_named() -> None:
    plain = ObjectHead(size=1, etag='"e"', modified_ns=7_500_000_000)
    assert carried(*DEFAULT_PRESERVE, head=plain).attributes.metadata is None
    named = carried("metadata", "mtime", head=plain, demanded=True)
    assert named.attributes.metadata == (("mtime", "7.5"),)


def test_a_retention_that_is_over_is_noted_and_not_carried() -> None:
    over = ObjectHead(
        size=1,
        etag='"e"',
        attributes=ObjectAttributes(lock_mode="COMPLIANCE", retain_until="1999-01-01T00:00:00Z", legal_hold="OFF"),
    )
    kept = carried("lock", head=over)
    assert kept.attributes == NO_ATTRIBUTES
    assert "COMPLIANCE" in kept.note


def test_a_key_of_another_service_is_noted() -> None:
    kept = carried("encryption", same_service=False)
    assert (kept.attributes.sse, kept.attributes.sse_kms_key_id) == ("aws:kms", None)
    assert "key" in kept.note


def test_metadata_that_the_source_cannot_show_are_noted() -> None:
    hidden = ObjectHead(size=1, etag='"e"', missing_metadata=2)
    assert "2 metadata" in carried("metadata", head=hidden).note
    assert carried("tags", head=hidden).note == ""


def test_copies_that_the_server_makes_as_wanted_need_no_look_at_the_source() -> None:
    assert Preserve.of(TransferOptions()).is_what_copies_keep
    for name in ("lock", "storage-class", "encryption", "website-redirect"):
        options = TransferOptions(preserve=(*DEFAULT_PRESERVE, name))
        assert not Preserve.of(options).is_what_copies_keep
    assert not Preserve.of(TransferOptions(preserve=("tags",))).is_what_copies_keep


HEADS = {
    "plain": ObjectHead(size=1, etag='"e"', attributes=ObjectAttributes(content_type="x/y")),
    "another time": ObjectHead(size=1, etag='"f"', modified_ns=9, attributes=ObjectAttributes(content_type="x/y")),
    "hidden metadata": ObjectHead(
        size=1, etag='"e"', missing_metadata=2, attributes=ObjectAttributes(content_type="x/y")
    ),
    "customer key": ObjectHead(
        size=1, etag='"e"', sse_customer_key_md5="m", attributes=ObjectAttributes(content_type="x/y")
    ),
    "rich": msgspec.structs.replace(
        HEAD, attributes=msgspec.structs.replace(RICH, retain_until="2001-01-01T00:00:00Z")
    ),
}


@pytest.mark.parametrize("names", [DEFAULT_PRESERVE, PRESERVABLE])
def test_what_was_made_of_the_object_before_is_taken_only_where_it_is_the_same(names: tuple[str, ...]) -> None:
    preserve = Preserve(frozenset(names), demanded=False)
    restater = Restater(NO_ATTRIBUTES, preserve, same_service=False)
    for pair in itertools.product(HEADS.values(), repeat=2):
        for head in pair:
            made = restater.of(head)
            assert made == restate(head, NO_ATTRIBUTES, preserve, same_service=False)
            made.notes.append("of this object alone")
            made.wished = frozenset()


def test_a_retention_that_ends_between_two_objects_is_not_carried_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1e9]
    monkeypatch.setattr("bucket_brigade.operations.attributes.time.time", lambda: now[0])
    restater = Restater(NO_ATTRIBUTES, Preserve(frozenset({"lock"}), demanded=False), same_service=True)
    assert restater.of(HEAD).attributes.lock_mode == "GOVERNANCE"
    now[0] = 2e9
    assert restater.of(HEAD).attributes.lock_mode is None
