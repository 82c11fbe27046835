"""What every test stands on: uvloop as in production, an environment without AWS in it, servers, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import hypothesis
import pytest
import pytest_asyncio
import uvloop

from tests.faults.hostile import in_thread
from tests.servers import RunningServer, start_ministack, start_moto, start_rclone
from tests.servers.running import CONDITIONS, DIGESTS

hypothesis.settings.register_profile("dev", deadline=None, max_examples=50)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True, database=None)
hypothesis.settings.register_profile("slow", deadline=None, max_examples=2_000)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run what is marked slow")
    parser.addoption("--campaign-seed", metavar="N[-M]", help="run the campaign of faults with these seeds alone")


def pytest_configure(config: pytest.Config) -> None:
    profile = "slow" if config.getoption("--slow") else "ci" if os.environ.get("CI") else "dev"
    if not config.getoption("--hypothesis-profile"):
        hypothesis.settings.load_profile(profile)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))
        if pytest_asyncio.is_async_test(item) and isinstance(item, pytest.Function):
            # First in the list: set up before, and so torn down after, every other fixture of the test.
            item.fixturenames.insert(0, _watch_of(item))


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the loop that production runs on."""
    return {"uvloop": uvloop.new_event_loop}


# --- nothing is left behind ------------------------------------------------------------------------------------------


def _watch_of(item: pytest.Function) -> str:
    marker = item.get_closest_marker("asyncio")
    scope = marker.kwargs.get("loop_scope") if marker else None
    return "no_task_is_left_in_session" if scope == "session" else "no_task_is_left"


@pytest_asyncio.fixture(loop_scope="function")
async def no_task_is_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    await _expect_no_more_than(before)


@pytest_asyncio.fixture(loop_scope="session")
async def no_task_is_left_in_session() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    await _expect_no_more_than(before)


async def _expect_no_more_than(before: set[asyncio.Task[object]]) -> None:
    # What was cancelled a moment ago, or ends with the closing of its connection, gets a few turns to do so.
    for _ in range(10):
        left = asyncio.all_tasks() - before - {asyncio.current_task()}
        if not left:
            return
        await asyncio.sleep(0)
    pytest.fail(f"left running: {', '.join(sorted(repr(task.get_coro()) for task in left))}")


@pytest.fixture(scope="session", autouse=True)
def _temporary_files_go(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give ``tempfile`` a folder of ours, also in child processes, and find it empty at the end."""
    folder = tmp_path_factory.mktemp("tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield
    # multiprocessing removes its own folder later, when the interpreter ends.
    left = sorted(name for name in os.listdir(folder) if not name.startswith("pymp-"))
    assert not left, f"temporary files are left: {left}"


# --- the environment -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def _no_environment_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the AWS and brigade settings, and the home, of whoever runs the tests."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("AWS_", "BRIGADE_", "XDG_")) or name.lower() in _PROXIES:
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


_PROXIES = {"http_proxy", "https_proxy", "all_proxy"}


# --- servers ---------------------------------------------------------------------------------------------------------
# Each xdist worker that needs one starts its own: a second or less each, and no coordination to go wrong.


@pytest.fixture(scope="session")
def moto() -> Iterator[RunningServer]:
    with start_moto() as server:
        yield server


@pytest.fixture(scope="session")
def ministack() -> Iterator[RunningServer]:
    with start_ministack() as server:
        yield server


@pytest.fixture(scope="session")
def ministack_tls() -> Iterator[RunningServer]:
    with start_ministack(tls=True) as server:
        yield server


@pytest.fixture(scope="session")
def rclone() -> Iterator[RunningServer]:
    with start_rclone() as server:
        yield server


@pytest.fixture(scope="session")
def rclone_tls() -> Iterator[RunningServer]:
    with start_rclone(tls=True) as server:
        yield server


@pytest.fixture(scope="session")
def hostile() -> Iterator[RunningServer]:
    """The server of ``tests/faults``, with nothing wrong: the contract suite holds it to S3's rules."""
    with in_thread() as s3:
        yield RunningServer(name="hostile", endpoint=s3.endpoint(), enforces=frozenset({DIGESTS, CONDITIONS}))
