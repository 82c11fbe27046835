"""Over TLS with an authority of our own: everything works with it, nothing at all without."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.buckets import read_all, store_of, uploads_left
from tests.integration.program import Program
from tests.samples import make_tree, patterned_bytes, read_tree

OBJECTS = {f"d{i}/f{i}": patterned_bytes(i * 700, i) for i in range(20)} | {"big": patterned_bytes((5 << 20) + 4097)}
IN_PARTS = ("--part-size", "5MiB", "--multipart-threshold", "5MiB")


@pytest.mark.parametrize("name", ["ministack_tls", "rclone_tls"])
async def test_upload_copy_and_download_trust_the_given_authority(
    name: str, program: Program, bucket: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue(name)
    assert server.endpoint.ca_bundle
    program.configure({"safe": server}, with_ca=False)
    trust = ("--ca-bundle", server.endpoint.ca_bundle)
    make_tree(tmp_path / "source", OBJECTS)
    async with store_of(server) as store:
        await store.create_bucket(bucket)
        program("cp", f"{tmp_path}/source/", f"safe://{bucket}/p/", *IN_PARTS, *trust)
        program("cp", f"safe://{bucket}/p/", f"safe://{bucket}/q/", *trust)
        program("cp", f"safe://{bucket}/q/", f"{tmp_path}/target/", *IN_PARTS, *trust)
        assert read_tree(tmp_path / "target") == OBJECTS
        assert await uploads_left(store, bucket) == []


@pytest.mark.parametrize("name", ["ministack_tls", "rclone_tls"])
async def test_an_unknown_authority_is_a_hard_error_that_says_what_to_do(
    name: str, program: Program, bucket: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue(name)
    program.configure({"safe": server}, with_ca=False)
    make_tree(tmp_path / "source", {"one": b"1"})
    async with store_of(server) as store:
        await store.create_bucket(bucket)
        ended = program("cp", f"{tmp_path}/source/", f"safe://{bucket}/p/", code=2, timeout_s=20)
        assert await read_all(store, bucket) == {}
    assert "certificate" in ended.err
    assert "--ca-bundle" in ended.err or "ca_bundle" in ended.err
