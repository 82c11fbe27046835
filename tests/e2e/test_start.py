"""What a job of one file loads: the start is most of what it costs."""

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path

import pytest

HEAVY = {
    "aioboto3",
    "aiobotocore",
    "aiohttp",
    "awscrt",
    "boto3",
    "multiprocessing",
    "rich",
    "s3transfer",
}

_SCRIPT = f"""
import sys
from bucket_brigade.cli.main import main
code = main(sys.argv[1:])
print(sorted({HEAVY!r} & set(sys.modules)))
sys.exit(code)
"""


class _Store(http.server.BaseHTTPRequestHandler):
    """A store of one bucket that takes everything."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer({})

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        checksum = "x-amz-checksum-crc64nvme"
        self._answer({"ETag": f'"{md5(body).hexdigest()}"', checksum: self.headers[checksum]})

    def _answer(self, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in ({"Content-Length": "0"} | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


@pytest.fixture
def endpoint_url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Store) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_job_of_one_file_loads_no_client_and_no_crt(endpoint_url: str, tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_bytes(b"x" * 4096)
    environ = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "HOME": str(tmp_path),
        "BRIGADE_STATE_DIR": str(tmp_path / "state"),
    }
    command = ["cp", str(source), "s3://bucket/key", "--endpoint-url", endpoint_url]
    ran = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *command], capture_output=True, text=True, env=environ, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "[]"
