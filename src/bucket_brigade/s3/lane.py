"""The lane: the ``Store`` port at the speed of its requests, each built once by botocore and executed without it.

``open_lane`` puts it before a ``ClientStore`` of the same endpoint. What the lane does not offer, and every request that cannot
be prepared, goes through that client by itself. See ``s3.prepared`` for how a request is taken over, ``s3.wire`` for the network.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bucket_brigade import __version__
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.s3.client import ClientStore
from bucket_brigade.s3.doors import ask_dns, guarded, tls_context
from bucket_brigade.s3.lane_buckets import BucketLane
from bucket_brigade.s3.lane_forms import FormBook
from bucket_brigade.s3.lane_listings import ListingLane
from bucket_brigade.s3.lane_multipart import MultipartLane
from bucket_brigade.s3.lane_objects import ObjectLane
from bucket_brigade.s3.lane_tags import TagLane
from bucket_brigade.s3.late_client import LateClient
from bucket_brigade.s3.prepared import capturable
from bucket_brigade.s3.session import Client
from bucket_brigade.s3.store import Acl, BucketEntry, PartReceipt, UploadPage
from bucket_brigade.s3.wire import Pool, WireSettings
from bucket_brigade.settings.values import EndpointSettings

_PREPARABLE_SIGNATURES = frozenset({"s3v4", "v4", "s3"})


class LaneStore(ObjectLane, ListingLane, TagLane, MultipartLane, BucketLane):
    """``Store`` over prepared requests; what carries no data is left to the client."""

    async def put_object_tags(
        self, bucket: str, key: str, tags: tuple[tuple[str, str], ...], *, version_id: str | None = None
    ) -> None:
        """Replace all tags of an object."""
        await self._client.put_object_tags(bucket, key, tags, version_id=version_id)

    async def get_object_acl(self, bucket: str, key: str, *, version_id: str | None = None) -> Acl:
        """Return who may do what with the object."""
        return await self._client.get_object_acl(bucket, key, version_id=version_id)

    async def put_object_acl(self, bucket: str, key: str, acl: Acl | str, *, version_id: str | None = None) -> None:
        """Replace the object's access control list."""
        await self._client.put_object_acl(bucket, key, acl, version_id=version_id)

    async def put_object_lock(
        self,
        bucket: str,
        key: str,
        attributes: ObjectAttributes,
        *,
        version_id: str | None = None,
        bypass_governance: bool = False,
    ) -> None:
        """Set the retention and the legal hold of an object."""
        await self._client.put_object_lock(
            bucket, key, attributes, version_id=version_id, bypass_governance=bypass_governance
        )

    async def restore_object(
        self, bucket: str, key: str, *, days: int, tier: str | None = None, version_id: str | None = None
    ) -> None:
        """Ask for an archived object to be readable."""
        await self._client.restore_object(bucket, key, days=days, tier=tier, version_id=version_id)

    async def list_parts(self, bucket: str, key: str, upload_id: str) -> list[PartReceipt]:
        """Return all parts that the store holds, by number."""
        return await self._client.list_parts(bucket, key, upload_id)

    async def list_multipart_uploads(
        self, bucket: str, *, prefix: str = "", markers: tuple[str, str] | None = None
    ) -> UploadPage:
        """Return one page of the uploads in progress."""
        return await self._client.list_multipart_uploads(bucket, prefix=prefix, markers=markers)

    async def list_buckets(self) -> list[BucketEntry]:
        """Return the buckets of the account."""
        return await self._client.list_buckets()

    async def create_bucket(self, bucket: str, *, region: str | None = None) -> None:
        """Create a bucket."""
        await self._client.create_bucket(bucket, region=region)

    async def delete_bucket(self, bucket: str) -> None:
        """Remove an empty bucket."""
        await self._client.delete_bucket(bucket)


def lane_supports(client: Client) -> str | None:
    """Return why nothing of this client can go through the lane, half a sentence for the log; None where it can.

    What concerns single requests (SigV4A, S3 Express sessions, signers of others) is found out when they are prepared.
    """
    session = client._endpoint.http_session  # noqa: SLF001 - where botocore keeps what it made of its configuration
    if session._proxy_config.proxy_url_for(client.meta.endpoint_url):  # noqa: SLF001
        return "an HTTP proxy is configured"
    if session._cert_file:  # noqa: SLF001
        return "a client certificate is configured"
    if session._verify is False:  # noqa: SLF001
        return "certificates are not verified"
    version = client.meta.config.signature_version
    if isinstance(version, str) and version not in _PREPARABLE_SIGNATURES:
        return f"requests are signed with {version}"
    return None


@asynccontextmanager
async def open_lane(
    endpoint: EndpointSettings, client: Client, store: ClientStore, *, max_connections: int, insist: bool = False
) -> AsyncIterator[LaneStore]:
    """Open the lane beside the ``store`` of an open ``client``; its connections are closed at the end.

    Ask ``lane_supports(client)`` first.

    Args:
        endpoint: gives the time-outs.
        client: builds each request once; also says which certificates are trusted, and who signs.
        store: over the same client; serves what the lane does not.
        max_connections: to each host.
        insist: a request that cannot be prepared is an error, rather than left to the client.
    """
    wire = WireSettings(
        max_connections=max_connections,
        connect_timeout_s=endpoint.connect_timeout_s,
        read_timeout_s=endpoint.read_timeout_s,
    )
    tls = functools.cache(lambda: _tls(client))  # reading the system's certificates takes 20 ms
    book = FormBook(
        credentials=credentials_of(client),
        open_pool=lambda target: Pool(
            target,
            wire,
            tls() if target.scheme == "https" else None,
            guarded(ask_dns, loopback_only=target.scheme == "http" and not endpoint.allow_http),
        ),
        user_agent=f"bucket-brigade/{__version__}",
        insist=insist,
    )
    with capturable(client):
        async with book:
            yield LaneStore(store, book)


def credentials_of(client: Client) -> Any:
    """Return the credentials that a client signs with, an object that refreshes itself; None for anonymous requests."""
    from botocore import UNSIGNED

    if client.meta.config.signature_version is UNSIGNED:
        return None
    return client.credentials if isinstance(client, LateClient) else client._request_signer._credentials  # noqa: SLF001


def _tls(client: Client) -> ssl.SSLContext:
    bundle = client._endpoint.http_session._verify  # noqa: SLF001 - after AWS_CA_BUNDLE and the profile had their say
    return tls_context(bundle if isinstance(bundle, str) else None)
