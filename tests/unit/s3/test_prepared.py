"""What may become a form: only a request whose signature can be reproduced, with every field where it was asked for."""

from __future__ import annotations

import asyncio

import pytest

from bucket_brigade.s3.prepared import (
    PLACEHOLDER_KEY,
    Captured,
    NotPreparable,
    capture,
    compile_form,
    copy_source,
    quote_key,
)
from bucket_brigade.s3.sigv4 import EMPTY_SHA256, Identity, signing_key, stamp_of

IDENTITY = Identity("AK", "SK", "")
SCOPE = "20261122/us-east-1/s3/aws4_request"
STAMP = stamp_of(
    date="20261122T123103Z",
    access_key="AK",
    token="",
    key=signing_key("SK", "20261122", "us-east-1", "s3"),
    region="us-east-1",
    service="s3",
)


def signed(url: str, headers: dict[str, str] | None = None, *, payload: str = EMPTY_SHA256) -> Captured:
    """Return a GET as botocore would have signed it; ``url`` must be of the host ``h``."""
    extra = {"host": "h", "x-amz-content-sha256": payload, "x-amz-date": STAMP.date} | (headers or {})
    names = ";".join(sorted(extra))
    lines = "".join(f"{name}:{' '.join(extra[name].split())}\n" for name in sorted(extra))
    path, _, query = url.removeprefix("http://h").partition("?")
    pairs = "&".join(sorted(pair if "=" in pair else pair + "=" for pair in query.split("&") if pair))
    signature = STAMP.sign(f"GET\n{path}\n{pairs}\n{lines}\n{names}\n{payload}")
    extra["authorization"] = f"{STAMP.credential}, SignedHeaders={names}, Signature={signature}"
    return Captured("GET", url, extra, b"")


OBJECT = f"http://h/bucket/{PLACEHOLDER_KEY}"


def test_form_is_filled_in_with_other_values() -> None:
    form = compile_form(
        signed(f"{OBJECT}?uploads&partNumber=9", {"range": "bytes=1-2"}),
        fields={"?partNumber": "9", "range": "bytes=1-2"},
        identity=IDENTITY,
        user_agent="agent/100%",
    )
    head = form.fill(STAMP, {"path": "other%20key", "?partNumber": "10", "range": "bytes=3-4"}).decode()
    expected = signed("http://h/bucket/other%20key?uploads&partNumber=10", {"range": "bytes=3-4"})
    assert head.startswith("GET /bucket/other%20key?uploads&partNumber=10 HTTP/1.1\r\n")
    assert f"authorization: {expected.headers['authorization']}\r\n" in head
    assert "user-agent: agent/100%\r\n" in head
    assert (form.target.host, form.target.port, form.scope) == ("h", 80, ("us-east-1", "s3"))


def test_anonymous_request_is_left_unsigned() -> None:
    captured = Captured("GET", OBJECT, {}, b"")
    form = compile_form(captured, fields={}, identity=None, user_agent="a")
    head = form.fill(None, {"path": "k"}).decode()
    assert head == "GET /bucket/k HTTP/1.1\r\nhost: h\r\naccept-encoding: identity\r\nuser-agent: a\r\n\r\n"


def test_payload_stays_unsigned_where_botocore_left_it_so() -> None:
    form = compile_form(signed(OBJECT, payload="UNSIGNED-PAYLOAD"), fields={}, identity=IDENTITY, user_agent="a")
    assert not form.hashes_payload
    assert b"x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n" in form.fill(STAMP, {"path": "k"})


@pytest.mark.parametrize(
    ("captured", "fields", "reason"),
    [
        (signed("http://h/bucket/other"), {}, "does not end with the key"),
        (signed(OBJECT), {"?uploadId": "x"}, "lacks"),
        (signed(f"{OBJECT}?uploadId=y"), {"?uploadId": "x"}, "not what was asked for"),
        (signed(OBJECT), {"range": "bytes=1-2"}, "range is not what"),
        (signed(OBJECT, {"range": "bytes=1-9"}), {"range": "bytes=1-2"}, "range is not what"),
        (signed(OBJECT, {"transfer-encoding": "chunked"}), {}, "length of the body"),
        (signed(OBJECT, payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER"), {}, "payload is signed as"),
        (signed(OBJECT, {"x-amz-security-token": "t"}), {}, "session token"),
        (signed(OBJECT)._replace(url=OBJECT.replace("/bucket/", "/tekcub/")), {}, "does not see"),
        (Captured("GET", OBJECT, {"authorization": "AWS AK:sig"}, b""), {}, "SigV4"),
        (Captured("GET", OBJECT, {}, b""), {}, "SigV4"),
    ],
)
def test_what_cannot_be_reproduced_is_refused(captured: Captured, fields: dict[str, str], reason: str) -> None:
    with pytest.raises(NotPreparable, match=reason):
        compile_form(captured, fields=fields, identity=IDENTITY, user_agent="a")


def test_signature_of_others_is_refused() -> None:
    with pytest.raises(NotPreparable, match="SigV4"):
        compile_form(signed(OBJECT), fields={}, identity=Identity("OTHER", "SK", ""), user_agent="a")
    with pytest.raises(NotPreparable, match="does not see"):
        compile_form(signed(OBJECT), fields={}, identity=Identity("AK", "WRONG", ""), user_agent="a")


async def test_call_that_sends_nothing_cannot_be_captured() -> None:
    with pytest.raises(NotPreparable, match="no request"):
        await capture(lambda: asyncio.sleep(0))


def test_names_are_quoted_as_botocore_does() -> None:
    assert quote_key("a/b-._~") == "a/b-._~"
    assert quote_key("//é +%?#&=:@") == "//%C3%A9%20%2B%25%3F%23%26%3D%3A%40"
    assert copy_source("b", "a b+é", "v/1 +") == "b/a%20b%2B%C3%A9?versionId=v/1 +"
    with pytest.raises(UnicodeEncodeError):
        quote_key("\udcff")
