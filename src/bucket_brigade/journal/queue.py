"""What the journal does in one transaction each: the batches of a job, their leases, states and counters.

The counters of the job row always equal those of all batches together plus what planning refused: every change of a batch's
counters adds its difference to the job in the same transaction, so that a status reads one row however big the job is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from bucket_brigade.errors import JournalError, LeaseLost
from bucket_brigade.journal.database import Database
from bucket_brigade.journal.port import Checkpoint, Lease
from bucket_brigade.journal.records import (
    PLANNING,
    SETTLED_COUNTERS,
    cursor_row,
    encode_batch,
    failure_row,
    lease_of,
    refusal,
    states_of,
    states_row,
    transfers_row,
)
from bucket_brigade.model.outcome import Counters, State
from bucket_brigade.model.transfer import BatchId, Refused, Transfer

# Batches looked at together while failed ones are sought: bounds the memory, not the work.
_PAGE = 256


def append(
    database: Database,
    batches: Sequence[Sequence[Transfer]],
    refused: Sequence[Refused],
    cursor: bytes,
    exhausted: bool,
) -> None:
    """Add batches, refused entries and the cursor behind them."""
    planned = Counters()
    for transfers in batches:
        encoded = encode_batch(list(transfers))
        batch_id = database.run("insert_batch", states_row(bytes(len(transfers)))).lastrowid
        assert batch_id is not None  # noqa: S101 - for the type checker: an INSERT has a row id
        database.run("insert_transfers", transfers_row(batch_id, encoded))
        planned.planned += len(transfers)
        planned.planned_bytes += sum([transfer.size for transfer in transfers if transfer.size > 0])
    if refused:
        _append_refused(database, refused)
        failed = sum(entry.failed for entry in refused)
        planned.add(Counters(planned=len(refused), failed=failed, skipped=len(refused) - failed))
    database.run("advance_cursor", cursor_row(cursor, exhausted=exhausted))
    _add_to_job(database, planned, open_batches=len(batches))


def lease(database: Database, worker: str, limit: int) -> list[Lease]:
    """Claim the oldest queued batches for a worker."""
    leases = [lease_of(row) for row in database.all("select_queued", {"limit": limit})]
    for claim in leases:
        database.run(
            "claim_batch",
            {"worker": worker, "epoch": claim.epoch, "attempts": claim.attempts, "batch_id": claim.batch_id},
        )
    return leases


def unlease(database: Database, leases: Sequence[Lease]) -> None:
    """Take back leases that reached no worker; they do not count as attempts."""
    for claim in leases:
        database.run("unclaim_batch", {"batch_id": claim.batch_id, "epoch": claim.epoch})


def record(database: Database, checkpoints: Sequence[Checkpoint], *, close: bool = False, keep: bool = False) -> None:
    """Record the states of leased batches; then ``close`` them, ``keep`` them leased, or (neither) queue them again.

    Raises:
        LeaseLost: one of them is not leased with this epoch.
    """
    change = Counters()
    for checkpoint in checkpoints:
        change.add(_record_one(database, checkpoint, close=close, keep=keep))
    _add_to_job(database, change, open_batches=-len(checkpoints) if close else 0)


def requeue_failed(database: Database) -> int:
    """Make the failed transfers of all batches that nobody holds pending again; return how many they are."""
    requeued, reopened, uncounted, after = 0, 0, 0, 0
    while rows := database.all("select_failed_batches", {"after": after, "limit": _PAGE}):
        for row in rows:
            requeued += _reopen(database, row)
            reopened += row["closed"]
            uncounted += row["failed"]
        after = rows[-1]["id"]
    if requeued:
        _add_to_job(database, Counters(failed=-uncounted), open_batches=reopened)
    return requeued


def _append_refused(database: Database, refused: Sequence[Refused]) -> None:
    row = database.one("next_refusal")
    first = row["position"] if row else 0
    database.run_each(
        "insert_failure",
        (failure_row(PLANNING, refusal(index, entry)) for index, entry in enumerate(refused, start=first)),
    )


def _record_one(database: Database, checkpoint: Checkpoint, *, close: bool, keep: bool) -> Counters:
    """Record one checkpoint and return by how much it changes the job's counters."""
    batch_id = checkpoint.batch_id
    before = database.one("select_leased", {"batch_id": batch_id, "epoch": checkpoint.epoch})
    if before is None:
        raise LeaseLost(
            f"Batch {batch_id} is no longer leased with epoch {checkpoint.epoch}.",
            remedy="Nothing to do: whoever holds it now finishes it.",
        )
    if len(checkpoint.states) != before["size"]:
        raise JournalError(
            f"{len(checkpoint.states)} states were given for the {before['size']} transfers of batch {batch_id}.",
            remedy="This is a bug in bucket-brigade; please report it.",
        )
    after = {name: getattr(checkpoint.counters, name) for name in SETTLED_COUNTERS}
    database.run(
        "update_batch",
        {"batch_id": batch_id, "closed": close, "keep": keep, **states_row(checkpoint.states), **after},
    )
    if checkpoint.failures:
        database.run_each("insert_failure", (failure_row(batch_id, failure) for failure in checkpoint.failures))
    return Counters(**{name: after[name] - before[name] for name in SETTLED_COUNTERS})


def _reopen(database: Database, row: sqlite3.Row) -> int:
    states = states_of(row)
    batch_id = BatchId(row["id"])
    pending = states.replace(bytes((State.FAILED,)), bytes((State.PENDING,)))
    database.run("reopen_batch", {"batch_id": batch_id, **states_row(pending)})
    database.run("delete_failed", {"batch_id": batch_id})
    return states.count(State.FAILED)


def _add_to_job(database: Database, change: Counters, *, open_batches: int) -> None:
    database.run(
        "add_to_job",
        {
            "open_batches": open_batches,
            "planned": change.planned,
            "planned_bytes": change.planned_bytes,
            **{name: getattr(change, name) for name in SETTLED_COUNTERS},
        },
    )
