"""The installed command as a subprocess, against a real server on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.servers import RunningServer

COMMAND = os.path.join(sysconfig.get_path("scripts"), "brigade")


@dataclass(frozen=True)
class Ended:
    """How a call of the command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def documents(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def last_line(self) -> str:
        return self.err.splitlines()[-1]


@dataclass(frozen=True)
class Command:
    """``brigade`` with its environment and a folder of its own."""

    folder: str
    environment: Mapping[str, str] = field(repr=False)

    def __call__(self, *arguments: str, code: int | None = 0, stdin: bytes = b"", **environment: str) -> Ended:
        """Run the command to its end and expect the exit code (None: any)."""
        done = subprocess.run(
            [COMMAND, *arguments],
            input=stdin,
            capture_output=True,
            cwd=self.folder,
            env={**self.environment, **environment},
            timeout=60,
            check=False,
        )
        ended = Ended(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert code is None or ended.code == code, f"exit {ended.code} of {arguments}\n{ended.out}\n{ended.err}"
        return ended

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the command and leave it running."""
        return subprocess.Popen(
            [COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder, env=self.environment
        )

    @property
    def start_words(self) -> list[str]:
        return [COMMAND]

    def path(self, *parts: str) -> str:
        return os.path.join(self.folder, *parts)

    def write(self, name: str, content: bytes) -> str:
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def tree(self, folder: str) -> dict[str, bytes]:
        found = {}
        for parent, _, names in os.walk(self.path(folder)):
            for name in names:
                path = os.path.join(parent, name)
                with open(path, "rb") as file:
                    found[os.path.relpath(path, self.path(folder))] = file.read()
        return found

    def keys(self, location: str) -> list[str]:
        return sorted(row["key"] for row in self("ls", "--recursive", "--json", location).documents)


def command_for(server: RunningServer, folder: str) -> Command:
    endpoint = server.endpoint
    assert endpoint.endpoint_url
    assert endpoint.access_key_id
    assert endpoint.secret_access_key
    return Command(
        folder,
        {
            **os.environ,
            "PATH": os.path.dirname(COMMAND) + os.pathsep + os.environ["PATH"],
            "AWS_ENDPOINT_URL": endpoint.endpoint_url,
            "AWS_REGION": endpoint.region or "us-east-1",
            "AWS_ACCESS_KEY_ID": endpoint.access_key_id,
            "AWS_SECRET_ACCESS_KEY": endpoint.secret_access_key.reveal(),
            "BRIGADE_STATE_DIR": os.path.join(folder, "state"),
            "COLUMNS": "120",
        },
    )


@pytest.fixture
def brigade(rclone: RunningServer, tmp_path: Any) -> Command:
    """The command against ``rclone serve s3``: quick, and it verifies signatures."""
    return command_for(rclone, str(tmp_path))


@pytest.fixture
def brigade_on_moto(moto: RunningServer, tmp_path: Any) -> Command:
    """The command against moto, which has versions and multipart listings."""
    return command_for(moto, str(tmp_path))


@pytest.fixture
def bucket(brigade: Command, request: pytest.FixtureRequest) -> Iterator[str]:
    """A bucket of the test's own, as ``s3://name``."""
    name = "e2e-" + "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[:40].strip("-") + "-b"
    location = f"s3://{name}"
    brigade("mb", location)
    yield location
    brigade("rb", "--force", "--yes", location, code=None)
