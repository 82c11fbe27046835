from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bucket_brigade.errors import ConfigError
from bucket_brigade.model.job import EndpointOverrides, ObjectAttributes
from bucket_brigade.settings.attributes import checked_attributes, is_aws
from bucket_brigade.settings.customer_keys import key_and_digest, read_key_file
from bucket_brigade.settings.load import with_overrides
from bucket_brigade.settings.values import EndpointSettings, Secret

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = bytes(range(32))


def checked(attributes: ObjectAttributes, *, aws: bool = True, customer_key: bool = False) -> ObjectAttributes:
    return checked_attributes(attributes, aws=aws, customer_key=customer_key, now=NOW)


@pytest.mark.parametrize(
    ("attributes", "word"),
    [
        (ObjectAttributes(acl="everybody"), "ACL"),
        (ObjectAttributes(acl="private", grant_read='id="x"'), "exclude"),
        (ObjectAttributes(storage_class="GLACIAR"), "storage class"),
        (ObjectAttributes(checksum_algorithm="MD5"), "checksum"),
        (ObjectAttributes(website_redirect="elsewhere"), "redirect"),
        (ObjectAttributes(sse="AES128"), "encryption"),
        (ObjectAttributes(sse="AES256", sse_kms_key_id="k"), "KMS"),
        (ObjectAttributes(bucket_key=True), "KMS"),
        (ObjectAttributes(sse="aws:kms:dsse", bucket_key=True), "bucket key"),
        (ObjectAttributes(sse="aws:kms", sse_kms_context="no json"), "context"),
        (ObjectAttributes(lock_mode="GOVERNANCE"), "lock"),
        (ObjectAttributes(retain_until="2030-01-01"), "lock"),
        (ObjectAttributes(lock_mode="FOREVER", retain_until="2030-01-01"), "lock mode"),
        (ObjectAttributes(lock_mode="GOVERNANCE", retain_until="2020-01-01"), "past"),
        (ObjectAttributes(lock_mode="GOVERNANCE", retain_until="tomorrow"), "no time"),
        (ObjectAttributes(legal_hold="MAYBE"), "legal hold"),
        (ObjectAttributes(tagging=tuple((f"t{n}", "") for n in range(11))), "11 tags"),
        (ObjectAttributes(tagging=(("t" * 129, ""),)), "too long"),
        (ObjectAttributes(tagging=(("t", "v" * 257),)), "too long"),
        (ObjectAttributes(tagging=(("aws:t", ""),)), "reserved"),
        (ObjectAttributes(tagging=(("t", "a;b"),)), "character"),
        (ObjectAttributes(metadata=(("a", "x" * 2048),)), "2,049 bytes"),
        (ObjectAttributes(metadata=(("a b", "x"),)), "name"),
        (ObjectAttributes(metadata=(("a", "é"),)), "ASCII"),
        (ObjectAttributes(cache_control="a\nb"), "header"),
    ],
)
def test_what_s3_would_refuse_is_refused_before_anything_is_sent(attributes: ObjectAttributes, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        checked(attributes)


def test_other_services_may_know_other_classes_and_lists() -> None:
    own = ObjectAttributes(storage_class="FAST", acl="tenant-read")
    assert checked(own, aws=False) == own


def test_times_and_contexts_are_brought_into_their_form() -> None:
    given = ObjectAttributes(
        expires="2030-01-31T13:00:00+01:00",
        sse="aws:kms",
        sse_kms_context='{"a": "b"}',
        lock_mode="GOVERNANCE",
        retain_until="2030-01-31",
    )
    done = checked(given)
    assert done.expires == "Thu, 31 Jan 2030 12:00:00 GMT"
    assert done.retain_until == "2030-01-31T00:00:00+00:00"
    assert base64.b64decode(done.sse_kms_context or "") == b'{"a":"b"}'
    assert checked(done) == done  # a resumed job, or one from a file, may be checked again


def test_an_expiry_that_is_no_time_is_kept() -> None:
    assert checked(ObjectAttributes(expires="0")).expires == "0"


def test_a_customers_key_excludes_the_stores() -> None:
    with pytest.raises(ConfigError, match="exclude"):
        checked(ObjectAttributes(sse="AES256"), customer_key=True)


@pytest.mark.parametrize(
    ("url", "environ", "aws"),
    [
        (None, {}, True),
        (None, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, False),
        ("https://s3.eu-west-3.amazonaws.com", {}, True),
        ("https://amazonaws.com.example", {}, False),
    ],
)
def test_aws_is_told_by_its_address(url: str | None, environ: dict[str, str], aws: bool) -> None:
    assert is_aws(EndpointSettings(endpoint_url=url), environ) is aws


@pytest.mark.parametrize("content", [KEY, base64.b64encode(KEY), base64.b64encode(KEY) + b"\n"])
def test_a_key_file_holds_the_bytes_or_their_base64(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    endpoint = with_overrides(EndpointSettings(), EndpointOverrides(sse_c_key_file=str(tmp_path / "key")))
    assert endpoint.sse_c_key == read_key_file(str(tmp_path / "key"))
    assert endpoint.sse_c_key is not None
    assert base64.b64decode(key_and_digest(endpoint.sse_c_key)[0]) == KEY


@pytest.mark.parametrize("content", [b"", b"short", KEY + b"\n", base64.b64encode(KEY[:31])])
def test_another_file_is_no_key_and_is_not_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        read_key_file(str(tmp_path / "key"))
    assert not content or content.decode(errors="replace") not in str(refused.value)


def test_a_text_that_is_no_key_is_refused() -> None:
    with pytest.raises(ConfigError):
        key_and_digest(Secret("x" * 31))
