"""Targets of downloads: nothing outside is ever opened, whatever the keys; and what cannot be written fails alone, by name."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bucket_brigade.errors import BadKey
from bucket_brigade.local.paths import TargetFolder
from bucket_brigade.local.targets import write_small
from bucket_brigade.s3.store import Store
from tests.faults.failing_calls import strace
from tests.faults.small_disk import small_disk
from tests.integration.buckets import put_all
from tests.integration.program import Program
from tests.samples import read_tree
from tests.servers import RunningServer

SOME_FAILED = 3
INTERRUPTED = 130

AUDIT = """
import os, sys

def real(descriptor):
    return os.readlink(f"/proc/self/fd/{descriptor}")

class Audit:
    '''Notes the path of everything that this process opens, makes, renames or removes, and of the folder it does so in.'''

    AT = {"os.mkdir": (0, 2), "os.remove": (0, 1), "os.rmdir": (0, 1), "os.chmod": (0, 2), "os.utime": (0, 3)}
    AT_TWO = {"os.rename": ((0, 2), (1, 3)), "os.link": ((0, 2), (1, 3))}

    def __init__(self):
        self.paths = set()
        self.unresolved = set()
        self.on = False
        really_open = os.open

        def watched_open(path, flags, mode=0o777, *, dir_fd=None):
            descriptor = really_open(path, flags, mode, dir_fd=dir_fd)
            if self.on:
                self.paths.add(real(descriptor))
            return descriptor

        os.open = watched_open
        sys.addaudithook(self.hook)

    def hook(self, event, arguments):
        if not self.on:
            return
        if event == "open" and arguments[2] is not None:
            self.note_name(arguments[0])
        elif event in self.AT:
            self.note(arguments, *self.AT[event])
        elif event in self.AT_TWO:
            for place in self.AT_TWO[event]:
                self.note(arguments, *place)

    def note(self, arguments, path, folder):
        if isinstance(arguments[path], int):
            self.paths.add(real(arguments[path]))
            return
        name, descriptor = os.fsdecode(arguments[path]), arguments[folder]
        self.paths.add(os.path.abspath(name) if descriptor in (None, -1) else os.path.join(real(descriptor), name))

    def note_name(self, path):
        # The event does not tell the folder's descriptor: a plain name lies in it, and os.open is watched besides.
        name = os.fsdecode(path) if not isinstance(path, int) else ""
        if "/" in name or name in (".", ".."):
            self.unresolved.add(os.path.realpath(name))
"""

FUZZ = (
    AUDIT
    + """
import itertools, random
from hypothesis import given, settings, strategies as st, HealthCheck, example
from bucket_brigade.errors import BrigadeError
from bucket_brigade.local.paths import TargetFolder
from bucket_brigade.local.sources import SourceFile, SourceFolder, remove_source_file
from bucket_brigade.local.targets import TargetFile, write_small
from bucket_brigade.local.temporaries import remove_stale_temporaries

PARTS = st.sampled_from(["..", ".", "", "a", "b", "link", "up", "file", "canary", "loop", "a\\0", "..a", "\\\\..\\\\", "x" * 256])
KEYS = st.one_of(st.lists(PARTS, max_size=5).map("/".join), st.text(alphabet="./ab\\0", max_size=8), st.text(max_size=6))
root = sys.argv[1]
audit = Audit()
tried = set()

def attempt(action):
    audit.on = True
    try:
        return action()
    except BrigadeError:
        return None
    finally:
        audit.on = False

def write_large(target, key):
    with TargetFile(target, key, tag="00000000", size=3) as file:
        file.write_at(0, b"abc")
        file.commit()

@settings(max_examples=int(sys.argv[2]), deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(keys=st.lists(KEYS, min_size=1, max_size=5))
@example(keys=["../canary", "link/canary", "up/canary", "/canary", "a/../../canary", "loop/canary", "a", "a/b", "file/c"])
def fuzz(keys):
    target = TargetFolder(root)
    for key in keys:
        tried.add(key)
        attempt(lambda: write_small(target, key, b"bytes", tag="00000000"))
        attempt(lambda: write_large(target, key))
        attempt(lambda: target.make_folder(key))
        attempt(lambda: target.make_folder(key + "/"))
    source = SourceFolder(root)
    for key in keys:
        file = attempt(lambda: SourceFile.open(source, key))
        if file is not None:
            file.close()
        attempt(lambda: remove_source_file(source, key, size=-1, modified_ns=0))
    attempt(lambda: remove_stale_temporaries(root, "00000000"))

fuzz()
print(len(tried), len(audit.paths))
for path in sorted(audit.paths | audit.unresolved):
    print(repr(path))
"""
)


def canaries(around: Path, target: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Return what lies around the target: every name, with what shows that nobody touched it."""
    found = {}
    for path in sorted(around.rglob("*")):
        if path != target and target not in path.parents:
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (status.st_ino, status.st_mtime_ns, status.st_mode, content)
    return found


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A folder in the middle of canaries, with links to them in it."""
    target = tmp_path / "around" / "target"
    for folder in (target.parent, target.parent / "canary", target.parent / "outside", target):
        folder.mkdir(exist_ok=True)
    for path in ("outside/canary", "canary/canary", "canary/file", "file"):
        (target.parent / path).write_text("canary")
    for name, to in {"link": "../outside", "up": "..", "loop": "loop", "file": "../file"}.items():
        (target / name).symlink_to(to)
    return target


def test_no_key_makes_us_open_make_or_remove_anything_outside_the_target(target: Path, tmp_path: Path) -> None:
    before = canaries(target.parent, target)
    examples = "400" if os.environ.get("CI") else "150"
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, str(target), examples],
        cwd=target.parent,
        env={**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path / "hypothesis")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counts, *lines = done.stdout.splitlines()
    tried, touched = map(int, counts.split())
    assert tried > 100
    assert touched > 50, "the audit sees what is done"
    paths = [str(ast.literal_eval(line)) for line in lines]
    assert [path for path in paths if path != str(target) and not path.startswith(f"{target}/")] == []
    assert canaries(target.parent, target) == before


AUDITED_PROGRAM = (
    AUDIT
    + """
import json
audit = Audit()
audit.on = True
from bucket_brigade.cli.main import main
code = main(sys.argv[2:])
audit.on = False
with open(sys.argv[1], "w") as file:
    json.dump(sorted(audit.paths), file)
sys.exit(code)
"""
)

HOSTILE = [
    "../canary",
    "../canary/file",
    "a/../../canary/file",
    "up/file",
    "link/canary",
    "link/new",
    "loop/x",
    "/etc/brigade-was-here",
    "//x",
    "./file",
    "folder//x",
    "n" * 256,
    "folder/" + "é" * 128,
]
HARMLESS = ["a", "folder/b", "file", "..x", "n" * 255, "Case", "case", "cafe\u0301", "caf\u00e9"]


async def test_a_job_with_hostile_keys_writes_beneath_its_target_only_and_fails_them_alone(
    program: Program, mini: Store, ministack: RunningServer, bucket: str, target: Path, tmp_path: Path
) -> None:
    program.configure({"mini": ministack}, engine={"processes": 1})
    await mini.create_bucket(bucket)
    await put_all(mini, bucket, "p/", dict.fromkeys([*HOSTILE, *HARMLESS], b"from the bucket"))
    before = canaries(target.parent, target)
    notes = tmp_path / "notes.json"
    done = subprocess.run(
        [sys.executable, "-c", AUDITED_PROGRAM, str(notes), "cp", f"mini://{bucket}/p/", f"{target}/", "--json"],
        env=program.environment,
        cwd=target.parent,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == SOME_FAILED, done.stderr.decode()
    document = json.loads(done.stdout)
    assert (document["counters"]["done"], document["counters"]["failed"]) == (len(HARMLESS), len(HOSTILE))
    assert canaries(target.parent, target) == before
    assert {name: (target / name).read_bytes() for name in HARMLESS} == dict.fromkeys(HARMLESS, b"from the bucket")
    touched = json.loads(notes.read_text())
    allowed = (f"{target}", f"{program.state_dir}", "/proc/", "/dev/", sys.prefix, sys.base_prefix, "/etc/")
    outside = [path for path in touched if path.startswith(str(target.parent)) and not path.startswith(allowed)]
    assert outside == []
    assert sum(path.startswith(f"{target}/") for path in touched) > len(HARMLESS), "the audit sees what is done"


async def test_a_file_and_a_folder_of_one_name_leave_one_of_them_and_a_reason(
    program: Program, mini: Store, ministack: RunningServer, bucket: str, tmp_path: Path
) -> None:
    program.configure({"mini": ministack}, engine={"processes": 1, "concurrency": 1})
    await mini.create_bucket(bucket)
    await put_all(mini, bucket, "", {"a": b"file", "a/b": b"below", "z": b"z"})
    ended = program("cp", f"mini://{bucket}/", f"{tmp_path}/to/", "--json", code=SOME_FAILED)
    assert read_tree(tmp_path / "to") == {"a": b"file", "z": b"z"}
    assert "'a' is a file" in failures_of(ended.document, program)


def failures_of(document: Any, program: Program) -> str:
    return (program.state_dir / "jobs" / document["job_id"] / "failures.csv").read_text()


async def test_a_read_only_target_ends_the_job_before_anything_and_can_be_resumed(
    program: Program, other: Store, rclone: RunningServer, bucket: str, tmp_path: Path
) -> None:
    program.configure({"other": rclone}, checksum="when_required", engine={"processes": 1})
    await other.create_bucket(bucket)
    await put_all(other, bucket, "", {"a": b"1", "folder/b": b"2"})
    with small_disk(tmp_path / "disk") as disk:
        disk.remount("ro")
        ended = program("cp", f"other://{bucket}/", f"{disk.path}/to/", code=SOME_FAILED)
        assert "Read-only file system" in ended.err
        [job_id] = program.job_ids()
        assert ended.last_line == f"brigade resume {job_id}"
        assert os.listdir(disk.path) == []
        disk.remount("rw")
        program("resume", job_id)
        assert read_tree(disk.path / "to") == {"a": b"1", "folder/b": b"2"}


@pytest.fixture
def folding(tmp_path: Path) -> Iterator[Path]:
    """A file system that takes ``Case`` for ``case``: NTFS, as lowntfs-3g mounts it (Debian: ntfs-3g)."""
    if (
        os.geteuid() != 0
        or not Path("/dev/fuse").exists()
        or not (shutil.which("lowntfs-3g") and shutil.which("mkntfs"))
    ):
        pytest.skip("there is no file system here that folds case: it takes root, /dev/fuse and ntfs-3g")
    image, mount_point = tmp_path / "image", tmp_path / "mounted"
    mount_point.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkntfs", "-F", "-Q", str(image)], check=True, capture_output=True)
    options = ["-o", "ignore_case,streams_interface=none"]
    if subprocess.run(
        ["lowntfs-3g", *options, str(image), str(mount_point)], check=False, capture_output=True
    ).returncode:
        pytest.skip("lowntfs-3g cannot mount here")
    try:
        yield mount_point
    finally:
        subprocess.run(["umount", str(mount_point)], check=True)


def test_on_a_file_system_that_folds_case_the_second_spelling_is_refused(folding: Path) -> None:
    # This one shows all names in lower case, so they are written first.
    target = TargetFolder(str(folding / "target"))
    assert target.claims.folding.case
    for key in ("case", "folder/file", "\u00ff", "case"):
        write_small(target, key, b"first", tag="00000000")
    for key in ("Case", "CASE", "Folder/other", "folder/FILE", "\u0178"):
        with pytest.raises(BadKey, match="differs only in case"):
            write_small(target, key, b"second", tag="00000000")
    assert read_tree(folding / "target") == dict.fromkeys(["case", "folder/file", "\u00ff"], b"first")
    target.close()
    del target


async def test_what_could_not_be_made_durable_is_not_called_done(
    program: Program, other: Store, rclone: RunningServer, bucket: str, tmp_path: Path
) -> None:
    program.configure({"other": rclone}, checksum="when_required", engine={"processes": 1, "batch_size": 10})
    objects = {f"{i:02}": b"%d" % i for i in range(30)}
    await other.create_bucket(bucket)
    await put_all(other, bucket, "", objects)
    failing = strace(tmp_path, "-e", "inject=syncfs:error=EIO:when=1+")
    broken = dataclasses.replace(program, within=failing)
    ended = broken("cp", f"other://{bucket}/", f"{tmp_path}/to/", code=INTERRUPTED)
    [job_id] = program.job_ids()
    assert program.status(job_id)["counters"]["done"] == 0
    assert "make the written files durable" in ended.out.decode()
    program("resume", job_id)
    assert program.status(job_id)["counters"]["done"] == len(objects)
    assert read_tree(tmp_path / "to") == objects
