"""The facade's calls on versions: list them, bring objects back, and tell how much there is."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from bucket_brigade.errors import ConfigError
from bucket_brigade.jobs.bucket_calls import BucketCalls
from bucket_brigade.jobs.run import JobRun
from bucket_brigade.jobs.usage import Usage, measure
from bucket_brigade.jobs.versions import instant_ns
from bucket_brigade.model.job import EndpointOverrides
from bucket_brigade.model.location import S3Location
from bucket_brigade.s3.listing import iterate_as_of, iterate_versions
from bucket_brigade.s3.store import ListedVersion
from bucket_brigade.settings.locations import parse_location


class VersionCalls(BucketCalls):
    """What ``Brigade`` can do with versions, beside ``copy`` and ``delete`` with ``all_versions`` and ``as_of``."""

    @abc.abstractmethod
    async def _submit_and_start(self, verb: str, source: str, target: str, request: dict[str, Any]) -> JobRun:
        """Submit one job and start it."""

    async def undelete(self, location: str, **request: Any) -> JobRun:
        """Start a job that removes the latest delete markers: what they hid is there again.

        Args:
            location: an object or a prefix.
            **request: the other fields of JobRequest, such as ``recursive`` and ``filters``.

        Raises:
            ConfigError: bad input; nothing was changed.
        """
        return await self._submit_and_start("undelete", location, "", request)

    async def restore(self, location: str, *, as_of: str, delete_newer: bool = False, **request: Any) -> JobRun:
        """Start a job that brings an object or prefix back to what it was: old versions are copied over the present ones.

        Args:
            location: an object or a prefix.
            as_of: ISO 8601, or an age such as ``2d``.
            delete_newer: what did not exist then is deleted, by delete markers; else it is reported as skipped.
            **request: the other fields of JobRequest.

        Raises:
            ConfigError: bad input, or a bucket that keeps no versions; nothing was changed.
        """
        asked = request | {"as_of": as_of, "delete_newer": delete_newer}
        return await self._submit_and_start("restore", location, "", asked)

    async def versions(
        self, location: str, *, as_of: str | None = None, overrides: EndpointOverrides | None = None
    ) -> AsyncGenerator[ListedVersion]:
        """Yield all versions and delete markers whose keys begin with ``location``, the newest of each key first.

        With ``as_of``, of each key the one version that was current then.
        """
        where = self._listed(location)
        store = await self.store(where.endpoint, overrides)
        if as_of is None:
            pages = iterate_versions(store, where.bucket, prefix=where.key)
        else:
            pages = iterate_as_of(store, where.bucket, prefix=where.key, as_of_ns=instant_ns(as_of))
        async with contextlib.aclosing(pages):
            async for page in pages:
                for version in page:
                    yield version

    async def du(
        self,
        location: str,
        *,
        versions: bool = False,
        as_of: str | None = None,
        overrides: EndpointOverrides | None = None,
    ) -> Usage:
        """Return how much there is whose keys begin with ``location``: objects and bytes by storage class.

        Args:
            location: a bucket or a prefix.
            versions: count noncurrent versions and delete markers too.
            as_of: count what was current then.
            overrides: as the flags of the command.
        """
        where = self._listed(location)
        store = await self.store(where.endpoint, overrides)
        as_of_ns = None if as_of is None else instant_ns(as_of)
        usage = Usage(where.key)
        async for folder in measure(store, where.bucket, where.key, versions=versions, as_of_ns=as_of_ns):
            usage = folder  # without a depth, the prefix's own is the only one
        return usage

    def _listed(self, location: str) -> S3Location:
        where = parse_location(location, endpoints=self.settings.endpoints, role="listing")
        if not isinstance(where, S3Location) or not where.bucket or where.pattern:
            raise ConfigError(f"{location} is no bucket or prefix", remedy="Write it as s3://bucket/prefix/.")
        return where
