"""Worker processes: they die, are stopped, and lose their parent. A gate at the server decides what is in flight."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.fakes.gated_server import GatedServer, gated_server
from tests.samples import make_tree

from bucket_brigade.jobs.brigade import Brigade, JobRun
from bucket_brigade.model.events import Event, Warned
from bucket_brigade.model.job import JobState
from bucket_brigade.settings.values import EngineSettings, Settings

COUNT = 120
FILES = {f"d{number % 5}/f{number:04}": b"x" * (number % 50) for number in range(COUNT)}
CONCURRENCY = 2

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def children_of(parent: int) -> list[int]:
    """Process ids of the worker processes that ``parent`` has started."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            status = Path(f"/proc/{name}/stat").read_text()
            words = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
        if int(status.rpartition(")")[2].split()[1]) == parent and b"bucket_brigade.engine.process" in words:
            found.append(int(name))
    return found


async def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"not within 30 s: {what}"
        await asyncio.sleep(0.01)


@pytest.fixture
async def server() -> AsyncIterator[GatedServer]:
    async with gated_server() as server:
        yield server


@pytest.fixture
def settings(server: GatedServer, tmp_path: Path) -> Settings:
    engine = EngineSettings(processes=2, concurrency=CONCURRENCY, batch_size=20, checkpoint_interval_s=0.02, grace_s=10)
    return Settings(endpoints={"gated": server.endpoint}, state_dir=str(tmp_path / "state"), engine=engine)


@pytest.fixture
async def brigade(settings: Settings) -> AsyncIterator[Brigade]:
    async with Brigade(settings) as brigade:
        yield brigade


async def start(brigade: Brigade, tmp_path: Path) -> JobRun:
    return await brigade.copy(make_tree(tmp_path / "tree", FILES), "gated://b/p/")


async def both_at_work(server: GatedServer) -> None:
    """Return when this process and the worker process have all that they may have in flight."""
    await until(lambda: len(server.waiting) == 2 * CONCURRENCY, "transfers of both processes in flight")


def expect_all(server: GatedServer) -> None:
    assert server.objects == {f"/b/p/{name}": content for name, content in FILES.items()}


async def test_a_killed_worker_process_gives_its_batches_back_and_the_job_ends_complete(
    brigade: Brigade, server: GatedServer, tmp_path: Path
) -> None:
    run = await start(brigade, tmp_path)
    heard: list[Event] = []
    run.subscribe(heard.append)
    await both_at_work(server)
    [child] = children_of(os.getpid())
    os.kill(child, signal.SIGKILL)
    await until(lambda: any(isinstance(event, Warned) for event in heard), "the death was noticed")
    server.gate.set()
    report = await asyncio.wait_for(run.wait(), 30)
    assert report.state is JobState.DONE
    counters = report.counters
    assert (counters.planned, counters.done, counters.failed, counters.skipped) == (COUNT, COUNT, 0, 0)
    assert counters.done_bytes == sum(map(len, FILES.values()))
    [warning] = [event for event in heard if isinstance(event, Warned)]
    assert warning.code == "WorkerDied"
    assert "batches went back to the queue" in warning.message
    expect_all(server)
    assert children_of(os.getpid()) == []


async def test_a_worker_process_that_dies_while_it_waits_for_work_holds_nobody_up(
    brigade: Brigade, server: GatedServer, tmp_path: Path
) -> None:
    """All batches are taken, and it asks for more: an answer would come only when its own are over."""
    make_tree(tmp_path / "tree", {f"f{number}": b"1" for number in range(40)})
    run = await brigade.copy(str(tmp_path / "tree"), "gated://b/p/")
    await both_at_work(server)
    [child] = children_of(os.getpid())
    os.kill(child, signal.SIGKILL)
    server.gate.set()
    report = await asyncio.wait_for(run.wait(), 30)
    assert (report.state, report.counters.done) == (JobState.DONE, 40)


async def test_stop_drains_the_worker_processes_and_the_job_is_resumed(
    brigade: Brigade, server: GatedServer, tmp_path: Path
) -> None:
    run = await start(brigade, tmp_path)
    await both_at_work(server)
    run.stop()
    await asyncio.sleep(0.05)
    server.gate.set()
    report = await asyncio.wait_for(run.wait(), 20)
    assert report.state is JobState.INTERRUPTED
    assert report.counters.done == len(server.objects) < COUNT
    assert children_of(os.getpid()) == []
    report = await asyncio.wait_for((await brigade.start(run.job.id)).wait(), 30)
    assert (report.state, report.counters.done) == (JobState.DONE, COUNT)
    expect_all(server)


async def test_stop_at_once_ends_the_worker_processes(brigade: Brigade, server: GatedServer, tmp_path: Path) -> None:
    run = await start(brigade, tmp_path)
    await both_at_work(server)
    run.stop(now=True)
    report = await asyncio.wait_for(run.wait(), 20)
    assert (report.state, report.counters.done) == (JobState.INTERRUPTED, 0)
    assert children_of(os.getpid()) == []


async def test_no_secret_is_on_a_command_line_or_in_an_environment(
    brigade: Brigade, server: GatedServer, tmp_path: Path
) -> None:
    secret = server.endpoint.secret_access_key
    assert secret is not None
    run = await start(brigade, tmp_path)
    await both_at_work(server)
    [child] = children_of(os.getpid())
    for name in ("cmdline", "environ"):
        assert secret.reveal().encode() not in Path(f"/proc/{child}/{name}").read_bytes()
    await run.end()


PARENT = """
import asyncio, sys
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.settings.values import EndpointSettings, EngineSettings, Secret, Settings

async def main():
    url, state_dir, source, target = sys.argv[1:]
    endpoint = EndpointSettings(
        name="gated", endpoint_url=url, access_key_id="A", secret_access_key=Secret("s"), addressing="path"
    )
    engine = EngineSettings(processes=2, concurrency=2, batch_size=20)
    async with Brigade(Settings(endpoints={"gated": endpoint}, state_dir=state_dir, engine=engine)) as brigade:
        await (await brigade.copy(source, target)).wait()

asyncio.run(main())
"""


async def test_the_death_of_the_parent_ends_its_worker_processes(
    brigade: Brigade, server: GatedServer, settings: Settings, tmp_path: Path
) -> None:
    source = make_tree(tmp_path / "tree", FILES)
    words = [str(server.endpoint.endpoint_url), settings.state_dir, source, "gated://b/p/"]
    parent = subprocess.Popen([sys.executable, "-c", PARENT, *words])
    try:
        await both_at_work(server)
        [child] = children_of(parent.pid)
    finally:
        parent.kill()
        parent.wait()
    await until(lambda: not _is_alive(child), "the end of the worker process")
    server.gate.set()
    [status] = await brigade.jobs()
    assert status.state is JobState.INTERRUPTED
    report = await asyncio.wait_for((await brigade.start(status.job.id)).wait(), 30)
    assert (report.state, report.counters.done) == (JobState.DONE, COUNT)
    expect_all(server)


def _is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
