"""The flags of ``mb`` and ``bucket set``, and how a bucket is shown."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fakes.memory_store import MemoryStore

from bucket_brigade.cli.bucket_options import bucket_changes, parse_tags, shown_bucket
from bucket_brigade.cli.ls import with_regions
from bucket_brigade.cli.main import main
from bucket_brigade.errors import ConfigError
from bucket_brigade.s3.bucket_values import (
    ALL_BLOCKED,
    NO_CHANGES,
    NOTHING_BLOCKED,
    BucketChanges,
    BucketInfo,
    Encryption,
    ObjectLock,
    Ownership,
    PublicAccessBlock,
    Versioning,
)
from bucket_brigade.s3.store import BucketEntry

NONE: dict[str, Any] = {
    "versioning": None,
    "encryption": None,
    "kms_key_id": None,
    "bucket_key": False,
    "block_public_access": None,
    "ownership": None,
    "abort_uploads_after": None,
    "tags": None,
}


def test_flags_that_are_not_given_change_nothing() -> None:
    assert bucket_changes(NONE) == NO_CHANGES


@pytest.mark.parametrize(
    ("flags", "changes"),
    [
        ({"versioning": "suspended"}, BucketChanges(versioning=Versioning.SUSPENDED)),
        ({"block_public_access": True}, BucketChanges(public_access_block=ALL_BLOCKED)),
        ({"block_public_access": False}, BucketChanges(public_access_block=NOTHING_BLOCKED)),
        ({"ownership": "writer"}, BucketChanges(ownership=Ownership.WRITER)),
        ({"abort_uploads_after": "never"}, BucketChanges(abort_uploads_days=0)),
        ({"abort_uploads_after": "7d"}, BucketChanges(abort_uploads_days=7)),
        ({"abort_uploads_after": "36h"}, BucketChanges(abort_uploads_days=2)),
        ({"tags": ""}, BucketChanges(tags=())),
        ({"tags": "Team=A b, env = x"}, BucketChanges(tags=(("Team", "A b"), ("env", "x")))),
        (
            {"encryption": "aws:kms", "kms_key_id": "k", "bucket_key": True},
            BucketChanges(encryption=Encryption(algorithm="aws:kms", kms_key_id="k", bucket_key=True)),
        ),
    ],
)
def test_flags_become_changes(flags: dict[str, Any], changes: BucketChanges) -> None:
    assert bucket_changes({**NONE, **flags}) == changes


@pytest.mark.parametrize(
    "flags",
    [
        {"kms_key_id": "k"},
        {"bucket_key": True, "encryption": "AES256"},
        {"abort_uploads_after": "3h"},
        {"abort_uploads_after": "soon"},
        {"tags": "=x"},
        {"tags": "a=1,a=2"},
    ],
)
def test_flags_that_make_no_sense_are_refused(flags: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        bucket_changes({**NONE, **flags})


def test_tags_keep_their_case_and_may_have_no_value() -> None:
    assert parse_tags("Owner=Me,flag") == (("Owner", "Me"), ("flag", ""))


def test_a_setting_that_may_not_be_read_is_not_shown_as_its_default() -> None:
    info = BucketInfo(name="b", unknown={"versioning": "AccessDenied", "lifecycle_rules": "NotImplemented"})
    lines = dict(shown_bucket(info))
    assert lines["versioning"] == "not known (AccessDenied)"
    assert lines["lifecycle rules"] == "not known (NotImplemented)"
    assert lines["tags"] == "none"


def test_a_bucket_is_shown_in_words() -> None:
    info = BucketInfo(
        name="b",
        object_lock=ObjectLock(mode="COMPLIANCE", days=30),
        encryption=Encryption(algorithm="aws:kms", kms_key_id="k", bucket_key=True),
        public_access_block=PublicAccessBlock(block_public_acls=True),
        abort_uploads_days=7,
        lifecycle_rules=2,
    )
    lines = dict(shown_bucket(info))
    assert lines["object lock"] == "on, COMPLIANCE for 30 days by default"
    assert lines["encryption"] == "aws:kms, key k, bucket key"
    assert lines["public access block"] == "block public acls"
    assert lines["lifecycle rules"] == "2; uploads are aborted after 7 days"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("bucket", "set", "s3://abc"), "nothing to change"),
        (("bucket", "set", "s3://abc", "--no-block-public-access"), "no terminal on which to ask"),
        (("mb", "s3://No_Bucket"), "cannot be the name of a bucket: it may hold only lower-case"),
        (("mb", "s3://abc/key"), "is not a bucket"),
        (("rb", "--force", "s3://abc"), "no terminal on which to ask"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(
    words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(list(words)) == 2
    assert told in capsys.readouterr().err


class Regional(MemoryStore):
    """Tells no regions in its list, and each one when asked for."""

    region = "eu-west-1"

    async def head_bucket(self, bucket: str) -> str:
        await super().head_bucket(bucket)
        return self.region


async def test_regions_that_a_list_does_not_tell_are_asked_for() -> None:
    store = Regional("a", "b")
    entries = [BucketEntry("a", 1), BucketEntry("b", 2, "us-east-2"), BucketEntry("gone", 3)]
    assert [entry.region for entry in await with_regions(store, entries)] == ["eu-west-1", "us-east-2", ""]


async def test_a_store_that_tells_no_region_is_asked_once() -> None:
    store = Regional("a", "b")
    store.region = ""
    entries = [BucketEntry("a", 1), BucketEntry("b", 2)]
    assert await with_regions(store, entries) == entries
    assert store.requests["head_bucket"] == 1
