"""One job of the campaign as the installed command: killed with SIGKILL at random instants, resumed to its end."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess

from bucket_brigade.model.job import Overwrite
from bucket_brigade.settings.values import EndpointSettings
from tests.faults.campaign import children_of, kill_group, kill_parent
from tests.faults.mixes import Mix
from tests.faults.truth import begin, places
from tests.faults.world import World
from tests.integration.program import Program

MAX_RUNS = 14
KILLS = 2
RUN_TIMEOUT_S = 60.0
_FINAL = {0: "done", 3: "done_with_failures"}

_CONFIGURATION = """
[engine]
concurrency = 4
processes = {processes}
batch_size = 8
checkpoint_interval_s = "100ms"
lane = "{lane}"
[engine.retry]
max_attempts = 5
max_elapsed_s = "20s"
base_delay_s = "5ms"
max_delay_s = "50ms"
[transfer]
part_size_bytes = "5MiB"
multipart_threshold_bytes = "5MiB"
copy_limit_bytes = "5MiB"
"""


def kill_one_worker(process: subprocess.Popen[bytes]) -> None:
    """Kill a worker process, if there is one; the job goes on without it, or with another one."""
    for pid in children_of(process)[:1]:
        os.kill(pid, signal.SIGKILL)


class KilledJob:
    """The job of one mix."""

    def __init__(self, mix: Mix, world: World, program: Program) -> None:
        self._mix = mix
        self._world = world
        self._program = program
        self._chance = random.Random(f"kills {mix.seed}")

    def configure(self) -> None:
        """Write the program's configuration."""
        endpoints = [_endpoint(self._world.s3.endpoint(name)) for name in ("hostile", "away")]
        processes = 2 if self._mix.seed % 5 == 0 else 1
        lane = "auto" if self._mix.way == "lane" else "off"
        self._program.config.write_text("".join(endpoints) + _CONFIGURATION.format(processes=processes, lane=lane))
        self._program.config.chmod(0o600)

    def run(self) -> str:
        """Run it to its end, and return its id."""
        self.configure()
        begin(self._mix, self._world)
        killed = 0
        for number in range(MAX_RUNS):
            if number == MAX_RUNS // 2:
                self._world.s3.script.clear()
            process = self._program.start(*self._words(), "--log-level", "debug")
            if killed < KILLS and self._strike(process):
                killed += 1
                continue
            code = process.wait(RUN_TIMEOUT_S)
            if self._is_over(code):
                return self._program.job_ids()[-1]
        raise AssertionError(f"the job never ended:\n{self._program.tail()}")

    def _words(self) -> list[str]:
        if jobs := self._program.job_ids():
            return ["resume", jobs[-1]]
        source, target = places(self._mix, self._world)
        if self._mix.verb == "rm":
            return ["rm", source, "--recursive", "--yes"]
        sparing = ["--no-clobber"] if self._mix.options.overwrite is Overwrite.NEVER else []
        return [self._mix.verb, source, target, *sparing]

    def _strike(self, process: subprocess.Popen[bytes]) -> bool:
        """Kill it after some of its requests; return False where it was over before."""
        requests = self._world.s3.requests
        until = requests.total() + self._chance.randrange(1, 2 * len(self._mix.objects) + 4)
        while requests.total() < until and process.poll() is None:
            self._wait(process, 0.002)
        self._wait(process, self._chance.choice((0.0, 0.0, 0.02, 0.1)) * self._chance.random())
        if process.poll() is not None:
            self._is_over(process.returncode)
            return False
        kill = self._chance.choice((kill_group, kill_parent, kill_one_worker))
        kill(process)
        if kill is kill_one_worker:
            return False
        process.wait()
        return True

    def _wait(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    def _is_over(self, code: int) -> bool:
        """Hold the exit code against the state in the journal; return whether the job is over."""
        jobs = self._program.job_ids()
        if not jobs:
            assert code in (2, 3), f"exit {code} before there was a job\n{self._program.tail()}"
            return False
        state = self._program.status(jobs[-1])["state"]
        if code == 2:  # a kill between the last write and the exit leaves nothing to resume
            assert state in ("planned", "interrupted", *_FINAL.values()), (code, state, self._program.tail())
        elif code == 130:
            assert state == "interrupted", (code, state, self._program.tail())
        else:
            known = (
                _FINAL.get(code),
                "interrupted" if code == 3 else None,
            )  # a listing that failed is exit 3, resumable
            assert state in known, (code, state, self._program.tail())
        return state in _FINAL.values()


def _endpoint(endpoint: EndpointSettings) -> str:
    assert endpoint.secret_access_key is not None
    values = {
        "endpoint_url": endpoint.endpoint_url,
        "region": endpoint.region,
        "access_key_id": endpoint.access_key_id,
        "secret_access_key": endpoint.secret_access_key.reveal(),
        "addressing": endpoint.addressing,
        "read_timeout_s": f"{int(endpoint.read_timeout_s * 1000)}ms",
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    return "\n".join([f"[endpoints.{endpoint.name}]", *lines, ""])
