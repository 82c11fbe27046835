"""What fails in passing is tried again later; what fails again and again, for many, stops the job."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine.world import (
    ScriptedOperation,
    ScriptedStage,
    Watcher,
    expect_counts,
    planned,
    queue_of,
    transfers,
    worker_of,
)

from bucket_brigade.engine.batch import ROUNDS
from bucket_brigade.engine.queue import JournalQueue
from bucket_brigade.engine.worker import Worker
from bucket_brigade.model.outcome import Done, Failed, Outcome, State
from bucket_brigade.model.transfer import BatchId, Transfer
from bucket_brigade.settings.values import EngineSettings

PASSING = Failed("InternalError", "the endpoint failed", transient=True, blames_store=True)
DENIED = Failed("AccessDenied", "no", blames_store=True)


class Flaky:
    """Fails each transfer in passing, as often as it is told to."""

    def __init__(self, failures: dict[str, int]) -> None:
        self.failures = failures
        self.tried: Counter[str] = Counter()

    async def __call__(self, transfer: Transfer) -> Outcome:
        self.tried[transfer.source] += 1
        return PASSING if self.tried[transfer.source] <= self.failures.get(transfer.source, 0) else Done(10)


async def test_a_transfer_that_fails_in_passing_is_tried_again_after_the_others() -> None:
    flaky, watcher = Flaky({"00001": ROUNDS - 1}), Watcher()
    journal = await planned(transfers(3))
    await worker_of(await queue_of(journal), ScriptedStage(flaky), watcher=watcher).run()
    assert journal.held[BatchId(1)].states == bytes([State.DONE] * 3)
    assert flaky.tried == {"00000": 1, "00001": ROUNDS, "00002": 1}
    assert watcher.finished == [1]


async def test_it_fails_for_good_after_the_last_round() -> None:
    flaky = Flaky({"00001": 99})
    journal = await planned(transfers(3))
    await worker_of(await queue_of(journal), ScriptedStage(flaky)).run()
    assert journal.held[BatchId(1)].states == bytes([State.DONE, State.FAILED, State.DONE])
    assert [row.index async for row in journal.failures()] == [1]
    assert flaky.tried["00001"] == ROUNDS


async def test_the_second_stage_of_a_move_is_tried_again_without_the_first() -> None:
    copied, removing = Counter[str](), Flaky({"00000": 1})

    async def copy(transfer: Transfer) -> Outcome:
        copied[transfer.source] += 1
        return Done(10)

    journal = await planned(transfers(2))
    stages = (
        ScriptedStage(copy, leads_to=State.MOVED),
        ScriptedStage(removing, takes=State.MOVED),
    )
    await worker_of(await queue_of(journal), *stages).run()
    assert journal.held[BatchId(1)].states == bytes([State.DONE] * 2)
    assert (copied, removing.tried) == ({"00000": 1, "00001": 1}, {"00000": 2, "00001": 1})


def breaking(queue: JournalQueue, stage: ScriptedStage, *, most: int) -> Worker:
    settings = EngineSettings(concurrency=2, checkpoint_interval_s=60.0, max_failures_in_a_row=most)
    return Worker(queue.seat("worker"), ScriptedOperation((stage,)), settings, Watcher())


async def test_failures_in_a_row_stop_the_job_and_fail_nothing_that_was_in_passing() -> None:
    flaky = Flaky({f"{number:05}": 99 for number in range(50)})
    journal = await planned(transfers(50))
    worker = breaking(await queue_of(journal), ScriptedStage(flaky), most=10)
    await worker.run()
    assert worker.fatal is not None
    assert worker.fatal.code == "TooManyFailures"
    assert sum(flaky.tried.values()) <= 12
    assert (await expect_counts(journal)).failed == 0
    assert (await journal.status()).open_batches == 1


async def test_one_success_in_between_begins_the_count_anew() -> None:
    async def every_tenth_goes_well(transfer: Transfer) -> Outcome:
        return Done(10) if transfer.source.endswith("9") else DENIED

    journal = await planned(transfers(100))
    worker = breaking(await queue_of(journal), ScriptedStage(every_tenth_goes_well), most=15)
    await worker.run()
    assert worker.fatal is None
    counters = await expect_counts(journal)
    assert (counters.done, counters.failed) == (10, 90)


async def test_nothing_stops_a_job_that_asks_for_no_limit() -> None:
    async def refuse(_transfer: Transfer) -> Outcome:
        return DENIED

    journal = await planned(transfers(100))
    worker = breaking(await queue_of(journal), ScriptedStage(refuse), most=0)
    await worker.run()
    assert worker.fatal is None
    assert (await expect_counts(journal)).failed == 100


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12))
async def test_any_mix_of_passing_failures_ends_with_each_transfer_once(failures: list[int]) -> None:
    flaky = Flaky({f"{number:05}": often for number, often in enumerate(failures)})
    journal = await planned(transfers(len(failures)))
    await worker_of(await queue_of(journal), ScriptedStage(flaky), concurrency=2).run()
    expected = bytes(State.DONE if often < ROUNDS else State.FAILED for often in failures)
    assert journal.held[BatchId(1)].states == expected
    await expect_counts(journal)
