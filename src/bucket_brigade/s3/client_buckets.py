"""Listings and buckets through the aioboto3 client."""

from __future__ import annotations

from typing import Any

from bucket_brigade.errors import PlanError
from bucket_brigade.s3.calls import Answer, Caller
from bucket_brigade.s3.reading import nanoseconds, quoted
from bucket_brigade.s3.session import DEFAULT_REGION, RAW_DOCUMENT
from bucket_brigade.s3.store import BucketEntry, ListedObject, ListPage, VersionPage
from bucket_brigade.s3.urls import decode_key
from bucket_brigade.s3.xml_tree import MalformedXml
from bucket_brigade.s3.xml_versions import parse_version_page

_BUCKETS_IN_A_PAGE = 1000


class BucketCalls(Caller):
    """The listings and the operations on buckets of ``Store``; their contracts are stated there."""

    async def list_objects(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        start_after: str = "",
        token: str | None = None,
        page_size: int = 1000,
    ) -> ListPage:
        """Return one page of current objects."""
        params: dict[str, Any] = {"Bucket": bucket, "EncodingType": "url", "MaxKeys": page_size}
        if prefix:
            params["Prefix"] = prefix
        if delimiter:
            params["Delimiter"] = delimiter
        if token is not None:
            params["ContinuationToken"] = token
        elif start_after:
            params["StartAfter"] = start_after
        answer = await self._page("ListObjectsV2", params)
        encoded = answer.get("EncodingType") == "url"
        objects = [_listed(one, encoded) for one in answer.get("Contents", ())]
        prefixes = [decode_key(one["Prefix"], encoded) for one in answer.get("CommonPrefixes", ())]
        following = answer.get("NextContinuationToken") or None
        if answer.get("IsTruncated") and following is None:
            raise self.unproven("ListObjectsV2", params, answer, "with a page that is cut off and names no next one")
        return ListPage(objects, prefixes, following if answer.get("IsTruncated") else None)

    async def list_object_versions(
        self, bucket: str, *, prefix: str = "", markers: tuple[str, str] | None = None, page_size: int = 1000
    ) -> VersionPage:
        """Return one page of all versions and delete markers."""
        params: dict[str, Any] = {"Bucket": bucket, "EncodingType": "url", "MaxKeys": page_size}
        if prefix:
            params["Prefix"] = prefix
        if markers is not None:
            params["KeyMarker"] = markers[0]
            if markers[1]:
                params["VersionIdMarker"] = markers[1]
        answer = await self._page("ListObjectVersions", params)
        try:
            return parse_version_page(answer[RAW_DOCUMENT])
        except MalformedXml as exc:
            raise self.unproven("ListObjectVersions", params, answer, "with a page that is no listing") from exc

    async def _page(self, operation: str, params: dict[str, Any]) -> Answer:
        """Return a page that is one: an HTML page answered with 200 must never look like an empty bucket."""
        answer = await self.call(operation, params)
        if "Name" not in answer and "IsTruncated" not in answer:
            raise self.unproven(operation, params, answer, "with a page that is no listing")
        return answer

    async def list_buckets(self) -> list[BucketEntry]:
        """Return the buckets of the account."""
        # Only an answer in pages tells the regions.
        params: dict[str, Any] = {"MaxBuckets": _BUCKETS_IN_A_PAGE}
        found: list[BucketEntry] = []
        seen: set[str] = set()
        while True:
            answer = await self.call("ListBuckets", params)
            if "Buckets" not in answer and "Owner" not in answer:
                raise self.unproven("ListBuckets", params, answer, "with a page that is no list of buckets")
            found += [
                BucketEntry(one["Name"], nanoseconds(one.get("CreationDate")), one.get("BucketRegion", ""))
                for one in answer.get("Buckets", ())
            ]
            token = answer.get("ContinuationToken")
            if not token:
                return found
            if token in seen:
                raise PlanError("The list of buckets does not come to an end.")
            seen.add(token)
            params["ContinuationToken"] = token

    async def create_bucket(self, bucket: str, *, region: str | None = None) -> None:
        """Create a bucket, in the endpoint's region unless ``region`` names another."""
        params: dict[str, Any] = {"Bucket": bucket}
        chosen = region or self._client.meta.region_name
        if chosen != DEFAULT_REGION:
            # us-east-1 is the one region that S3 does not take by name.
            params["CreateBucketConfiguration"] = {"LocationConstraint": chosen}
        await self.call("CreateBucket", params)

    async def delete_bucket(self, bucket: str) -> None:
        """Remove an empty bucket."""
        await self.call("DeleteBucket", {"Bucket": bucket})

    async def head_bucket(self, bucket: str) -> str:
        """Return the bucket's region, "" where the store does not tell."""
        answer = await self.call("HeadBucket", {"Bucket": bucket})
        region: str = answer.get("BucketRegion", "")
        return region


def _listed(one: Answer, encoded: bool) -> ListedObject:
    return ListedObject(
        decode_key(one["Key"], encoded),
        int(one["Size"]),
        quoted(one.get("ETag", "")),
        nanoseconds(one.get("LastModified")),
        one.get("StorageClass", "STANDARD"),
    )
