"""From a job to its operation: which stages its transfers go through."""

from __future__ import annotations

import asyncio
import os

from bucket_brigade.errors import ConfigError
from bucket_brigade.local.paths import TargetFolder
from bucket_brigade.local.sources import SourceFolder
from bucket_brigade.local.targets import sync_filesystem
from bucket_brigade.model.job import Job
from bucket_brigade.model.job import Operation as OperationName
from bucket_brigade.model.location import LocalPath, S3Location, StandardStream
from bucket_brigade.model.outcome import State
from bucket_brigade.operations.copy import CopyStage
from bucket_brigade.operations.delete import DeleteStage, RemoveSourceStage
from bucket_brigade.operations.download import DownloadStage
from bucket_brigade.operations.port import BatchView, BucketSide, Context, Operation, Stage
from bucket_brigade.operations.relay import RelayStage
from bucket_brigade.operations.stream import StreamInStage, StreamOutStage
from bucket_brigade.operations.upload import RemoveFilesStage, UploadStage


class StagedOperation:
    """Stages over one source and one target; ``settle`` makes a local target durable."""

    def __init__(
        self, stages: tuple[Stage, ...], *, source: SourceFolder | None = None, target: TargetFolder | None = None
    ) -> None:
        self.stages = stages
        self._source = source
        self._target = target

    async def settle(self) -> None:
        """See Operation: one ``syncfs`` for each file system written to, in a thread."""
        if self._target is not None:
            for folder in self._target.filesystems():
                await asyncio.to_thread(sync_filesystem, folder.fd)

    def forget(self, batch: BatchView) -> None:
        """See Operation."""

    async def close(self) -> None:
        """See Operation."""
        if self._source is not None:
            self._source.close()
        if self._target is not None:
            self._target.close()


def build_operation(context: Context, source: BucketSide | None, target: BucketSide | None) -> Operation:
    """Return the operation of ``context.job``; the sides are None where they are not buckets.

    Raises:
        LocalError: a local folder cannot be opened or created.
    """
    job = context.job
    leads_to = State.MOVED if job.move else State.DONE
    match job.operation:
        case OperationName.UPLOAD if isinstance(job.source, StandardStream):
            return StagedOperation((StreamInStage(context, _bucket(target)),))
        case OperationName.DOWNLOAD if isinstance(job.target, StandardStream):
            return StagedOperation((StreamOutStage(context, _bucket(source)),))
        case OperationName.UPLOAD:
            folder = SourceFolder(local_root(job, job.source), follow_symlinks=job.options.follow_symlinks)
            upload = UploadStage(context, folder, _bucket(target), leads_to=leads_to)
            return StagedOperation((upload, RemoveFilesStage(folder)) if job.move else (upload,), source=folder)
        case OperationName.DOWNLOAD:
            place = TargetFolder(local_root(job, job.target))
            download = DownloadStage(context, _bucket(source), place, leads_to=leads_to)
            return StagedOperation(_then_remove(job, download, source), target=place)
        case OperationName.COPY:
            return StagedOperation(
                _then_remove(job, CopyStage(context, _bucket(source), _bucket(target), leads_to=leads_to), source)
            )
        case OperationName.RELAY:
            return StagedOperation(
                _then_remove(job, RelayStage(context, _bucket(source), _bucket(target), leads_to=leads_to), source)
            )
        case OperationName.DELETE:
            return StagedOperation((DeleteStage(_bucket(source)),))
        case OperationName.SET | OperationName.UNARCHIVE:
            raise ConfigError(f"The operation {job.operation} cannot be run yet.", remedy="Use a newer brigade.")


def _then_remove(job: Job, stage: Stage, source: BucketSide | None) -> tuple[Stage, ...]:
    return (stage, RemoveSourceStage(_bucket(source))) if job.move else (stage,)


def _bucket(side: BucketSide | None) -> BucketSide:
    if side is None:
        raise ConfigError(
            "The job has no bucket where its operation needs one.", remedy="This is a bug; please report it."
        )
    return side


def local_root(job: Job, location: LocalPath | S3Location | StandardStream | None) -> str:
    """Return the folder that the names of the job's transfers are relative to."""
    if not isinstance(location, LocalPath):
        raise ConfigError(f"The job {job.id} has no local folder.", remedy="This is a bug; please report it.")
    return location.path if location.recursive else os.path.dirname(location.path)
