"""Row 16, in full: what a store accepts and silently does not do, through lane and client, is found out and withdrawn."""

from __future__ import annotations

import pytest

from bucket_brigade.model.job import NO_ATTRIBUTES, ObjectAttributes, TransferOptions
from bucket_brigade.settings.values import Secret
from tests.faults.hostile import Fault
from tests.faults.world import PART, SOURCE, TARGET, World, big_object, done

ENCRYPTION = ("x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id")
DROPPED = {
    "encryption": (ObjectAttributes(sse="AES256"), ENCRYPTION),
    "KMS key": (ObjectAttributes(sse="aws:kms", sse_kms_key_id="k"), ENCRYPTION[1:]),
    "storage class": (ObjectAttributes(storage_class="STANDARD_IA"), ("x-amz-storage-class",)),
    "redirect": (ObjectAttributes(website_redirect="/x"), ("x-amz-website-redirect-location",)),
    "legal hold": (ObjectAttributes(legal_hold="ON"), ("x-amz-object-lock-legal-hold",)),
}


@pytest.mark.parametrize("action", ["upload", "copy", "relay"])
@pytest.mark.parametrize("what", DROPPED)
async def test_row_16_what_is_dropped_silently_is_found_out(world: World, what: str, action: str) -> None:
    attributes, ignored = DROPPED[what]
    world.s3.script.add(Fault(name="drops it", ignores=ignored), times=None)
    objects = {"small": b"content", "large": big_object()}
    options = TransferOptions(
        part_size_bytes=PART, multipart_threshold_bytes=PART, copy_limit_bytes=PART, attributes=attributes
    )
    if action == "upload":
        report = await world.upload(objects, options=options)
    else:
        world.fill(objects)
        to = f"{'hostile' if action == 'copy' else 'away'}://{TARGET}/"
        report = await world.run("cp", f"hostile://{SOURCE}/", to, options=options)
    assert (report.counters.done, report.counters.failed) == (0, 2)
    assert {failure.code for failure in report.failures} <= {"NotHonoured"}
    assert world.written == {}


async def test_row_16_a_store_that_drops_the_customers_key_keeps_no_plain_bytes(world: World) -> None:
    world.endpoint = {"sse_c_key": Secret("k" * 32)}
    header = "x-amz-server-side-encryption-customer-"
    ignored = tuple(header + name for name in ("algorithm", "key", "key-md5"))
    world.s3.script.add(Fault(name="drops the key", ignores=ignored), times=None)
    options = TransferOptions(part_size_bytes=PART, multipart_threshold_bytes=PART, attributes=NO_ATTRIBUTES)
    report = await world.upload({"small": b"content", "large": big_object()}, options=options)
    assert (report.counters.done, report.counters.failed) == (0, 2)
    assert world.written == {}


async def test_row_16_what_the_store_does_is_believed(world: World) -> None:
    attributes = ObjectAttributes(sse="aws:kms", sse_kms_key_id="k", storage_class="STANDARD_IA")
    objects = {"small": b"content", "large": big_object()}
    options = TransferOptions(part_size_bytes=PART, multipart_threshold_bytes=PART, attributes=attributes)
    done(await world.upload(objects, options=options), 2)
    assert world.written == objects
