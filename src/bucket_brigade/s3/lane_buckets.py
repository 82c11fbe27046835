"""The question about a bucket that jobs begin with, through the lane: a client for it alone would cost more than a small job."""

from __future__ import annotations

from bucket_brigade.s3.lane_calls import FIRST_REFUSAL, LaneCalls
from bucket_brigade.s3.lane_forms import Recipe


class BucketLane(LaneCalls):
    """The look at a bucket."""

    async def head_bucket(self, bucket: str) -> str:
        """Return the bucket's region."""
        form_key = ("HeadBucket", bucket)
        prepared = self._get(form_key) or await self._book.prepare(
            form_key, lambda: Recipe(lambda: self._client.head_bucket(bucket), {}, object_path=False)
        )
        if prepared is None:
            return await self._client.head_bucket(bucket)
        answer = await self._send(prepared, "HeadBucket", bucket, "", {})
        if answer.status >= FIRST_REFUSAL:
            raise self._refusal("HeadBucket", bucket, "", answer)
        return answer.header(b"x-amz-bucket-region")
