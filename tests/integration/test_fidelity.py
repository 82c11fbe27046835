"""What objects keep is what docs/fidelity.md says, and what only a server that enforces it can show of encryption keys."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bucket_brigade.s3.store import Store
from tests.integration.fidelity import DOCUMENT, LOST, create_open_bucket, measure, plain_client, section
from tests.integration.fidelity_rows import CUSTOMER_KEY, OWNER
from tests.integration.program import Program
from tests.samples import make_tree, read_tree
from tests.servers import RunningServer

SOME_FAILED, BAD_INPUT = 3, 2


@pytest.mark.parametrize("server", ["ministack", pytest.param("moto", marks=pytest.mark.slow)])
async def test_attributes_go_every_way_as_the_document_says(request: pytest.FixtureRequest, server: str) -> None:
    matrix = await measure(request.getfixturevalue(server))
    unproven = () if os.geteuid() == 0 else (OWNER.name,)
    assert [cell for cell, outcome in matrix.cells.items() if outcome == LOST and cell[-1] not in unproven] == []
    told, documented = (without(unproven, text) for text in (section(matrix, server), DOCUMENT.read_text()))
    assert told in documented, "run: python -m tests.integration.fidelity"


def without(rows: tuple[str, ...], text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith(tuple(f"| {row} |" for row in rows)))


@pytest.fixture
def brigade(program: Program, ministack: RunningServer) -> Program:
    program.configure({"mini": ministack})
    (program.folder / "right.key").write_bytes(CUSTOMER_KEY)
    (program.folder / "wrong.key").write_bytes(bytes(32))
    return program


@pytest.mark.parametrize("lane", ["auto", "off"])
async def test_a_wrong_key_reads_nothing_and_a_right_one_everything(
    brigade: Program, bucket: str, mini: Store, tmp_path: Path, lane: str
) -> None:
    await mini.create_bucket(bucket)
    tree = {"small": os.urandom(1000), "large": os.urandom(11 << 20)}
    make_tree(tmp_path / "files", tree)
    flags = ("--lane", lane, "--multipart-threshold", "6MiB", "--part-size", "5MiB")
    brigade("cp", "files/", f"mini://{bucket}/", "--sse-c-key-file", "right.key", *flags)
    for wrong in ((), ("--sse-c-key-file", "wrong.key")):
        failed = brigade("cp", f"mini://{bucket}/", "back/", *wrong, *flags, "--json", code=SOME_FAILED).document
        assert failed["counters"]["failed"] == len(tree)
    assert read_tree(tmp_path / "back") == {}
    brigade("cp", f"mini://{bucket}/", "back/", "--sse-c-key-file", "right.key", *flags)
    assert read_tree(tmp_path / "back") == tree


async def test_keys_are_changed_by_a_copy_and_taken_off_by_another(
    brigade: Program, bucket: str, mini: Store, tmp_path: Path
) -> None:
    await mini.create_bucket(bucket)
    (tmp_path / "file").write_bytes(b"secret")
    at = f"mini://{bucket}/"
    brigade("cp", "file", f"{at}one", "--sse-c-key-file", "right.key")
    brigade("cp", f"{at}one", f"{at}two", "--source-sse-c-key-file", "right.key", "--sse-c-key-file", "wrong.key")
    brigade("cp", f"{at}two", f"{at}plain", "--source-sse-c-key-file", "wrong.key")
    brigade("cp", f"{at}plain", "back")
    assert (tmp_path / "back").read_bytes() == b"secret"
    brigade("cp", f"{at}two", "again", "--sse-c-key-file", "right.key", code=BAD_INPUT)
    assert not (tmp_path / "again").exists()


async def test_a_key_is_in_no_file_and_no_output_of_a_job(
    brigade: Program, bucket: str, mini: Store, tmp_path: Path
) -> None:
    await mini.create_bucket(bucket)
    (tmp_path / "file").write_bytes(b"content")
    ended = brigade("cp", "file", f"mini://{bucket}/k", "--sse-c-key-file", "right.key", "-v", "--log-level", "debug")
    written = b"".join(path.read_bytes() for path in brigade.state_dir.rglob("*") if path.is_file())
    said = ended.out + ended.err.encode()
    assert str(tmp_path / "right.key").encode() in written  # so that resume finds it again
    for shown in (CUSTOMER_KEY, b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"):
        assert shown not in written
        assert shown not in said


async def test_what_the_target_refuses_of_all_is_reported_and_what_was_named_fails(
    brigade: Program, bucket: str, ministack: RunningServer, mini: Store
) -> None:
    """MiniStack's new buckets, as S3's, take no access control lists."""
    async with plain_client(ministack) as client:
        await create_open_bucket(client, "fidelity-open")
        await client.put_object(Bucket="fidelity-open", Key="k", Body=b"x", ACL="public-read", Tagging="a=b")
    await mini.create_bucket(bucket)
    source = "mini://fidelity-open/k"

    told = brigade("cp", source, f"mini://{bucket}/all", "--preserve", "all", "--json").document
    assert told["counters"]["done"] == 1
    assert "acl" in told["failures"][0]["message"]
    assert told["failures"][0]["code"] == "NotCarried"
    assert await mini.get_object_tags(bucket, "all") == (("a", "b"),)

    failed = brigade("cp", source, f"mini://{bucket}/named", "--preserve", "tags,acl", "--json", code=SOME_FAILED)
    assert failed.document["counters"]["failed"] == 1


def test_bad_combinations_are_refused_before_anything_changes(brigade: Program, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for flags, word in (
        (("--sse-kms-key-id", "k"), "KMS"),
        (("--object-lock-mode", "GOVERNANCE"), "lock"),
        (("--acl", "private", "--grants", "read=id=x"), "exclude"),
        (("--sse", "AES256", "--sse-c-key-file", "right.key"), "exclude"),
        (("--tags", ",".join(f"t{n}=v" for n in range(11))), "tags"),
        (("--metadata", "a=" + 2048 * "x"), "metadata"),
        (("--sse-c-key-file", "file"), "key"),
    ):
        assert word in brigade("cp", "file", "mini://nowhere/k", *flags, code=BAD_INPUT).err


async def test_a_file_comes_back_with_its_time_and_mode(
    brigade: Program, bucket: str, mini: Store, tmp_path: Path
) -> None:
    await mini.create_bucket(bucket)
    folder = tmp_path / "from"
    make_tree(folder, {"small": b"x", "large": bytes(6 << 20)})
    for name in ("small", "large"):
        (folder / name).chmod(0o640)
        os.utime(folder / name, ns=(1, 1_354_040_105_123_456_789))
    flags = ("--preserve", "mtime,mode", "--multipart-threshold", "5MiB", "--part-size", "5MiB")
    brigade("cp", "from/", f"mini://{bucket}/", *flags)
    kept = (await mini.head_object(bucket, "small")).attributes.metadata
    assert kept == (("mode", "100640"), ("mtime", "1354040105.123456789"))  # as rclone writes them
    brigade("cp", f"mini://{bucket}/", "back/", *flags)
    for name in ("small", "large"):
        status = (tmp_path / "back" / name).stat()
        assert (status.st_mtime_ns, status.st_mode & 0o7777) == (1_354_040_105_123_456_789, 0o640)
    brigade("cp", "from/small", f"mini://{bucket}/plain")
    assert (await mini.head_object(bucket, "plain")).attributes.metadata is None
