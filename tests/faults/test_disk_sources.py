"""Source files that cannot be read, that change, that are swapped, that are no files: each fails or is skipped alone, by name."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import os
import shutil
import socket
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from bucket_brigade.jobs.brigade import Brigade, Report
from bucket_brigade.model.job import JobState, TransferOptions
from bucket_brigade.settings.values import EngineSettings, Settings
from tests.fakes.gated_server import GatedServer, gated_server
from tests.integration.buckets import read_all, uploads_left
from tests.integration.program import Program
from tests.samples import make_tree, patterned_bytes, read_tree
from tests.servers import RunningServer

MIB = 1 << 20
IN_PARTS = TransferOptions(part_size_bytes=5 * MIB, multipart_threshold_bytes=5 * MIB)
SOME_FAILED = 3


def codes(report: Report) -> dict[str, str]:
    return {failure.source: failure.code for failure in report.failures}


@pytest.fixture
def engine() -> EngineSettings:
    return EngineSettings(processes=1, concurrency=1, part_concurrency=1)


# --- swapped between planning and opening ----------------------------------------------------------------------------


@pytest.fixture
async def gated() -> AsyncIterator[GatedServer]:
    async with gated_server() as server:
        yield server


async def test_what_was_swapped_since_planning_is_refused_by_name_and_the_rest_moves(
    gated: GatedServer, engine: EngineSettings, tmp_path: Path
) -> None:
    files = ["a", "folder/file", "gone", "grown", "linked", "other", "piped", "socket", "z"]
    tree = Path(make_tree(tmp_path / "tree", {name: name.encode() for name in files}))
    make_tree(tmp_path / "outside", {"file": b"secret", "linked": b"secret"})
    settings = Settings(endpoints={"gated": gated.endpoint}, state_dir=f"{tmp_path}/state", engine=engine)
    async with Brigade(settings) as brigade:
        run = await brigade.copy(f"{tree}/", "gated://bucket/")
        while not gated.waiting:  # everything is planned, and the first file is under way
            await asyncio.sleep(0.001)
        (tree / "folder").rename(tree / "moved")
        (tree / "folder").symlink_to(tmp_path / "outside")
        (tree / "gone").unlink()
        (tree / "grown").write_bytes(b"grown and grown")
        (tree / "linked").unlink()
        (tree / "linked").symlink_to(tmp_path / "outside/linked")
        (tree / "other").unlink()
        (tree / "other").write_bytes(b"rehto")
        (tree / "piped").unlink()
        os.mkfifo(tree / "piped")
        (tree / "socket").unlink()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.relpath(tree / "socket"))
            gated.gate.set()
            async with asyncio.timeout(20):  # a FIFO that is opened blocking would wait for ever
                report = await run.wait()
    assert codes(report) == {"folder/file": "SourceChanged", "linked": "SourceChanged", "piped": "SourceChanged"} | {
        "socket": "SourceChanged"
    }
    assert report.counters.vanished == 1
    stored = {path.removeprefix("/bucket/"): body for path, body in gated.objects.items()}
    assert stored == {"a": b"a", "grown": b"grown and grown", "other": b"rehto", "z": b"z"}
    assert report.counters.settled == report.counters.planned == len(files)


# --- cannot be read, or changes while it is read --------------------------------------------------------------------


ReadHook = Callable[[str], None]


def watch_reads(patch: pytest.MonkeyPatch, hook: ReadHook) -> None:
    """Call ``hook`` with the name of the file before each read, which fails with what that raises: a disk of our own."""
    reads = {"read": os.read, "pread": os.pread, "preadv": os.preadv}

    def watched(real: Callable[..., object]) -> Callable[..., object]:
        def read(fd: int, *arguments: object) -> object:
            hook(os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))
            return real(fd, *arguments)

        return read

    for name, real in reads.items():
        patch.setattr(os, name, watched(real))


async def upload_in_parts(
    moto: RunningServer, tree: Path, state: Path, bucket: str
) -> tuple[Report, list[str], dict[str, bytes]]:
    settings = Settings(
        endpoints={"moto": moto.endpoint},
        state_dir=str(state),
        engine=EngineSettings(processes=1, concurrency=4, part_concurrency=2),
    )
    async with Brigade(settings) as brigade:
        store = await brigade.store("moto")
        await store.create_bucket(bucket)
        report = await (await brigade.copy(f"{tree}/", f"moto://{bucket}/", options=IN_PARTS)).wait()
        return report, await uploads_left(store, bucket), await read_all(store, bucket)


async def test_a_file_whose_disk_fails_ends_alone_and_its_upload_is_aborted(
    moto: RunningServer, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {"good": b"good", "good-large": patterned_bytes(6 * MIB)}
    tree = Path(make_tree(tmp_path / "tree", good | {"bad": b"bad", "bad-large": patterned_bytes(11 * MIB)}))
    reads: dict[str, int] = {}

    def failing(name: str) -> None:
        reads[name] = reads.get(name, 0) + 1
        if name == "bad" or (name == "bad-large" and reads[name] > 1):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    watch_reads(monkeypatch, failing)
    report, uploads, stored = await upload_in_parts(moto, tree, tmp_path / "state", bucket)
    assert report.state is JobState.DONE_WITH_FAILURES
    assert codes(report) == {"bad": "EIO", "bad-large": "EIO"}
    assert stored == good
    assert uploads == []


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, 6 * MIB)


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")


def replace(path: Path) -> None:
    other = path.with_name("new")
    shutil.copy2(path, other)
    other.rename(path)


@pytest.mark.parametrize("change", [grow, shrink, rewrite, replace])
async def test_a_file_that_changes_while_it_is_uploaded_is_never_stored_in_halves(
    moto: RunningServer, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    tree = Path(make_tree(tmp_path / "tree", {"changing": patterned_bytes(11 * MIB), "z": b"z"}))
    reads: list[str] = []

    def changing(name: str) -> None:
        reads.append(name)
        if reads.count("changing") == 2 and name == "changing":
            change(tree / "changing")

    watch_reads(monkeypatch, changing)
    report, uploads, stored = await upload_in_parts(moto, tree, tmp_path / "state", bucket)
    assert codes(report) == {"changing": "SourceChanged"}
    assert stored == {"z": b"z"}
    assert uploads == []


def without_root_rights() -> tuple[str, ...]:
    """Return the words before a command that has no right to read what its mode forbids."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root may read everything, and there is no setpriv here to give that up")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


async def test_files_and_folders_without_permission_fail_alone(
    program: Program, rclone: RunningServer, bucket: str, tmp_path: Path
) -> None:
    program.configure({"other": rclone}, checksum="when_required")
    tree = Path(make_tree(tmp_path / "tree", {"a": b"a", "locked": b"no", "folder/file": b"no", "z": b"z"}))
    (tree / "locked").chmod(0)
    (tree / "folder").chmod(0)
    program("mb", f"other://{bucket}")
    restricted = dataclasses.replace(program, within=without_root_rights())
    try:
        ended = restricted("cp", f"{tree}/", f"other://{bucket}/", "--json", code=SOME_FAILED)
    finally:
        (tree / "folder").chmod(0o700)
    assert ended.document["counters"] | {"done": 2, "failed": 2} == ended.document["counters"]
    failures = next(Path(program.state_dir).glob("jobs/*/failures.csv")).read_text()
    assert failures.count("EACCES") == 2
    restricted("cp", f"{tree}/locked", f"other://{bucket}/", code=2)


# --- what is no plain file, and what is an unusual one ---------------------------------------------------------------


async def test_fifos_sockets_devices_links_and_names_without_a_key_are_told_and_never_opened(
    program: Program, rclone: RunningServer, bucket: str, tmp_path: Path
) -> None:
    program.configure({"other": rclone}, checksum="when_required")
    tree = Path(make_tree(tmp_path / "tree", {"a": b"a", "folder/file": b"f", "z": b"z"}))
    os.mkfifo(tree / "fifo")
    (tree / "loop").symlink_to("loop")
    (tree / "folder/up").symlink_to("..")
    skipped = {"fifo", "loop", "folder/up", "socket"}
    if os.geteuid() == 0:
        os.mknod(tree / "device", stat.S_IFCHR | 0o600, os.makedev(1, 5))
        skipped.add("device")
    os.close(os.open(os.fsencode(tree) + b"/caf\xe9", os.O_CREAT))
    program("mb", f"other://{bucket}")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tree / "socket"))
        ended = program("cp", f"{tree}/", f"other://{bucket}/", "--json", code=SOME_FAILED, timeout_s=30)
    counters = ended.document["counters"]
    assert (counters["done"], counters["skipped"], counters["failed"]) == (3, len(skipped), 1)
    lines = next(Path(program.state_dir).glob("jobs/*/failures.csv")).read_text().splitlines()[1:]
    told = {line.split(",")[1]: line.split(",")[0] for line in lines}
    assert told == dict.fromkeys(skipped, "skipped") | {"caf\\xe9": "failed"}
    program("cp", f"{tree}/fifo", f"other://{bucket}/fifo", code=2, timeout_s=30)
    followed = program("cp", f"{tree}/", f"other://{bucket}/2/", "--follow-symlinks", "--json", code=SOME_FAILED)
    assert followed.document["counters"]["done"] == 3


async def test_sparse_files_come_back_the_same(
    program: Program, moto: RunningServer, bucket: str, tmp_path: Path
) -> None:
    program.configure({"moto": moto})
    (tmp_path / "tree").mkdir()
    with (tmp_path / "tree/sparse").open("wb") as file:
        file.seek(6 * MIB)
        file.write(b"an island")
        file.truncate(13 * MIB)
    (tmp_path / "tree/hole").touch()
    os.truncate(tmp_path / "tree/hole", 3 * MIB)
    program("mb", f"moto://{bucket}")
    program("cp", f"{tmp_path}/tree/", f"moto://{bucket}/", "--part-size", "5MiB", "--multipart-threshold", "5MiB")
    program("cp", f"moto://{bucket}/", f"{tmp_path}/back/", "--part-size", "5MiB", "--multipart-threshold", "5MiB")
    assert read_tree(tmp_path / "back") == read_tree(tmp_path / "tree")


def make_below(root: Path, parts: Sequence[str], name: str, content: bytes) -> None:
    """Write a file whose whole path may be longer than the system takes."""
    folder = os.open(root, os.O_RDONLY)
    for part in parts:
        os.mkdir(part, dir_fd=folder)
        below = os.open(part, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    with open(os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=folder), "wb") as file:
        file.write(content)
    os.close(folder)


async def test_a_tree_two_hundred_deep_whose_paths_are_longer_than_the_system_takes(
    program: Program, rclone: RunningServer, bucket: str, tmp_path: Path
) -> None:
    program.configure({"other": rclone}, checksum="when_required")
    long_root = tmp_path.joinpath("up", *["r" * 240] * 14, "x" * (240 * 15 - len(str(tmp_path)) - 240 * 14))
    long_root.mkdir(parents=True)
    make_below(long_root, ["abc"] * 200, "file", b"deep")
    assert len(str(long_root)) + 200 * 4 > 4096
    program("mb", f"other://{bucket}")
    program("cp", f"{long_root}/", f"other://{bucket}/")
    long_target = Path(str(long_root).replace("/up/", "/to/"))
    program("cp", f"other://{bucket}/", f"{long_target}/")
    folder = os.open(long_target, os.O_RDONLY)
    for _ in range(200):
        below = os.open("abc", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    with open(os.open("file", os.O_RDONLY, dir_fd=folder), "rb") as file:
        assert file.read() == b"deep"
    os.close(folder)
    program("mv", f"{long_root}/", f"other://{bucket}/")
    assert program("cp", f"{long_root}/", f"other://{bucket}/", code=2).err.count("matches") == 1
