"""Whether an endpoint is Amazon S3 itself: by the address that requests go to, wherever it comes from."""

from __future__ import annotations

import pytest

from bucket_brigade.s3.client import ClientStore
from bucket_brigade.s3.session import open_client
from bucket_brigade.settings.values import EndpointSettings, Secret


@pytest.mark.parametrize(
    ("region", "url", "is_aws"),
    [
        ("eu-central-1", None, True),
        ("cn-north-1", None, True),
        ("us-east-1", "https://s3.us-east-1.amazonaws.com", True),
        ("us-east-1", "https://minio.example.com", False),
        ("us-east-1", "https://amazonaws.com.example.com", False),
    ],
)
async def test_by_address(region: str, url: str | None, is_aws: bool) -> None:
    endpoint = EndpointSettings(endpoint_url=url, region=region, access_key_id="AK", secret_access_key=Secret("SK"))
    async with open_client(endpoint, max_connections=1) as client:
        assert ClientStore(client, endpoint).is_aws is is_aws


async def test_what_the_environment_says_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    endpoint = EndpointSettings(region="us-east-1", access_key_id="AK", secret_access_key=Secret("SK"))
    async with open_client(endpoint, max_connections=1) as client:
        assert not ClientStore(client, endpoint).is_aws
