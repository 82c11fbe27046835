"""Catalogs: the durable map between logical and stored keys, as gzip-compressed JSON lines. Format: ``docs/catalog.md``.

The first line is the header, each other line one object. Both keys are whole keys, the target prefix included.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import zlib
from collections.abc import Collection, Iterable, Iterator
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from bucket_brigade.errors import ConfigError
from bucket_brigade.model.transfer import UNKNOWN_SIZE
from bucket_brigade.planning.linefile import damaged, read_lines

FORMAT = "bucket-brigade-catalog"
VERSION = 1

# A gzip stream without name and time inside: the same entries make the same bytes.
_GZIP_WBITS = 31
_NOT_OURS = "Name a catalog that brigade wrote (--catalog)."


class CatalogHeader(msgspec.Struct, frozen=True, kw_only=True):
    """Whose keys these are.

    Attributes:
        layout: the name of the layout that made the stored keys.
        bucket, prefix: where the job wrote.
        endpoint: the configured name of the service, for people.
    """

    format: str = FORMAT
    version: int = VERSION
    job_id: str
    layout: str
    bucket: str
    prefix: str
    endpoint: str = ""


class CatalogEntry(msgspec.Struct, frozen=True, gc=False):
    """One object: the name its user knows, and the key under which it is stored. ``etag`` has its quotes."""

    logical: str
    stored: str
    size: int = UNKNOWN_SIZE
    etag: str = ""


_encoder = msgspec.json.Encoder()
_header_decoder = msgspec.json.Decoder(CatalogHeader)
_entry_decoder = msgspec.json.Decoder(CatalogEntry)


class CatalogWriter:
    """Writes a catalog beside its final name, and gives it that name when it is whole and on disk.

    ::

        async with CatalogWriter(path, header) as catalog:
            await catalog.write(entries)

    Left with an exception, it leaves what stood at ``path`` as it was. Each ``write`` is one thread hop: give it a batch.
    """

    def __init__(self, path: str, header: CatalogHeader) -> None:
        self._path = path
        self._header = header
        # A cancelled write goes on in its thread for a while: the lock keeps the file open until it is through.
        self._lock = threading.Lock()
        self._raw: BinaryIO
        self._packer = zlib.compressobj(level=5, wbits=_GZIP_WBITS)
        self._temporary = ""

    async def __aenter__(self) -> Self:
        # Two system calls, here: cancelled in another thread they would leave a file that nobody removes.
        self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            # In this thread: a cancelled task must not wait for another one to be scheduled.
            self._discard()
            return
        try:
            await asyncio.to_thread(self._commit)
        except BaseException:
            self._discard()
            raise

    async def write(self, entries: Iterable[CatalogEntry]) -> None:
        """Append entries. The iterable is consumed in another thread.

        Raises:
            OSError: the disk refused.
        """
        await asyncio.to_thread(self._write, entries)

    def _open(self) -> None:
        folder, name = os.path.split(os.path.abspath(self._path))
        descriptor, self._temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".part", dir=folder)
        self._raw = open(descriptor, "wb")  # noqa: SIM115 - lives as long as the writer
        self._write_lines(_encoder.encode_lines([self._header]))

    def _write(self, entries: Iterable[CatalogEntry]) -> None:
        self._write_lines(_encoder.encode_lines(entries))

    def _write_lines(self, lines: bytes) -> None:
        with self._lock:
            self._raw.write(self._packer.compress(lines))

    def _commit(self) -> None:
        with self._lock:
            self._raw.write(self._packer.flush())
            self._raw.flush()
            os.fsync(self._raw.fileno())
            self._raw.close()
            os.replace(self._temporary, self._path)
            _sync_folder(os.path.dirname(os.path.abspath(self._path)))

    def _discard(self) -> None:
        with self._lock:
            self._raw.close()
            if os.path.exists(self._temporary):
                os.unlink(self._temporary)


def read_header(path: str) -> CatalogHeader:
    """Return the header of a catalog.

    Raises:
        ConfigError: it cannot be read, is no catalog, or of a version that this program does not know.
    """
    for line in read_lines(path):
        return _header_of(path, line.content)
    raise ConfigError(f"{path} is empty, so it is no catalog", remedy=_NOT_OURS)


def read_catalog(path: str) -> Iterator[CatalogEntry]:
    """Yield the entries of a catalog, in the order they were written, holding one at a time.

    Raises:
        ConfigError: as ``read_header``; or a line is damaged, and its number is named.
    """
    read_header(path)
    for line in read_lines(path):
        if line.number == 1:
            continue
        try:
            yield _entry_decoder.decode(line.content)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            remedy = "Make or fetch the catalog again; the job's own copy is in its folder."
            raise damaged(path, line.number, f"{error}".rstrip("."), remedy=remedy) from error


def lookup(path: str, names: Collection[str]) -> Iterator[CatalogEntry]:
    """Yield the entries whose logical or stored key is among ``names``, in one pass over the catalog.

    Raises:
        ConfigError: as ``read_catalog``.
    """
    wanted = frozenset(names)
    return (entry for entry in read_catalog(path) if entry.logical in wanted or entry.stored in wanted)


def _header_of(path: str, content: bytes) -> CatalogHeader:
    try:
        header = _header_decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no catalog", remedy=_NOT_OURS) from error
    if header.format != FORMAT:
        raise ConfigError(f"{path} is no catalog", remedy=_NOT_OURS)
    if header.version != VERSION:
        message = f"{path} is a catalog of version {header.version}, and this program knows version {VERSION}"
        raise ConfigError(message, remedy="Use the version of brigade that wrote it, or a newer one.")
    return header


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
