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
from bucket_brigade.model.job import Job, Overwrite, VersionsOf
from bucket_brigade.model.job import Operation as OperationName
from bucket_brigade.model.location import LocalPath, S3Location, StandardStream
from bucket_brigade.model.outcome import State
from bucket_brigade.operations.archives import AwaitRestoredStage, UnarchiveStage, UnarchivingStage
from bucket_brigade.operations.change import RewriteStage, SetStage, needs_rewriting
from bucket_brigade.operations.copy import CopyStage
from bucket_brigade.operations.delete import DeleteStage, RemoveSourceStage
from bucket_brigade.operations.download import DownloadStage
from bucket_brigade.operations.guarded import ConditionalTarget, GuardedFileStage, GuardedStage, IsSame
from bucket_brigade.operations.history import HistoryStage, RestoreStage
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
    match job.operation:
        case OperationName.UPLOAD:
            return _upload(context, _conditional(job, _bucket(target)))
        case OperationName.DOWNLOAD:
            return _download(context, _bucket(source))
        case OperationName.COPY:
            bucket, target = _bucket(source), _conditional(job, _bucket(target))
            return _between_buckets(job, CopyStage(context, bucket, target, leads_to=_leads_to(job)), bucket, target)
        case OperationName.RELAY:
            bucket, target = _bucket(source), _conditional(job, _bucket(target))
            return _between_buckets(job, RelayStage(context, bucket, target, leads_to=_leads_to(job)), bucket, target)
        case OperationName.DELETE:
            return StagedOperation((DeleteStage(_bucket(source)),))
        case OperationName.SET:
            return _set(context, _bucket(source))
        case OperationName.UNARCHIVE:
            return _unarchive(job, _bucket(source))


def _leads_to(job: Job) -> State:
    return State.MOVED if job.move else State.DONE


def _upload(context: Context, target: BucketSide) -> Operation:
    job = context.job
    if isinstance(job.source, StandardStream):
        return StagedOperation((_guarded(job, StreamInStage(context, target), target, never_same),))
    folder = SourceFolder(local_root(job, job.source), follow_symlinks=job.options.follow_symlinks)
    upload = UploadStage(context, folder, target, leads_to=_leads_to(job))
    stage = _guarded(job, upload, target, same_file(folder))
    return StagedOperation((stage, RemoveFilesStage(folder)) if job.move else (stage,), source=folder)


def _download(context: Context, source: BucketSide) -> Operation:
    job = context.job
    if isinstance(job.target, StandardStream):
        return StagedOperation((StreamOutStage(context, source),))
    place = TargetFolder(local_root(job, job.target), replaces=job.options.overwrite is not Overwrite.NEVER)
    stage: Stage = DownloadStage(context, source, place, leads_to=_leads_to(job))
    if job.options.overwrite is not Overwrite.ALWAYS:
        stage = GuardedFileStage(stage, place, job)
    return StagedOperation(_then_remove(job, _unarchiving(job, stage, source), source), target=place)


def _between_buckets(job: Job, stage: Stage, source: BucketSide, target: BucketSide) -> Operation:
    if job.versions.which is VersionsOf.ALL:
        write = _unarchiving(job, stage, source)
        return StagedOperation((HistoryStage(write, source, target, since_ns=job.created_ns),))
    if job.versions.in_place:
        stage = RestoreStage(_unarchiving(job, stage, source), target, since_ns=job.created_ns)
        return StagedOperation((stage,))
    guarded = _guarded(job, stage, target, same_object(source))
    return StagedOperation(_then_remove(job, _unarchiving(job, guarded, source), source))


def _set(context: Context, bucket: BucketSide) -> Operation:
    job, asked = context.job, context.job.options.attributes
    if not needs_rewriting(asked):
        return StagedOperation((SetStage(bucket, asked),))
    copy = CopyStage(context, bucket, bucket, leads_to=State.DONE)
    return StagedOperation((RewriteStage(copy, bucket, asked, submitted_ns=job.created_ns),))


def _unarchive(job: Job, bucket: BucketSide) -> Operation:
    if not job.unarchive.wait:
        return StagedOperation((UnarchiveStage(bucket, job.unarchive, leads_to=State.DONE),))
    return StagedOperation((UnarchiveStage(bucket, job.unarchive, leads_to=State.MOVED), AwaitRestoredStage(bucket)))


def _conditional(job: Job, target: BucketSide) -> BucketSide:
    """Return the target; where the job does not simply replace what is there, one whose writes are conditional."""
    if job.options.overwrite is Overwrite.ALWAYS:
        return target
    store = cast("Store", ConditionalTarget(target.store, enforced=target.enforces_conditions))
    return replace(target, store=store)


def _guarded(job: Job, stage: Stage, target: BucketSide, is_same: IsSame) -> Stage:
    """Return the stage; where the job does not simply replace what is there, one that looks first."""
    return stage if job.options.overwrite is Overwrite.ALWAYS else GuardedStage(stage, target, job, is_same)


def _unarchiving(job: Job, stage: Stage, source: BucketSide) -> Stage:
    """Return the stage; where the job says so, one that restores archived objects first."""
    return UnarchivingStage(stage, source, job.unarchive) if job.options.unarchive else stage


def _then_remove(job: Job, stage: Stage, source: BucketSide) -> tuple[Stage, ...]:
    return (stage, RemoveSourceStage(source)) if job.move else (stage,)


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
