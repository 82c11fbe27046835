"""Small files, read whole: inline, or ahead of their use in a thread.

From the page cache, reading inline is the cheapest there is. From a disk that has to seek, or a network file system, it would
stop the event loop: there the Prefetcher reads ahead, many files for each time that it wakes the loop.
"""

from __future__ import annotations

import asyncio
import os
import stat
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

import msgspec

from bucket_brigade.errors import TransferError
from bucket_brigade.local.sources import SourceFile, SourceFolder
from bucket_brigade.model.parts import MIB

FILES_PER_HOP = 64
_HOP_S = 0.002
"""A slow disk hands over what it has after this time, not only when a hop is full."""


class WantedFile(msgspec.Struct, frozen=True, gc=False):
    """A file to be read, as it was planned; SourceChanged if it is not that any more. ``inode`` 0 asks for none."""

    path: str
    size: int
    modified_ns: int
    inode: int = 0


class ReadFile(msgspec.Struct, frozen=True, gc=False):
    """A file's whole content, and its mtime in nanoseconds since the epoch; unchanged while it was read."""

    data: bytes
    modified_ns: int


class SmallFiles(Protocol):
    """Gives the files of a batch, each once, by their positions in it."""

    async def get(self, index: int) -> ReadFile:
        """Return the file's content. NotFound, SourceChanged, LocalError, BadKey: of this file alone."""
        ...


def read_small(folder: SourceFolder, wanted: WantedFile) -> ReadFile:
    """Read a whole file now. NotFound, SourceChanged, LocalError, BadKey."""
    data = _read_as_planned(folder, wanted)
    if data is not None:
        return ReadFile(data, wanted.modified_ns)
    with SourceFile.open(
        folder, wanted.path, size=wanted.size, modified_ns=wanted.modified_ns, inode=wanted.inode
    ) as file:
        data = file.read_whole()
        file.check_unchanged()
        return ReadFile(data, file.modified_ns)


def _read_as_planned(folder: SourceFolder, wanted: WantedFile) -> bytes | None:
    """Return the content in the fewest system calls; None where there is more to find out, or to say.

    One look, after reading, is enough where size and mtime are known: a file that has them still was not written to before.
    """
    if wanted.size < 0 or not wanted.modified_ns:
        return None
    parent, name = folder.locate(wanted.path)
    try:
        fd = os.open(name.encode(), folder.open_flags, dir_fd=parent.fd)
        try:
            data = os.read(fd, wanted.size + 1)  # one byte more shows a file that has grown
            status = os.fstat(fd)
        finally:
            os.close(fd)
    except OSError:
        return None
    as_planned = (
        len(data) == wanted.size == status.st_size
        and status.st_mtime_ns == wanted.modified_ns
        and stat.S_ISREG(status.st_mode)
        and (not wanted.inode or wanted.inode == status.st_ino)
    )
    return data if as_planned else None


class InlineReader:
    """Reads each file when it is asked for, on the event loop: for disks that answer from memory."""

    def __init__(self, folder: SourceFolder, files: Sequence[WantedFile]) -> None:
        self._folder = folder
        self._files = files

    async def get(self, index: int) -> ReadFile:
        """As SmallFiles says."""
        return read_small(self._folder, self._files[index])


class Prefetcher:
    """Reads files ahead in one thread, in order, while at most so many files and bytes wait to be taken.

    To be asked for in roughly ascending order: a file further ahead is read with all before it, beyond the bounds if it must be.
    Memory: ``ahead_bytes``, or one file if that is larger. Leaving the ``async with`` block ends the thread.

    The counters of what was read belong to the thread, those of what was taken to the loop: no lock is needed between them.
    """

    def __init__(
        self,
        folder: SourceFolder,
        files: Sequence[WantedFile],
        *,
        ahead_files: int = 4 * FILES_PER_HOP,
        ahead_bytes: int = 4 * MIB,
    ) -> None:
        self._folder = folder
        self._files = files
        self._ahead_files = ahead_files
        self._ahead_bytes = ahead_bytes
        self._ready: dict[int, ReadFile | TransferError] = {}
        self._waiting: dict[int, asyncio.Future[ReadFile | TransferError]] = {}
        self._read_files = self._read_bytes = 0
        self._taken_files = self._taken_bytes = 0
        self._asked_for = 0
        self._crash: BaseException | None = None
        self._stopped = False
        self._parked = False
        self._room = threading.Event()

    async def get(self, index: int) -> ReadFile:
        """As SmallFiles says. Without waiting, and without a future, where the file is there already."""
        result = self._ready.pop(index, None)
        if result is None:
            result = await self._arrival(index)
        self._taken_files += 1
        self._taken_bytes += max(self._files[index].size, 0)
        if self._parked and self._half_empty():
            self._room.set()
        if isinstance(result, TransferError):
            raise result
        return result

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        threading.Thread(target=self._run, name="brigade-prefetch", daemon=True).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = True
        self._room.set()
        for future in self._waiting.values():
            future.cancel()
        await asyncio.shield(self._ended)

    # --- on the loop ---------------------------------------------------------------------------------------------

    async def _arrival(self, index: int) -> ReadFile | TransferError:
        future = self._loop.create_future()
        self._waiting[index] = future
        self._asked_for = max(self._asked_for, index + 1)
        self._room.set()
        self._hand_over()  # it may have come between the look and the entry
        try:
            result: ReadFile | TransferError = await future
        finally:
            self._waiting.pop(index, None)
        return result

    def _hand_over(self) -> None:
        for index in [index for index in self._waiting if index in self._ready]:
            future = self._waiting.pop(index)
            if not future.done():
                future.set_result(self._ready.pop(index))
        if self._crash is not None:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(self._crash)

    def _half_empty(self) -> bool:
        files = self._read_files - self._taken_files
        return files * 2 <= self._ahead_files and (self._read_bytes - self._taken_bytes) * 2 <= self._ahead_bytes

    # --- in the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopped and self._read_files < len(self._files):
                self._wait_for_room()
                self._read_hop()
                if self._waiting:
                    self._loop.call_soon_threadsafe(self._hand_over)
        except BaseException as exc:  # a bug: whoever waits for a file gets it, on the loop
            self._crash = exc
            self._loop.call_soon_threadsafe(self._hand_over)
        finally:
            self._loop.call_soon_threadsafe(self._ended.set_result, None)

    def _read_hop(self) -> None:
        until = time.monotonic() + _HOP_S
        for index in range(self._read_files, min(self._read_files + FILES_PER_HOP, len(self._files))):
            if self._stopped or self._full():
                return
            wanted = self._files[index]
            try:
                result: ReadFile | TransferError = read_small(self._folder, wanted)
            except TransferError as exc:
                result = exc
            self._read_bytes += max(wanted.size, 0)
            self._read_files += 1
            self._ready[index] = result
            if self._waiting and time.monotonic() > until:
                return

    def _full(self) -> bool:
        if self._read_files < self._asked_for or self._read_files == self._taken_files:
            return False
        held_bytes = self._read_bytes - self._taken_bytes + max(self._files[self._read_files].size, 0)
        return self._read_files - self._taken_files >= self._ahead_files or held_bytes > self._ahead_bytes

    def _wait_for_room(self) -> None:
        while self._full() and not self._stopped:
            self._parked = True
            self._room.clear()
            if self._full() and not self._stopped:  # looked at again: it may have been taken before ``clear``
                self._room.wait()
            self._parked = False
