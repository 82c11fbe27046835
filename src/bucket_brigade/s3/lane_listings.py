"""Listings through the lane; the contracts are stated in ``s3.store``."""

from __future__ import annotations

from bucket_brigade.s3.lane_calls import FIRST_REFUSAL, LaneCalls, in_utf8
from bucket_brigade.s3.lane_forms import Recipe
from bucket_brigade.s3.lane_objects import ANY_VALUE
from bucket_brigade.s3.prepared import quote_query
from bucket_brigade.s3.store import ListPage, VersionPage
from bucket_brigade.s3.xml_listing import parse_page
from bucket_brigade.s3.xml_tree import MalformedXml
from bucket_brigade.s3.xml_versions import parse_version_page


class ListingLane(LaneCalls):
    """The listings of objects and of versions."""

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
        given = {"?prefix": prefix, "?delimiter": delimiter}
        given |= {"?start-after": start_after} if token is None else {"?continuation-token": token}
        fields = {
            name: in_utf8(quote_query, "ListObjectsV2", value)
            for name, value in given.items()
            if value or value is token
        }
        form_key = ("ListObjectsV2", bucket, frozenset(fields), page_size)
        prepared = self._get(form_key) or await self._book.prepare(
            form_key, lambda: self._list_recipe(bucket, frozenset(fields), page_size)
        )
        if prepared is None:
            return await self._client.list_objects(
                bucket, prefix=prefix, delimiter=delimiter, start_after=start_after, token=token, page_size=page_size
            )
        answer = await self._send(prepared, "ListObjectsV2", bucket, "", fields)
        if answer.status >= FIRST_REFUSAL:
            raise self._refusal("ListObjectsV2", bucket, "", answer)
        try:
            return parse_page(bytes(answer.body))
        except MalformedXml as exc:
            self._document("ListObjectsV2", bucket, "", answer)  # raises what is wrong with it, if it is that
            raise self._unproven("ListObjectsV2", bucket, "", answer, "with a page that is no listing") from exc

    def _list_recipe(self, bucket: str, names: frozenset[str], page_size: int) -> Recipe:
        return Recipe(
            lambda: self._client.list_objects(
                bucket,
                prefix=ANY_VALUE if "?prefix" in names else "",
                delimiter=ANY_VALUE if "?delimiter" in names else "",
                start_after=ANY_VALUE if "?start-after" in names else "",
                token=ANY_VALUE if "?continuation-token" in names else None,
                page_size=page_size,
            ),
            dict.fromkeys(names, ANY_VALUE),
            object_path=False,
        )

    async def list_object_versions(
        self, bucket: str, *, prefix: str = "", markers: tuple[str, str] | None = None, page_size: int = 1000
    ) -> VersionPage:
        """Return one page of all versions and delete markers."""
        key_marker, version_marker = markers or ("", "")
        given = {"?prefix": prefix, "?key-marker": key_marker, "?version-id-marker": version_marker}
        fields = {
            name: in_utf8(quote_query, "ListObjectVersions", value)
            for name, value in given.items()
            if value or (markers is not None and name == "?key-marker")
        }
        form_key = ("ListObjectVersions", bucket, frozenset(fields), page_size)
        prepared = self._get(form_key) or await self._book.prepare(
            form_key, lambda: self._versions_recipe(bucket, frozenset(fields), page_size)
        )
        if prepared is None:
            return await self._client.list_object_versions(bucket, prefix=prefix, markers=markers, page_size=page_size)
        answer = await self._send(prepared, "ListObjectVersions", bucket, "", fields)
        if answer.status >= FIRST_REFUSAL:
            raise self._refusal("ListObjectVersions", bucket, "", answer)
        try:
            return parse_version_page(bytes(answer.body))
        except MalformedXml as exc:
            self._document("ListObjectVersions", bucket, "", answer)  # raises what is wrong with it, if it is that
            raise self._unproven("ListObjectVersions", bucket, "", answer, "with a page that is no listing") from exc

    def _versions_recipe(self, bucket: str, names: frozenset[str], page_size: int) -> Recipe:
        version_marker = ANY_VALUE if "?version-id-marker" in names else ""
        return Recipe(
            lambda: self._client.list_object_versions(
                bucket,
                prefix=ANY_VALUE if "?prefix" in names else "",
                markers=(ANY_VALUE, version_marker) if "?key-marker" in names else None,
                page_size=page_size,
            ),
            dict.fromkeys(names, ANY_VALUE),
            object_path=False,
        )
