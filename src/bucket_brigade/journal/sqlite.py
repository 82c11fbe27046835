"""The journal of one job in one SQLite file. ``docs/journal.md`` describes what is on the disk."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Concatenate, ParamSpec, TypeVar

from bucket_brigade.errors import JournalError
from bucket_brigade.journal import queue, records
from bucket_brigade.journal.database import Database, create_database, errors_of, open_database
from bucket_brigade.journal.folder import DATABASE_NAME, RunLock, refuse_network_file_system, sync_folder
from bucket_brigade.journal.port import (
    BatchRecord,
    Checkpoint,
    JobStatus,
    Lease,
    UploadIntent,
    UploadRecord,
    UploadRow,
)
from bucket_brigade.journal.status import CRASH_REASON, select_status
from bucket_brigade.model.job import Job, JobState
from bucket_brigade.model.outcome import Failure
from bucket_brigade.model.transfer import BatchId, Refused, Transfer
from bucket_brigade.settings.private import make_private_folder

_P = ParamSpec("_P")
_T = TypeVar("_T")

FAILURES_PAGE = 1000
BATCHES_PAGE = 4

_ENDED = frozenset({JobState.DONE, JobState.DONE_WITH_FAILURES, JobState.CANCELLED})


async def create_journal(folder: str, job: Job) -> SqliteJournal:
    """Make the journal of a new job in ``folder`` (0700; its files 0600) and open it. It appears whole or not at all.

    Raises:
        JournalError: the folder is already there and not empty, on a network file system, or cannot be written.
    """
    return await _on_new_thread(_create_and_open, folder, job)


async def open_journal(folder: str) -> SqliteJournal:
    """Open a job's journal to run it: takes its lock, raises its epoch, and queues what a dead run had leased.

    Raises:
        JournalError: another process runs the job, the journal is damaged or of a newer format, or the disk is not fit for it.
    """
    return await _on_new_thread(_open, folder)


class SqliteJournal:
    """The Journal of ``journal.port`` over one connection, which one thread of its own uses: SQLite waits for the disk.

    Writes that come while the thread waits for the disk share the next transaction, and so the next wait.
    A call whose caller is cancelled is done wholly or not at all; batches leased by it go back to the queue.
    It is bound to no event loop.
    """

    def __init__(self, thread: ThreadPoolExecutor, database: Database, lock: RunLock) -> None:
        self._thread = thread
        self._database = database
        self._lock = lock
        self._closing: Future[None] | None = None
        self._writes: SimpleQueue[tuple[Future[Any], Callable[[Database], Any]]] = SimpleQueue()

    async def status(self) -> JobStatus:
        """Return the job as it stands."""
        return await self._read(select_status)

    async def planning_cursor(self) -> bytes:
        """Return where planning resumes; empty before the first batch."""
        return await self._read(_planning_cursor)

    async def append(
        self, batches: Sequence[Sequence[Transfer]], *, refused: Sequence[Refused], cursor: bytes, exhausted: bool
    ) -> None:
        """Record planned batches, the entries refused while planning them, and the cursor behind them, together."""
        await self._write(queue.append, batches, refused, cursor, exhausted)

    async def lease(self, worker: str, limit: int = 1) -> list[Lease]:
        """Claim up to ``limit`` of the oldest batches that nobody holds; fewer (or none) when there are no more now."""
        claim = self._submit_write(queue.lease, worker, limit)
        try:
            return await asyncio.wrap_future(claim)
        except asyncio.CancelledError:
            if not claim.cancelled():
                # A closed journal needs no undoing: the next open queues all leases again.
                with suppress(JournalError):
                    self._submit(self._undo_lease, claim)
            raise

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Record the states of open batches. LeaseLost if any epoch is old; then none is recorded."""
        await self._write(queue.record, checkpoints, keep=True)

    async def complete(self, checkpoint: Checkpoint) -> None:
        """Record the last states of a batch and close it: its counters now belong to the job."""
        await self._write(queue.record, [checkpoint], close=True)

    async def release(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Record the states of batches and give them back to the queue, to be leased again."""
        await self._write(queue.record, checkpoints)

    async def abandon(self, worker: str) -> int:
        """Give back all batches of a worker that died, as their last checkpoints left them; return how many."""
        return await self._write(_abandon, worker)

    async def requeue_failed(self) -> int:
        """Open every batch that has failed transfers again, with those pending; return how many transfers."""
        return await self._write(queue.requeue_failed)

    async def record_upload(self, intent: UploadIntent) -> UploadRow:
        """Record the intent of a multipart upload, before it is created."""
        return await self._write(_record_upload, intent)

    async def name_upload(self, row: UploadRow, upload_id: str) -> None:
        """Record the id that the store gave the upload. JournalError if the upload has ended."""
        await self._write(_name_upload, row, upload_id)

    async def find_upload(self, batch_id: BatchId, index: int) -> UploadRecord | None:
        """Return the upload (of several the last) that an earlier attempt at this transfer left open, or None."""
        return await self._read(_find_upload, batch_id, index)

    async def end_upload(self, row: UploadRow) -> None:
        """Forget an upload that was completed or aborted; one already forgotten is not an error."""
        await self._write(_end_upload, row)

    async def open_uploads(self) -> list[UploadRecord]:
        """Return the uploads that have neither been completed nor aborted."""
        return await self._read(_open_uploads)

    async def set_state(self, state: JobState, reason: str = "") -> None:
        """Record the job's state; ``reason`` is for people and replaces the older one."""
        await self._write(_set_state, state, reason)

    async def failures(self) -> AsyncIterator[Failure]:
        """Yield all recorded failures (and skips told for a reason), those of planning first, page by page."""
        after = (-1, -1)
        while page := await self._read(_failures_after, after):
            after = page[-1][0]
            for _, failure in page:
                yield failure

    async def batches(self) -> AsyncIterator[BatchRecord]:
        """Yield all batches in planning order, page by page."""
        after = 0
        while page := await self._read(_batches_after, after):
            after = page[-1].batch_id
            for batch in page:
                yield batch

    async def close(self) -> None:
        """Release the file lock. Everything is durable already. Idempotent; every other call raises JournalError now."""
        if self._closing is None:
            self._closing = self._thread.submit(_close, self._database, self._lock)
            self._thread.shutdown(wait=False)
        await asyncio.shield(asyncio.wrap_future(self._closing))

    async def _read(self, work: Callable[Concatenate[Database, _P], _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await asyncio.wrap_future(self._submit(self._database.read, work, *args, **kwargs))

    async def _write(self, work: Callable[Concatenate[Database, _P], _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await asyncio.wrap_future(self._submit_write(work, *args, **kwargs))

    def _submit_write(
        self, work: Callable[Concatenate[Database, _P], _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Future[_T]:
        self._refuse_if_closed()  # lest a write that is refused be done with those before it
        written: Future[_T] = Future()
        self._writes.put((written, lambda database: work(database, *args, **kwargs)))
        self._submit(self._write_waiting)
        return written

    def _write_waiting(self) -> None:
        """Do all writes that wait; on the journal's thread, once for each, so that the last ones find nothing to do."""
        waiting = [self._writes.get_nowait() for _ in range(self._writes.qsize())]
        begun = [(written, work) for written, work in waiting if written.set_running_or_notify_cancel()]
        if not begun:
            return
        try:
            results = self._database.write_together([work for _, work in begun])
        except BaseException as error:
            results = [error] * len(begun)
        for (written, _), result in zip(begun, results, strict=True):
            if isinstance(result, BaseException):
                written.set_exception(result)
            else:
                written.set_result(result)

    def _submit(self, work: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        self._refuse_if_closed()
        return self._thread.submit(work, *args, **kwargs)

    def _refuse_if_closed(self) -> None:
        if self._closing is not None:
            raise JournalError("The journal is closed.", remedy="Open the job again with `brigade resume`.")

    def _undo_lease(self, claim: Future[list[Lease]]) -> None:
        if claim.exception() is None:
            self._database.write(queue.unlease, claim.result())


async def _on_new_thread(
    work: Callable[Concatenate[ThreadPoolExecutor, _P], SqliteJournal], *args: _P.args, **kwargs: _P.kwargs
) -> SqliteJournal:
    """Return the journal that ``work`` opens on the thread which will be the journal's own."""
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
    opening = thread.submit(work, thread, *args, **kwargs)
    try:
        return await asyncio.shield(asyncio.wrap_future(opening))
    except asyncio.CancelledError:
        thread.submit(_close_unwanted, opening)
        thread.shutdown(wait=False)
        raise
    except BaseException:
        thread.shutdown(wait=False)
        raise


def _create_and_open(thread: ThreadPoolExecutor, folder: str, job: Job) -> SqliteJournal:
    folder = os.path.abspath(folder)
    parent, name = os.path.split(folder)
    with errors_of(folder):
        make_private_folder(parent)
        refuse_network_file_system(parent)
        unfinished = tempfile.mkdtemp(prefix=f".{name}.", dir=parent)
        try:
            os.chmod(unfinished, 0o700)
            _fill(unfinished, job)
            # Replaces an empty folder, and fails if there is anything in it.
            os.rename(unfinished, folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        sync_folder(parent)
    return _open(thread, folder)


def _fill(folder: str, job: Job) -> None:
    path = os.path.join(folder, DATABASE_NAME)
    create_database(path)
    database = open_database(path)
    try:
        database.write(_insert_job, job)
    finally:
        database.close()
    sync_folder(folder)


def _open(thread: ThreadPoolExecutor, folder: str) -> SqliteJournal:
    folder = os.path.abspath(folder)
    path = os.path.join(folder, DATABASE_NAME)
    with errors_of(path):
        # First of all, lest a lock file be left in a folder that is no job's.
        os.stat(path)
        refuse_network_file_system(folder)
        lock = RunLock.acquire(folder)
        try:
            database = open_database(path)
            try:
                database.write(_begin_run)
            except BaseException:
                database.close()
                raise
        except BaseException:
            lock.release()
            raise
    return SqliteJournal(thread, database, lock)


def _close(database: Database, lock: RunLock) -> None:
    try:
        database.close()
    finally:
        lock.release()


def _close_unwanted(opening: Future[SqliteJournal]) -> None:
    if opening.exception() is None:
        journal = opening.result()
        _close(journal._database, journal._lock)  # noqa: SLF001 - nobody else has seen this journal


# What one transaction does, besides the batches' (queue.py).


def _insert_job(database: Database, job: Job) -> None:
    database.run("create_job", records.job_row(job))


def _begin_run(database: Database) -> None:
    select_status(database)
    database.run("begin_run", {"crash_reason": CRASH_REASON})
    database.run("return_all_batches")


def _planning_cursor(database: Database) -> bytes:
    row = database.one("select_cursor")
    return records.cursor_of(row) if row else b""


def _abandon(database: Database, worker: str) -> int:
    return database.run("return_batches_of", {"worker": worker}).rowcount


def _record_upload(database: Database, intent: UploadIntent) -> UploadRow:
    row = database.run("insert_upload", records.upload_row(intent)).lastrowid
    assert row is not None  # noqa: S101 - for the type checker: an INSERT has a row id
    return UploadRow(row)


def _name_upload(database: Database, row: UploadRow, upload_id: str) -> None:
    if not database.run("name_upload", {"id": row, "upload_id": upload_id}).rowcount:
        raise JournalError(
            f"The multipart upload {row} is not in the journal.",
            remedy="This is a bug in bucket-brigade; please report it. `brigade gc` finds uploads left behind.",
        )


def _find_upload(database: Database, batch_id: BatchId, index: int) -> UploadRecord | None:
    row = database.one("select_upload", {"batch_id": batch_id, "position": index})
    return records.upload_of(row) if row else None


def _end_upload(database: Database, row: UploadRow) -> None:
    database.run("delete_upload", {"id": row})


def _open_uploads(database: Database) -> list[UploadRecord]:
    return [records.upload_of(row) for row in database.all("select_uploads")]


def _set_state(database: Database, state: JobState, reason: str) -> None:
    database.run(
        "set_state",
        {
            "state": state,
            "reason": records.printable(reason),
            "begins": state is JobState.RUNNING,
            "ends": state in _ENDED,
            "now_ns": time.time_ns(),
        },
    )


def _failures_after(database: Database, after: tuple[int, int]) -> list[tuple[tuple[int, int], Failure]]:
    batch_id, position = after
    rows = database.all("select_failures", {"batch_id": batch_id, "position": position, "limit": FAILURES_PAGE})
    return [((row["batch_id"], row["position"]), records.failure_of(row)) for row in rows]


def _batches_after(database: Database, after: int) -> list[BatchRecord]:
    return [records.batch_of(row) for row in database.all("select_batches", {"after": after, "limit": BATCHES_PAGE})]
