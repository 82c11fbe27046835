"""What is particular to the SQLite journal: cancellation, poison, format, names that are no Unicode."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.journal.values import JOB, all_done, transfers

from bucket_brigade.errors import JournalError
from bucket_brigade.journal.database import APPLICATION_ID, FORMAT_VERSION, Database
from bucket_brigade.journal.sqlite import SqliteJournal, create_journal, open_journal
from bucket_brigade.journal.status import read_status
from bucket_brigade.model.job import JobState
from bucket_brigade.model.outcome import Failure
from bucket_brigade.model.transfer import Refused, Transfer


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "job")


@pytest.fixture
async def journal(folder: str) -> AsyncIterator[SqliteJournal]:
    journal = await create_journal(folder, JOB)
    yield journal
    await journal.close()


def block(journal: SqliteJournal) -> threading.Event:
    """Keep the journal's thread busy until the event is set."""
    event = threading.Event()
    journal._thread.submit(event.wait)
    return event


@pytest.mark.parametrize("begun", [False, True])
async def test_a_cancelled_lease_goes_back_and_counts_as_no_attempt(journal: SqliteJournal, begun: bool) -> None:
    await journal.append([transfers(3)], refused=[], cursor=b"", exhausted=True)
    gate = block(journal)
    leasing = asyncio.create_task(journal.lease("w"))
    await asyncio.sleep(0)
    if begun:
        # The lease is made, and its answer is on the way when the caller is cancelled.
        gate.set()
        journal._thread.submit(int).result()
    leasing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leasing
    gate.set()
    [lease] = await journal.lease("w")
    assert lease.attempts == 1


async def test_a_cancelled_write_is_done_wholly_or_not_at_all(journal: SqliteJournal) -> None:
    for delay in range(8):
        before = await journal.status()
        call = asyncio.create_task(
            journal.append([transfers(100), transfers(100)], refused=[], cursor=b"%d" % delay, exhausted=False)
        )
        for _ in range(delay):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        after = await journal.status()
        added = after.open_batches - before.open_batches
        assert added in (0, 2)
        assert after.counters.planned - before.counters.planned == added * 100
        assert (await journal.planning_cursor() == b"%d" % delay) == (added == 2)


async def test_a_cancelled_opening_leaves_the_job_free(folder: str) -> None:
    await (await create_journal(folder, JOB)).close()
    for turns in range(4):
        opening = asyncio.create_task(open_journal(folder))
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    # The lock is waited for: the cancelled openings end in threads of their own.
    await (await open_journal(folder)).close()


async def test_a_cancelled_close_closes(journal: SqliteJournal, folder: str) -> None:
    gate = block(journal)
    closing = asyncio.create_task(journal.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    gate.set()
    await journal.close()
    await (await open_journal(folder)).close()


async def test_after_an_error_of_a_commit_nothing_is_believed(journal: SqliteJournal, folder: str) -> None:
    def full(database: Database) -> None:
        pages = database._connection.execute("PRAGMA page_count").fetchone()[0]
        database._connection.execute(f"PRAGMA max_page_count = {pages}")

    await journal.append([transfers(10)], refused=[], cursor=b"1", exhausted=False)
    await journal._read(full)
    with pytest.raises(JournalError, match="No space is left"):
        await journal.append([transfers(1000)], refused=[], cursor=b"2", exhausted=False)
    for call in (journal.status(), journal.lease("w"), journal.planning_cursor()):
        with pytest.raises(JournalError, match="after an earlier error") as caught:
            await call
        assert caught.value.remedy
    await journal.close()
    reopened = await open_journal(folder)
    assert await reopened.planning_cursor() == b"1"
    assert (await reopened.status()).open_batches == 1
    await reopened.close()


async def test_a_running_job_can_be_looked_at(journal: SqliteJournal, folder: str) -> None:
    await journal.append([transfers(5)], refused=[], cursor=b"", exhausted=True)
    await journal.set_state(JobState.RUNNING)
    [lease] = await journal.lease("w")
    await journal.checkpoint([all_done(lease)])
    assert await read_status(folder) == await journal.status()


async def test_the_file_says_what_it_is_and_commits_as_promised(journal: SqliteJournal, folder: str) -> None:
    pragmas = await journal._read(
        lambda database: [
            database._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("application_id", "user_version", "journal_mode", "synchronous", "foreign_keys", "mmap_size")
        ]
    )
    assert pragmas == [APPLICATION_ID, FORMAT_VERSION, "wal", 2, 1, 0]


async def test_the_queue_is_read_from_its_index(journal: SqliteJournal) -> None:
    def plan_of(database: Database, query: str, parameters: dict[str, object]) -> str:
        from bucket_brigade.journal.sql import QUERIES

        rows = database._connection.execute("EXPLAIN QUERY PLAN " + QUERIES[query], parameters).fetchall()
        return " / ".join(row["detail"] for row in rows)

    for query, parameters in (
        ("select_queued", {"limit": 1}),
        ("return_all_batches", {}),
        ("return_batches_of", {"worker": "w"}),
    ):
        plan = await journal._read(plan_of, query, parameters)
        assert "open_batches" in plan, plan
        assert "TEMP B-TREE" not in plan, plan


async def test_a_name_that_is_no_unicode_is_refused_and_nothing_is_recorded(journal: SqliteJournal) -> None:
    with pytest.raises(JournalError, match="not valid Unicode"):
        await journal.append(
            [transfers(1), [Transfer(source="\udcff", target="x")]], refused=[], cursor=b"x", exhausted=True
        )
    status = await journal.status()
    assert (status.open_batches, status.planning_done, status.counters.planned) == (0, False, 0)


async def test_a_failure_about_such_a_name_is_recorded_printably(journal: SqliteJournal) -> None:
    await journal.append([], refused=[Refused("\udcff", "NotUtf8", "The name \udcff.")], cursor=b"", exhausted=True)
    told = [row async for row in journal.failures()]
    assert told == [
        Failure(index=0, source="\\udcff", target="", code="NotUtf8", message="The name \\udcff.", attempts=0)
    ]


def test_a_journal_is_bound_to_no_event_loop(folder: str) -> None:
    journal = asyncio.run(create_journal(folder, JOB))
    assert asyncio.run(journal.status()).job == JOB
    asyncio.run(journal.close())


def test_the_journal_is_readable_with_sqlite_alone(folder: str) -> None:
    async def fill() -> None:
        journal = await create_journal(folder, JOB)
        await journal.append([transfers(2)], refused=[], cursor=b"", exhausted=True)
        await journal.close()

    asyncio.run(fill())
    with sqlite3.connect(f"{folder}/journal.db") as connection:
        rows = connection.execute("SELECT json_extract(job, '$.id'), state, planned FROM job").fetchall()
    connection.close()
    assert rows == [("j1", "planned", 2)]
