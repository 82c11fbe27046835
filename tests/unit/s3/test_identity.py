from __future__ import annotations

import asyncio

import pytest

from bucket_brigade.errors import PermanentError
from bucket_brigade.s3.identity import caller_identity
from bucket_brigade.settings.values import EndpointSettings, Secret


@pytest.mark.parametrize("body", [b"<Odd/>", b"<GetCallerIdentityResponse/>", b"<ListAllMyBucketsResult/>"])
async def test_an_endpoint_that_answers_sts_with_something_else_is_no_bug_of_ours(body: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        endpoint = EndpointSettings(endpoint_url=url, access_key_id="someone", secret_access_key=Secret("secret"))
        with pytest.raises(PermanentError, match="GetCallerIdentity") as raised:
            await caller_identity(endpoint, url)
        assert raised.value.code == "NoIdentity"
