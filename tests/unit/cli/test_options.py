from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bucket_brigade.cli.attributes import parse_metadata, side_overrides
from bucket_brigade.cli.invocation import load
from bucket_brigade.cli.main import VERBS, brigade
from bucket_brigade.cli.options import RULES, RuleOrderCommand, filter_options, list_shards_option
from bucket_brigade.cli.requests import build_filters, build_request, confirm_delete, deletes_many
from bucket_brigade.errors import ConfigError
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.model.job import LayoutName, ObjectAttributes, Rule, TransferOptions

NOW_NS = 1_800_000_000_000_000_000
DAY_NS = 86_400 * 1_000_000_000


def rules_of(arguments: list[str]) -> list[tuple[bool, str]]:
    met: list[tuple[bool, str]] = []

    @click.command(cls=RuleOrderCommand)
    @click.argument("names", nargs=-1)
    @filter_options
    @click.pass_context
    def command(ctx: click.Context, /, **flags: Any) -> None:
        met.extend(ctx.meta[RULES])

    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return met


@given(st.lists(st.tuples(st.booleans(), st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))))
def test_includes_and_excludes_keep_their_order_across_both_flags(rules: list[tuple[bool, str]]) -> None:
    arguments = [f"--{'include' if include else 'exclude'}={pattern}" for include, pattern in rules]
    assert rules_of(arguments) == rules


def test_a_pattern_may_be_a_word_of_its_own_and_stand_between_arguments() -> None:
    arguments = ["--exclude", "*", "a", "--include", "*.jpg", "b", "--exclude=x*"]
    assert rules_of(arguments) == [(False, "*"), (True, "*.jpg"), (False, "x*")]


def test_flags_behind_a_double_dash_are_names() -> None:
    assert rules_of(["--exclude", "*", "--", "--include", "x"]) == [(False, "*")]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    result = CliRunner().invoke(brigade, [verb, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: brigade {verb}")


@pytest.mark.parametrize(
    ("arguments", "shards"), [([], 0), (["--list-shards", "4"], 4), (["--list-shards", "auto"], 0)]
)
def test_list_shards_is_a_number_or_auto(arguments: list[str], shards: int) -> None:
    found: list[int] = []

    @click.command()
    @list_shards_option
    @click.pass_context
    def command(ctx: click.Context, /) -> None:
        found.append(load(ctx).settings.engine.list_shards)

    assert CliRunner().invoke(command, arguments, catch_exceptions=False).exit_code == 0
    assert found == [shards]


# --- metadata --------------------------------------------------------------------------------------------------------


def test_metadata_is_pairs_or_json_and_names_are_lower_case() -> None:
    assert parse_metadata("Owner=me,path=a=b") == (("owner", "me"), ("path", "a=b"))
    assert parse_metadata('{"Note": "a, b", "x": ""}') == (("note", "a, b"), ("x", ""))


@pytest.mark.parametrize("text", ["owner", "=me", '{"a": 1}', '{"a"', "a=1,A=2"])
def test_broken_metadata_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_metadata(text)
    assert caught.value.remedy


# --- endpoints -------------------------------------------------------------------------------------------------------


def test_plain_flags_speak_of_the_one_bucket_side() -> None:
    of_source, of_target = side_overrides("/data", "minio://b/", {"endpoint_url": "http://127.0.0.1:1", "region": "x"})
    assert of_target.endpoint_url == "http://127.0.0.1:1"
    assert of_target.region == "x"
    assert of_source.no_sign_request is None


def test_plain_flags_leave_a_named_endpoint_alone_where_the_other_side_is_s3() -> None:
    flags = {"endpoint_url": "https://s3.example.com", "profile": "work", "ca_bundle": "/ca.pem"}
    of_source, of_target = side_overrides("s3://a/", "minio://b/", flags)
    assert of_source.profile == "work"
    assert of_target.endpoint_url is None
    assert of_target.profile is None
    assert of_target.ca_bundle == "/ca.pem"


def test_source_flags_change_the_source_only() -> None:
    of_source, of_target = side_overrides(
        "s3://a/", "s3://b/", {"profile": "work", "region": "r1", "source_region": "r2"}
    )
    assert (of_source.profile, of_source.region) == ("work", "r2")
    assert (of_target.profile, of_target.region) == ("work", "r1")


def test_another_source_service_is_not_shown_the_targets_profile() -> None:
    flags = {"profile": "work", "no_sign_request": True, "source_endpoint_url": "https://other.example.com"}
    of_source, of_target = side_overrides("s3://a/", "s3://b/", flags)
    assert of_source.profile is None
    assert of_source.no_sign_request is None
    assert of_source.endpoint_url == "https://other.example.com"
    assert of_target.endpoint_url is None


# --- requests --------------------------------------------------------------------------------------------------------


def request_of(**flags: Any) -> JobRequest:
    return build_request(
        "cp",
        "a/",
        "s3://b/",
        flags=flags,
        rules=[(False, "*"), (True, "*.jpg")],
        defaults=TransferOptions(),
        now_ns=NOW_NS,
    )


def test_flags_become_a_request() -> None:
    request = request_of(
        recursive=True,
        layout="hashed",
        storage_class="STANDARD_IA",
        metadata="a=b",
        no_guess_mime_type=True,
        follow_symlinks=True,
        version_id="v1",
        min_size="1KiB",
        newer_than="2d",
    )
    assert request.filters.rules == (Rule(False, "*"), Rule(True, "*.jpg"))
    assert request.filters.min_size == 1024
    assert request.filters.modified_after_ns == NOW_NS - 2 * DAY_NS
    assert request.layout is LayoutName.HASHED
    assert request.version_id == "v1"
    assert request.options == TransferOptions(
        attributes=ObjectAttributes(storage_class="STANDARD_IA", metadata=(("a", "b"),)),
        guess_content_type=False,
        follow_symlinks=True,
    )


def test_flags_that_were_not_given_leave_the_settings() -> None:
    defaults = TransferOptions(follow_symlinks=True, attributes=ObjectAttributes(acl="private"))
    request = build_request("cp", "a", "s3://b/a", flags={}, rules=[], defaults=defaults, now_ns=NOW_NS)
    assert request.options == defaults


def test_a_broken_size_names_its_flag() -> None:
    with pytest.raises(ConfigError, match="--max-size"):
        build_filters({"max_size": "much"}, [], now_ns=NOW_NS)


@pytest.mark.parametrize(
    ("request_", "many"),
    [
        (JobRequest(verb="rm", source="s3://b/key"), False),
        (JobRequest(verb="rm", source="s3://b/prefix/"), True),
        (JobRequest(verb="rm", source="s3://b/a*"), True),
        (JobRequest(verb="rm", source="s3://b/key", recursive=True), True),
        (JobRequest(verb="rm", source="s3://b/", manifest="list.csv"), True),
    ],
)
def test_only_one_named_object_is_deleted_without_asking(request_: JobRequest, many: bool) -> None:
    assert deletes_many(request_) is many
    if not many:
        confirm_delete(request_, yes=False)
        return
    confirm_delete(request_, yes=True)
    with pytest.raises(ConfigError, match="no terminal"):
        confirm_delete(request_, yes=False)
