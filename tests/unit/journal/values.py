"""Values that the journal's tests share."""

from __future__ import annotations

from bucket_brigade.journal.port import Checkpoint, Lease
from bucket_brigade.model.job import Job, Operation
from bucket_brigade.model.location import S3Location
from bucket_brigade.model.outcome import Counters, State
from bucket_brigade.model.transfer import JobId, Transfer

JOB = Job(
    id=JobId("j1"),
    operation=Operation.COPY,
    source=S3Location(bucket="a", recursive=True),
    target=S3Location(bucket="b", recursive=True),
    created_ns=1,
)


def transfers(count: int, name: str = "photos/2024/image") -> list[Transfer]:
    return [
        Transfer(source=f"{name}-{index:06}.jpg", target=f"{name}-{index:06}.jpg", size=4096, etag=f'"{index:032x}"')
        for index in range(count)
    ]


def all_done(lease: Lease) -> Checkpoint:
    count = len(lease.transfers)
    return Checkpoint(
        batch_id=lease.batch_id,
        epoch=lease.epoch,
        states=bytes([State.DONE]) * count,
        counters=Counters(done=count, done_bytes=sum(transfer.size for transfer in lease.transfers)),
    )
