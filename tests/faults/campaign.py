"""Jobs of the installed command that are killed with SIGKILL at random instants, and resumed until they are done."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.servers import RunningServer

BRIGADE = (sys.executable, "-m", "bucket_brigade")
MAX_RUNS = 12


@dataclass(frozen=True)
class Command:
    """The ``brigade`` of one test: its configuration and its state directory."""

    config: Path
    state_dir: Path

    def run(self, *words: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            [*BRIGADE, *words], env=self._environment(), capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start it in a process group of its own; what it says is added to ``log``."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*BRIGADE, *words], env=self._environment(), stdout=log, stderr=log, start_new_session=True
            )

    @property
    def log(self) -> Path:
        """What all runs have said."""
        return self.config.with_suffix(".log")

    def job_ids(self) -> list[str]:
        """Return the ids of the jobs whose journal is there."""
        folder = self.state_dir / "jobs"
        return sorted(path.parent.name for path in folder.glob("[!.]*/journal.db"))

    def status(self, job_id: str) -> dict[str, object]:
        """Return what ``brigade status --json`` says."""
        done = self.run("status", job_id, "--json")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert isinstance(document, dict)
        return document

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "BRIGADE_CONFIG": str(self.config), "BRIGADE_STATE_DIR": str(self.state_dir)}


def write_config(path: Path, endpoints: dict[str, RunningServer]) -> None:
    """Write a configuration file that names these servers."""
    lines = []
    for name, server in endpoints.items():
        endpoint = server.endpoint
        assert endpoint.access_key_id is not None
        assert endpoint.secret_access_key is not None
        lines += [
            f"[endpoints.{name}]",
            f'endpoint_url = "{endpoint.endpoint_url}"',
            f'region = "{endpoint.region or "us-east-1"}"',
            f'access_key_id = "{endpoint.access_key_id}"',
            f'secret_access_key = "{endpoint.secret_access_key.reveal()}"',
            'addressing = "path"',
        ]
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)


def run_with_kills(command: Command, words: list[str], chance: random.Random, *, kills: int, span_s: float) -> str:
    """Run a job, kill it ``kills`` times at random instants within ``span_s``, and resume it to its end; return its id.

    Whatever was begun before the journal was there has had no effect, and is begun again.
    """
    for _ in range(MAX_RUNS):
        jobs = command.job_ids()
        process = command.start(*(["resume", jobs[-1]] if jobs else words))
        wait_s = chance.uniform(0.05, span_s) if kills else 90.0
        try:
            code = process.wait(wait_s)
        except subprocess.TimeoutExpired:
            assert kills, f"brigade {' '.join(words)} did not end"
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills -= 1
            continue
        assert code == 0 or (code == 2 and _is_done(command)), f"exit code {code}\n{command.log.read_text()[-8000:]}"
        return command.job_ids()[-1]
    raise AssertionError("the job never ended")


def _is_done(command: Command) -> bool:
    """A kill between the last write and the exit leaves nothing to resume."""
    jobs = command.job_ids()
    return bool(jobs) and command.status(jobs[-1])["state"] == "done"


def wait_until_free(command: Command, job_id: str) -> None:
    """Wait until worker processes of a killed run have noticed that their parent is gone."""
    until = time.monotonic() + 10
    while time.monotonic() < until and command.status(job_id)["state"] == "running":
        time.sleep(0.1)
