"""The adapter of ``Store`` over an aioboto3 client: everything S3 can do, one attempt each.

The lane does the same for the few requests that are sent millions of times. Importing this module loads aiohttp.
"""

from __future__ import annotations

from bucket_brigade.s3.client_access import AccessCalls
from bucket_brigade.s3.client_buckets import BucketCalls
from bucket_brigade.s3.client_multipart import MultipartCalls
from bucket_brigade.s3.client_objects import ObjectCalls
from bucket_brigade.s3.profile import EndpointProfile


class ClientStore(ObjectCalls, AccessCalls, MultipartCalls, BucketCalls):
    """``Store`` over an open aioboto3 client (``s3.session.open_client``) and the settings of its endpoint."""

    @property
    def deletes_many(self) -> bool:
        """Whether the endpoint has not refused DeleteObjects so far."""
        return self._deletes_many

    def believe(self, profile: EndpointProfile) -> None:
        """Begin with what the endpoint was found to refuse, instead of finding it out once more."""
        if profile.accepts_checksums is False and self.endpoint.checksum == "auto":
            self.sends_checksums = False
        if profile.multi_delete is False:
            self._deletes_many = False
