from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from bucket_brigade.errors import ConfigError
from bucket_brigade.s3.checksums import crc64nvme
from bucket_brigade.s3.client import ClientStore
from bucket_brigade.s3.prepared import capturable, capture
from bucket_brigade.s3.session import check_endpoint, check_region, open_client, parse_timestamp
from bucket_brigade.settings.values import EndpointSettings, Secret


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


WITH_KEYS = EndpointSettings(access_key_id="ak", secret_access_key=Secret("sk"), endpoint_url="http://127.0.0.1:9")


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.example.com",
        "https://s3.example.com:9000/path",
        "http://127.0.0.1:9000",
        "http://localhost:9000",
        "http://[::1]:9000",
    ],
)
def test_https_and_loopback_are_accepted(url: str) -> None:
    check_endpoint(EndpointSettings(endpoint_url=url))


@pytest.mark.parametrize(
    "url",
    [
        "http://s3.example.com",
        "http://10.0.0.1:9000",
        "http://169.254.169.254",
        "https://169.254.169.254/latest",
        "https://0xA9FEA9FE",
        "https://2852039166",
        "https://[fe80::1]",
        "https://[::ffff:169.254.169.254]",
        "https://metadata.google.internal",
        "https://[fd00:ec2::254]",
        "ftp://s3.example.com",
        "s3.example.com",
        "https://",
        "https://user:secret@s3.example.com",
        "https://s3.example.com?x=1",
        "https://s3.example.com:99999",
    ],
)
def test_unsafe_and_broken_urls_are_refused_with_a_remedy(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_endpoint(EndpointSettings(endpoint_url=url))

    assert caught.value.remedy
    assert "secret" not in str(caught.value)


def test_http_to_other_hosts_needs_permission() -> None:
    check_endpoint(EndpointSettings(endpoint_url="http://10.0.0.1:9000", allow_http=True))


def test_a_metadata_address_is_refused_even_with_permission() -> None:
    with pytest.raises(ConfigError):
        check_endpoint(EndpointSettings(endpoint_url="http://169.254.169.254", allow_http=True))


@pytest.mark.parametrize("region", ["", "EU-WEST-1", "a b", "eu-west-1\n", "x" * 33, "evil.com/"])
def test_a_region_that_could_change_the_host_is_refused(region: str) -> None:
    with pytest.raises(ConfigError):
        check_region(region)


@pytest.mark.parametrize(
    "change",
    [
        {"addressing": "dns"},
        {"checksum": "md5"},
        {"payload_signing": "sometimes"},
        {"request_payer": "me"},
        {"secret_access_key": None},
        {"ca_bundle": "/nowhere.pem"},
    ],
)
def test_settings_that_mean_nothing_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        check_endpoint(msgspec.structs.replace(WITH_KEYS, **change))


async def test_missing_credentials_are_told_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="No credentials"):
        async with open_client(EndpointSettings(), max_connections=1):
            pass


async def test_an_unknown_profile_is_told_by_name() -> None:
    with pytest.raises(ConfigError, match="nobody"):
        async with open_client(EndpointSettings(profile="nobody"), max_connections=1):
            pass


async def test_anonymous_requests_need_no_credentials() -> None:
    async with open_client(EndpointSettings(no_sign_request=True), max_connections=1) as client:
        assert client.meta.region_name == "us-east-1"


async def test_the_environment_describes_the_endpoint_s3_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    settings = msgspec.structs.replace(WITH_KEYS, endpoint_url=None)

    async with open_client(settings, max_connections=1) as client:
        assert client.meta.endpoint_url == "http://127.0.0.1:9"
        assert client.meta.region_name == "eu-west-3"
    async with open_client(msgspec.structs.replace(settings, name="other"), max_connections=1) as client:
        assert client.meta.endpoint_url == "https://s3.eu-west-3.amazonaws.com"


async def test_an_unsafe_url_of_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://169.254.169.254")

    with pytest.raises(ConfigError):
        async with open_client(msgspec.structs.replace(WITH_KEYS, endpoint_url=None), max_connections=1):
            pass


async def test_a_profile_gives_credentials_and_region(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile work]\nregion = eu-south-2\n")
    (tmp_path / "credentials").write_text("[work]\naws_access_key_id = a\naws_secret_access_key = b\n")

    async with open_client(EndpointSettings(profile="work"), max_connections=1) as client:
        assert client.meta.region_name == "eu-south-2"


@pytest.mark.parametrize(
    "value", ["2024-05-06T07:08:09.000Z", "2024-05-06T07:08:09+00:00", "Mon, 06 May 2024 07:08:09 GMT", 1714979289]
)
def test_timestamps_of_every_form_are_read(value: object) -> None:
    assert parse_timestamp(value) == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


async def test_a_profile_says_what_is_false(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "[profile work]\naws_access_key_id = a\naws_secret_access_key = b\nregion = eu-south-2\n"
        "s3 =\n  use_dualstack_endpoint = false\n  payload_signing_enabled = false\n  addressing_style = path\n"
    )

    async with open_client(EndpointSettings(profile="work"), max_connections=1) as client:
        assert client.meta.endpoint_url == "https://s3.eu-south-2.amazonaws.com"
        assert client.meta.config.s3["payload_signing_enabled"] is False
        assert client.meta.config.s3["addressing_style"] == "path"


HTTP, HTTPS = "http://127.0.0.1:9", "https://127.0.0.1:9"


@pytest.mark.parametrize(
    ("url", "payload_signing", "with_crc", "hashed"),
    [
        (HTTP, "auto", True, True),
        (HTTP, "always", True, True),
        (HTTP, "never", True, False),
        (HTTP, "never", False, True),
        (HTTPS, "auto", True, False),
        (HTTPS, "auto", False, True),
        (HTTPS, "always", True, True),
        (HTTPS, "never", False, False),
    ],
)
async def test_bodies_are_hashed_where_nothing_else_protects_them(
    url: str, payload_signing: str, with_crc: bool, hashed: bool
) -> None:
    endpoint = msgspec.structs.replace(WITH_KEYS, endpoint_url=url, payload_signing=payload_signing)
    crc = crc64nvme(b"body") if with_crc else None

    async with open_client(endpoint, max_connections=1) as client:
        store = ClientStore(client, endpoint)
        with capturable(client):
            put = await capture(lambda: store.put_object("bucket", "key", b"body", crc64nvme=crc))
            part = await capture(lambda: store.upload_part("bucket", "key", "id", 1, b"body", crc64nvme=crc))
            listing = await capture(lambda: store.list_objects("bucket"))

    expected = sha256(b"body").hexdigest() if hashed else "UNSIGNED-PAYLOAD"
    assert [request.headers["x-amz-content-sha256"] for request in (put, part)] == [expected, expected]
    assert ("x-amz-checksum-crc64nvme" in put.headers) is with_crc
    assert listing.headers["x-amz-content-sha256"] == sha256(b"").hexdigest()
