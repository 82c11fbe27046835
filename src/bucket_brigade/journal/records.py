"""Between rows of the journal and values: encodings, and the CRCs that guard what SQLite does not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from zlib import crc32

import msgspec

from bucket_brigade.errors import JournalError
from bucket_brigade.journal.database import Parameters
from bucket_brigade.journal.port import BatchRecord, JobStatus, Lease, UploadIntent, UploadRecord, UploadRow
from bucket_brigade.model.job import Job, JobState
from bucket_brigade.model.outcome import Counters, Failure, State
from bucket_brigade.model.transfer import BatchId, Refused, Transfer, decode_transfers, encode_transfers

PLANNING = BatchId(0)
"""The batch under which the failures table holds what planning refused."""

SETTLED_COUNTERS = ("done", "done_bytes", "skipped", "vanished", "failed", "retries")
"""The counters that a batch has; the job also has ``planned`` and ``planned_bytes``."""


def job_row(job: Job) -> Parameters:
    """Return the columns of a new job."""
    encoded = msgspec.json.encode(job)
    return {"job": encoded.decode(), "job_crc": crc32(encoded), "state": JobState.PLANNED}


def status_of(row: sqlite3.Row) -> JobStatus:
    """Return the job row as a status. Raises JournalError if the job is not what was written."""
    with _believing("the job"):
        encoded = _checked("the job", row["job"].encode(), row["job_crc"])
        counters = {name: row[name] for name in ("planned", "planned_bytes", *SETTLED_COUNTERS)}
        return JobStatus(
            job=msgspec.json.decode(encoded, type=Job),
            state=JobState(row["state"]),
            reason=row["reason"],
            planning_done=bool(row["planning_done"]),
            open_batches=row["open_batches"],
            counters=msgspec.convert(counters, Counters),
            started_ns=row["started_ns"],
            finished_ns=row["finished_ns"],
            epoch=row["epoch"],
        )


def cursor_row(cursor: bytes, *, exhausted: bool) -> Parameters:
    """Return the columns of a planning cursor."""
    return {"cursor": cursor, "cursor_crc": crc32(cursor), "exhausted": exhausted}


def cursor_of(row: sqlite3.Row) -> bytes:
    """Return the planning cursor. Raises JournalError if it is not what was written."""
    return _checked("the planning cursor", row["planning_cursor"], row["cursor_crc"])


def states_row(states: bytes) -> Parameters:
    """Return the columns of a batch's states."""
    return {"states": states, "states_crc": crc32(states)}


def states_of(row: sqlite3.Row) -> bytes:
    """Return a batch's states. Raises JournalError if they are not what was written."""
    return _checked(f"the states of batch {row['id']}", row["states"], row["states_crc"])


def transfers_row(batch_id: int, encoded: bytes) -> Parameters:
    """Return the columns of a batch's encoded transfers."""
    return {"batch_id": batch_id, "transfers": encoded, "transfers_crc": crc32(encoded)}


def encode_batch(transfers: tuple[Transfer, ...] | list[Transfer]) -> bytes:
    """Return the blob of a batch's transfers. Raises JournalError for a name that is not valid Unicode."""
    try:
        return encode_transfers(transfers)
    except UnicodeEncodeError as error:
        raise JournalError(
            f"A name cannot be journaled, for it is not valid Unicode: {printable(error.object)}.",
            remedy="This is a bug in bucket-brigade: planning refuses such names. Please report it.",
        ) from error


def lease_of(row: sqlite3.Row) -> Lease:
    """Return a queued batch as the lease that a worker is about to get."""
    return Lease(
        batch_id=BatchId(row["id"]),
        epoch=row["epoch"] + 1,
        attempts=row["attempts"] + 1,
        transfers=_transfers_of(row),
        states=states_of(row),
        counters=Counters(**{name: row[name] for name in SETTLED_COUNTERS}),
    )


def batch_of(row: sqlite3.Row) -> BatchRecord:
    """Return a batch with its transfers and states."""
    return BatchRecord(batch_id=BatchId(row["id"]), transfers=_transfers_of(row), states=states_of(row))


def failure_row(batch_id: BatchId, failure: Failure) -> Parameters:
    """Return the columns of a failure."""
    return {
        "batch_id": batch_id,
        "position": failure.index,
        "source": printable(failure.source),
        "target": printable(failure.target),
        "code": failure.code,
        "message": printable(failure.message),
        "request_id": failure.request_id,
        "attempts": failure.attempts,
        "state": int(failure.state),
    }


def failure_of(row: sqlite3.Row) -> Failure:
    """Return a row of the failures table."""
    return Failure(
        index=row["position"],
        source=row["source"],
        target=row["target"],
        code=row["code"],
        message=row["message"],
        request_id=row["request_id"],
        attempts=row["attempts"],
        state=row["state"],
    )


def refusal(index: int, refused: Refused) -> Failure:
    """Return a refused source entry as a failure of planning (no attempt was made at it)."""
    return Failure(
        index=index,
        source=refused.source,
        target="",
        code=refused.code,
        message=refused.message,
        attempts=0,
        state=State.FAILED if refused.failed else State.SKIPPED,
    )


def upload_row(intent: UploadIntent) -> Parameters:
    """Return the columns of a multipart upload."""
    columns = msgspec.structs.asdict(intent)
    return columns | {"position": columns.pop("index")}


def upload_of(row: sqlite3.Row) -> UploadRecord:
    """Return a row of the uploads table."""
    return UploadRecord(
        row=UploadRow(row["id"]),
        intent=UploadIntent(
            batch_id=BatchId(row["batch_id"]),
            index=row["position"],
            endpoint=row["endpoint"],
            bucket=row["bucket"],
            key=row["key"],
            part_size_bytes=row["part_size_bytes"],
            fingerprint=row["fingerprint"],
            begun_ns=row["begun_ns"],
            upload_id=row["upload_id"],
        ),
    )


def printable(text: str) -> str:
    """Return ``text`` as valid Unicode: half a surrogate pair (a byte of a file name) becomes its escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _transfers_of(row: sqlite3.Row) -> tuple[Transfer, ...]:
    return decode_transfers(_checked(f"batch {row['id']}", row["transfers"], row["transfers_crc"]))


def _checked(what: str, content: bytes, crc: int) -> bytes:
    with _believing(what):
        if crc32(content) == crc:
            return content
    raise _untrue(what, "its CRC-32 differs")


@contextmanager
def _believing(what: str) -> Iterator[None]:
    """Turn what goes wrong inside over a column of the wrong type or value into the error for a damaged journal."""
    try:
        yield
    except (AttributeError, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise _untrue(what, str(error)) from error


def _untrue(what: str, detail: str) -> JournalError:
    return JournalError(
        f"The journal is damaged: {what} is not what was written ({detail}).",
        remedy="Restore the job's folder from a copy, or submit the job again; nothing it has moved is lost.",
    )
