"""Where credentials come from, and when they expire, without their secrets."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiobotocore.awsrequest import AioAWSResponse

from bucket_brigade.errors import ConfigError
from bucket_brigade.s3 import identity
from bucket_brigade.s3.addresses import is_aws
from bucket_brigade.s3.bucket_values import PublicAccessBlock
from bucket_brigade.s3.identity import find_credentials
from bucket_brigade.settings.values import EndpointSettings, Secret

SECRET = "a-secret-that-nobody-may-see"


@pytest.fixture(autouse=True)
def _aws_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {
        "Version": 1,
        "AccessKeyId": "ASIAOFAPROCESS000001",
        "SecretAccessKey": SECRET,
        "SessionToken": "token",
        "Expiration": "2099-01-01T00:00:00Z",
    }
    program = tmp_path / "program.py"
    program.write_text(f"print({json.dumps(json.dumps(answer))})")
    (tmp_path / "config").write_text(f"[profile renewing]\ncredential_process = {sys.executable} {program}\n")
    (tmp_path / "credentials").write_text(
        f"[filed]\naws_access_key_id = AKIAOFAFILE000000001\naws_secret_access_key = {SECRET}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


async def test_keys_of_the_configuration() -> None:
    endpoint = EndpointSettings(access_key_id="AKIACONFIGURED000001", secret_access_key=Secret(SECRET))
    found = await find_credentials(endpoint)
    assert (found.method, found.access_key_id, found.temporary) == ("explicit", "AKIA…0001", False)
    assert "configuration of brigade" in found.source
    assert SECRET not in str(found)


async def test_keys_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAENVIRONMENT00001")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    found = await find_credentials(EndpointSettings())
    assert (found.method, found.temporary, found.expires_ns) == ("env", True, None)
    assert "AWS_ACCESS_KEY_ID" in found.source


async def test_keys_of_a_profile() -> None:
    found = await find_credentials(EndpointSettings(profile="filed"))
    assert (found.method, found.profile) == ("shared-credentials-file", "filed")
    assert found.source.endswith("profile filed")


async def test_keys_that_are_renewed_tell_when_they_expire() -> None:
    found = await find_credentials(EndpointSettings(profile="renewing"))
    assert (found.method, found.temporary) == ("custom-process", True)
    assert found.expires_ns == 4_070_908_800_000_000_000


async def test_a_profile_that_does_not_exist_and_none_at_all() -> None:
    with pytest.raises(ConfigError, match="no-such"):
        await find_credentials(EndpointSettings(profile="no-such"))
    with pytest.raises(ConfigError, match="No credentials"):
        await find_credentials(msgspec.structs.replace(EndpointSettings()))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://s3.eu-central-1.amazonaws.com", True),
        ("https://s3.cn-north-1.amazonaws.com.cn", True),
        ("https://amazonaws.com.example", False),
        ("https://minio.example/amazonaws.com", False),
        ("http://127.0.0.1:9000", False),
    ],
)
def test_what_is_an_address_of_aws(url: str, expected: bool) -> None:
    assert is_aws(url) is expected


async def test_the_account_is_asked_at_its_own_address_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(request: Any, **_: Any) -> AioAWSResponse:
        asked.append(request.url)
        raw = SimpleNamespace(read=lambda: _read(BLOCK))
        return AioAWSResponse(request.url, 200, {"content-type": "application/xml"}, raw)

    opening = identity._open_service

    @contextlib.asynccontextmanager
    async def opened(name: str, endpoint: EndpointSettings, url: str | None) -> AsyncIterator[Any]:
        async with opening(name, endpoint, url) as client:
            client.meta.events.register("before-send", answer)
            yield client

    monkeypatch.setattr(identity, "_open_service", opened)
    endpoint = EndpointSettings(
        region="eu-central-1", access_key_id="AKIACONFIGURED000001", secret_access_key=Secret(SECRET)
    )

    block = await identity.account_public_access_block(endpoint, "123456789012")

    assert asked == [
        "https://123456789012.s3-control.eu-central-1.amazonaws.com/v20180820/configuration/publicAccessBlock"
    ]
    assert block == PublicAccessBlock(block_public_acls=True, ignore_public_acls=True)


BLOCK = (
    b'<?xml version="1.0"?><PublicAccessBlockConfiguration xmlns="http://awss3control.amazonaws.com/doc/2018-08-20/">'
    b"<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls>"
    b"<BlockPublicPolicy>false</BlockPublicPolicy><RestrictPublicBuckets>false</RestrictPublicBuckets>"
    b"</PublicAccessBlockConfiguration>"
)


async def _read(body: bytes) -> bytes:
    return body
