"""A worker process: ``python -m bucket_brigade.engine.process FD``, started by the pool with one end of a socket pair.

It shares nothing with its parent but that socket. When the socket closes, the parent is gone, and so is the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import sys
from collections.abc import Sequence

from bucket_brigade.engine.messages import (
    Answer,
    Call,
    CheckpointCall,
    EndUpload,
    FindUpload,
    Finished,
    FromWorker,
    LeaseCall,
    NameUpload,
    Observed,
    RecordUpload,
    StopWork,
    WorkerSetup,
    read_to_worker,
    write_message,
)
from bucket_brigade.engine.runtime import open_worker
from bucket_brigade.engine.stores import JobStores
from bucket_brigade.engine.worker import Worker
from bucket_brigade.errors import JournalError, LeaseLost
from bucket_brigade.journal.port import Checkpoint, Lease, UploadIntent, UploadRecord, UploadRow
from bucket_brigade.model.events import BatchFinished, Event, TransferFailed
from bucket_brigade.model.transfer import BatchId
from bucket_brigade.s3.open import open_governor, open_store
from bucket_brigade.s3.retrying_store import RetryingStore
from bucket_brigade.settings.values import EndpointSettings

TELL_INTERVAL_S = 0.5
MAX_UNTOLD_EVENTS = 10_000


class RemoteQueue:
    """The BatchQueue of a worker process: every call is a message to the process that holds the journal."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self.worker: Worker | None = None
        self.cancel_work: asyncio.Task[None] | None = None

    def tell(self, message: FromWorker) -> None:
        """Send something that needs no answer."""
        write_message(self._writer, message)

    async def listen(self) -> None:
        """Take answers and orders until the parent is gone."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                message = await read_to_worker(self._reader)
                if isinstance(message, Answer):
                    answer = self._answers.pop(message.call, None)
                    if answer is not None and not answer.done():
                        answer.set_result(message)
                elif isinstance(message, StopWork) and self.worker is not None:
                    self.worker.stop()
                    if message.now and self.cancel_work is not None:
                        self.cancel_work.cancel()

    async def _ask(self, call: Call) -> Answer:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answers[call.call] = answer
        write_message(self._writer, call)
        await self._writer.drain()
        found = await answer
        if found.error:
            raise (LeaseLost if found.lease_lost else JournalError)(found.error)
        return found

    async def lease(self, limit: int) -> list[Lease]:
        """See BatchQueue."""
        return (await self._ask(LeaseCall(next(self._numbers), limit))).leases

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> None:
        """See BatchQueue."""
        await self._ask(CheckpointCall(next(self._numbers), "checkpoint", list(checkpoints)))

    async def complete(self, checkpoint: Checkpoint) -> None:
        """See BatchQueue."""
        await self._ask(CheckpointCall(next(self._numbers), "complete", [checkpoint]))

    async def release(self, checkpoints: Sequence[Checkpoint]) -> None:
        """See BatchQueue."""
        await self._ask(CheckpointCall(next(self._numbers), "release", list(checkpoints)))

    async def record_upload(self, intent: UploadIntent) -> UploadRow:
        """See BatchQueue."""
        row = (await self._ask(RecordUpload(next(self._numbers), intent))).row
        if row is None:
            raise JournalError(
                "The journal gave no row for a multipart upload.", remedy="This is a bug; please report it."
            )
        return row

    async def name_upload(self, row: UploadRow, upload_id: str) -> None:
        """See BatchQueue."""
        await self._ask(NameUpload(next(self._numbers), row, upload_id))

    async def find_upload(self, batch_id: BatchId, index: int) -> UploadRecord | None:
        """See BatchQueue."""
        return (await self._ask(FindUpload(next(self._numbers), batch_id, index))).record

    async def end_upload(self, row: UploadRow) -> None:
        """See BatchQueue."""
        await self._ask(EndUpload(next(self._numbers), row))


class _Teller:
    """Gathers events and tells them, with the counters, twice a second. Only failures and ended batches are never dropped."""

    def __init__(self, queue: RemoteQueue) -> None:
        self._queue = queue
        self._events: list[Event] = []

    def emit(self, event: Event) -> None:
        if len(self._events) < MAX_UNTOLD_EVENTS or isinstance(event, (TransferFailed, BatchFinished)):
            self._events.append(event)

    async def tell_regularly(self, worker: Worker, stores: JobStores) -> None:
        while True:
            await asyncio.sleep(TELL_INTERVAL_S)
            stores.look()
            self.tell(worker)

    def tell(self, worker: Worker) -> None:
        events, self._events = self._events, []
        self._queue.tell(Observed(events, worker.counters(), worker.in_flight, worker.concurrency))


async def _work(queue: RemoteQueue, setup: WorkerSetup) -> Finished:
    teller = _Teller(queue)
    async with contextlib.AsyncExitStack() as stack:

        async def open_side(endpoint: EndpointSettings) -> RetryingStore:
            governor = open_governor(setup.engine)
            governor.join(setup.state_dir, endpoint)
            opening = open_store(endpoint, engine=setup.engine, governor=governor, state_dir=setup.state_dir)
            return await stack.enter_async_context(opening)

        stores = JobStores(setup.folder, setup.engine, open_side)
        stores.look()
        worker = await stack.enter_async_context(open_worker(setup, queue, teller.emit, stores.of))
        queue.worker = worker
        telling = asyncio.create_task(teller.tell_regularly(worker, stores))
        running = queue.cancel_work = asyncio.create_task(worker.run())
        try:
            await asyncio.wait([running])
        finally:
            telling.cancel()
            teller.tell(worker)
        if not running.cancelled() and (error := running.exception()) is not None:
            raise error
        return Finished(worker.fatal)


async def _serve(descriptor: int) -> int:
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    setup = await read_to_worker(reader)
    if not isinstance(setup, WorkerSetup):
        return 1
    queue = RemoteQueue(reader, writer)
    listening = asyncio.create_task(queue.listen())
    working = asyncio.create_task(_work(queue, setup))
    await asyncio.wait([listening, working], return_when=asyncio.FIRST_COMPLETED)
    if not working.done():  # the parent is gone: whoever resumes the job does not wait for us
        os._exit(1)
    listening.cancel()
    error = working.exception()
    last_word = working.result() if error is None else Finished(None, crash=f"{type(error).__name__}: {error}")
    write_message(writer, last_word)
    with contextlib.suppress(ConnectionError):
        await writer.drain()
        writer.close()
    return 0 if error is None else 1


def main() -> int:
    """Run the worker. Signals are the parent's to handle: a terminal's Ctrl-C reaches the whole group."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    import structlog

    from bucket_brigade.engine.loop import run_loop
    from bucket_brigade.s3.lean_imports import import_lean

    import_lean()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # standard output is for data
    return run_loop(_serve(int(sys.argv[1])))


if __name__ == "__main__":
    sys.exit(main())
