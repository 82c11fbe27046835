"""Whether credentials are at hand, and when a client is opened for real."""

from typing import Any

import pytest

from bucket_brigade.s3.late_client import LateClient, has_credentials, open_late_client
from bucket_brigade.s3.prepared import capturable, capture
from bucket_brigade.settings.values import EndpointSettings, Secret

STATIC = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region": "eu-central-1"}


@pytest.mark.parametrize(
    ("endpoint", "profile", "environ", "at_hand"),
    [
        (EndpointSettings(no_sign_request=True), {}, {}, True),
        (EndpointSettings(access_key_id="key", secret_access_key=Secret("s")), {"role_arn": "arn"}, {}, True),
        (EndpointSettings(), {}, {"AWS_ACCESS_KEY_ID": "key"}, True),
        (EndpointSettings(), {}, {"AWS_ACCESS_KEY_ID": "key", "AWS_CREDENTIAL_EXPIRATION": "2027-01-01"}, False),
        (EndpointSettings(profile="p"), {}, {"AWS_ACCESS_KEY_ID": "key"}, False),
        (EndpointSettings(profile="p"), STATIC, {}, True),
        (EndpointSettings(), STATIC | {"role_arn": "arn", "source_profile": "q"}, {}, False),
        (EndpointSettings(), STATIC | {"credential_process": "program"}, {}, False),
        (EndpointSettings(), STATIC, {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}, False),
        (EndpointSettings(), {"sso_session": "company"}, {}, False),
        (EndpointSettings(), {}, {}, False),
    ],
)
def test_credentials_are_at_hand_where_they_are_written(
    endpoint: EndpointSettings, profile: dict[str, Any], environ: dict[str, str], at_hand: bool
) -> None:
    assert has_credentials(endpoint, lambda: profile, environ) is at_hand


async def test_a_captured_request_opens_nothing_and_a_sent_one_opens_once() -> None:
    endpoint = EndpointSettings(
        access_key_id="key", secret_access_key=Secret("secret"), endpoint_url="http://127.0.0.1:9"
    )
    opened = []

    class Client:
        async def head_bucket(self, **params: str) -> dict[str, str]:
            return params

    async def open_it() -> Client:
        opened.append(True)
        return Client()

    async with open_late_client(endpoint, max_connections=1) as client:
        assert isinstance(client, LateClient)
        late = LateClient(client._builder, None, open_it)
        with capturable(late):
            captured = await capture(lambda: late.head_bucket(Bucket="bucket"))
            assert (captured.method, captured.url) == ("HEAD", "http://127.0.0.1:9/bucket")
            assert not opened
            for _ in range(2):
                assert await late.head_bucket(Bucket="bucket") == {"Bucket": "bucket"}
    assert len(opened) == 1
