"""The program, and stores to look at what it did."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bucket_brigade.s3.store import Store
from tests.integration.buckets import bucket_name, store_of
from tests.integration.program import Program
from tests.servers import RunningServer


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """``brigade`` in the test's folder, not yet configured."""
    return Program(tmp_path)


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> str:
    """A name for a bucket of the test's own."""
    return bucket_name(request.node.name)


@pytest.fixture
async def mini(ministack: RunningServer) -> AsyncIterator[Store]:
    """The store of MiniStack."""
    async with store_of(ministack) as store:
        yield store


@pytest.fixture
async def other(rclone: RunningServer) -> AsyncIterator[Store]:
    """The store of rclone."""
    async with store_of(rclone) as store:
        yield store
