"""A bucket in another region than the endpoint's: the job finds it, and remembers where it is."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from bucket_brigade.s3.open import open_store
from bucket_brigade.s3.store import Store
from bucket_brigade.settings.values import EngineSettings
from tests.integration.buckets import read_all
from tests.integration.program import Program
from tests.samples import make_tree, read_tree
from tests.servers import RunningServer

REGION = "eu-south-2"


@pytest.fixture
def brigade(program: Program, ministack: RunningServer) -> Program:
    program.configure({"mini": ministack})
    return program


async def test_a_job_goes_to_the_region_where_the_bucket_is(
    brigade: Program, bucket: str, mini: Store, ministack: RunningServer, tmp_path: Path
) -> None:
    await mini.create_bucket(bucket, region=REGION)
    make_tree(tmp_path / "source", {"f": b"content"})
    brigade("cp", f"{tmp_path}/source/", f"mini://{bucket}/", "--dryrun")
    brigade("cp", f"{tmp_path}/source/", f"mini://{bucket}/")
    [job] = brigade.job_ids()
    brigade("report", job)
    report = json.loads((brigade.state_dir / "jobs" / job / "report.json").read_text())
    assert report["job"]["target_endpoint"]["region"] == REGION, "a resumed job goes there at once"

    brigade("mv", f"mini://{bucket}/", f"{tmp_path}/target/")
    assert read_tree(tmp_path / "target") == {"f": b"content"}
    there = msgspec.structs.replace(ministack.endpoint, region=REGION)
    async with open_store(there, engine=EngineSettings()) as store:
        assert await read_all(store, bucket) == {}
