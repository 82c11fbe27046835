"""The program and stores to look at what it did, as for the integration tests; and the hostile S3 with jobs against it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.hostile import HostileS3, serving
from tests.faults.world import World
from tests.integration.conftest import bucket, mini, other, program

__all__ = ["bucket", "mini", "other", "program"]


@pytest.fixture
async def s3() -> AsyncIterator[HostileS3]:
    """A hostile S3 on the test's own loop."""
    async with serving() as server:
        yield server


@pytest.fixture(params=["lane", "client"])
def world(request: pytest.FixtureRequest, s3: HostileS3, tmp_path: Path) -> World:
    """Jobs against it, over the lane and over the aioboto3 client."""
    return World(s3, tmp_path, request.param)
