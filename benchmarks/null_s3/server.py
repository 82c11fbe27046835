"""Start and stop the null S3 server: ``with NullS3(sizes=(4096,)) as server: …``.

Two ports answer alike, so that a relay has two endpoints. Buckets named ``synth-COUNT-SIZE`` hold COUNT synthetic objects
``k/00000000`` … of SIZE bytes; any other bucket takes what it is given and forgets it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import resource
import shutil
import signal
import socket
import ssl
import string
import subprocess
import tempfile
import time
import urllib.request
from base64 import b64encode
from pathlib import Path
from types import TracebackType
from typing import Self

ACCESS_KEY, SECRET_KEY = "bench", "benchsecret"
SOURCES = Path(__file__).resolve().parent
MODULE_FOLDERS = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules")
MIB = 1 << 20
MULTIPART_PART = 8 * MIB
START_TIMEOUT_S = 10.0
MODIFIED_S = 1_767_225_600  # 2026-01-01, as the listings say


class NullS3Error(Exception):
    """The server could not be started, or its error log is not empty."""


class NullS3:
    """One nginx process in a temporary folder of its own, on loopback ports chosen by the kernel.

    Attributes:
        endpoints: two URLs that answer alike.
        ca_file: the certificate authority to trust; None without TLS.
        pid: of the server, whose CPU time ``cpu_s`` tells.
    """

    def __init__(self, *, sizes: tuple[int, ...] = (4096,), tls: bool = False) -> None:
        self._sizes = sizes
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = Path()
        self.endpoints: tuple[str, str] = ("", "")

    def __enter__(self) -> Self:
        nginx, modules = _find_nginx()
        root = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.folder = Path(tempfile.mkdtemp(prefix="null-s3-", dir=root))
        try:
            self._write_objects()
            self._write_config(modules)
            self._process = subprocess.Popen(
                [nginx, "-p", self.folder, "-c", self.folder / "nginx.conf", "-e", self.folder / "error.log"]
            )
            self._wait_until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        log = self._stop()
        if log and kind is None:
            raise NullS3Error(f"the null S3 server complained:\n{log[:2000]}")

    @property
    def ca_file(self) -> Path | None:
        return self.folder / "ca.pem" if self._tls else None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise NullS3Error("the server is not running")
        return self._process.pid

    def object_file(self, size: int) -> Path:
        """Return the file with the content of every synthetic object of this size."""
        return self.folder / "objects" / str(size)

    def reset(self) -> None:
        """Set all counters to zero and forget what was stored."""
        self._control("reset")

    def stats(self) -> dict[str, int]:
        """Return the counters since the last reset, by name (``put``, ``get``, ``bytes_in``, …)."""
        lines = self._control("stats").splitlines()
        return {name: int(value) for name, _, value in (line.partition("=") for line in lines)}

    def set_delay(self, delay_ms: float) -> None:
        """Let every answer wait this long."""
        self._control(f"delay?ms={delay_ms:g}")

    def set_limit(self, per_s: float, *, burst_s: float = 0.1) -> None:
        """Answer 503 SlowDown beyond so many requests per second, as a token bucket of ``burst_s`` seconds does; 0 ends that."""
        self._control(f"limit?per_s={per_s:g}&burst_s={burst_s:g}")

    def cpu_s(self) -> float:
        """Return the CPU seconds (user and system) the server has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _write_objects(self) -> None:
        objects = self.folder / "objects"
        objects.mkdir()
        (self.folder / "body").mkdir()
        rows = [_write_object(objects / str(size), size) for size in dict.fromkeys(self._sizes)]
        (self.folder / "objects.lua").write_text("return {\n" + "".join(rows) + "}\n")

    def _write_config(self, modules: str) -> None:
        scheme, flag = ("https", " ssl") if self._tls else ("http", "")
        first, second = _free_ports(2)
        listen = [f"listen 127.0.0.1:{port} backlog=4096{flag};" for port in (first, second)]
        if self._tls:
            _make_certificates(self.folder)
            listen += [f"ssl_certificate {self.folder}/server.pem;", f"ssl_certificate_key {self.folder}/server.key;"]
            listen += ["ssl_protocols TLSv1.2 TLSv1.3;", "ssl_session_cache builtin:1000;"]
        open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        open_files = 65536 if open_files == resource.RLIM_INFINITY else min(open_files, 65536)
        template = string.Template((SOURCES / "nginx.conf.template").read_text())
        config = template.substitute(
            folder=self.folder,
            sources=SOURCES,
            modules=modules,
            listen="\n".join(f"        {line}" for line in listen),
            open_files=open_files,
            connections=min(8192, open_files - 64),
        )
        (self.folder / "nginx.conf").write_text(config)
        self._control_url = f"{scheme}://127.0.0.1:{first}"
        self.endpoints = (f"{scheme}://127.0.0.1:{first}", f"{scheme}://127.0.0.1:{second}")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            with contextlib.suppress(OSError):
                self._control("stats")
                return
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                raise NullS3Error(f"nginx did not start:\n{self._read_log()[:2000]}")
            time.sleep(0.02)

    def _control(self, action: str) -> str:
        context = ssl.create_default_context(cafile=self.ca_file) if self._tls else None
        with urllib.request.urlopen(f"{self._control_url}/-control/{action}", timeout=10, context=context) as answer:
            return answer.read().decode()

    def _read_log(self) -> str:
        log = self.folder / "error.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return "\n".join(line for line in lines if "[alert] detected a LuaJIT version" not in line)

    def _stop(self) -> str:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(timeout=START_TIMEOUT_S)
        log = self._read_log()
        shutil.rmtree(self.folder, ignore_errors=True)
        return log


def _find_nginx() -> tuple[str, str]:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    modules = next((folder for folder in MODULE_FOLDERS if os.path.exists(f"{folder}/ngx_http_lua_module.so")), None)
    if not nginx or not modules:
        raise NullS3Error(
            "the null S3 server needs nginx with Lua; on Debian and Ubuntu: apt-get install nginx libnginx-mod-http-lua"
        )
    return nginx, modules


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _write_object(path: Path, size: int) -> str:
    """Write an object's content; return its row of the Lua table: ETag and checksum are those S3 would give."""
    from awscrt.checksums import crc64nvme

    block = random.Random(size).randbytes(MIB)
    crc, digests = 0, []
    with open(path, "wb") as file:
        for part_offset in range(0, max(size, 1), MULTIPART_PART):
            part_digest = hashlib.md5(usedforsecurity=False)
            for offset in range(part_offset, min(part_offset + MULTIPART_PART, size), MIB):
                piece = block[: min(MIB, size - offset)]
                file.write(piece)
                crc = crc64nvme(piece, crc)
                part_digest.update(piece)
            digests.append(part_digest.digest())
    os.utime(path, (MODIFIED_S, MODIFIED_S))
    etag = digests[0].hex()
    if len(digests) > 1:
        etag = f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"
    checksum = b64encode(crc.to_bytes(8, "big")).decode()
    return f'[{size}] = {{ size = {size}, etag = "{etag}", crc64nvme = "{checksum}" }},\n'


def _make_certificates(folder: Path) -> None:
    """Make a certificate authority of one day, and a certificate for 127.0.0.1 signed by it."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    (folder / "san.cnf").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n")
    authority = (
        "req",
        "-x509",
        *key,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "1",
        "-subj",
        "/CN=null S3 test authority",
    )
    request = ("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1")
    signing = (
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-out",
        "server.pem",
    )
    for command in (authority, request, (*signing, "-days", "1", "-extfile", "san.cnf")):
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
