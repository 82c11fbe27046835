"""A whole job under a limit: the governor, the retries and the store together. Row 1; the goals are held in virtual time."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from tests.faults.hostile import HostileS3
from tests.faults.hostile.throttle import Throttle
from tests.faults.world import ENGINE, World, done

LIMIT = 400


async def test_row_1_a_job_under_a_limit_uses_most_of_it_and_fails_no_object(s3: HostileS3, tmp_path: Path) -> None:
    world = World(s3, tmp_path, engine=msgspec.structs.replace(ENGINE, concurrency=0))
    s3.writes = Throttle(LIMIT)
    objects = {f"{index:04}": b"x" for index in range(600)}
    began = time.monotonic()
    done(await world.copy(objects), len(objects))
    elapsed_s = time.monotonic() - began
    assert s3.writes.admitted == len(objects)
    assert s3.writes.refused > 0
    assert s3.writes.refused < 0.25 * len(objects)
    assert len(objects) / elapsed_s >= 0.6 * LIMIT  # starting and ending the job included
