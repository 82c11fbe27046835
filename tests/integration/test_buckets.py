"""Buckets created, configured, looked at and removed on MiniStack, which enforces what they are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from bucket_brigade.errors import BrigadeError, ConfigError, JobFailed, NotFound
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.model.job import JobState, ObjectAttributes, TransferOptions
from bucket_brigade.s3.bucket_values import (
    ALL_BLOCKED,
    NOTHING_BLOCKED,
    BucketChanges,
    Encryption,
    ObjectLock,
    Ownership,
    Versioning,
)
from bucket_brigade.s3.buckets import BucketControl
from bucket_brigade.settings.values import Secret, Settings
from tests.integration.buckets import put_all
from tests.integration.program import Program
from tests.servers import RunningServer


@pytest.fixture
async def brigade(ministack: RunningServer, rclone: RunningServer, tmp_path: Path) -> AsyncIterator[Brigade]:
    settings = Settings(
        endpoints={"mini": ministack.endpoint, "other": rclone.endpoint}, state_dir=str(tmp_path / "state")
    )
    async with Brigade(settings) as brigade:
        yield brigade


async def test_a_new_bucket_is_private(brigade: Brigade, bucket: str) -> None:
    await brigade.create_bucket(f"mini://{bucket}")

    info = await brigade.bucket_info(f"mini://{bucket}")
    assert info.public_access_block == ALL_BLOCKED
    assert info.ownership is Ownership.ENFORCED
    assert (info.versioning, info.object_lock, info.tags, info.unknown) == (Versioning.NEVER, None, (), {})


async def test_a_bucket_of_another_region_is_made_as_asked_and_changed_and_removed(
    brigade: Brigade, bucket: str
) -> None:
    url = f"mini://{bucket}"
    changes = BucketChanges(
        versioning=Versioning.ENABLED,
        encryption=Encryption(algorithm="aws:kms", bucket_key=True),
        public_access_block=NOTHING_BLOCKED,
        ownership=Ownership.PREFERRED,
        abort_uploads_days=7,
        tags=(("Team", "a b"),),
    )
    await brigade.create_bucket(url, region="eu-west-1", object_lock=True, changes=changes)

    info = await brigade.bucket_info(url)
    assert info.region == "eu-west-1"
    assert info.object_lock == ObjectLock()
    assert info.encryption == changes.encryption
    assert (info.versioning, info.public_access_block, info.ownership) == (
        Versioning.ENABLED,
        NOTHING_BLOCKED,
        Ownership.PREFERRED,
    )
    assert (info.abort_uploads_days, info.lifecycle_rules, info.tags) == (7, 1, (("Team", "a b"),))

    changed = await brigade.change_bucket(url, BucketChanges(abort_uploads_days=0, tags=()))
    assert changed == ["abort_uploads_days", "tags"]
    info = await brigade.bucket_info(url)
    assert (info.abort_uploads_days, info.lifecycle_rules, info.tags) == (None, 0, ())
    assert await brigade.delete_bucket(url, force=True) == 0


async def test_the_lifecycle_rules_of_others_survive(brigade: Brigade, bucket: str) -> None:
    await brigade.create_bucket(f"mini://{bucket}")
    control = await brigade.control("mini")
    theirs = [
        {"ID": "logs", "Filter": {"Prefix": "logs/"}, "Status": "Enabled", "Expiration": {"Days": 3}},
        {
            "ID": "cold",
            "Filter": {"And": {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "v"}], "ObjectSizeGreaterThan": 5}},
            "Status": "Disabled",
            "Transitions": [{"Days": 30, "StorageClass": "GLACIER"}],
            "NoncurrentVersionExpiration": {"NoncurrentDays": 9, "NewerNoncurrentVersions": 2},
        },
    ]
    await put_rules(control, bucket, theirs)

    await brigade.change_bucket(f"mini://{bucket}", BucketChanges(abort_uploads_days=3))
    rules = await control._lifecycle_rules(bucket)
    assert len(rules) == 3
    for rule in theirs:
        assert rule in rules
    assert (await control.info(bucket)).abort_uploads_days == 3

    await brigade.change_bucket(f"mini://{bucket}", BucketChanges(abort_uploads_days=0))
    assert sorted(rule["ID"] for rule in await control._lifecycle_rules(bucket)) == ["cold", "logs"]


async def put_rules(control: BucketControl, bucket: str, rules: list[dict[str, object]]) -> None:
    await control.call(
        "PutBucketLifecycleConfiguration", {"Bucket": bucket, "LifecycleConfiguration": {"Rules": rules}}
    )


@pytest.mark.parametrize(
    ("name", "rule"), [("Upper", "lower-case"), ("a..b", "two dots"), ("x-an", "-an"), ("1.2.3.4", "IP address")]
)
async def test_a_broken_rule_is_named_before_anything_is_asked(brigade: Brigade, name: str, rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        await brigade.create_bucket(f"mini://{name}")
    assert not brigade._controls


async def test_a_setting_that_the_store_does_not_have_is_named_and_the_bucket_is_there(
    brigade: Brigade, bucket: str
) -> None:
    with pytest.raises(JobFailed, match=r"is created, but not as asked: encryption was refused") as caught:
        await brigade.create_bucket(
            f"other://{bucket}", changes=BucketChanges(encryption=Encryption(algorithm="AES256"))
        )
    assert "brigade bucket set" in caught.value.remedy
    assert bucket in {entry.name for entry in await (await brigade.store("other")).list_buckets()}


async def test_what_a_store_does_not_tell_is_unknown_and_not_a_default(brigade: Brigade, bucket: str) -> None:
    await brigade.create_bucket(f"other://{bucket}")

    info = await brigade.bucket_info(f"other://{bucket}")
    assert {"public_access_block", "ownership", "encryption"} <= info.unknown.keys()


async def test_a_missing_bucket_has_no_configuration(brigade: Brigade) -> None:
    with pytest.raises(NotFound):
        await brigade.bucket_info("mini://there-is-no-such-bucket")


async def test_a_full_bucket_goes_only_by_force_with_all_that_is_in_it(brigade: Brigade, bucket: str) -> None:
    await brigade.create_bucket(f"mini://{bucket}", changes=BucketChanges(versioning=Versioning.ENABLED))
    store = await brigade.store("mini")
    for body in (b"1", b"22"):
        await store.put_object(bucket, "k", body)
    await store.delete_object(bucket, "k")
    await store.create_multipart_upload(bucket, "u")

    with pytest.raises(ConfigError, match="is not empty"):
        await brigade.delete_bucket(f"mini://{bucket}")
    assert await brigade.delete_bucket(f"mini://{bucket}", force=True) == 3
    with pytest.raises(NotFound):
        await store.head_bucket(bucket)


async def test_what_is_more_than_a_page_is_deleted_by_a_durable_job(brigade: Brigade, bucket: str) -> None:
    await brigade.create_bucket(f"mini://{bucket}", changes=BucketChanges(versioning=Versioning.ENABLED))
    store = await brigade.store("mini")
    await put_all(store, bucket, "", {f"{number:04}": b"" for number in range(600)})
    await put_all(store, bucket, "", {f"{number:04}": b"again" for number in range(600)})
    await store.create_multipart_upload(bucket, "u")

    assert await brigade.delete_bucket(f"mini://{bucket}", force=True) == 1200
    (status,) = await brigade.jobs()
    assert (status.state, status.counters.done) == (JobState.DONE, 1200)
    with pytest.raises(NotFound):
        await store.head_bucket(bucket)


@pytest.mark.parametrize(
    ("changes", "acl", "reason"),
    [
        (BucketChanges(ownership=Ownership.WRITER), "public-read", "BlockPublicAcls"),
        (BucketChanges(public_access_block=NOTHING_BLOCKED), "public-read", "access control lists disabled"),
        (BucketChanges(public_access_block=NOTHING_BLOCKED), "aws-exec-read", "access control lists disabled"),
        (BucketChanges(public_access_block=NOTHING_BLOCKED), "bucket-owner-full-control", None),
        (BucketChanges(ownership=Ownership.WRITER, public_access_block=NOTHING_BLOCKED), "public-read", None),
    ],
)
async def test_an_access_control_list_that_would_be_refused_ends_the_job_before_it_begins(
    brigade: Brigade, bucket: str, tmp_path: Path, changes: BucketChanges, acl: str, reason: str | None
) -> None:
    url = f"mini://{bucket[:40]}-{abs(hash((acl, reason, str(changes)))) % 10**9}"
    await brigade.create_bucket(url, changes=changes)
    (tmp_path / "f").write_bytes(b"content")
    options = TransferOptions(attributes=ObjectAttributes(acl=acl), allow_public_acl=True)
    request = JobRequest(verb="cp", source=str(tmp_path / "f"), target=f"{url}/f", options=options)

    if reason is None:
        run = await brigade.start((await brigade.submit(request)).id)
        assert (await run.wait()).counters.done == 1
    else:
        with pytest.raises(ConfigError, match=reason) as caught:
            await brigade.submit(request)
        assert "brigade doctor" in caught.value.remedy


async def test_refused_credentials_lead_to_the_doctor(brigade: Brigade, bucket: str, tmp_path: Path) -> None:
    await brigade.create_bucket(f"mini://{bucket}")
    wrong = msgspec.structs.replace(brigade.settings.endpoints["mini"], secret_access_key=Secret("wrong"))
    stranger = Settings(endpoints={"mini": wrong}, state_dir=str(tmp_path))
    async with Brigade(stranger) as other:
        with pytest.raises(BrigadeError) as caught:
            await other.submit(JobRequest(verb="rm", source=f"mini://{bucket}/p/"))
    assert f"brigade doctor mini://{bucket}/" in caught.value.remedy


def test_the_commands_say_what_they_did(program: Program, ministack: RunningServer, bucket: str) -> None:
    program.configure({"mini": ministack})
    url = f"mini://{bucket}"
    assert program("mb", url, "--versioning", "on", "--json").document == {"created": url}
    changed = program("bucket", "set", url, "--versioning", "suspended", "--tags", "a=b", "--json").document
    assert changed == {"bucket": url, "changed": ["versioning", "tags"]}
    assert b"versioning           suspended" in program("bucket", "info", url).out
    (line,) = [line for line in program("ls", "mini://").out.decode().splitlines() if f" {bucket} " in line]
    assert line.endswith(" us-east-1")
    assert program("rb", "--force", "--yes", url).out == f"removed {url} and all that was in it\n".encode()


async def test_versioning_is_understood_of_moto_which_calls_its_answer_otherwise(
    moto: RunningServer, tmp_path: Path, bucket: str
) -> None:
    settings = Settings(endpoints={"moto": moto.endpoint}, state_dir=str(tmp_path / "state"))
    async with Brigade(settings) as brigade:
        await brigade.create_bucket(f"moto://{bucket}", changes=BucketChanges(versioning=Versioning.ENABLED))
        assert (await brigade.bucket_info(f"moto://{bucket}")).versioning is Versioning.ENABLED
