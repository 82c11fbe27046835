"""Standard input and output as chunks, while the loop goes on."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bucket_brigade.errors import DiskFull, LocalError
from bucket_brigade.local.streams import StandardInput, StandardOutput


class Pipe:
    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def close(self) -> None:
        for fd in (self.reading, self.writing):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


async def test_input_comes_in_parts_of_the_size_asked_for(pipe: Pipe) -> None:
    stream = StandardInput(pipe.reading)
    first = asyncio.create_task(stream.read(10))
    for piece in (b"abc", b"defg", b"hijklm"):
        os.write(pipe.writing, piece)
        await asyncio.sleep(0.001)
    assert await first == b"abcdefghij"
    os.close(pipe.writing)
    pipe.writing = -1
    assert [bytes(await stream.read(10)), bytes(await stream.read(10))] == [b"klm", b""]
    stream.close()


async def test_the_loop_goes_on_while_input_is_awaited(pipe: Pipe) -> None:
    stream = StandardInput(pipe.reading)
    waiting = asyncio.create_task(stream.read(1))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not waiting.done()
    os.write(pipe.writing, b"x")
    assert await waiting == b"x"
    stream.close()


async def test_a_file_as_input(tmp_path: Path) -> None:
    content = os.urandom(300_000)
    (tmp_path / "file").write_bytes(content)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    stream = StandardInput(fd)
    parts = []
    while part := await stream.read(131_072):
        parts.append(bytes(part))
    os.close(fd)
    stream.close()
    assert [len(part) for part in parts] == [131_072, 131_072, 37_856]
    assert b"".join(parts) == content


async def test_output_larger_than_the_pipe_is_written_whole(pipe: Pipe) -> None:
    content = os.urandom(1_000_000)
    stream = StandardOutput(pipe.writing)
    writing = asyncio.create_task(stream.write(content))
    received = bytearray()
    while len(received) < len(content):
        received += await asyncio.to_thread(os.read, pipe.reading, 65_536)
    await writing
    stream.close()
    assert received == content


async def test_a_reader_that_goes_away_is_noticed(pipe: Pipe) -> None:
    os.close(pipe.reading)
    pipe.reading = -1
    stream = StandardOutput(pipe.writing)
    with pytest.raises(LocalError, match="standard output") as caught:
        await stream.write(b"bytes")
    assert caught.value.code == "EPIPE"
    stream.close()


async def test_errors_are_translated() -> None:
    with pytest.raises(LocalError) as reading:
        await StandardInput(-1).read(1)
    assert reading.value.code == "EBADF"
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(DiskFull):
        await StandardOutput(full).write(b"bytes")
    os.close(full)


STUCK_READ = """
import asyncio
from bucket_brigade.local.streams import StandardInput
async def main():
    try:
        await asyncio.wait_for(StandardInput().read(10), 0.05)
    except TimeoutError:
        print("given up")
asyncio.run(main())
"""


def test_input_that_never_comes_does_not_keep_the_program_alive(pipe: Pipe) -> None:
    run = subprocess.run(
        [sys.executable, "-c", STUCK_READ], stdin=pipe.reading, capture_output=True, text=True, timeout=20
    )
    assert (run.returncode, run.stdout) == (0, "given up\n"), run.stderr
