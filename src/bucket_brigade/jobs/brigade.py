"""The public facade: submit, run, resume, cancel, status and report of durable jobs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any, Self

from bucket_brigade.engine.messages import WorkerSetup
from bucket_brigade.engine.stores import JobStores
from bucket_brigade.errors import ConfigError, WrongRegion
from bucket_brigade.jobs.build import build_job
from bucket_brigade.jobs.catalogs import deliver_catalog, fetch_catalog, write_catalog
from bucket_brigade.jobs.descriptors import fit_to_descriptors
from bucket_brigade.jobs.dry_run import DryRunSink
from bucket_brigade.jobs.folders import find_job_folder, jobs_dir
from bucket_brigade.jobs.limits import change_limits
from bucket_brigade.jobs.preflight import (
    check_access_control,
    check_source,
    check_target,
    look_at,
    sets_access_control,
)
from bucket_brigade.jobs.regions import in_their_regions
from bucket_brigade.jobs.report import write_failures, write_objects, write_report
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.jobs.run import JobRun, Report
from bucket_brigade.jobs.runners import refuse_if_over, remove_temporaries, stop_runner
from bucket_brigade.jobs.sides import endpoint_of, job_endpoints
from bucket_brigade.jobs.uploads import abort_open_uploads
from bucket_brigade.jobs.version_calls import VersionCalls
from bucket_brigade.jobs.versioning import check_versioning
from bucket_brigade.journal.port import JobStatus, Journal
from bucket_brigade.journal.sqlite import create_journal, open_journal
from bucket_brigade.journal.status import list_jobs, read_status
from bucket_brigade.model.job import CURRENT_VERSIONS, EndpointOverrides, Job, JobState, LayoutName, Operation
from bucket_brigade.model.location import S3Location, StandardStream
from bucket_brigade.model.transfer import UNKNOWN_SIZE
from bucket_brigade.planning.build import build_planner
from bucket_brigade.planning.planner import Planner
from bucket_brigade.planning.sources import SourceEntry
from bucket_brigade.s3.open import open_store
from bucket_brigade.s3.profile import read_profile
from bucket_brigade.s3.retrying_store import RetryingStore
from bucket_brigade.s3.store import Store
from bucket_brigade.settings.limits import Limits
from bucket_brigade.settings.load import load_settings
from bucket_brigade.settings.private import make_private_folder
from bucket_brigade.settings.values import EndpointSettings, Settings

__all__ = ["Brigade", "JobRequest", "JobRun", "Report"]

_ENDED = frozenset({JobState.DONE, JobState.CANCELLED})


class Brigade(VersionCalls):
    """Runs durable jobs, and opens stores.

    ::

        async with Brigade() as brigade:
            run = await brigade.copy("s3://a/x/", "minio://b/y/", layout="hashed")
            report = await run.wait()
    """

    def __init__(self, settings: Settings | None = None) -> None:
        """Take the settings in force; None reads the configuration file and the environment."""
        super().__init__()
        self.settings = settings or load_settings(environ=os.environ).settings
        self._stack = contextlib.AsyncExitStack()
        self._stores: dict[EndpointSettings, RetryingStore] = {}
        self._runs: list[JobRun] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for run in self._runs:  # they use our stores; what is not over can be resumed
            await run.end()
        self._stores.clear()
        await self._stack.aclose()

    # --- in one call ---------------------------------------------------------------------------------------------

    async def copy(self, source: str, target: str, **request: Any) -> JobRun:
        """Start a job that copies ``source`` to ``target``: up, down, between buckets or between endpoints.

        Args:
            source: a URL, a path, or ``-``.
            target: the same.
            **request: the other fields of JobRequest: ``recursive``, ``filters``, ``options``, ``layout``, ``catalog``…

        Raises:
            ConfigError: bad input; nothing was changed.
        """
        return await self._submit_and_start("cp", source, target, request)

    async def move(self, source: str, target: str, **request: Any) -> JobRun:
        """Start a job that copies, verifies, and then deletes each source that is unchanged. Arguments as ``copy``."""
        return await self._submit_and_start("mv", source, target, request)

    async def delete(self, source: str, **request: Any) -> JobRun:
        """Start a job that deletes an object, or everything below a prefix. Arguments as ``copy``."""
        return await self._submit_and_start("rm", source, "", request)

    async def _submit_and_start(self, verb: str, source: str, target: str, request: dict[str, Any]) -> JobRun:
        layout = LayoutName(request.pop("layout", LayoutName.IDENTITY))
        job = await self.submit(JobRequest(verb=verb, source=source, target=target, layout=layout, **request))
        return await self.start(job.id)

    # --- step by step --------------------------------------------------------------------------------------------

    async def submit(self, request: JobRequest) -> Job:
        """Check the request, create the job's folder and journal, and return the job; nothing runs yet.

        Raises:
            ConfigError: bad input, named, with what to do; nothing was changed.
            JournalError: the job's folder cannot be made.
        """
        job = build_job(request, self.settings)
        fit_to_descriptors(self.settings.engine)
        job, single = await self._looked_at(job)
        make_private_folder(jobs_dir(self.settings.state_dir))
        journal = await create_journal(os.path.join(jobs_dir(self.settings.state_dir), job.id), job)
        try:
            if single is not None:
                planner = build_planner(job, None, single=single, catalog_path=None, batch_size=1)
                await planner.run(journal, b"")
        finally:
            await journal.close()
        return job

    async def start(self, job_id: str, *, retry_failed: bool = False) -> JobRun:
        """Run (or resume) a submitted job. ``job_id`` may be any unique beginning of the id.

        Raises:
            JournalError: another run holds the journal, or it is damaged.
            ConfigError: no such job, or nothing is left to do.
        """
        folder = self.job_folder(job_id)
        journal = await open_journal(folder)
        try:
            return await self._prepare(journal, folder, retry_failed=retry_failed)
        except BaseException:
            await journal.close()
            raise

    async def dry_run(self, request: JobRequest) -> AsyncGenerator[tuple[str, str, int]]:
        """Yield (source, target, bytes; -1 unknown) of every transfer that the request would make; nothing is written."""
        job, single = await self._looked_at(build_job(request, self.settings))
        with tempfile.TemporaryDirectory(prefix="brigade-") as folder:
            planner = await self._planner(job, single, folder, await self._source_store(job))
            sink = DryRunSink(job)
            planning = asyncio.create_task(sink.follow(planner))
            try:
                async for transfer in sink.transfers():
                    yield transfer
                await planning
            finally:
                planning.cancel()
                await asyncio.wait([planning])

    async def status(self, job_id: str) -> JobStatus:
        """Return how a job stands, running elsewhere or not (read-only, without the lock)."""
        return await read_status(self.job_folder(job_id))

    async def jobs(self) -> list[JobStatus]:
        """Return all readable jobs in the state directory, newest first."""
        found = await list_jobs(jobs_dir(self.settings.state_dir))
        return [status for _, status in found if isinstance(status, JobStatus)]

    def set_limits(self, job_id: str, **limits: Any) -> Limits:
        """Change ``max_bandwidth``, ``max_requests_per_second`` or ``concurrency`` of a running job; see ``change_limits``."""
        return change_limits(self.job_folder(job_id), **limits)

    async def cancel(self, job_id: str) -> JobStatus:
        """End a job for good: stop the process that runs it, abort its multipart uploads, mark it cancelled.

        Raises:
            ConfigError: it is over already.
            JournalError: the process that runs it did not stop within a minute.
        """
        folder = self.job_folder(job_id)
        status = await read_status(folder)
        if status.state in (*_ENDED, JobState.DONE_WITH_FAILURES):
            raise ConfigError(f"the job {status.job.id} is over ({status.state})", remedy="There is nothing to cancel.")
        await stop_runner(folder)
        journal = await open_journal(folder)
        try:
            source, target = job_endpoints(self.settings, status.job)
            endpoint = target or source
            if endpoint is not None and await journal.open_uploads():
                await abort_open_uploads(journal, await self._store_of(endpoint))
            remove_temporaries(status.job)
            await journal.set_state(JobState.CANCELLED, "It was cancelled.")
            return await journal.status()
        finally:
            await journal.close()

    async def write_report(self, job_id: str, *, all_objects: bool = False) -> dict[str, str]:
        """Write report.json and failures.csv (and objects.csv with ``all_objects``) beside the journal; return their paths.

        Raises:
            JournalError: another process runs the job.
        """
        folder = self.job_folder(job_id)
        journal = await open_journal(folder)
        try:
            paths = {
                "report": await write_report(folder, await read_status(folder)),
                "failures": await write_failures(folder, journal.failures()),
            }
            if all_objects:
                paths["objects"] = await write_objects(folder, journal.batches())
            return paths
        finally:
            await journal.close()

    def job_folder(self, job_id: str) -> str:
        """Return the folder with the job's journal, catalog and reports. ConfigError if there is no such job."""
        return find_job_folder(self.settings.state_dir, job_id)

    async def store(self, endpoint: str = "s3", overrides: EndpointOverrides | None = None) -> Store:
        """Return the (retrying) store of a configured endpoint; it lives as long as this Brigade."""
        return await self._store_of(endpoint_of(self.settings, endpoint, overrides))

    # --- inside --------------------------------------------------------------------------------------------------

    async def _store_of(self, endpoint: EndpointSettings) -> RetryingStore:
        if endpoint not in self._stores:
            opening = open_store(endpoint, engine=self.settings.engine, state_dir=self.settings.state_dir)
            store = await self._stack.enter_async_context(opening)
            self._stores[endpoint] = store
        return self._stores[endpoint]

    async def _source_store(self, job: Job) -> Store | None:
        source, _ = job_endpoints(self.settings, job)
        return await self._store_of(source) if source is not None else None

    async def _planner(self, job: Job, single: SourceEntry | None, folder: str, store: Store | None) -> Planner:
        """Return the planner of a job over its source's store; a catalog in a bucket is fetched into ``folder``."""
        catalog_path = None
        if job.read_catalog is not None:
            catalog_path = await fetch_catalog(job.read_catalog, await self._catalog_store(job), folder)
        engine = self.settings.engine
        return build_planner(
            job,
            store,
            single=single,
            catalog_path=catalog_path,
            batch_size=engine.batch_size,
            list_shards=engine.list_shards or self._shards_known_of(job),
        )

    def _shards_known_of(self, job: Job) -> int:
        """Return 1 where the source's endpoint was found to list in no order that can be divided, else 0: as it turns out."""
        source, _ = job_endpoints(self.settings, job)
        return 0 if source is None or read_profile(self.settings.state_dir, source).lists_in_shards else 1

    async def _catalog_store(self, job: Job) -> Store | None:
        """Return the store of the catalog's own location: that of the job's side with the same endpoint, with its flags."""
        location = job.catalog or job.read_catalog
        if not isinstance(location, S3Location):
            return None
        for side, overrides in ((job.target, job.target_endpoint), (job.source, job.source_endpoint)):
            if isinstance(side, S3Location) and side.endpoint == location.endpoint:
                return await self.store(location.endpoint, overrides)
        return await self.store(location.endpoint)

    async def _looked_at(self, job: Job) -> tuple[Job, SourceEntry | None]:
        """Return the job, its buckets in the regions where they are, and the entry of a job of one object."""
        try:
            return job, await self._look_first(job)
        except ConfigError as error:
            if not isinstance(error.__cause__, WrongRegion):
                raise
            located = await in_their_regions(job, self.settings, self._store_of)
            if located == job:
                raise
            return located, await self._look_first(located)

    async def _look_first(self, job: Job) -> SourceEntry | None:
        """Ask the stores what can be asked before anything is changed; return the entry of a job of one object."""
        source, target = job_endpoints(self.settings, job)
        if target is not None:
            await check_target(job, await self._store_of(target))
        written = target or (source if job.operation is Operation.SET else None)
        if written is not None and sets_access_control(job.options.attributes):
            await check_access_control(job, await self._control_of(written))
        if job.versions != CURRENT_VERSIONS:
            await check_versioning(job, source, target, self._control_of)
        single = await self._single(job)
        store = await self._source_store(job)
        if single is None and store is not None and job.manifest is None and job.read_catalog is None:
            await check_source(job, store)
        return single

    async def _single(self, job: Job) -> SourceEntry | None:
        """Return the entry of a job of one object; None for many."""
        if isinstance(job.source, StandardStream):
            return SourceEntry("-", "-", UNKNOWN_SIZE)
        several = job.source.recursive or job.versions != CURRENT_VERSIONS
        return None if several else await look_at(job, await self._source_store(job))

    async def _prepare(self, journal: Journal, folder: str, *, retry_failed: bool) -> JobRun:
        status = await journal.status()
        job = status.job
        refuse_if_over(status, retry_failed=retry_failed)
        if retry_failed:
            await journal.requeue_failed()
        source, target = job_endpoints(self.settings, job)
        if status.started_ns:
            await asyncio.to_thread(remove_temporaries, job)
        for endpoint in (source, target):
            if endpoint is not None:
                (await self._store_of(endpoint)).governor.join(self.settings.state_dir, endpoint)
        engine, lowered = fit_to_descriptors(self.settings.engine)
        stores = JobStores(folder, engine, self._store_of)
        stores.publish()
        planner = None
        if not status.planning_done:  # of one object too, where the submission was killed before it was planned
            store = await stores.of(source) if source is not None else None
            planner = await self._planner(job, await self._single(job), folder, store)
        setup = WorkerSetup(
            worker=f"{os.uname().nodename}-{os.getpid()}",
            job=job,
            engine=engine,
            source=source,
            target=target,
            every_transfer=False,
            state_dir=self.settings.state_dir,
            folder=folder,
        )

        async def finish(status: JobStatus) -> None:
            await self._finish(journal, status, folder)

        run = JobRun(
            journal,
            planner,
            setup,
            folder=folder,
            stores=stores,
            finish=finish,
            resumed=bool(status.started_ns),
            warnings=[lowered] if lowered else [],
        )
        run.begin()
        self._runs = [*(run for run in self._runs if not run.is_over), run]
        return run

    async def _finish(self, journal: Journal, status: JobStatus, folder: str) -> None:
        """What is left when every transfer has its outcome: uploads that could not be aborted, the catalog."""
        job = status.job
        _, target = job_endpoints(self.settings, job)
        if target is not None and await journal.open_uploads():
            await abort_open_uploads(journal, await self._store_of(target))
        if job.layout is LayoutName.IDENTITY and job.catalog is None:
            return
        path = await write_catalog(job, journal, folder)
        if job.catalog is not None:
            store = await self._catalog_store(job)
            await deliver_catalog(path, job.catalog, store, journal, self.settings.engine)
