"""The tags of objects through the lane: a relay asks for those of every object. The contract is stated in ``s3.store``."""

from __future__ import annotations

import re

from bucket_brigade.errors import NotFound
from bucket_brigade.s3.errors import answered_with_the_object
from bucket_brigade.s3.lane_calls import FIRST_REFUSAL, LaneCalls
from bucket_brigade.s3.lane_forms import Recipe
from bucket_brigade.s3.lane_objects import ANY_VERSION
from bucket_brigade.s3.prepared import PLACEHOLDER_KEY, quote_query

_NO_TAGS = re.compile(
    rb'\s*(?:<\?xml [^<>]*\?>\s*)?<Tagging(?: xmlns="[^"<>&]*")?>\s*(?:<TagSet>\s*</TagSet>|<TagSet ?/>)\s*</Tagging>\s*'
).fullmatch


class TagLane(LaneCalls):
    """The reading of tags."""

    async def get_object_tags(
        self, bucket: str, key: str, *, version_id: str | None = None
    ) -> tuple[tuple[str, str], ...]:
        """Return the object's tags."""
        form_key = ("GetObjectTagging", bucket, version_id is not None)
        any_version = None if version_id is None else ANY_VERSION
        prepared = self._get(form_key) or await self._book.prepare(
            form_key,
            lambda: Recipe(
                lambda: self._client.get_object_tags(bucket, PLACEHOLDER_KEY, version_id=any_version),
                {} if any_version is None else {"?versionId": any_version},
            ),
        )
        if prepared is None:
            return await self._client.get_object_tags(bucket, key, version_id=version_id)
        fields = {} if version_id is None else {"?versionId": quote_query(version_id)}
        answer = await self._send(prepared, "GetObjectTagging", bucket, key, fields)
        if answer.status >= FIRST_REFUSAL:
            error = self._refusal("GetObjectTagging", bucket, key, answer)
            if isinstance(error, NotFound) and error.code == "NoSuchTagSet":
                return ()
            raise error
        if b"etag" in answer.headers and b"<Tagging" not in answer.body:
            raise answered_with_the_object("GetObjectTagging")
        if not answer.unread and _NO_TAGS(answer.body):
            return ()
        root = self._document("GetObjectTagging", bucket, key, answer)
        tags = next(root.all("TagSet"), None)
        if root.tag != "Tagging" or tags is None:
            raise self._unproven("GetObjectTagging", bucket, key, answer, "without a set of tags")
        return tuple((tag.get("Key"), tag.get("Value")) for tag in tags.all("Tag"))
