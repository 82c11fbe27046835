"""Standard input becomes an object, and an object becomes standard output."""

from __future__ import annotations

import random

import pytest

from bucket_brigade.s3.store import Store
from tests.integration.buckets import read_all, uploads_left
from tests.integration.program import Program
from tests.servers import RunningServer


@pytest.mark.parametrize("size", [0, 1024, 30 << 20], ids=["0", "1KiB", "30MiB"])
async def test_a_stream_goes_up_and_comes_down_again(
    size: int, program: Program, bucket: str, other: Store, rclone: RunningServer
) -> None:
    program.configure({"other": rclone})
    content = random.Random(size).randbytes(size)
    await other.create_bucket(bucket)

    program("cp", "-", f"other://{bucket}/k", stdin=content)
    assert await read_all(other, bucket) == {"k": content}
    assert await uploads_left(other, bucket) == []

    assert program("cp", f"other://{bucket}/k", "-").out == content
