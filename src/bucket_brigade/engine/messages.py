"""What a worker process and the process that holds the journal say to each other: frames of MessagePack on a socket pair.

A frame is its length (4 bytes, big endian) and one tagged struct. A call carries a number, its answer the same. The set-up
message carries secrets: it travels on the private socket only, and is never stored, logged or put on a command line.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import msgspec

from bucket_brigade.journal.port import Checkpoint, Lease, UploadIntent, UploadRecord, UploadRow
from bucket_brigade.model.events import Event
from bucket_brigade.model.job import Job
from bucket_brigade.model.outcome import Counters, Failed
from bucket_brigade.model.transfer import BatchId
from bucket_brigade.settings.values import EndpointSettings, EngineSettings, Secret


class WorkerSetup(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """All that a worker needs to build its stores and its operation.

    Attributes:
        source, target: endpoints of the two sides; None where that side is the disk.
        every_transfer: somebody listens to single transfers that went well.
        state_dir: where the gates of throttled endpoints are.
        folder: of the job, where its limits are; empty where it has none.
    """

    worker: str
    job: Job
    engine: EngineSettings
    source: EndpointSettings | None
    target: EndpointSettings | None
    every_transfer: bool
    state_dir: str
    folder: str = ""


class StopWork(msgspec.Struct, frozen=True, tag=True):
    """Begin nothing new; with ``now``, give up what is in flight."""

    now: bool


class LeaseCall(msgspec.Struct, frozen=True, tag=True):
    """Asks for batches; answered by Leases."""

    call: int
    limit: int


class CheckpointCall(msgspec.Struct, frozen=True, tag=True):
    """Records, completes or releases batches, as ``verb`` says."""

    call: int
    verb: str
    checkpoints: list[Checkpoint]


class RecordUpload(msgspec.Struct, frozen=True, tag=True):
    """Answered with the row."""

    call: int
    intent: UploadIntent


class NameUpload(msgspec.Struct, frozen=True, tag=True):
    """Records the id that the store gave."""

    call: int
    row: UploadRow
    upload_id: str


class FindUpload(msgspec.Struct, frozen=True, tag=True):
    """Answered with the record, or none."""

    call: int
    batch_id: BatchId
    index: int


class EndUpload(msgspec.Struct, frozen=True, tag=True):
    """Forgets an upload."""

    call: int
    row: UploadRow


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The answer to a call. ``error`` is the message of a JournalError, ``lease_lost`` tells its kind."""

    call: int
    leases: list[Lease] = []
    row: UploadRow | None = None
    record: UploadRecord | None = None
    error: str = ""
    lease_lost: bool = False


class Observed(msgspec.Struct, frozen=True, tag=True):
    """Events of the worker, and how it stands just now."""

    events: list[Event]
    counters: Counters
    in_flight: int
    concurrency: int = 0


class Finished(msgspec.Struct, frozen=True, tag=True):
    """The worker's last word. ``fatal`` made it stop by itself; ``crash`` is the name of a bug's exception."""

    fatal: Failed | None
    crash: str = ""


Call = LeaseCall | CheckpointCall | RecordUpload | NameUpload | FindUpload | EndUpload
FromWorker = Call | Observed | Finished
ToWorker = WorkerSetup | StopWork | Answer


def _encode_secret(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(f"cannot encode {type(value).__name__}")


def _decode_secret(kind: type, value: Any) -> Any:
    if kind is Secret:
        return Secret(value)
    raise NotImplementedError(f"cannot decode {kind.__name__}")


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_secret)


@functools.cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind, dec_hook=_decode_secret)  # 2 ms, which a run in one process can do without


def write_message(writer: asyncio.StreamWriter, message: FromWorker | ToWorker) -> None:
    """Write one frame; the caller drains."""
    encoded = _encoder.encode(message)
    writer.write(len(encoded).to_bytes(4, "big") + encoded)


async def _read_frame(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))


async def read_from_worker(reader: asyncio.StreamReader) -> FromWorker:
    """Read one frame. IncompleteReadError means that the worker is gone."""
    message: FromWorker = _decoder(FromWorker).decode(await _read_frame(reader))
    return message


async def read_to_worker(reader: asyncio.StreamReader) -> ToWorker:
    """Read one frame. IncompleteReadError means that the parent is gone."""
    message: ToWorker = _decoder(ToWorker).decode(await _read_frame(reader))
    return message
