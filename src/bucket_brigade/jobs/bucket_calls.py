"""The facade's calls on buckets: create, remove, look at, change."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import msgspec

from bucket_brigade.errors import ConfigError, JobFailed, PermanentError, TransferError, WrongRegion
from bucket_brigade.jobs.emptying import empty_bucket, is_long
from bucket_brigade.jobs.handles import BucketHandle, bucket_of_entry
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.jobs.sides import endpoint_of
from bucket_brigade.model.job import EndpointOverrides, Job
from bucket_brigade.model.location import DEFAULT_ENDPOINT, S3Location
from bucket_brigade.s3.bucket_values import NO_CHANGES, BucketChanges, BucketInfo
from bucket_brigade.s3.names import check_bucket_name
from bucket_brigade.s3.store import Store
from bucket_brigade.settings.locations import parse_location
from bucket_brigade.settings.values import EndpointSettings, Settings

if TYPE_CHECKING:
    from bucket_brigade.jobs.doctor.findings import Diagnosis
    from bucket_brigade.jobs.run import JobRun
    from bucket_brigade.s3.buckets import BucketControl


class BucketCalls(abc.ABC):
    """What ``Brigade`` can do with whole buckets. Buckets are named as everywhere: ``s3://bucket``."""

    settings: Settings
    _stack: contextlib.AsyncExitStack

    def __init__(self) -> None:
        self._controls: dict[EndpointSettings, BucketControl] = {}

    @abc.abstractmethod
    async def store(self, endpoint: str = "s3", overrides: EndpointOverrides | None = None) -> Store:
        """Return the store of a configured endpoint."""

    def bucket(self, name: str, *, endpoint: str = DEFAULT_ENDPOINT) -> BucketHandle:
        """Return the handle of a bucket, which need not exist; nothing is asked of the endpoint."""
        return BucketHandle(self, name, endpoint)

    async def buckets(self, *, endpoint: str = DEFAULT_ENDPOINT) -> AsyncGenerator[BucketHandle]:
        """Yield the handle of every bucket of the account."""
        for entry in await (await self.store(endpoint)).list_buckets():
            yield bucket_of_entry(self, entry, endpoint)

    @abc.abstractmethod
    async def submit(self, request: JobRequest) -> Job:
        """Make a job of a request."""

    @abc.abstractmethod
    async def start(self, job_id: str, *, retry_failed: bool = False) -> JobRun:
        """Run a job."""

    async def create_bucket(
        self,
        bucket: str,
        *,
        region: str | None = None,
        object_lock: bool = False,
        changes: BucketChanges = NO_CHANGES,
        overrides: EndpointOverrides | None = None,
    ) -> None:
        """Create a bucket and configure it.

        Args:
            bucket: such as ``s3://bucket``.
            region: None takes the endpoint's.
            object_lock: can only be switched on here; versioning comes with it.
            changes: what is set at once; the rest is the store's default, which at AWS is private.
            overrides: as the flags of the command.

        Raises:
            ConfigError: the name breaks a rule of S3, which the message names. Nothing was asked of the endpoint.
            TransferError: the endpoint refuses to create it.
            JobFailed: it is created, and a setting was refused; the message names it.
        """
        location = self._bucket(bucket)
        check_bucket_name(location.bucket)
        if region is not None:  # what follows the creation is asked of the bucket's own region too
            overrides = msgspec.structs.replace(overrides or EndpointOverrides(), region=region)
        control = await self.control(location.endpoint, overrides)
        await control.create(location.bucket, region=region, ownership=changes.ownership, object_lock=object_lock)
        try:
            await control.change(location.bucket, changes)
        except TransferError as error:
            notes = " ".join(getattr(error, "__notes__", ()))
            raise JobFailed(
                f"{bucket} is created, but not as asked: {notes}. {error}",
                remedy=f"Set it with `brigade bucket set {bucket}`, or remove the bucket with `brigade rb {bucket}`.",
            ) from error

    async def delete_bucket(
        self, bucket: str, *, force: bool = False, overrides: EndpointOverrides | None = None
    ) -> int:
        """Remove a bucket; with ``force`` also one that is not empty. Return how many objects, versions and markers went.

        What is more than a page is deleted by a durable job: interrupted, it is resumed, or the bucket removed anew.

        Raises:
            ConfigError: it is not empty.
            JobFailed: with ``force``, something in it could not be deleted.
        """
        location = self._bucket(bucket)
        overrides = await self._in_its_region(location, overrides)
        store = await self.store(location.endpoint, overrides)
        deleted = 0
        if force:
            request = await self.emptying_request(bucket, overrides=overrides)
            if request is not None:
                report = await (await self.start((await self.submit(request)).id)).wait()
                deleted = report.counters.done
            deleted += await empty_bucket(store, location.bucket)
        try:
            await store.delete_bucket(location.bucket)
        except PermanentError as error:
            if error.code != "BucketNotEmpty":
                raise
            remedy = "Something wrote into it meanwhile; try again." if force else "--force deletes what is in it."
            raise ConfigError(f"{location.bucket} is not empty", remedy=remedy) from error
        return deleted

    async def emptying_request(self, bucket: str, *, overrides: EndpointOverrides | None = None) -> JobRequest | None:
        """Return the job that deletes everything in a bucket; None where it holds so little that no job is worth while."""
        location = self._bucket(bucket)
        overrides = await self._in_its_region(location, overrides)
        long, has_versions = await is_long(await self.store(location.endpoint, overrides), location.bucket)
        if not long:
            return None
        return JobRequest(
            verb="rm",
            source=str(location),
            recursive=True,
            all_versions=has_versions,
            source_endpoint=overrides or EndpointOverrides(),
        )

    async def bucket_info(self, bucket: str, *, overrides: EndpointOverrides | None = None) -> BucketInfo:
        """Return how a bucket is configured; what may not be read is named in ``unknown``. A missing one is NotFound."""
        location = self._bucket(bucket)
        overrides = await self._in_its_region(location, overrides)
        return await (await self.control(location.endpoint, overrides)).info(location.bucket)

    async def change_bucket(
        self, bucket: str, changes: BucketChanges, *, overrides: EndpointOverrides | None = None
    ) -> list[str]:
        """Change how a bucket is configured; return the names of what was changed. Raises as ``BucketControl.change``."""
        location = self._bucket(bucket)
        overrides = await self._in_its_region(location, overrides)
        return await (await self.control(location.endpoint, overrides)).change(location.bucket, changes)

    async def doctor(
        self,
        location: str = "s3://",
        *,
        other: str | None = None,
        read_only: bool = False,
        overrides: EndpointOverrides | None = None,
        other_overrides: EndpointOverrides | None = None,
    ) -> Diagnosis:
        """Find out what works and what does not at a location, with what each finding means and what to do.

        What is wrong is a finding, never an error. Probe objects are written below the location's prefix and deleted again.

        Args:
            location: an endpoint, a bucket, or a prefix in one.
            other: another one, such as the other side of a job.
            read_only: write nothing.
            overrides: what is different about the endpoint of ``location``, as the flags of the command say it.
            other_overrides: the same of ``other``.

        Raises:
            ConfigError: a location names no bucket or endpoint.
        """
        from bucket_brigade.jobs.doctor.examine import Patient, diagnose

        patients: list[Patient] = []
        for text, changes in ((location, overrides), (other, other_overrides)):
            if text is not None:
                where = self._s3_location(text)
                patients.append(Patient(where, endpoint_of(self.settings, where.endpoint, changes)))
        return await diagnose(patients, state_dir=self.settings.state_dir, read_only=read_only)

    async def control(self, endpoint: str = "s3", overrides: EndpointOverrides | None = None) -> BucketControl:
        """Return the control port of a configured endpoint; it lives as long as this Brigade."""
        return await self._control_of(endpoint_of(self.settings, endpoint, overrides))

    async def _control_of(self, endpoint: EndpointSettings) -> BucketControl:
        from bucket_brigade.s3.buckets import open_bucket_control

        if endpoint not in self._controls:
            opening = open_bucket_control(endpoint, retry=self.settings.engine.retry)
            self._controls[endpoint] = await self._stack.enter_async_context(opening)
        return self._controls[endpoint]

    async def _in_its_region(
        self, location: S3Location, overrides: EndpointOverrides | None
    ) -> EndpointOverrides | None:
        """Return the overrides with the region in which a bucket is, where the endpoint names it; else as they are."""
        try:
            await (await self.store(location.endpoint, overrides)).head_bucket(location.bucket)
        except WrongRegion as error:
            found = msgspec.structs.replace(overrides or EndpointOverrides(), region=error.region or None)
            with contextlib.suppress(ConfigError):  # what the endpoint names is no region
                endpoint_of(self.settings, location.endpoint, found)
                return found
        except TransferError:
            return overrides
        return overrides

    def _bucket(self, text: str) -> S3Location:
        location = self._s3_location(text)
        if not location.bucket or location.key or location.pattern:
            raise ConfigError(f"{text} is not a bucket", remedy="Write it as s3://bucket, without a key.")
        return location

    def _s3_location(self, text: str) -> S3Location:
        location = parse_location(text, endpoints=self.settings.endpoints, role="listing")
        if not isinstance(location, S3Location):
            raise ConfigError(f"{text} is not in a bucket", remedy="Write it as s3://bucket/prefix/.")
        return location
