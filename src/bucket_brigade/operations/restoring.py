"""What a download gives a file back of the file that its object was: the time of modification, mode and owner on request."""

from __future__ import annotations

import os

from bucket_brigade.model.job import TransferOptions
from bucket_brigade.model.transfer import Transfer
from bucket_brigade.operations.attributes import Preserve
from bucket_brigade.operations.filemeta import MTIME, FileStatus, decode_mtime, status_in
from bucket_brigade.s3.store import ObjectHead


class Restoring:
    """Gives one open file its mode and owner; what the system refuses is noted, or raised where the user named it."""

    def __init__(self, status: FileStatus, preserve: Preserve) -> None:
        self._status = status
        self._preserve = preserve
        self.note = ""

    def __call__(self, fd: int) -> None:
        """Do it. Raises OSError."""
        status = self._status
        if "owner" in self._preserve.names and (status.uid is not None or status.gid is not None):
            try:
                os.fchown(fd, -1 if status.uid is None else status.uid, -1 if status.gid is None else status.gid)
            except OSError as error:
                if self._preserve.demanded:
                    raise
                self.note = f"Not carried over: the owner {status.uid}:{status.gid} ({error.strerror})."
        if "mode" in self._preserve.names and status.mode is not None:
            os.fchmod(fd, status.mode)  # after the owner, whose change may take bits away


class Restorer:
    """Says for each object what its file gets."""

    def __init__(self, options: TransferOptions) -> None:
        self._preserve = Preserve.of(options)
        self._times = "mtime" in self._preserve.names
        self._more = bool(self._preserve.names & {"mode", "owner"})

    def of(self, head: ObjectHead, transfer: Transfer) -> tuple[int | None, Restoring | None]:
        """Return the time of modification in nanoseconds since the epoch, and what else has to be done to the open file.

        The time is the file's own, where the metadata tell it, else that of the object.
        """
        metadata = head.attributes.metadata
        modified_ns = head.modified_ns or transfer.modified_ns or None
        if not metadata:
            return modified_ns, None
        if self._times:
            stated = next((value for name, value in metadata if name == MTIME), "")
            own = decode_mtime(stated)
            modified_ns = modified_ns if own is None else own
        return modified_ns, Restoring(status_in(metadata), self._preserve) if self._more else None
