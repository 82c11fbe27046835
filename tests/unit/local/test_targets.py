"""Target files: the old one or the whole new one, never anything between, and nothing left behind."""

from __future__ import annotations

import errno
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.local.descriptors import open_descriptors

from bucket_brigade.errors import BadKey, DiskFull, LocalError, TransferError
from bucket_brigade.local.collisions import NameFolding
from bucket_brigade.local.paths import TargetFolder
from bucket_brigade.local.targets import TargetFile, sync_filesystem, write_small
from bucket_brigade.local.temporaries import (
    find_stale_temporaries,
    is_temporary,
    job_tag,
    remove_stale_temporaries,
    temporary_name,
)

TAG = job_tag("a job")
WHEN_NS = 1_700_000_000_123_456_789


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "target"


@pytest.fixture
def target(root: Path) -> Iterator[TargetFolder]:
    folder = TargetFolder(str(root))
    yield folder
    folder.close()


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_symlink() or not path.is_dir())


def test_a_file_appears_when_it_is_complete(root: Path, target: TargetFolder) -> None:
    with TargetFile(target, "a/file", tag=TAG, size=8) as file:
        file.write_at(4, b"5678")
        file.write_at(0, memoryview(b"1234"))
        assert not (root / "a/file").exists()
        assert [is_temporary(Path(name).name, TAG) for name in files(root)] == [True]
        file.commit(WHEN_NS)
    assert files(root) == ["a/file"]
    assert (root / "a/file").read_bytes() == b"12345678"
    assert (root / "a/file").stat().st_mtime_ns == WHEN_NS


@pytest.mark.parametrize("content", [b"", b"x", os.urandom(300_000)])
def test_a_small_file_is_written_at_once(root: Path, target: TargetFolder, content: bytes) -> None:
    for data in (content, memoryview(content)):
        write_small(target, "a/file", data, tag=TAG, modified_ns=WHEN_NS)
        assert (root / "a/file").read_bytes() == content
        assert (root / "a/file").stat().st_mtime_ns == WHEN_NS
        assert files(root) == ["a/file"]


def test_without_a_time_the_file_is_new(root: Path, target: TargetFolder) -> None:
    write_small(target, "file", b"", tag=TAG)
    assert (root / "file").stat().st_mtime_ns > WHEN_NS


def test_a_file_not_committed_leaves_the_old_one(root: Path, target: TargetFolder) -> None:
    write_small(target, "file", b"old", tag=TAG)
    with pytest.raises(TypeError), TargetFile(target, "file", tag=TAG, size=100) as file:
        file.write_at(0, "not bytes")  # type: ignore[arg-type]
    assert files(root) == ["file"]
    assert (root / "file").read_bytes() == b"old"
    file.discard()


def test_permissions_are_those_of_a_new_file(root: Path, target: TargetFolder) -> None:
    before = os.umask(0o027)
    try:
        write_small(target, "small", b"", tag=TAG)
        (root / "small").chmod(0o777)
        write_small(target, "small", b"", tag=TAG)
        with TargetFile(target, "big", tag=TAG) as file:
            file.commit()
    finally:
        os.umask(before)
    assert [stat.S_IMODE((root / name).stat().st_mode) for name in ("small", "big")] == [0o640, 0o640]


def commit_big(target: TargetFolder, key: str) -> None:
    with TargetFile(target, key, tag=TAG) as file:
        file.write_at(0, b"bytes")
        file.commit()


def commit_small(target: TargetFolder, key: str) -> None:
    write_small(target, key, b"bytes", tag=TAG)


both_ways = pytest.mark.parametrize("commit", [commit_big, commit_small])


@both_ways
@pytest.mark.parametrize("filled", [True, False])
def test_a_folder_is_not_replaced(
    root: Path, target: TargetFolder, commit: Callable[[TargetFolder, str], None], *, filled: bool
) -> None:
    (root / "a").mkdir()
    if filled:
        (root / "a/b").touch()
    with pytest.raises(BadKey, match="'a' is a folder"):
        commit(target, "a")
    assert files(root) == (["a/b"] if filled else [])


@both_ways
def test_a_folder_of_our_own_is_not_replaced_either(
    root: Path, target: TargetFolder, commit: Callable[[TargetFolder, str], None]
) -> None:
    commit(target, "new/a/b")
    with pytest.raises(BadKey, match="'new/a' is a folder"):
        commit(target, "new/a")
    assert files(root) == ["new/a/b"]


def test_a_folder_that_appears_meanwhile_is_not_replaced(root: Path, target: TargetFolder) -> None:
    with TargetFile(target, "a", tag=TAG) as file:
        (root / "a").mkdir()
        with pytest.raises(BadKey):
            file.commit()
    assert files(root) == []


@both_ways
def test_a_fifo_is_not_replaced(root: Path, commit: Callable[[TargetFolder, str], None]) -> None:
    root.mkdir(exist_ok=True)
    os.mkfifo(root / "fifo")
    with pytest.raises(BadKey, match="FIFO"):
        commit(TargetFolder(str(root)), "fifo")
    assert stat.S_ISFIFO((root / "fifo").lstat().st_mode)


@both_ways
def test_a_link_is_replaced_and_not_written_through(
    root: Path, target: TargetFolder, commit: Callable[[TargetFolder, str], None]
) -> None:
    (root.parent / "outside").write_bytes(b"private")
    (root / "link").symlink_to("../outside")
    commit(target, "link")
    assert (root.parent / "outside").read_bytes() == b"private"
    assert not (root / "link").is_symlink()
    assert (root / "link").read_bytes() == b"bytes"


@both_ways
def test_the_longest_names_have_temporary_names_too(
    root: Path, target: TargetFolder, commit: Callable[[TargetFolder, str], None]
) -> None:
    for name in ("x" * 255, "é" * 127, "\U0001f600" * 63):
        commit(target, name)
        assert (root / name).read_bytes() == b"bytes"


FULL_DISK = """
import os, sys
from bucket_brigade.errors import DiskFull
from bucket_brigade.local.paths import TargetFolder
from bucket_brigade.local.targets import TargetFile, write_small
target = TargetFolder(sys.argv[1])
write_small(target, "small", b"old", tag="00000000")
write_small(target, "big", b"old", tag="00000000")
try:
    write_small(target, "small", bytes(2 << 20), tag="00000000")
except DiskFull as error:
    print(error.code)
try:
    with TargetFile(target, "big", tag="00000000") as file:
        file.write_at(0, bytes(2 << 20))
        file.commit()
except DiskFull as error:
    print(error.code)
print(sorted(os.listdir(sys.argv[1])), open(sys.argv[1] + "/small").read(), open(sys.argv[1] + "/big").read())
"""


def test_a_full_disk_leaves_the_old_file_and_nothing_else(root: Path) -> None:
    root.mkdir()
    script = f'mount -t tmpfs -o size=1m tmpfs "$1" || exit 77; exec {sys.executable} -c "$2" "$1"'
    run = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", str(root), FULL_DISK], capture_output=True, text=True
    )
    if run.returncode in {1, 77} and ("unshare" in run.stderr or "mount" in run.stderr):
        pytest.skip("no mount namespaces here for a small tmpfs")
    assert run.stdout.splitlines() == ["ENOSPC", "ENOSPC", "['big', 'small'] old old"], run.stderr


def test_a_refused_write_leaves_the_old_file(root: Path, target: TargetFolder) -> None:
    write_small(target, "file", b"old", tag=TAG)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # CPython ignores SIGXFSZ: the write fails with EFBIG
    try:
        with pytest.raises(LocalError) as small:
            write_small(target, "file", bytes(2000), tag=TAG)
        with pytest.raises(LocalError) as big, TargetFile(target, "file", tag=TAG) as file:
            file.write_at(0, bytes(2000))
        with pytest.raises(LocalError) as long:
            TargetFile(target, "file", tag=TAG, size=2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [caught.value.code for caught in (small, big, long)] == ["EFBIG"] * 3
    assert files(root) == ["file"]
    assert (root / "file").read_bytes() == b"old"


def test_a_failed_rename_leaves_no_temporary(root: Path, target: TargetFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(122, "Disk quota exceeded")

    monkeypatch.setattr(os, "rename", full)
    for commit in (commit_big, commit_small):
        with pytest.raises(DiskFull) as caught:
            commit(target, "file")
        assert caught.value.code == "EDQUOT"
    assert files(root) == []


def test_writes_are_made_durable(root: Path, target: TargetFolder) -> None:
    write_small(target, "a/file", b"bytes", tag=TAG)
    folders = target.filesystems()
    assert len(folders) == 1
    sync_filesystem(folders[0].fd)


def test_a_failed_sync_is_an_error() -> None:
    with pytest.raises(LocalError) as caught:
        sync_filesystem(-1)
    assert caught.value.code == "EBADF"


def test_temporary_names_are_ours_alone() -> None:
    names = [temporary_name(name, TAG) for name in ("file", "file", "x" * 255, "é" * 127, "line\nbreak", ".brigade-")]
    assert len(set(names)) == len(names)
    assert max(len(name.encode()) for name in names) <= 255
    assert all(is_temporary(name, TAG) for name in names)
    assert not any(is_temporary(name, job_tag("another job")) for name in names)
    assert not any(
        is_temporary(name, TAG) for name in ("file", f".file.brigade-{TAG}", f"file.brigade-{TAG}-0123456789")
    )


def test_a_crashed_job_finds_exactly_its_own_leftovers(root: Path, target: TargetFolder) -> None:
    write_small(target, "a/b/kept", b"", tag=TAG)
    other = TargetFile(target, "a/other", tag=job_tag("another job"))
    left = [TargetFile(target, key, tag=TAG) for key in ("top", "a/b/file")]
    (root.parent / "outside").mkdir()
    (root.parent / "outside" / temporary_name("x", TAG)).touch()
    (root / "link").symlink_to(root.parent / "outside")
    stale = list(find_stale_temporaries(str(root), TAG))
    assert sorted(path.split(".brigade-")[0] for path in stale) == [".top", "a/b/.file"]
    assert remove_stale_temporaries(str(root), TAG) == 2
    assert len(files(root.parent / "outside")) == 1
    other.commit()
    assert files(root) == ["a/b/kept", "a/other", "link"]
    for file in left:
        file.discard()


def test_leftovers_are_found_however_deep_and_beside_names_that_are_no_utf8(root: Path, target: TargetFolder) -> None:
    deep = "/".join(["deep"] * 200)
    left = [TargetFile(target, key, tag=TAG) for key in (f"{deep}/file", f"{deep}/{'x' * 20}", "z")]
    os.mkdir(os.fsencode(root) + b"/a\xff")
    os.mkdir(root / "locked")
    assert len(f"{deep}/{temporary_name('x' * 20, TAG)}") > 1024, "longer than any key"
    before = open_descriptors()
    assert remove_stale_temporaries(str(root), TAG) == 3
    assert files(root) == []
    assert open_descriptors() == before
    for file in left:
        file.discard()


def test_a_folder_that_cannot_be_swept_is_a_local_error(tmp_path: Path) -> None:
    with pytest.raises(TransferError):
        remove_stale_temporaries(str(tmp_path / "missing"), TAG)
    (tmp_path / "file").touch()
    with pytest.raises(LocalError):
        list(find_stale_temporaries(str(tmp_path / "file"), TAG))


@both_ways
def test_a_claimed_name_is_free_again_where_the_file_cannot_take_it(
    root: Path, target: TargetFolder, commit: Callable[[TargetFolder, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    target.claims.folding = NameFolding(case=True)
    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(LocalError, match="Input/output error"):
        commit(target, "file")
    assert files(root) == []
    write(root / "old")
    with pytest.raises(LocalError, match="Input/output error"):
        commit(target, "old")
    assert files(root) == ["old"]


def write(path: Path) -> None:
    path.write_bytes(b"old")


@both_ways
def test_where_names_are_folded_a_free_name_is_given_though_nothing_may_be_replaced(
    root: Path, commit: Callable[[TargetFolder, str], None]
) -> None:
    careful = TargetFolder(str(root), replaces=False)
    careful.claims.folding = NameFolding(case=True)
    commit(careful, "file")
    assert (root / "file").read_bytes() == b"bytes"
    write(root / "old")
    with pytest.raises(LocalError, match="is at the target already"):
        commit(careful, "old")
    assert (root / "old").read_bytes() == b"old"
    assert files(root) == ["file", "old"]
