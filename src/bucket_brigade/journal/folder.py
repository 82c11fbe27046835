"""The folder of one job: its names, its lock, and the file systems it may not live on."""

from __future__ import annotations

import errno
import fcntl
import os
import time

from bucket_brigade.errors import JournalError

DATABASE_NAME = "journal.db"
LOCK_NAME = "lock"

# A look at the lock (is somebody running this?) holds it shared for an instant; an opener outwaits that.
_LOCK_TRIES = 10
_LOCK_PAUSE_S = 0.02

_NETWORK_TYPES = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4"}
    | {"ocfs2", "orangefs", "smb3", "smbfs", "vboxsf", "vmhgfs"}
)
# The type after "fuse."; other FUSE file systems (mergerfs, fuse-overlayfs, ntfs) are local.
_NETWORK_FUSE_TYPES = frozenset(
    {
        "blobfuse",
        "blobfuse2",
        "ceph-fuse",
        "davfs",
        "gcsfuse",
        "geesefs",
        "glusterfs",
        "goofys",
        "google-drive-ocamlfuse",
    }
    | {"juicefs", "mount-s3", "rclone", "s3fs", "seaweedfs", "smbnetfs", "sshfs", "vmhgfs-fuse"}
)


class RunLock:
    """The right to run one job: an exclusive flock on ``lock``, in which the holder's process id is written.

    The kernel drops it when the process dies, however it dies. A process forked without exec would keep it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, folder: str) -> RunLock:
        """Take the lock.

        Raises:
            JournalError: another process runs the job.
            OSError: the lock file cannot be opened.
        """
        descriptor = os.open(os.path.join(folder, LOCK_NAME), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _lock_patiently(descriptor):
                pid = _read_pid(descriptor)
                raise JournalError(
                    f"The job in {folder} is being run by process {pid or 'unknown'}.",
                    remedy=f"Wait until it ends, or stop it with `kill {pid or 'PID'}`; then try again.",
                )
            os.fchmod(descriptor, 0o600)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def release(self) -> None:
        """Give the lock up. The file stays: to remove it would let two processes lock two files."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def runner_pid(folder: str) -> int | None:
    """Return the process that runs the job now (0 if it has not yet said its id), or None if nobody does."""
    try:
        descriptor = os.open(os.path.join(folder, LOCK_NAME), os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_pid(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def refuse_network_file_system(folder: str) -> None:
    """Raise JournalError where a write-ahead log is not safe: its index is memory shared between processes of one machine.

    Known from ``/proc/self/mountinfo``; where there is none (macOS), nothing is refused here.
    """
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            mountinfo = file.read()
    except FileNotFoundError:
        return
    kind = mount_type(os.path.realpath(folder), mountinfo)
    if kind in _NETWORK_TYPES or kind.removeprefix("fuse.") in _NETWORK_FUSE_TYPES:
        raise JournalError(
            f"{folder} is on a network file system ({kind}), where a journal is not safe.",
            remedy="Choose a folder on a local disk with --state-dir.",
        )


def mount_type(path: str, mountinfo: str) -> str:
    """Return the type of the file system that ``path`` (absolute, resolved) is on, or an empty string.

    A line is ``id parent major:minor root mount-point options… - type source options``, with spaces in octal: proc(5).
    The longest mount point above the path decides; of equal ones the last, which covers the others.
    """
    longest, kind = -1, ""
    for line in mountinfo.splitlines():
        mount, _, description = line.partition(" - ")
        point = _unescape(mount.split(" ")[4])
        if os.path.commonpath((point, path)) == point and len(point) >= longest:
            longest, kind = len(point), description.split(" ")[0]
    return kind


def sync_folder(folder: str) -> None:
    """Make the names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock_patiently(descriptor: int) -> bool:
    for attempt in range(_LOCK_TRIES):
        if attempt:
            time.sleep(_LOCK_PAUSE_S)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        else:
            return True
    return False


def _read_pid(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else 0


def _unescape(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
