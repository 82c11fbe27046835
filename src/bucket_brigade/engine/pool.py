"""The workers of one job on this machine: one in this process, more in processes of their own where the work is enough.

The journal stays in this process. A worker process that dies gives its batches back to the queue; it is started again a few
times, and the other workers go on meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Awaitable, Callable

import msgspec

from bucket_brigade.engine.messages import (
    Answer,
    Call,
    CheckpointCall,
    EndUpload,
    FindUpload,
    Finished,
    LeaseCall,
    NameUpload,
    Observed,
    RecordUpload,
    StopWork,
    WorkerSetup,
    read_from_worker,
    write_message,
)
from bucket_brigade.engine.observer import Emit
from bucket_brigade.engine.queue import JournalQueue, WorkerSeat
from bucket_brigade.engine.runtime import OpenStore, open_worker
from bucket_brigade.engine.worker import Worker
from bucket_brigade.errors import JournalError, LeaseLost
from bucket_brigade.model.events import Warned
from bucket_brigade.model.outcome import Counters, Failed

GROW_AFTER_S = 20.0
"""How long a job runs in one process before it may get another: starting one costs a second of CPU."""

GROW_WHEN_WAITING = 16
"""Batches that wait while every worker is busy: with fewer, another process would cost more than it brings."""

MAX_PROCESSES = 8
MAX_RESTARTS = 3
LAST_WORD_TIMEOUT_S = 20.0


class WorkerPool:
    """Runs the workers of one job until the queue is empty or ``stop`` was called."""

    def __init__(self, setup: WorkerSetup, queue: JournalQueue, emit: Emit, open_store: OpenStore) -> None:
        self._setup = setup
        self._open_store = open_store
        self._queue = queue
        self._emit = emit
        self._settings = setup.engine
        self._local: Worker | None = None
        self._local_run: asyncio.Task[None] | None = None
        self._remote: dict[str, _RemoteWorker] = {}
        self._started = 0
        self._stopping = False
        self.fatal: Failed | None = None

    def open_counters(self) -> Counters:
        """Return the sums over all batches that are in work."""
        sums = self._local.counters() if self._local is not None else Counters()
        for remote in self._remote.values():
            sums.add(remote.counters)
        return sums

    @property
    def in_flight(self) -> int:
        """Transfers (for deletes: requests) under way in all processes."""
        own = self._local.in_flight if self._local is not None else 0
        return own + sum(remote.in_flight for remote in self._remote.values())

    @property
    def concurrency(self) -> int:
        """Transfers (for deletes: requests) that may be under way in all processes."""
        own = self._local.concurrency if self._local is not None else 0
        return own + sum(remote.concurrency for remote in self._remote.values())

    async def run(self) -> None:
        """Run until all work is over. JournalError where it could not be recorded any more."""
        async with asyncio.TaskGroup() as group:
            growing = group.create_task(self._grow(group), name="pool growth")
            try:
                await self._run_local()
                while any(not remote.over.done() for remote in self._remote.values()):
                    await asyncio.wait([remote.over for remote in self._remote.values()])
            finally:
                growing.cancel()

    def stop(self, *, now: bool = False) -> None:
        """Let no worker begin anything new; with ``now``, give up what is in flight."""
        self._stopping = True
        if self._local is not None:
            self._local.stop()
        for remote in self._remote.values():
            remote.send_stop(now=now)
        if now and self._local_run is not None:
            self._local_run.cancel()

    async def _run_local(self) -> None:
        seat = self._queue.seat(self._setup.worker)
        async with open_worker(self._setup, seat, self._emit, self._open_store) as worker:
            self._local = worker
            if self._stopping:
                worker.stop()
            self._local_run = asyncio.ensure_future(worker.run())
            try:
                await asyncio.wait([self._local_run])
            except asyncio.CancelledError:
                self._local_run.cancel()
                await asyncio.wait([self._local_run])
                if not self._local_run.cancelled():
                    self._local_run.exception()  # looked at: it met what ended the run, and is not to be told on stderr
                raise
            if not self._local_run.cancelled():
                self._local_run.result()
            if worker.fatal is not None:
                await self._stopped_by(worker.fatal)

    async def _stopped_by(self, fatal: Failed) -> None:
        """One worker met what every other one would meet: stop them all."""
        if self.fatal is None:
            self.fatal = fatal
            await self._queue.stop()
            self.stop()

    # --- worker processes ----------------------------------------------------------------------------------------

    async def _grow(self, group: asyncio.TaskGroup) -> None:
        wanted = self._settings.processes
        if wanted:
            for _ in range(wanted - 1):
                self._start(group)
            return
        more = min(os.cpu_count() or 1, MAX_PROCESSES) - 1
        while more:
            await asyncio.sleep(GROW_AFTER_S)
            if self._queue.waiting >= GROW_WHEN_WAITING:
                self._start(group)
                more -= 1

    def _start(self, group: asyncio.TaskGroup) -> None:
        self._started += 1
        name = f"{self._setup.worker}-{self._started}"
        remote = self._remote[name] = _RemoteWorker(
            msgspec.structs.replace(self._setup, worker=name), self._queue, self._emit, self._stopped_by
        )
        group.create_task(self._keep(remote), name=f"worker process {name}")

    async def _keep(self, remote: _RemoteWorker) -> None:
        """Run a worker process; start it again when it dies, a few times."""
        try:
            for restart in range(MAX_RESTARTS + 1):
                cause = await remote.run()
                count = await remote.seat.abandon()
                if not cause or self._stopping:
                    return
                self._emit(
                    Warned(
                        job_id=self._setup.job.id,
                        code="WorkerDied",
                        message=f"The worker process {remote.name} died ({cause}); {count} batches went back to the queue"
                        + (", and it is started again." if restart < MAX_RESTARTS else "."),
                    )
                )
        finally:
            if not remote.over.done():
                remote.over.set_result(None)


class _RemoteWorker:
    """One worker process, seen from the process that holds the journal."""

    def __init__(
        self,
        setup: WorkerSetup,
        queue: JournalQueue,
        emit: Emit,
        stopped_by: Callable[[Failed], Awaitable[None]],
    ) -> None:
        self.name = setup.worker
        self.counters = Counters()
        self.in_flight = self.concurrency = 0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._setup = setup
        self.seat: WorkerSeat = queue.seat(self.name)
        self._emit = emit
        self._stopped_by = stopped_by
        self._writer: asyncio.StreamWriter | None = None

    def send_stop(self, *, now: bool) -> None:
        if self._writer is not None and not self._writer.is_closing():
            write_message(self._writer, StopWork(now))

    async def run(self) -> str:
        """Run the process to its end; return why it died, empty when it ended well."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bucket_brigade.engine.process",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
            )
        reader, self._writer = await asyncio.open_connection(sock=ours)
        try:
            write_message(self._writer, self._setup)
            return await self._serve(reader, self._writer)
        finally:
            self.counters, self.in_flight, self.concurrency = Counters(), 0, 0
            self._writer.close()
            await _reap(process)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        leasing: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as calls:
            while True:
                try:
                    message = await read_from_worker(reader)
                except (asyncio.IncompleteReadError, ConnectionError):
                    message = Finished(None, crash="its socket closed")
                if isinstance(message, Observed):
                    self.counters, self.in_flight = message.counters, message.in_flight
                    self.concurrency = message.concurrency
                    for event in message.events:
                        self._emit(event)
                elif isinstance(message, Finished):
                    if leasing is not None:
                        leasing.cancel()  # it may wait for the very batches that this worker held
                    if message.fatal is not None:
                        await self._stopped_by(message.fatal)
                    return message.crash
                else:
                    task = calls.create_task(self._answer(message, writer), name=f"call of {self.name}")
                    leasing = task if isinstance(message, LeaseCall) else leasing

    async def _answer(self, call: Call, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._carry_out(call)
        except JournalError as error:
            answer = Answer(call=call.call, error=str(error), lease_lost=isinstance(error, LeaseLost))
        if not writer.is_closing():
            write_message(writer, answer)

    async def _carry_out(self, call: Call) -> Answer:
        seat = self.seat
        match call:
            case LeaseCall(call=number, limit=limit):
                return Answer(call=number, leases=await seat.lease(limit))
            case CheckpointCall(call=number, verb="complete", checkpoints=[checkpoint]):
                await seat.complete(checkpoint)
            case CheckpointCall(call=number, verb="release", checkpoints=checkpoints):
                await seat.release(checkpoints)
            case CheckpointCall(call=number, checkpoints=checkpoints):
                await seat.checkpoint(checkpoints)
            case RecordUpload(call=number, intent=intent):
                return Answer(call=number, row=await seat.record_upload(intent))
            case NameUpload(call=number, row=row, upload_id=upload_id):
                await seat.name_upload(row, upload_id)
            case FindUpload(call=number, batch_id=batch_id, index=index):
                return Answer(call=number, record=await seat.find_upload(batch_id, index))
            case EndUpload(call=number, row=row):
                await seat.end_upload(row)
        return Answer(call=call.call)


async def _reap(process: asyncio.subprocess.Process) -> None:
    """Wait for the process within a limit; then kill it."""
    try:
        async with asyncio.timeout(LAST_WORD_TIMEOUT_S):
            await process.wait()
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if not isinstance(error, TimeoutError):
            raise
