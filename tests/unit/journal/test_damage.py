"""Damaged files, full and failing disks, other formats: a sentence and a remedy, and never a wrong answer."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.journal.values import JOB, all_done, transfers

from bucket_brigade.errors import JournalError
from bucket_brigade.journal.port import BatchRecord
from bucket_brigade.journal.sqlite import create_journal, open_journal
from bucket_brigade.journal.status import read_status

FILL = """
import asyncio, resource, sys
from bucket_brigade.errors import JournalError
from bucket_brigade.journal.sqlite import create_journal, open_journal
from tests.unit.journal.values import JOB, transfers

async def fill(folder):
    journal = await create_journal(folder, JOB)
    if sys.argv[2:]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    appended = 0
    try:
        while True:
            await journal.append([transfers(1000)], refused=[], cursor=str(appended + 1).encode(), exhausted=False)
            appended += 1
    except JournalError as error:
        print(appended, error, error.remedy, sep="|")
    try:
        await journal.status()
    except JournalError as error:
        print("poisoned", error, error.remedy, sep="|")
    await journal.close()
    # the disk has space again
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    journal = await open_journal(folder)
    print(int(await journal.planning_cursor()), (await journal.status()).open_batches, sep="|")
    await journal.close()

asyncio.run(fill(sys.argv[1]))
"""


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A journal with three batches: one closed, one leased, one waiting."""
    folder = tmp_path / "job"
    journal = await create_journal(str(folder), JOB)
    await journal.append([transfers(50, name) for name in "abc"], refused=[], cursor=b"cursor", exhausted=False)
    [first, _] = await journal.lease("w", 2)
    await journal.complete(all_done(first))
    await journal.close()
    return folder


async def content(folder: Path) -> tuple[object, ...]:
    journal = await open_journal(str(folder))
    try:
        status = await journal.status()
        batches: list[BatchRecord] = [batch async for batch in journal.batches()]
        leases = [(lease.transfers, lease.states) for lease in await journal.lease("w", 9)]
        return status.job, batches, leases, await journal.planning_cursor()
    finally:
        await journal.close()


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def replace_by_text(path: Path) -> None:
    path.write_text("not a database\n" * 1000)


def replace_by_another_database(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE job (id)")
    connection.close()


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("harm", [truncate, empty, replace_by_text, replace_by_another_database, remove])
async def test_a_file_that_is_no_journal_is_an_error_with_a_remedy(folder: Path, harm: Callable[[Path], None]) -> None:
    harm(folder / "journal.db")
    with pytest.raises(JournalError) as caught:
        await open_journal(str(folder))
    assert str(caught.value)
    assert caught.value.remedy
    with pytest.raises(JournalError):
        await read_status(str(folder))


async def test_flipped_bytes_are_found_or_harmless(folder: Path, tmp_path: Path) -> None:
    original = await content(shutil.copytree(folder, tmp_path / "sound"))
    size = (folder / "journal.db").stat().st_size
    dice = random.Random(7)
    found = 0
    for round_ in range(60):
        copy = Path(shutil.copytree(folder, tmp_path / f"copy{round_}"))
        with (copy / "journal.db").open("r+b") as file:
            for place in [dice.randrange(100, size) for _ in range(8)]:
                file.seek(place)
                byte = file.read(1)[0]
                file.seek(place)
                file.write(bytes([byte ^ dice.randrange(1, 256)]))
        try:
            outcome: object = await content(copy)
        except JournalError as error:
            outcome = error.remedy
        assert outcome == original or isinstance(outcome, str)
        found += outcome != original
    assert found > 20


async def test_a_newer_format_asks_for_an_upgrade(folder: Path) -> None:
    with sqlite3.connect(folder / "journal.db") as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    for reading in (open_journal, read_status):
        with pytest.raises(JournalError, match="format 2") as caught:
            await reading(str(folder))
        assert "Upgrade" in caught.value.remedy


async def test_an_error_while_opening_leaves_the_job_free_for_others(folder: Path) -> None:
    sound = (folder / "journal.db").read_bytes()
    replace_by_text(folder / "journal.db")
    with pytest.raises(JournalError):
        await open_journal(str(folder))
    (folder / "journal.db").write_bytes(sound)
    await (await open_journal(str(folder))).close()


async def test_a_database_locked_by_a_shell_is_named_and_not_final(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bucket_brigade.journal.database.BUSY_TIMEOUT_S", 0.0)
    journal = await open_journal(str(folder))
    shell = sqlite3.connect(folder / "journal.db", isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="locked"):
        await journal.lease("w")
    shell.execute("ROLLBACK")
    shell.close()
    assert len(await journal.lease("w")) == 1
    await journal.close()


def test_a_disk_that_refuses_a_write_ends_the_journal_and_loses_nothing(tmp_path: Path) -> None:
    expect_clean_end(tmp_path, [sys.executable, "-c", FILL, str(tmp_path / "job"), "1000000"], "disk failed")


def test_a_full_disk_ends_the_journal_and_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=1m none {disk} && exec "$@"'
    own_mounts = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*own_mounts, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("this system does not let us mount a small disk")
    grow = f"    import os; os.system('mount -o remount,size=8m {disk}')\n"
    script = FILL.replace("    # the disk has space again\n", grow)
    expect_clean_end(tmp_path, [*own_mounts, sys.executable, "-c", script, str(disk / "job")], "No space is left")


def expect_clean_end(tmp_path: Path, command: list[str], reason: str) -> None:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    failed, poisoned, reopened = (line.split("|") for line in done.stdout.splitlines())
    assert reason in failed[1]
    assert failed[2]
    assert poisoned[0] == "poisoned"
    assert poisoned[2]
    assert int(failed[0]) > 2
    assert reopened[0] == reopened[1]
    assert int(reopened[0]) - int(failed[0]) in (0, 1), (
        "a failed append may be found done, never less than was promised"
    )
