"""The program as a subprocess: with a configuration file of its own, a state directory, and servers that have names."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bucket_brigade.settings.values import EndpointSettings
from tests.servers import RunningServer

BRIGADE = (sys.executable, "-m", "bucket_brigade")
_LOOK_AGAIN_S = 0.01


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a call of the program ended."""

    code: int
    out: bytes
    err: str

    @property
    def document(self) -> Any:
        """Standard output, read as one JSON document."""
        return json.loads(self.out)

    @property
    def last_line(self) -> str:
        """The last line on stderr."""
        return self.err.splitlines()[-1]


@dataclasses.dataclass(frozen=True)
class Program:
    """``brigade`` of one test, in a folder of its own; ``within`` are words before the command, such as ``nsenter``'s."""

    folder: Path
    within: tuple[str, ...] = ()

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    @property
    def log(self) -> Path:
        """What all runs begun with ``start`` have said."""
        return self.folder / "runs.log"

    @property
    def environment(self) -> dict[str, str]:
        """The configuration and the state directory are named here, so that every command line stays as users type it."""
        return {**os.environ, "BRIGADE_CONFIG": str(self.config), "BRIGADE_STATE_DIR": str(self.state_dir)}

    def configure(
        self,
        servers: Mapping[str, RunningServer],
        *,
        checksum: str = "auto",
        with_ca: bool = True,
        engine: Mapping[str, object] | None = None,
    ) -> None:
        """Write a configuration file in which these servers are endpoints by these names."""
        lines: list[str] = []
        for name, server in servers.items():
            lines += _endpoint_lines(name, server.endpoint, checksum=checksum, with_ca=with_ca)
        lines += ["[engine]", *(f"{name} = {json.dumps(value)}" for name, value in (engine or {}).items())]
        self.config.write_text("\n".join(lines) + "\n")
        self.config.chmod(0o600)

    def __call__(self, *words: str, code: int | None = 0, stdin: bytes = b"", timeout_s: float = 90.0) -> Ended:
        """Run it to its end and expect the exit code (None: any)."""
        done = subprocess.run(
            [*self.within, *BRIGADE, *words],
            input=stdin,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        ended = Ended(done.returncode, done.stdout, done.stderr.decode())
        assert code is None or ended.code == code, f"exit {ended.code} of {words}\n{ended.out!r}\n{ended.err}"
        return ended

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start it in a process group of its own; what it says is added to ``log``."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*self.within, *BRIGADE, *words],
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def said(self, text: str) -> int:
        """Return how often ``text`` is in the log."""
        return self.log.read_bytes().count(text.encode()) if self.log.exists() else 0

    def wait_until_said(
        self, text: str, process: subprocess.Popen[bytes], *, times: int = 1, within_s: float = 60.0
    ) -> bool:
        """Wait until the log holds ``text`` so many times; return False if the process ended before."""
        until = time.monotonic() + within_s
        while self.said(text) < times:
            if process.poll() is not None:
                return self.said(text) >= times
            assert time.monotonic() < until, f"{text!r} was never said:\n{self.tail()}"
            time.sleep(_LOOK_AGAIN_S)
        return True

    def tail(self) -> str:
        """Return the end of the log, for messages."""
        return self.log.read_text()[-6000:] if self.log.exists() else ""

    def job_ids(self) -> list[str]:
        """Return the ids of the jobs whose journal is there; a folder that begins with a dot was never finished."""
        return sorted(path.parent.name for path in (self.state_dir / "jobs").glob("[!.]*/journal.db"))

    def status(self, job_id: str) -> Any:
        """Return what ``brigade status --json`` says."""
        return self("status", job_id, "--json").document


def _endpoint_lines(name: str, endpoint: EndpointSettings, *, checksum: str, with_ca: bool) -> list[str]:
    assert endpoint.secret_access_key is not None
    values = {
        "endpoint_url": endpoint.endpoint_url,
        "region": endpoint.region or "us-east-1",
        "access_key_id": endpoint.access_key_id,
        "secret_access_key": endpoint.secret_access_key.reveal(),
        "addressing": "path",
        "checksum": checksum,
        "ca_bundle": endpoint.ca_bundle if with_ca else None,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if value is not None]
    return [f"[endpoints.{name}]", *lines]
