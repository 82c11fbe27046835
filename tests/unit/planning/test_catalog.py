import asyncio
import gzip
import os
import stat
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from bucket_brigade.errors import ConfigError
from bucket_brigade.planning.catalog import (
    CatalogEntry,
    CatalogHeader,
    CatalogWriter,
    lookup,
    read_catalog,
    read_header,
)

HEADER = CatalogHeader(job_id="j1", layout="hashed", bucket="b", prefix="p/", endpoint="minio")
AWKWARD = ["a", "", "ключ", "line\nbreak", "\x00\x1f\x7f", '"quotes", \\', "\u2028", "x" * 1024, "  ", "%20+"]
ENTRIES = [CatalogEntry("p/" + name, "p/0101/0110/1001/10110010/" + name, 12, '"etag"') for name in AWKWARD]


async def write(path: Path, entries: list[CatalogEntry]) -> None:
    async with CatalogWriter(str(path), HEADER) as catalog:
        await catalog.write(entries[:3])
        await catalog.write(entries[3:])


def rewrite(path: Path, lines: list[bytes]) -> None:
    path.write_bytes(gzip.compress(b"".join(lines)))


def lines_of(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines(keepends=True)


async def test_a_catalog_reads_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "catalog.jsonl.gz"
    await write(path, ENTRIES)
    assert read_header(str(path)) == HEADER
    assert list(read_catalog(str(path))) == ENTRIES
    assert os.listdir(tmp_path) == ["catalog.jsonl.gz"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_the_same_entries_make_the_same_bytes(tmp_path: Path) -> None:
    await write(tmp_path / "one", ENTRIES)
    await write(tmp_path / "two", ENTRIES)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


async def test_the_format_is_one_json_object_a_line(tmp_path: Path) -> None:
    path = tmp_path / "catalog"
    await write(path, ENTRIES[:1])
    header, entry = lines_of(path)
    assert header == (
        b'{"format":"bucket-brigade-catalog","version":1,"job_id":"j1","layout":"hashed","bucket":"b","prefix":"p/",'
        b'"endpoint":"minio"}\n'
    )
    assert entry == b'{"logical":"p/a","stored":"p/0101/0110/1001/10110010/a","size":12,"etag":"\\"etag\\""}\n'


async def test_an_unpacked_catalog_is_read_too(tmp_path: Path) -> None:
    await write(tmp_path / "catalog", ENTRIES)
    plain = tmp_path / "plain"
    plain.write_bytes(b"".join(lines_of(tmp_path / "catalog")))
    assert list(read_catalog(str(plain))) == ENTRIES


async def test_a_failed_catalog_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "catalog"
    await write(path, ENTRIES)

    def broken() -> Iterator[CatalogEntry]:
        yield ENTRIES[0]
        raise RuntimeError("no more")

    async def fail() -> None:
        async with CatalogWriter(str(path), HEADER) as catalog:
            await catalog.write(broken())

    with pytest.raises(RuntimeError, match="no more"):
        await fail()
    assert list(read_catalog(str(path))) == ENTRIES
    assert os.listdir(tmp_path) == ["catalog"]


async def test_a_cancelled_catalog_leaves_nothing(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def stay() -> None:
        async with CatalogWriter(str(tmp_path / "catalog"), HEADER) as catalog:
            await catalog.write(ENTRIES)
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(stay())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert os.listdir(tmp_path) == []


async def test_lookup_finds_both_ways_in_one_pass(tmp_path: Path) -> None:
    path = tmp_path / "catalog"
    await write(path, ENTRIES)
    found = list(lookup(str(path), [ENTRIES[0].logical, ENTRIES[2].stored, "p/none"]))
    assert found == [ENTRIES[0], ENTRIES[2]]


async def test_damage_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "catalog"
    await write(path, ENTRIES)
    whole = lines_of(path)
    for damage in (b'{"logical":"x"}\n', b"\n", b"\xff\n", b'{"logical":"x","stored":3}\n', whole[4][:-5] + b"\n"):
        rewrite(path, [*whole[:4], damage, *whole[5:]])
        with pytest.raises(ConfigError, match="catalog, line 5: "):
            list(read_catalog(str(path)))


async def test_a_cut_off_catalog_is_an_error_and_not_a_short_one(tmp_path: Path) -> None:
    path = tmp_path / "catalog"
    await write(path, ENTRIES)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ConfigError, match="damaged or cut off"):
        list(read_catalog(str(path)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"b,k\n", "is no catalog"),
        (b'{"format":"other","version":1,"job_id":"","layout":"","bucket":"","prefix":""}\n', "is no catalog"),
        (
            b'{"format":"bucket-brigade-catalog","version":2,"job_id":"","layout":"","bucket":"","prefix":""}\n',
            "of version 2",
        ),
    ],
)
def test_what_is_no_catalog_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=reason) as caught:
        next(read_catalog(str(path)))
    assert caught.value.remedy


async def test_a_long_catalog_is_written_and_read_in_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "catalog"
    tracemalloc.start()
    try:
        async with CatalogWriter(str(path), HEADER) as catalog:
            for batch in range(100):
                await catalog.write(
                    [CatalogEntry(f"p/{batch}/{n}", f"p/0101/{batch}/{n}", n, '"e"') for n in range(1000)]
                )
        assert sum(1 for _ in read_catalog(str(path))) == 100_000
        assert tracemalloc.get_traced_memory()[1] < 3 << 20
    finally:
        tracemalloc.stop()
