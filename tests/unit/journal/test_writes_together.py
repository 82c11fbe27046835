"""Writes that come while the journal waits for the disk share a transaction, and nothing else."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bucket_brigade.errors import JournalError, LeaseLost
from bucket_brigade.journal.database import Database
from bucket_brigade.journal.port import Checkpoint
from bucket_brigade.journal.sqlite import SqliteJournal, create_journal, open_journal
from bucket_brigade.model.job import Job, Operation
from bucket_brigade.model.location import S3Location
from bucket_brigade.model.outcome import Counters, State
from bucket_brigade.model.transfer import BatchId, JobId, Transfer

JOB = Job(id=JobId("j"), operation=Operation.DELETE, source=S3Location(bucket="b", recursive=True), target=None)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    opened = await create_journal(str(tmp_path / "j"), JOB)
    yield opened
    await opened.close()


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many works each transaction that wrote had."""
    found: list[int] = []
    together = Database.write_together

    def counted(self: Database, works: list) -> list:  # type: ignore[type-arg]
        found.append(len(works))
        return together(self, works)

    monkeypatch.setattr(Database, "write_together", counted)
    return found


def hold(journal: SqliteJournal) -> threading.Event:
    """Keep the journal's thread busy, as a slow disk does, until the event is set."""
    free = threading.Event()
    journal._submit(free.wait, 5)
    return free


async def append(journal: SqliteJournal, *keys: str) -> None:
    await journal.append([[Transfer(key, key, 1) for key in keys]], refused=[], cursor=b"c", exhausted=False)


def done(batch: int, size: int, *, epoch: int = 1) -> Checkpoint:
    states = bytes([State.DONE]) * size
    return Checkpoint(
        batch_id=BatchId(batch), epoch=epoch, states=states, counters=Counters(done=size, done_bytes=size)
    )


async def test_what_waits_is_written_in_one_transaction_and_each_caller_gets_its_own_answer(
    journal: SqliteJournal, commits: list[int], tmp_path: Path
) -> None:
    await append(journal, "a", "b")
    await journal.lease("w")
    free = hold(journal)
    calls = [
        asyncio.ensure_future(call)
        for call in (
            append(journal, "c"),
            journal.complete(done(1, 2)),
            journal.complete(done(1, 2, epoch=9)),
            append(journal, "\udc80"),
            journal.lease("w", 5),
        )
    ]
    await asyncio.sleep(0)
    free.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert commits[-1] == 5
    assert isinstance(answers[2], LeaseLost)
    assert isinstance(answers[3], JournalError)
    [lease] = answers[4]  # type: ignore[misc]
    assert [one.source for one in lease.transfers] == ["c"]
    status = await journal.status()
    assert (status.counters.planned, status.counters.done, status.open_batches) == (3, 2, 1)
    await journal.close()
    again = await open_journal(str(tmp_path / "j"))
    assert [batch.states async for batch in again.batches()] == [bytes([State.DONE] * 2), bytes(1)]
    await again.close()


async def test_a_call_that_is_cancelled_while_it_waits_is_not_done_and_those_beside_it_are(
    journal: SqliteJournal, commits: list[int]
) -> None:
    free = hold(journal)
    dropped, kept = asyncio.ensure_future(append(journal, "a")), asyncio.ensure_future(append(journal, "b"))
    await asyncio.sleep(0)
    dropped.cancel()
    await asyncio.sleep(0)
    free.set()
    await kept

    assert commits == [1]
    assert [[one.source for one in batch.transfers] async for batch in journal.batches()] == [["b"]]


async def test_a_disk_that_fails_fails_all_that_share_the_transaction_and_nothing_of_it_is_kept(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    fails = "CREATE TEMP TRIGGER fails BEFORE UPDATE ON job BEGIN SELECT RAISE(ABORT, 'the disk failed'); END"
    await asyncio.wrap_future(journal._submit(journal._database._connection.execute, fails))
    free = hold(journal)
    calls = [asyncio.ensure_future(append(journal, key)) for key in ("a", "b")]
    await asyncio.sleep(0)
    free.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(answer) for answer in answers] == [JournalError, JournalError]
    with pytest.raises(JournalError):
        await append(journal, "c")
    await journal.close()
    again = await open_journal(str(tmp_path / "j"))
    assert [batch async for batch in again.batches()] == []
    await again.close()


async def test_a_closed_journal_refuses_a_write_also_while_earlier_ones_wait(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    free = hold(journal)
    before = asyncio.ensure_future(append(journal, "a"))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(journal.close())
    await asyncio.sleep(0)
    with pytest.raises(JournalError, match="closed"):
        await append(journal, "b")
    free.set()
    await before
    await closing
    again = await open_journal(str(tmp_path / "j"))
    assert [[one.source for one in batch.transfers] async for batch in again.batches()] == [["a"]]
    await again.close()
