"""A stream of journal calls to be killed: ``python -m tests.unit.journal.stream FOLDER SEED``.

Each line on standard output is a promise of the journal that was kept before the line was written.
"""

from __future__ import annotations

import asyncio
import random
import sys

import msgspec

from bucket_brigade.journal.port import Checkpoint, Lease
from bucket_brigade.journal.sqlite import SqliteJournal, open_journal
from bucket_brigade.model.outcome import Counters, Failure, State
from bucket_brigade.model.transfer import Transfer

BATCH = 20


async def stream(folder: str, seed: int) -> None:
    dice = random.Random(seed)
    journal = await open_journal(folder)
    planned = int(await journal.planning_cursor() or b"0")
    leases: list[Lease] = []
    while True:
        match dice.choice(["append", "lease", "checkpoint", "complete", "release"]):
            case "append":
                batches = [[_transfer(planned + b, index) for index in range(BATCH)] for b in range(2)]
                planned += 2
                await journal.append(batches, refused=[], cursor=str(planned).encode(), exhausted=False)
                print("planned", planned, flush=True)
            case "lease":
                leases += await journal.lease("w", 2)
            case call if leases:
                await _report(journal, call, leases, dice)


async def _report(journal: SqliteJournal, call: str, leases: list[Lease], dice: random.Random) -> None:
    lease = leases[0] if call == "checkpoint" else leases.pop(0)
    settled = BATCH if call == "complete" else dice.randrange(BATCH)
    report = _checkpoint(lease, settled)
    if call == "checkpoint":
        await journal.checkpoint([report])
        leases[0] = msgspec.structs.replace(lease, states=report.states)
    elif call == "release":
        await journal.release([report])
    else:
        await journal.complete(report)
        print("completed", lease.batch_id, flush=True)


def _checkpoint(lease: Lease, settled: int) -> Checkpoint:
    """The first ``settled`` transfers (or more, if more were already) are done, every tenth of them failed."""
    settled = max(settled, BATCH - lease.states.count(State.PENDING))
    states = bytes(_state(index) if index < settled else State.PENDING for index in range(BATCH))
    failed = tuple(index for index, state in enumerate(states) if state == State.FAILED)
    return Checkpoint(
        batch_id=lease.batch_id,
        epoch=lease.epoch,
        states=states,
        failures=tuple(Failure(index=index, source="s", target="t", code="X", message="m") for index in failed),
        counters=Counters(done=settled - len(failed), done_bytes=settled - len(failed), failed=len(failed)),
    )


def _state(index: int) -> State:
    return State.FAILED if index % 10 == 0 else State.DONE


def _transfer(batch: int, index: int) -> Transfer:
    return Transfer(source=f"{batch}/{index}", target=f"{batch}/{index}", size=1)


if __name__ == "__main__":
    asyncio.run(stream(sys.argv[1], int(sys.argv[2])))
