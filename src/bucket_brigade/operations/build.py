"""From a job to its operation: which stages its transfers go through."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import cast

from bucket_brigade.errors import ConfigError
from bucket_brigade.local.paths import TargetFolder
from bucket_brigade.local.sources import SourceFolder
from bucket_brigade.local.targets import sync_filesystem
from bucket_brigade.model.job import Job, Overwrite
from bucket_brigade.model.job import Operation as OperationName
from bucket_brigade.model.location import LocalPath, S3Location, StandardStream
from bucket_brigade.model.outcome import State
from bucket_brigade.operations.copy import CopyStage
from bucket_brigade.operations.delete import DeleteStage, RemoveSourceStage
from bucket_brigade.operations.download import DownloadStage
from bucket_brigade.operations.guarded import ConditionalTarget, GuardedFileStage, GuardedStage, IsSame
from bucket_brigade.operations.port import BatchView, BucketSide, Context, Operation, Stage
from bucket_brigade.operations.relay import RelayStage
from bucket_brigade.operations.sameness import never_same, same_file, same_object
from bucket_brigade.operations.stream import StreamInStage, StreamOutStage
from bucket_brigade.operations.upload import RemoveFilesStage, UploadStage
from bucket_brigade.s3.store import Store


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
    guards = job.options.overwrite is not Overwrite.ALWAYS
    if guards and target is not None:
        store = cast("Store", ConditionalTarget(target.store, enforced=target.enforces_conditions))
        target = replace(target, store=store)
    match job.operation:
        case OperationName.UPLOAD if isinstance(job.source, StandardStream):
            stream = StreamInStage(context, _bucket(target))
            return StagedOperation((_guarded(job, stream, target, never_same),))
        case OperationName.DOWNLOAD if isinstance(job.target, StandardStream):
            return StagedOperation((StreamOutStage(context, _bucket(source)),))
        case OperationName.UPLOAD:
            folder = SourceFolder(local_root(job, job.source), follow_symlinks=job.options.follow_symlinks)
            upload = _guarded(
                job,
                UploadStage(context, folder, _bucket(target), leads_to=leads_to),
                target,
                same_file(folder),
            )
            return StagedOperation((upload, RemoveFilesStage(folder)) if job.move else (upload,), source=folder)
        case OperationName.DOWNLOAD:
            place = TargetFolder(local_root(job, job.target), replaces=job.options.overwrite is not Overwrite.NEVER)
            download: Stage = DownloadStage(context, _bucket(source), place, leads_to=leads_to)
            if guards:
                download = GuardedFileStage(download, place, job)
            return StagedOperation(_then_remove(job, download, source), target=place)
        case OperationName.COPY:
            copy = CopyStage(context, _bucket(source), _bucket(target), leads_to=leads_to)
            guarded = _guarded(job, copy, target, same_object(_bucket(source)))
            return StagedOperation(_then_remove(job, guarded, source))
        case OperationName.RELAY:
            relay = RelayStage(context, _bucket(source), _bucket(target), leads_to=leads_to)
            guarded = _guarded(job, relay, target, same_object(_bucket(source)))
            return StagedOperation(_then_remove(job, guarded, source))
        case OperationName.DELETE:
            return StagedOperation((DeleteStage(_bucket(source)),))
        case OperationName.SET | OperationName.UNARCHIVE:
            raise ConfigError(f"The operation {job.operation} cannot be run yet.", remedy="Use a newer brigade.")


def _guarded(job: Job, stage: Stage, target: BucketSide | None, is_same: IsSame) -> Stage:
    """Return the stage; where the job does not simply replace what is there, one that looks first."""
    return stage if job.options.overwrite is Overwrite.ALWAYS else GuardedStage(stage, _bucket(target), job, is_same)


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
