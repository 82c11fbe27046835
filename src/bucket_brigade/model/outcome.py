"""What became of a transfer, and the counters over many of them."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class State(IntEnum):
    """The state of one transfer in its batch, one byte each in the journal."""

    PENDING = 0
    DONE = 1
    SKIPPED = 2
    VANISHED = 3
    FAILED = 4
    MOVED = 5
    """Copied and verified, and the source not yet deleted: the middle of a move."""


class Done(msgspec.Struct, frozen=True, gc=False):
    """The object is at the target (or gone, for a delete), verified.

    Attributes:
        size: bytes moved.
        retries: attempts beyond the first, over all requests of the transfer.
        note: what could not be carried over, one sentence without any secret; it is in the report with the code ``NotCarried``.
    """

    size: int = 0
    retries: int = 0
    note: str = ""


class Skipped(msgspec.Struct, frozen=True, gc=False):
    """Nothing had to be done, or a rule said not to: the reason tells."""

    code: str
    message: str


class Vanished(msgspec.Struct, frozen=True, gc=False):
    """The source was listed, and was gone when its turn came."""


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The object was not moved; the source is as it was.

    Attributes:
        code: of S3 (``AccessDenied``) or ours (``SourceChanged``, ``EACCES``).
        message: one sentence, without any secret.
        request_id: of the last answer.
        attempts: how many requests were tried for the step that failed.
        fatal: the whole job should stop (disk full, credentials expired): the transfer goes back to the queue.
        transient: another time it may go well: the transfer is tried again when the rest of its batch is over.
        blames_store: the store refused or failed it, as it may refuse and fail all others: many in a row stop the job.
    """

    code: str
    message: str
    request_id: str = ""
    attempts: int = 1
    fatal: bool = False
    transient: bool = False
    blames_store: bool = False


Outcome = Done | Skipped | Vanished | Failed


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """One row of the report: a transfer that failed, was skipped for a reason, or is done with a note worth telling."""

    index: int
    """Position in the batch."""
    source: str
    target: str
    code: str
    message: str
    request_id: str = ""
    attempts: int = 1
    state: int = State.FAILED


class Counters(msgspec.Struct, kw_only=True):
    """Sums over transfers. ``planned`` = done + skipped + vanished + failed when a job is over."""

    planned: int = 0
    planned_bytes: int = 0
    done: int = 0
    done_bytes: int = 0
    skipped: int = 0
    vanished: int = 0
    failed: int = 0
    retries: int = 0

    @property
    def settled(self) -> int:
        """Transfers that have reached their outcome."""
        return self.done + self.skipped + self.vanished + self.failed

    def add(self, other: Counters) -> None:
        """Add every field of ``other`` to this."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def subtract(self, other: Counters) -> None:
        """Take every field of ``other`` from this."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) - getattr(other, name))
