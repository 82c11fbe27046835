from __future__ import annotations

import pytest

from bucket_brigade.cli.redaction import redact, redact_text
from bucket_brigade.model.redaction import redact_foreign

SECRET = "hush/AbC+1234=="


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=host, Signature={SECRET}",
        f"'authorization': 'Bearer {SECRET}'",
        f"x-amz-security-token={SECRET}",
        f"X-Amz-Server-Side-Encryption-Customer-Key: {SECRET}",
        f'"x-amz-copy-source-server-side-encryption-customer-key": "{SECRET}"',
        f"GET https://bucket.s3.amazonaws.com/key?X-Amz-Signature={SECRET}&x=1",
        f"aws_secret_access_key = {SECRET}",
        f"s3://AKIA:{SECRET}@bucket/key",
        f"https://user:{SECRET}@minio.example.com/",
        f"https://user:{SECRET.replace('/', '')}@minio.example.com/",
    ],
)
def test_secrets_in_text_are_hidden(text: str) -> None:
    shown = redact_text(text)
    assert SECRET not in shown
    assert SECRET.replace("/", "") not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "text", ["s3://bucket/what?is=this", "key with Signature in it", "https://example.com/path", ""]
)
def test_other_text_is_left_alone(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "secret",
    [
        "f" * 64,
        "IQoJb3JpZ2luX2VjEAAaCXVzLWVhc3QtMSJHMEUCIQDx+/" * 8 + "==",
        "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    ],
)
def test_what_a_store_repeats_without_a_name_is_known_by_its_shape(secret: str) -> None:
    assert redact_foreign(f"Bad token {secret}, sorry") == "Bad token ***, sorry"


def test_the_key_id_in_the_words_of_a_store_is_shortened() -> None:
    assert redact_foreign("AKIAIOSFODNN7EXAMPLE is unknown") == "AKIAIOSF*** is unknown"


def test_fields_are_hidden_by_name_and_inside_structures() -> None:
    assert redact("session_token", "x") == "***"
    assert redact("key", "photos/1.jpg") == "photos/1.jpg"
    assert redact("access_key_id", "AKIA") == "AKIA"
    assert redact("headers", {"Authorization": "x", "Host": "h"}) == {"Authorization": "***", "Host": "h"}
    assert redact("attempts", 3) == 3
