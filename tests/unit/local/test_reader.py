"""Small files of a batch, inline and read ahead: the same answers, within bounds."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from tests.unit.local.descriptors import open_descriptors

from bucket_brigade.errors import NotFound, SourceChanged, TransferError
from bucket_brigade.local import reader
from bucket_brigade.local.reader import InlineReader, Prefetcher, ReadFile, SmallFiles, WantedFile
from bucket_brigade.local.sources import SourceFolder


def make_batch(tmp_path: Path, count: int, size: int = 100) -> list[WantedFile]:
    batch = []
    for index in range(count):
        path = f"folder{index // 100}/{index}"
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content(index, size))
        batch.append(WantedFile(path, size, (tmp_path / path).stat().st_mtime_ns))
    return batch


def content(index: int, size: int = 100) -> bytes:
    return index.to_bytes(4) * (size // 4)


@asynccontextmanager
async def inline(folder: SourceFolder, batch: list[WantedFile]) -> AsyncIterator[SmallFiles]:
    yield InlineReader(folder, batch)


@asynccontextmanager
async def ahead(folder: SourceFolder, batch: list[WantedFile]) -> AsyncIterator[SmallFiles]:
    async with Prefetcher(folder, batch, ahead_files=100, ahead_bytes=5_000) as files:
        yield files


Reader = Callable[[SourceFolder, list[WantedFile]], AbstractAsyncContextManager[SmallFiles]]


@pytest.mark.parametrize("read", [inline, ahead])
async def test_every_file_comes_with_its_content(tmp_path: Path, read: Reader) -> None:
    batch = make_batch(tmp_path, 500)
    async with read(SourceFolder(str(tmp_path)), batch) as files:
        for index, wanted in enumerate(batch):
            assert await files.get(index) == ReadFile(content(index), wanted.modified_ns)


@pytest.mark.parametrize("read", [inline, ahead])
async def test_many_takers_in_any_order(tmp_path: Path, read: Reader) -> None:
    batch = make_batch(tmp_path, 500)
    order = list(range(500))
    random.Random(7).shuffle(order)
    async with read(SourceFolder(str(tmp_path)), batch) as files:
        found = await asyncio.gather(*[files.get(index) for index in order])
    assert [file.data for file in found] == [content(index) for index in order]


@pytest.mark.parametrize("read", [inline, ahead])
async def test_one_bad_file_fails_alone(tmp_path: Path, read: Reader) -> None:
    batch = make_batch(tmp_path, 10)
    (tmp_path / batch[3].path).unlink()
    (tmp_path / batch[5].path).write_bytes(b"changed")
    expected: dict[int, type[TransferError]] = {3: NotFound, 5: SourceChanged}
    async with read(SourceFolder(str(tmp_path)), batch) as files:
        for index in range(10):
            if index in expected:
                with pytest.raises(expected[index]):
                    await files.get(index)
            else:
                assert (await files.get(index)).data == content(index)


async def parked(files: Prefetcher) -> None:
    while not files._parked:
        await asyncio.sleep(0.001)


async def test_no_more_is_read_ahead_than_allowed(tmp_path: Path) -> None:
    batch = make_batch(tmp_path, 300)
    folder = SourceFolder(str(tmp_path))
    async with Prefetcher(folder, batch, ahead_files=40, ahead_bytes=10**6) as files:
        await parked(files)
        assert len(files._ready) == 40
    async with Prefetcher(folder, batch, ahead_files=1000, ahead_bytes=2_050) as files:
        await parked(files)
        assert len(files._ready) == 20
        for index in range(300):
            await files.get(index)
            assert len(files._ready) <= 20
    async with Prefetcher(folder, batch, ahead_files=1000, ahead_bytes=1) as files:
        for index in range(300):
            assert (await files.get(index)).data == content(index)
            assert len(files._ready) <= 1


async def test_files_that_nobody_takes_do_not_block_the_others(tmp_path: Path) -> None:
    batch = make_batch(tmp_path, 300)
    async with Prefetcher(SourceFolder(str(tmp_path)), batch, ahead_files=10) as files:
        for index in range(100, 300, 7):
            assert (await files.get(index)).data == content(index)


async def test_a_file_that_is_there_needs_no_wake_up(tmp_path: Path) -> None:
    async with Prefetcher(SourceFolder(str(tmp_path)), make_batch(tmp_path, 50)) as files:
        while len(files._ready) < 50:
            await asyncio.sleep(0.001)
        for index in range(50):
            with pytest.raises(StopIteration) as stop:
                files.get(index).send(None)
            assert stop.value.value.data == content(index)


async def test_a_cancelled_taker_leaves_the_others_alone(tmp_path: Path) -> None:
    batch = make_batch(tmp_path, 300)
    async with Prefetcher(SourceFolder(str(tmp_path)), batch, ahead_files=5) as files:
        taker = asyncio.create_task(files.get(200))
        await asyncio.sleep(0)
        taker.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taker
        assert (await files.get(299)).data == content(299)
        assert files._waiting == {}


async def threads_left() -> list[threading.Thread]:
    threads = [thread for thread in threading.enumerate() if thread.name == "brigade-prefetch"]
    for thread in threads:  # they have said that they end, and are about to
        await asyncio.to_thread(thread.join, 5)
    return [thread for thread in threads if thread.is_alive()]


async def test_leaving_ends_the_thread(tmp_path: Path) -> None:
    batch = make_batch(tmp_path, 300)
    for ahead_files in (5, 1000):
        async with Prefetcher(SourceFolder(str(tmp_path)), batch, ahead_files=ahead_files) as files:
            await files.get(0)
    assert await threads_left() == []


async def test_a_bug_in_the_thread_reaches_whoever_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> ReadFile:
        raise ZeroDivisionError

    monkeypatch.setattr(reader, "read_small", crash)
    async with Prefetcher(SourceFolder(str(tmp_path)), make_batch(tmp_path, 3)) as files:
        for index in range(3):
            with pytest.raises(ZeroDivisionError):
                await files.get(index)


@pytest.mark.parametrize("count", [0, 1])
async def test_batches_of_none_and_one(tmp_path: Path, count: int) -> None:
    async with Prefetcher(SourceFolder(str(tmp_path)), make_batch(tmp_path, count)) as files:
        for index in range(count):
            assert (await files.get(index)).data == content(index)


async def test_reading_ahead_leaves_no_descriptor(tmp_path: Path) -> None:
    batch = make_batch(tmp_path, 200)
    before = open_descriptors()
    folder = SourceFolder(str(tmp_path))
    async with Prefetcher(folder, batch) as files:
        for index in range(200):
            await files.get(index)
    assert await threads_left() == []
    del folder, files
    assert open_descriptors() == before
