"""Names in order, however many there are: what does not fit in memory is sorted in runs on disk, and merged when it is read."""

from __future__ import annotations

import heapq
import itertools
import os
import tempfile
from collections.abc import Iterable, Iterator

BLOCK_BYTES = 16 * 1024
"""Of each run so much is in memory while the runs are merged."""


class SortedNames:
    """The names of one folder in ascending order, taken a piece at a time; to be closed.

    Up to ``in_memory`` names are sorted where they are, without a file. More are sorted in runs of so many, in one temporary file
    without a name (in ``TMPDIR``): ten million names need 100 runs, some 20 MB of memory and as many bytes on disk as they have.
    """

    def __init__(self, names: Iterable[str], *, in_memory: int) -> None:
        """Read ``names``, none of which has a NUL. OSError where the temporary file cannot be written."""
        self._descriptor = -1
        remaining = iter(names)
        run = sorted(itertools.islice(remaining, in_memory))
        self._merged = iter(run)
        if (first := next(remaining, None)) is None:
            return
        del self._merged  # it would keep the first run in memory
        try:
            self._descriptor = _nameless_file()
            self._merged = self._merge(run, itertools.chain([first], remaining), in_memory)
        except BaseException:
            self.close()
            raise

    def take(self, count: int) -> list[str]:
        """Return the next ``count`` names; fewer at the end. OSError where the temporary file cannot be read."""
        return list(itertools.islice(self._merged, count))

    def close(self) -> None:
        """Give the temporary file up. Idempotent."""
        self._merged = iter(())
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _merge(self, run: list[str], remaining: Iterator[str], in_memory: int) -> Iterator[str]:
        runs: list[Iterator[str]] = []
        end = 0
        while run:
            start = end
            end += _write(self._descriptor, run)
            runs.append(_read(self._descriptor, start, end))
            run.clear()
            run.extend(itertools.islice(remaining, in_memory))
            run.sort()
        return heapq.merge(*runs)


def _nameless_file() -> int:
    with tempfile.TemporaryFile(prefix="brigade-", buffering=0) as file:
        return os.dup(file.fileno())


def _write(descriptor: int, run: list[str]) -> int:
    """Append a run, each name ended by a NUL; return its bytes."""
    data = memoryview("".join(f"{name}\0" for name in run).encode())
    size = len(data)
    while data:
        data = data[os.write(descriptor, data) :]
    return size


def _read(descriptor: int, start: int, end: int) -> Iterator[str]:
    """Yield the names of a run, a block at a time."""
    begun = b""
    while start < end:
        block = os.pread(descriptor, min(BLOCK_BYTES, end - start), start)
        if not block:
            raise OSError("a temporary file has become shorter")
        start += len(block)
        *names, begun = (begun + block).split(b"\0")
        for name in names:
            yield name.decode()
