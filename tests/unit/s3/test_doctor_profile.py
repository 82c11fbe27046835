"""What is known of an endpoint is kept for later jobs, and forgotten when it is old."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest

from bucket_brigade import __version__
from bucket_brigade.s3.client import ClientStore
from bucket_brigade.s3.profile import (
    MAX_AGE_S,
    UNKNOWN_PROFILE,
    EndpointProfile,
    profile_path,
    read_profile,
    write_profile,
)
from bucket_brigade.s3.session import open_client
from bucket_brigade.settings.values import EndpointSettings, Secret

MINIO = EndpointSettings(
    name="minio", endpoint_url="https://minio.example", access_key_id="AKIAME", secret_access_key=Secret("very-secret")
)


def test_nothing_is_known_of_an_endpoint_that_was_never_asked(tmp_path: Path) -> None:
    assert read_profile(str(tmp_path), MINIO) == UNKNOWN_PROFILE
    assert UNKNOWN_PROFILE.conditional_writes is None


def test_a_profile_is_read_back_and_holds_no_secret(tmp_path: Path) -> None:
    path = write_profile(str(tmp_path), MINIO, EndpointProfile(endpoint_url="https://minio.example", checksums=False))

    read = read_profile(str(tmp_path), MINIO)
    assert (read.checksums, read.tags, read.brigade_version) == (False, None, __version__)
    assert read.probed_ns > 0
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert not {"very-secret", "AKIAME"} & set(Path(path).read_text().split('"'))
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


def test_what_was_not_tried_again_stays_known(tmp_path: Path) -> None:
    write_profile(str(tmp_path), MINIO, EndpointProfile(tags=True, multi_delete=False))
    write_profile(str(tmp_path), MINIO, EndpointProfile(multi_delete=True))

    read = read_profile(str(tmp_path), MINIO)
    assert (read.tags, read.multi_delete) == (True, True)


@pytest.mark.parametrize(
    ("changes", "content"),
    [({"probed_ns": 1}, None), ({"format": 99}, None), ({}, b"{"), ({}, b'{"tags": "yes"}')],
    ids=["old", "another format", "damaged", "of another shape"],
)
def test_a_profile_that_cannot_be_believed_tells_nothing(
    tmp_path: Path, changes: dict[str, int], content: bytes | None
) -> None:
    path = Path(write_profile(str(tmp_path), MINIO, EndpointProfile(tags=True)))
    changed = msgspec.structs.replace(read_profile(str(tmp_path), MINIO), **changes)
    path.write_bytes(msgspec.json.encode(changed) if content is None else content)

    assert read_profile(str(tmp_path), MINIO) == UNKNOWN_PROFILE
    assert MAX_AGE_S < 1e9


def test_the_profile_belongs_to_the_service_and_not_to_who_asks() -> None:
    def path(**changes: object) -> str:
        return profile_path("/state", msgspec.structs.replace(MINIO, **changes), environ={})

    assert path() == path(access_key_id="AKIAOTHER", profile="other")
    assert path() != path(endpoint_url="https://other.example")
    assert path(endpoint_url=None) != path(endpoint_url=None, profile="other")


def test_the_environment_names_the_service_of_the_endpoint_s3() -> None:
    aws = EndpointSettings()
    minio = {"AWS_ENDPOINT_URL": "https://minio.example"}

    assert profile_path("/state", aws, environ=minio) != profile_path("/state", aws, environ={})
    assert profile_path("/state", MINIO, environ=minio) == profile_path("/state", MINIO, environ={})


@pytest.mark.parametrize(
    ("tried", "expected"),
    [
        ((True, True, True), True),
        ((True, True, False), False),
        ((True, True, None), None),
        ((False, None, None), False),
    ],
)
def test_conditions_are_enforced_only_where_every_kind_of_upload_enforces_them(
    tried: tuple[bool | None, ...], expected: bool | None
) -> None:
    profile = EndpointProfile(put_if_absent=tried[0], put_if_match=tried[1], complete_if_absent=tried[2])
    assert profile.conditional_writes is expected


async def test_a_store_begins_with_what_its_endpoint_was_found_to_refuse(tmp_path: Path) -> None:
    write_profile(str(tmp_path), MINIO, EndpointProfile(accepts_checksums=False, multi_delete=False, start_after=False))
    profile = read_profile(str(tmp_path), MINIO)

    async with open_client(MINIO, max_connections=1) as client:
        told, insisting = (
            ClientStore(client, MINIO),
            ClientStore(client, msgspec.structs.replace(MINIO, checksum="crc64nvme")),
        )
        assert (told.sends_checksums, told.deletes_many) == (True, True)
        told.believe(profile)
        insisting.believe(profile)
        assert (told.sends_checksums, told.deletes_many) == (False, False)
        assert insisting.sends_checksums
        told_nothing = ClientStore(client, MINIO)
        told_nothing.believe(UNKNOWN_PROFILE)
        assert (told_nothing.sends_checksums, told_nothing.deletes_many) == (True, True)
    assert not profile.lists_in_shards
    assert UNKNOWN_PROFILE.lists_in_shards
