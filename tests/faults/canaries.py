"""Secrets that are easy to find again, the places where a user puts them, and a store that repeats all that it is sent."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import escape

ACCESS_KEY = "AKIACANARYACCESSKEYX"
SECRET_KEY = "CanarySecretKey/of+forty+characters/abcd"
TOKEN = "CanarySessionToken/" + base64.b64encode(bytes(range(256)) * 2).decode()
CONFIGURED_SECRET = "CanaryOfTheConfigurationFile/+0123456789"
PROFILE_SECRET = "CanaryOfTheProfile/abcdefghijklmnopqrstu"
IMPORTED_SECRET = "CanaryOfAnotherTool/zyxwvutsrqponmlkjihg"
SSE_C_KEY = b"CanarySseCustomerKey0123456789ab"
URL_PASSWORD = "CanaryPasswordInAUrl"
URL_SIGNATURE = "CanarySignatureInAQuery"

SECRETS = (
    SECRET_KEY,
    TOKEN,
    CONFIGURED_SECRET,
    PROFILE_SECRET,
    IMPORTED_SECRET,
    SSE_C_KEY.decode(),
    URL_PASSWORD,
    URL_SIGNATURE,
)


def traces_of(secret: str) -> set[bytes]:
    """Return what gives a secret away: its beginning and its end, as they are, in base64 and in a URL."""
    encoded = base64.b64encode(secret.encode()).decode()
    whole = {secret, quote(secret, safe=""), encoded, quote(encoded, safe="")}
    return {part.encode() for text in whole for part in (text[:16], text[-16:])}


def found_in(content: bytes, signatures: Iterable[str] = ()) -> list[bytes]:
    """Return the traces of canaries, and the signatures, that are in ``content``."""
    traces = set().union(*(traces_of(secret) for secret in SECRETS), {one.encode() for one in signatures})
    found = [trace for trace in sorted(traces) if trace in content]
    return found + re.findall(rb"Signature=[0-9a-f]{64}", content)


class EchoingStore(ThreadingHTTPServer):
    """Refuses every request with an answer that repeats its headers and query wherever an answer has room for them.

    Attributes:
        signatures: of the requests that came.
        status: of the refusals.
        takes: requests (method and path) that are answered like by a store that works and is empty.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Echo)
        self.signatures: set[str] = set()
        self.status = 403
        self.takes: re.Pattern[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: EchoingStore

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        authorization = self.headers.get("Authorization", "")
        self.server.signatures |= set(re.findall(r"Signature=([0-9a-f]{64})", authorization))
        token = self.headers.get("x-amz-security-token", "")
        said = " ".join(f"{name}: {value}" for name, value in self.headers.items())
        if self.server.takes is not None and self.server.takes.search(f"{self.command} {self.path}"):
            self._send(200, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>", {})
            return
        if "delete" in self.path and self.command == "POST":
            body, status = _refused_keys(token), 200
        else:
            told = f"{said} {token} {self.path} {authorization.rpartition('=')[2]}"
            body = f"<Error><Code>{token}</Code><Message>{escape(told)}</Message><Region>{token}</Region></Error>"
            status = self.server.status
        headers = {
            "x-amz-request-id": token,
            "x-amz-bucket-region": token,
            "Location": f"http://{token}@127.0.0.1:1/?X-Amz-Signature={authorization[-64:]}",
        }
        self._send(status, body, headers)

    def _send(self, status: int, body: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/xml", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _refused_keys(token: str) -> str:
    return (
        f"<DeleteResult><Error><Key>key</Key><Code>{token}</Code><Message>No: {token}</Message></Error></DeleteResult>"
    )


@contextlib.contextmanager
def echoing_store() -> Iterator[EchoingStore]:
    """Run one in a thread of its own."""
    server = EchoingStore()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def files_below(folder: Path, *, but: Iterable[Path]) -> Iterator[Path]:
    """Yield every file below a folder except those that hold the secrets because the user put them there."""
    own = {path.resolve() for path in but}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.is_file() and path.resolve() not in own:
                yield path
