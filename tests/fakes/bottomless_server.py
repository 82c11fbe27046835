"""An S3 server on loopback that holds any number of large objects of zeros, takes any number, and keeps none in memory."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

from bucket_brigade.settings.values import EndpointSettings, Secret

ETAG = '"00000000000000000000000000000000-1"'
_CHUNK = bytes(1 << 18)
_CHECKSUM = "x-amz-checksum-crc64nvme"
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


class BottomlessServer:
    """Lists ``count`` objects of ``size`` bytes in every bucket.

    Attributes:
        taken: bytes of bodies that were sent to it.
        given: bytes of objects that were read.
        most_connections: how many were open at a time.
    """

    def __init__(self, count: int, size: int) -> None:
        self.count = count
        self.size = size
        self.port = 0
        self.taken = 0
        self.given = 0
        self.most_connections = 0
        self._connections = 0
        self._numbers = itertools.count()
        self._uploads: dict[str, int] = {}
        self._sizes: dict[str, int] = {}

    def endpoint(self, name: str) -> EndpointSettings:
        return EndpointSettings(
            name=name,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region="us-east-1",
            access_key_id=f"AKIA{name.upper()}",
            secret_access_key=Secret("not-looked-at"),
            addressing="path",
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        self.most_connections = max(self.most_connections, self._connections)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _ = head[0].split(" ")
                fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
                length = await self._discard(reader, int(fields.get("content-length", "0")))
                await self._answer(writer, method, target, fields, length)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._connections -= 1
            writer.close()

    async def _discard(self, reader: asyncio.StreamReader, length: int) -> int:
        left = length
        while left:
            chunk = await reader.read(min(left, 1 << 20))
            if not chunk:
                raise ConnectionError
            left -= len(chunk)
        self.taken += length
        return length

    async def _answer(
        self, writer: asyncio.StreamWriter, method: str, target: str, fields: Mapping[str, str], length: int
    ) -> None:
        url = urlsplit(target)
        query = parse_qs(url.query, keep_blank_values=True)
        checksum = {_CHECKSUM: fields[_CHECKSUM]} if _CHECKSUM in fields else {}
        match method:
            case "GET" if "list-type" in query:
                self._write(writer, body=self._listing())
            case "GET" if "tagging" in query:
                self._write(writer, body=_xml("Tagging", TagSet=""))
            case "GET" | "HEAD":
                await self._object(writer, url.path, fields, head=method == "HEAD")
            case "POST" if "uploads" in query:
                upload_id = f"upload{next(self._numbers)}"
                self._uploads[upload_id] = 0
                self._write(writer, body=_xml("InitiateMultipartUploadResult", UploadId=upload_id))
            case "POST":
                self._sizes[url.path] = self._uploads.pop(query["uploadId"][0])
                self._write(writer, body=_xml("CompleteMultipartUploadResult", ETag=ETAG))
            case _:
                if "uploadId" in query:
                    self._uploads[query["uploadId"][0]] += length
                self._write(writer, {"ETag": ETAG, **checksum})
        await writer.drain()

    async def _object(self, writer: asyncio.StreamWriter, path: str, fields: Mapping[str, str], *, head: bool) -> None:
        size = self._sizes.get(path, self.size)
        headers = {"ETag": ETAG, "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        if path.count("/") == 1 or head:
            self._write(writer, headers, length=size)
            return
        asked = _RANGE.fullmatch(fields.get("range", ""))
        first, last = (int(asked[1]), min(int(asked[2]), size - 1)) if asked else (0, size - 1)
        if asked:
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        left = last - first + 1
        self._write(writer, headers, status="206 Partial Content" if asked else "200 OK", length=left)
        self.given += left
        while left:
            await writer.drain()
            chunk = _CHUNK[: min(left, len(_CHUNK))]
            writer.write(chunk)
            left -= len(chunk)

    def _listing(self) -> bytes:
        entries = "".join(
            f"<Contents><Key>large{number:04}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>{ETAG.replace(chr(34), '&quot;')}</ETag><Size>{self.size}</Size></Contents>"
            for number in range(self.count)
        )
        inside = f"<Name>b</Name><KeyCount>{self.count}</KeyCount><IsTruncated>false</IsTruncated>{entries}"
        return f'<?xml version="1.0"?><ListBucketResult>{inside}</ListBucketResult>'.encode()

    def _write(
        self,
        writer: asyncio.StreamWriter,
        headers: Mapping[str, str] | None = None,
        *,
        body: bytes = b"",
        status: str = "200 OK",
        length: int | None = None,
    ) -> None:
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
        lines.append(f"Content-Length: {len(body) if length is None else length}")
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)


def _xml(name: str, **fields: str) -> bytes:
    inside = "".join(f"<{field}>{value.replace(chr(34), '&quot;')}</{field}>" for field, value in fields.items())
    return f'<?xml version="1.0"?><{name}>{inside}</{name}>'.encode()


@asynccontextmanager
async def bottomless_server(count: int, size: int) -> AsyncIterator[BottomlessServer]:
    """Run one, on the loop of the test; its connections are dropped at the end."""
    bottomless = BottomlessServer(count, size)
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(bottomless.serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=1 << 20)
    bottomless.port = server.sockets[0].getsockname()[1]
    try:
        yield bottomless
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
