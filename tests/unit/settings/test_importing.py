"""Aliases of mc and remotes of rclone become endpoints that load, and no secret is ever quoted."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from bucket_brigade.errors import ConfigError
from bucket_brigade.settings.importing import Imported, endpoint_name, read_mc, read_rclone, to_toml
from bucket_brigade.settings.load import load_settings
from bucket_brigade.settings.presets import PRESETS
from bucket_brigade.settings.schema import ENDPOINT_RULES

SECRET = 'canary"\\ü€'


def alias(**changes: str) -> dict[str, str]:
    fields = {
        "url": "https://minio.example.com:9000",
        "accessKey": "AK",
        "secretKey": SECRET,
        "api": "S3v4",
        "path": "auto",
    }
    return fields | changes


def mc(**aliases: dict[str, str]) -> str:
    return json.dumps({"version": "10", "aliases": aliases})


def loaded(tmp_path: Path, found: list[Imported]) -> dict[str, object]:
    config = tmp_path / "config.toml"
    config.write_text("\n".join(line for one in found for line in to_toml(one)))
    config.chmod(0o600)
    return dict(load_settings(config_path=str(config), environ={}).settings.endpoints)


def test_an_alias_becomes_an_endpoint_that_loads(tmp_path: Path) -> None:
    found = read_mc(mc(My_Store=alias(path="on", sessionToken="token")))
    endpoint = loaded(tmp_path, found)["my-store"]
    assert endpoint.endpoint_url == "https://minio.example.com:9000"  # type: ignore[attr-defined]
    assert endpoint.secret_access_key.reveal() == SECRET  # type: ignore[attr-defined]
    assert endpoint.session_token.reveal() == "token"  # type: ignore[attr-defined]
    assert endpoint.addressing == "path"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"accessKey": ""}, "no credentials"),
        ({"accessKey": "YOUR-ACCESS-KEY-HERE"}, "no credentials"),
        ({"api": "S3v2"}, "version 2"),
        ({"url": "ftp://host"}, "URL"),
        ({"secretKey": ""}, "half"),
        ({"url": "http://169.254.169.254"}, "metadata"),
    ],
)
def test_what_cannot_be_taken_over_is_named_with_its_reason(changes: dict[str, str], problem: str) -> None:
    [one] = read_mc(mc(store=alias(**changes)))
    assert problem in one.problem
    assert not one.values


def test_aliases_that_would_have_the_same_name_do_not_hide_each_other() -> None:
    first, second = read_mc(mc(Store=alias(), store=alias()))
    assert not first.problem
    assert "another one" in second.problem


@pytest.mark.parametrize("read", [read_mc, read_rclone])
def test_a_file_of_another_kind_is_refused_without_showing_it(read: object) -> None:
    with pytest.raises(ConfigError) as refused:
        read(f"[broken\n{SECRET}")  # type: ignore[operator]
    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None


RCLONE = f"""
[aws]
type = s3
provider = AWS
env_auth = true
region = eu-west-1

[Minio Test]
type = s3
provider = Minio
access_key_id = AK
secret_access_key = {SECRET}
endpoint = http://127.0.0.1:9000

[wasabi]
type = s3
provider = Wasabi
access_key_id = AK
secret_access_key = SK
region = us-east-1
endpoint = s3.wasabisys.com
force_path_style = false
use_unsigned_payload = true

[public]
type = s3
provider = Other
endpoint = https://public.example.com

[nowhere]
type = s3
provider = Other
access_key_id = AK
secret_access_key = SK

[drive]
type = drive
token = secret
"""


def test_s3_remotes_become_endpoints_that_load(tmp_path: Path) -> None:
    found = {one.name: one for one in read_rclone(RCLONE)}
    assert set(found) == {"aws", "minio-test", "wasabi", "public", "nowhere"}
    assert "no endpoint" in found.pop("nowhere").problem
    endpoints = loaded(tmp_path, list(found.values()))
    assert endpoints["aws"].region == "eu-west-1"  # type: ignore[attr-defined]
    assert endpoints["minio-test"].secret_access_key.reveal() == SECRET  # type: ignore[attr-defined]
    assert endpoints["minio-test"].addressing == "path"  # type: ignore[attr-defined]
    assert endpoints["wasabi"].endpoint_url == "https://s3.wasabisys.com"  # type: ignore[attr-defined]
    assert endpoints["wasabi"].addressing == "virtual"  # type: ignore[attr-defined]
    assert endpoints["wasabi"].payload_signing == "never"  # type: ignore[attr-defined]
    assert endpoints["minio-test"].payload_signing == "auto"  # type: ignore[attr-defined]
    assert endpoints["public"].no_sign_request is True  # type: ignore[attr-defined]


def test_what_rclone_itself_writes_is_understood(tmp_path: Path) -> None:
    rclone = shutil.which("rclone") or str(Path(__file__).parents[3] / ".venv/bin/rclone")
    config = tmp_path / "rclone.conf"
    settings = ["provider=Minio", "access_key_id=AK", "secret_access_key=SK", "endpoint=http://127.0.0.1:9000"]
    subprocess.run(
        [rclone, "--config", config, "config", "create", "store", "s3", *settings],
        check=True,
        capture_output=True,
    )
    [one] = read_rclone(config.read_text())
    assert one.values["secret_access_key"] == "SK"
    assert one.values["preset"] == "minio"


def test_an_encrypted_configuration_is_named() -> None:
    with pytest.raises(ConfigError, match="encrypted"):
        read_rclone("# Encrypted rclone configuration File\n\nRCLONE_ENCRYPT_V0:\nAAAA")


@pytest.mark.parametrize(
    ("origin", "name"),
    [("My_Store", "my-store"), ("https", "x-https"), ("1st", "x-1st"), ("ü", "x"), ("a.b+c", "a.b+c")],
)
def test_names_become_schemes(origin: str, name: str) -> None:
    assert endpoint_name(origin) == name


# --- presets ---------------------------------------------------------------------------------------------------------


def with_preset(tmp_path: Path, lines: str) -> object:
    config = tmp_path / "config.toml"
    config.write_text(f"[endpoints.x]\n{lines}")
    return load_settings(config_path=str(config), environ={}).settings.endpoints["x"]


def test_a_preset_fills_in_what_is_left_open(tmp_path: Path) -> None:
    endpoint = with_preset(tmp_path, 'preset = "b2"\nregion = "eu-central-003"')
    assert endpoint.endpoint_url == "https://s3.eu-central-003.backblazeb2.com"  # type: ignore[attr-defined]
    assert endpoint.checksum == "when_required"  # type: ignore[attr-defined]
    endpoint = with_preset(tmp_path, 'preset = "b2"\nendpoint_url = "https://b2.example.com"\nchecksum = "auto"')
    assert endpoint.endpoint_url == "https://b2.example.com"  # type: ignore[attr-defined]
    assert endpoint.checksum == "auto"  # type: ignore[attr-defined]


@pytest.mark.parametrize(("preset", "lacking"), [("b2", "region"), ("minio", "endpoint_url"), ("r2", "endpoint_url")])
def test_what_no_preset_can_know_is_asked_for(tmp_path: Path, preset: str, lacking: str) -> None:
    with pytest.raises(ConfigError, match=lacking):
        with_preset(tmp_path, f'preset = "{preset}"')


def test_every_preset_can_be_chosen() -> None:
    assert ENDPOINT_RULES["preset"].choices == tuple(PRESETS)
