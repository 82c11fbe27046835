"""kill -9 at any instant loses nothing that was promised and counts nothing twice."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.journal.stream import BATCH
from tests.unit.journal.values import JOB

from bucket_brigade.journal.sqlite import SqliteJournal, create_journal, open_journal
from bucket_brigade.journal.status import read_status
from bucket_brigade.model.job import JobState
from bucket_brigade.model.outcome import State

KILLS = 3


@pytest.mark.parametrize("seed", range(10))
async def test_a_killed_stream_of_calls_leaves_a_journal_that_adds_up(tmp_path: Path, seed: int) -> None:
    folder = str(tmp_path / "job")
    journal = await create_journal(folder, JOB)
    await journal.set_state(JobState.RUNNING)
    await journal.close()
    dice = random.Random(seed)
    completed: set[int] = set()
    for _ in range(KILLS):
        planned, newly = _killed_stream(folder, seed, after_lines=dice.randrange(1, 60))
        assert not completed & newly, "a completed batch was leased again"
        completed |= newly
        assert (await read_status(folder)).state is JobState.INTERRUPTED
        journal = await open_journal(folder)
        try:
            await _expect_it_adds_up(journal, planned, completed)
        finally:
            await journal.close()


def _killed_stream(folder: str, seed: int, after_lines: int) -> tuple[int, set[int]]:
    """Run the stream until it has kept ``after_lines`` promises, kill it, and return those: planned, completed."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.unit.journal.stream", folder, str(seed)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(after_lines)]
        process.kill()
        lines += process.stdout.readlines()
    promises = [line.split() for line in lines if line.endswith("\n")]
    planned = max((int(number) for word, number in promises if word == "planned"), default=0)
    return planned, {int(number) for word, number in promises if word == "completed"}


async def _expect_it_adds_up(journal: SqliteJournal, planned: int, completed: set[int]) -> None:
    status = await journal.status()
    batches = [batch async for batch in journal.batches()]
    states = b"".join(batch.states for batch in batches)
    closed = {batch.batch_id for batch in batches if State.PENDING not in batch.states}
    assert int(await journal.planning_cursor()) == len(batches) >= planned
    assert [batch.transfers[0].source for batch in batches] == [f"{number}/0" for number in range(len(batches))]
    assert completed <= closed
    assert status.counters.planned == status.counters.planned_bytes == len(batches) * BATCH
    assert status.counters.done == status.counters.done_bytes == states.count(State.DONE)
    assert status.counters.failed == states.count(State.FAILED)
    assert len([row async for row in journal.failures()]) == states.count(State.FAILED)
    queued = [lease.batch_id for lease in await journal.lease("w", len(batches) + 1)]
    assert len(queued) == status.open_batches
    assert not completed & set(queued)
    assert sorted([*queued, *(closed - set(queued))]) == [batch.batch_id for batch in batches]
