"""The machine under a journal fails: fsync, the clock, the process again and again. Nothing is done twice or believed in vain."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bucket_brigade.errors import JournalError
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.journal import folder as folder_module
from bucket_brigade.model.job import JobState
from bucket_brigade.s3.store import Store
from bucket_brigade.settings.values import EngineSettings, Settings
from tests.fakes.gated_server import GatedServer, gated_server
from tests.faults.failing_calls import strace
from tests.integration.buckets import read_all
from tests.integration.program import Program
from tests.samples import make_tree
from tests.servers import RunningServer

DAY_S = 86_400
SOME_FAILED = 3


# The first 14 syncs make the journal and its folder; then come its opening, and commits of plans, leases and checkpoints.
@pytest.mark.parametrize("number", [9, 15, 22])
async def test_after_a_failed_fsync_of_the_journal_nothing_is_believed_and_the_job_goes_on(
    program: Program, rclone: RunningServer, other: Store, bucket: str, tmp_path: Path, number: int
) -> None:
    engine = {"processes": 1, "batch_size": 100, "planned_ahead": 2, "checkpoint_interval_s": "50ms"}
    program.configure({"other": rclone}, checksum="when_required", engine=engine)
    objects = {f"d{i % 3}/{i:04}": b"%d" % i for i in range(2000)}
    make_tree(tmp_path / "source", objects)
    await other.create_bucket(bucket)
    failing = strace(tmp_path, "-e", f"inject=fsync,fdatasync:error=EIO:when={number}+")
    broken = Program(program.folder, within=failing)
    ended = broken("cp", f"{tmp_path}/source/", f"other://{bucket}/", code=1)
    assert "The disk failed under the journal" in ended.err
    assert "Traceback" not in ended.err
    stored = await read_all(other, bucket)
    if number < 15:
        assert (program.job_ids(), stored) == ([], {}), "a journal is made whole or not at all"
        return
    [job_id] = program.job_ids()
    counters = program.status(job_id)["counters"]
    assert counters["done"] <= len(stored) <= counters["planned"], "only what is journaled was touched"
    program("resume", job_id)
    assert await read_all(other, bucket) == objects
    counters = program.status(job_id)["counters"]
    assert (counters["planned"], counters["done"]) == (len(objects), len(objects))


def settings_for(server: GatedServer, state: Path) -> Settings:
    engine = EngineSettings(processes=1, concurrency=4, batch_size=10, checkpoint_interval_s=0.02)
    return Settings(endpoints={"gated": server.endpoint}, state_dir=str(state), engine=engine)


def jumping(real: Callable[[], float], unit: float) -> Callable[[], float]:
    """Return a clock that jumps by days, forth and back, at every look."""
    jumps = itertools.cycle([0, 400, -30, 3, -4000])
    return lambda: type(real())(real() + next(jumps) * DAY_S * unit)


async def test_a_clock_that_jumps_hurries_nothing_and_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = make_tree(tmp_path / "tree", {f"{i:03}": b"%d" % i for i in range(100)})
    async with gated_server() as server:
        monkeypatch.setattr(time, "time", jumping(time.time, 1))
        monkeypatch.setattr(time, "time_ns", jumping(time.time_ns, 10**9))
        async with Brigade(settings_for(server, tmp_path / "state")) as brigade:
            begun = time.monotonic()
            run = await brigade.copy(f"{tree}/", "gated://bucket/")
            server.gate.set()
            async with asyncio.timeout(30):
                report = await run.wait()
            assert 0 <= report.elapsed_s <= time.monotonic() - begun
    assert (report.state, report.counters.done, report.counters.failed) == (JobState.DONE, 100, 0)
    assert len(server.objects) == 100


async def test_a_state_directory_on_a_network_file_system_is_refused_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = make_tree(tmp_path / "tree", {"a": b"1"})
    async with gated_server() as server, Brigade(settings_for(server, tmp_path / "state")) as brigade:
        server.gate.set()
        monkeypatch.setattr(folder_module, "mount_type", lambda path, mountinfo: "nfs4")
        with pytest.raises(JournalError, match="network file system") as caught:
            await brigade.copy(f"{tree}/", "gated://bucket/")
        assert "--state-dir" in caught.value.remedy
        assert server.objects == {}


async def test_what_kills_its_worker_again_and_again_fails_by_name_and_the_job_ends(
    program: Program, tmp_path: Path
) -> None:
    make_tree(tmp_path / "source", {"a": b"1", "b": b"2"})
    async with gated_server() as server:
        running = RunningServer(name="gated", endpoint=server.endpoint, enforces=frozenset())
        program.configure({"gated": running}, engine={"processes": 1, "max_batch_attempts": 2})
        words = ["cp", f"{tmp_path}/source/", "gated://bucket/"]
        for _ in range(2):
            process = program.start(*words)
            while not server.waiting:
                assert process.poll() is None, program.tail()
                await asyncio.sleep(0.01)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            while server.waiting:  # until the server has seen it go
                server.gate.set()
                await asyncio.sleep(0.01)
                server.gate.clear()
            [job_id] = program.job_ids()
            words = ["resume", job_id]
        ended = await asyncio.to_thread(program, "resume", job_id, code=SOME_FAILED)
    assert ended.out.count(b"WorkerDied") == 2
    status = await asyncio.to_thread(program.status, job_id)
    assert (status["state"], status["counters"]["failed"]) == ("done_with_failures", 2)
