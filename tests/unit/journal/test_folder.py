"""The folder of a job: who may read it, who may run it, and where it may lie."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.journal.values import JOB, transfers

from bucket_brigade.errors import JournalError
from bucket_brigade.journal import folder as folder_module
from bucket_brigade.journal.folder import mount_type, refuse_network_file_system, runner_pid
from bucket_brigade.journal.sqlite import create_journal, open_journal
from bucket_brigade.journal.status import CRASH_REASON, list_jobs, read_status
from bucket_brigade.model.job import JobState

HOLDER = """
import asyncio, sys
from bucket_brigade.journal.sqlite import open_journal
from bucket_brigade.model.job import JobState

async def hold():
    journal = await open_journal(sys.argv[1])
    await journal.set_state(JobState.RUNNING)
    print("held", flush=True)
    sys.stdin.read()

asyncio.run(hold())
"""

MOUNTINFO = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /mnt rw - tmpfs tmpfs rw
31 30 0:26 / /mnt/nas rw,relatime shared:9 master:1 - nfs4 nas:/export rw
32 30 0:27 / /mnt/my\040share rw - cifs //host/share rw
33 30 0:28 / /mnt/over rw - ext4 /dev/vdb rw
34 30 0:29 / /mnt/over rw - fuse.sshfs host: rw
""".strip()


@pytest.fixture
def any_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("any_umask")
@pytest.mark.parametrize("umask", [0, 0o277])
async def test_only_the_owner_may_read_a_journal_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    folder = tmp_path / "job"
    os.umask(umask)
    journal = await create_journal(str(folder), JOB)
    await journal.append([transfers(1)], refused=[], cursor=b"", exhausted=False)
    modes = {path.name: mode_of(path) for path in folder.iterdir()}
    await journal.close()
    assert mode_of(folder) == 0o700
    assert modes == dict.fromkeys(("journal.db", "journal.db-wal", "journal.db-shm", "lock"), 384)


async def test_a_journal_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "job"
    folder.mkdir(parents=True)
    (folder / "something").touch()
    with pytest.raises(JournalError) as caught:
        await create_journal(str(folder), JOB)
    assert caught.value.remedy
    assert [path.name for path in folder.parent.iterdir()] == ["job"]
    assert [path.name for path in folder.iterdir()] == ["something"]


async def test_a_second_process_is_told_who_runs_the_job_and_what_to_do(tmp_path: Path) -> None:
    folder = str(tmp_path / "job")
    await (await create_journal(folder, JOB)).close()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(JournalError, match=f"by process {holder.pid}") as caught:
            await open_journal(folder)
        assert f"kill {holder.pid}" in caught.value.remedy
        assert runner_pid(folder) == holder.pid
        status = await read_status(folder)
        assert (status.state, status.epoch) == (JobState.RUNNING, 2)
        holder.kill()
    assert runner_pid(folder) is None
    status = await read_status(folder)
    assert (status.state, status.reason) == (JobState.INTERRUPTED, CRASH_REASON)
    await (await open_journal(folder)).close()


async def test_a_second_opening_in_the_same_process_is_refused_too(tmp_path: Path) -> None:
    folder = str(tmp_path / "job")
    journal = await create_journal(folder, JOB)
    with pytest.raises(JournalError, match=f"by process {os.getpid()}"):
        await open_journal(folder)
    await journal.close()
    await (await open_journal(folder)).close()


async def test_looking_at_a_job_does_not_keep_it_from_being_run(tmp_path: Path) -> None:
    folder = str(tmp_path / "job")
    await (await create_journal(folder, JOB)).close()
    for _ in range(20):
        assert (await read_status(folder)).epoch >= 1
        await (await open_journal(folder)).close()


async def test_opening_what_is_no_job_leaves_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(JournalError) as caught:
        await open_journal(str(tmp_path))
    assert caught.value.remedy
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(JournalError):
        await read_status(str(tmp_path / "missing"))


async def test_a_damaged_job_is_listed_with_its_damage(tmp_path: Path) -> None:
    for created, name in enumerate(["old", "new"]):
        job = JOB.__class__(**{field: getattr(JOB, field) for field in JOB.__struct_fields__} | {"created_ns": created})
        await (await create_journal(str(tmp_path / name), job)).close()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "journal.db").write_bytes(b"garbage" * 1000)
    (tmp_path / "empty").mkdir()
    (tmp_path / ".new.unfinished").mkdir()
    (tmp_path / "stray file").touch()
    listed = await list_jobs(str(tmp_path))
    assert [os.path.basename(folder) for folder, _ in listed] == ["new", "old", "broken", "empty"]
    assert [isinstance(entry, JournalError) for _, entry in listed] == [False, False, True, True]


async def test_a_state_folder_that_is_not_there_holds_no_jobs(tmp_path: Path) -> None:
    assert await list_jobs(str(tmp_path / "missing")) == []


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me", "ext4"),
        ("/mnt/x", "tmpfs"),
        ("/mnt/nas/state", "nfs4"),
        ("/mnt/nas2", "tmpfs"),
        ("/mnt/my share/state", "cifs"),
        ("/mnt/over", "fuse.sshfs"),
    ],
)
def test_the_mount_that_covers_a_path_decides_its_type(path: str, kind: str) -> None:
    assert mount_type(path, MOUNTINFO) == kind


@pytest.mark.parametrize(
    ("kind", "refused"), [("nfs4", True), ("fuse.sshfs", True), ("fuse.mergerfs", False), ("ext4", False)]
)
async def test_network_file_systems_are_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, refused: bool
) -> None:
    monkeypatch.setattr(folder_module, "mount_type", lambda path, mountinfo: kind)
    if not refused:
        refuse_network_file_system(str(tmp_path))
        return
    with pytest.raises(JournalError, match=kind) as caught:
        await create_journal(str(tmp_path / "job"), JOB)
    assert "--state-dir" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []
