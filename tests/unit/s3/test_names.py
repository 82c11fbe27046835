from __future__ import annotations

import pytest

from bucket_brigade.errors import BadKey, ConfigError
from bucket_brigade.s3.names import broken_bucket_rules, bucket_name_warning, check_bucket_name, check_key


@pytest.mark.parametrize("name", ["abc", "my-bucket", "a.b.c", "123", "x" * 63, "1.2.3.a"])
def test_good_names_pass(name: str) -> None:
    check_bucket_name(name)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("ab", "3 to 63"),
        ("x" * 64, "3 to 63"),
        ("Abc", "lower-case"),
        ("a_b", "lower-case"),
        ("abc\n", "lower-case"),
        ("-abc", "begin with a letter"),
        ("abc.", "end with a letter"),
        ("a..b", "two dots"),
        ("192.168.5.4", "IP address"),
        ("xn--abc", "xn--"),
        ("sthree-abc", "sthree-"),
        ("abc-s3alias", "-s3alias"),
        ("abc--ol-s3", "--ol-s3"),
        ("abc--x-s3", "--x-s3"),
        ("abc--table-s3", "--table-s3"),
        ("abc.mrap", ".mrap"),
        ("abc-123456789012-eu-west-1-an", "-an"),
        ("amzn-s3-demo-abc", "amzn-s3-demo-"),
        ("sthree-configurator", "sthree-"),
        ("a.-b", "hyphen beside a dot"),
        ("a-.b", "hyphen beside a dot"),
        ("xn--", "end with a letter"),
        ("bücket", "lower-case"),
        ("10.0.0.300", "IP address"),
    ],
)
def test_each_broken_rule_is_named(name: str, rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        check_bucket_name(name)


def test_all_broken_rules_are_named_at_once() -> None:
    assert len(broken_bucket_rules("-A..")) == 4


@pytest.mark.parametrize("name", ["Old_Bucket", "arn:aws:s3:eu-west-1:123456789012:accesspoint/mine", "abc-s3alias"])
def test_buckets_that_exist_somewhere_pass_the_loose_check(name: str) -> None:
    check_bucket_name(name, strict=False)


@pytest.mark.parametrize("name", ["", "a/b", "a?b", "..", "a b", "arn:aws:ec2:::x"])
def test_what_is_no_bucket_anywhere_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        check_bucket_name(name, strict=False)


@pytest.mark.parametrize("key", ["", "é" * 513, "a" * 1025, "\udc80"])
def test_keys_that_cannot_be_are_refused(key: str) -> None:
    with pytest.raises(BadKey):
        check_key(key)


def test_a_key_of_1024_bytes_passes() -> None:
    check_key("é" * 512)


def test_dots_are_allowed_and_warned_of() -> None:
    assert "certificate" in bucket_name_warning("a.b")
    assert not bucket_name_warning("a-b")
