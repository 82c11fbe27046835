"""Listings of versions through the lane; the contract is stated in ``s3.store``."""

from __future__ import annotations

from bucket_brigade.s3.lane_calls import FIRST_REFUSAL, LaneCalls, in_utf8
from bucket_brigade.s3.lane_forms import Recipe
from bucket_brigade.s3.lane_objects import ANY_VALUE
from bucket_brigade.s3.prepared import quote_query
from bucket_brigade.s3.store import VersionPage
from bucket_brigade.s3.xml_tree import MalformedXml
from bucket_brigade.s3.xml_versions import parse_version_page


class VersionLane(LaneCalls):
    """The listing of versions."""

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
