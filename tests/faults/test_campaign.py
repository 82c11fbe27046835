"""The campaign: jobs of every kind under random mixes of faults, interrupted and resumed to their end, held to the promises.

Three hundred seeds in every run, three thousand with ``--slow``; ``--campaign-seed N`` runs one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from bucket_brigade.errors import BrigadeError, PlanError
from bucket_brigade.jobs.brigade import Brigade, Report
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.journal.sqlite import open_journal
from bucket_brigade.model.job import JobState
from bucket_brigade.model.outcome import State
from tests.faults.hostile import HostileS3, Script
from tests.faults.mixes import Mix, mix_of
from tests.faults.world import FINAL, IN_PARTS, SOURCE, TARGET, World
from tests.samples import read_tree

RUNS_UNDER_FAULTS = 4
SUBMISSIONS = 10


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give ``seed`` its values."""
    if "seed" in metafunc.fixturenames:
        one = metafunc.config.getoption("--campaign-seed")
        count = 3000 if metafunc.config.getoption("--slow") else 300
        metafunc.parametrize("seed", [one] if one is not None else range(count))


async def test_a_job_under_faults_keeps_its_promises(seed: int, s3: HostileS3, tmp_path: Path) -> None:
    mix = mix_of(seed)
    try:
        await Campaign(mix, World(s3, tmp_path, mix.way)).run()
    except BaseException as error:
        error.add_note(f"{mix}\nstruck: {dict(s3.script.struck)}")
        error.add_note(f"again: .venv/bin/pytest -n0 tests/faults/test_campaign.py --campaign-seed {seed}")
        raise


class Campaign:
    """One job of one mix, from its submission to its end."""

    def __init__(self, mix: Mix, world: World) -> None:
        self.mix = mix
        self.world = world
        self.verb = {"delete": "rm"}.get(mix.operation, "mv" if mix.operation.startswith("move") else "cp")
        self.source, self.target = self._places()

    def _places(self) -> tuple[str, str]:
        to, fro = f"{self.world.folder}/to/", f"{self.world.folder}/from/"
        return {
            "upload": (fro, f"hostile://{TARGET}/"),
            "move up": (fro, f"hostile://{TARGET}/"),
            "download": (f"hostile://{SOURCE}/", to),
            "move down": (f"hostile://{SOURCE}/", to),
            "copy": (f"hostile://{SOURCE}/", f"hostile://{TARGET}/"),
            "move": (f"hostile://{SOURCE}/", f"hostile://{TARGET}/"),
            "relay": (f"hostile://{SOURCE}/", f"away://{TARGET}/"),
            "move away": (f"hostile://{SOURCE}/", f"away://{TARGET}/"),
            "delete": (f"hostile://{SOURCE}/", ""),
        }[self.mix.operation]

    async def run(self) -> None:
        """Run it to its end, and look at what is there then."""
        world, mix = self.world, self.mix
        if self.source.startswith("hostile"):
            world.fill(mix.objects)
        else:
            world.write_files(mix.objects)
        world.s3.semantics.checksums = mix.checksums
        world.s3.script = Script(mix.rules, seed=mix.seed)
        job_id = await self._submit()
        for number in range(RUNS_UNDER_FAULTS):
            report = await self._once(job_id, stop_after_s=mix.stop_after_s if number == 0 else None)
            if report is not None and report.state in FINAL:
                break
        else:
            world.s3.script.clear()
            report = await self._once(job_id)
        assert report is not None
        assert report.state in FINAL, report.reason
        await self._expect_truth(report)
        if report.counters.failed:
            world.s3.script.clear()
            report = await self._once(job_id, retry_failed=True)
            assert report is not None
            assert report.state is JobState.DONE, report.failures[:3]
            await self._expect_truth(report)

    async def _submit(self) -> str:
        request = JobRequest(
            verb=self.verb, source=self.source, target=self.target, recursive=self.verb == "rm", options=IN_PARTS
        )
        for _ in range(SUBMISSIONS):
            async with Brigade(self.world.settings) as brigade:
                try:
                    return (await brigade.submit(request)).id
                except BrigadeError:
                    continue  # it says so before anything is changed
        self.world.s3.script.clear()
        async with Brigade(self.world.settings) as brigade:
            return (await brigade.submit(request)).id

    async def _once(
        self, job_id: str, *, stop_after_s: float | None = None, retry_failed: bool = False
    ) -> Report | None:
        """Run the job once; None where its source could not be listed to its end."""
        async with Brigade(self.world.settings) as brigade:
            run = await brigade.start(job_id, retry_failed=retry_failed)
            if stop_after_s is not None:
                await asyncio.wait([asyncio.ensure_future(asyncio.sleep(stop_after_s))])
                run.stop(now=self.mix.seed % 2 == 0)
            try:
                report = await run.wait()
            except PlanError:
                return None
        self.world.check(report)
        return report

    # --- what must be true ---------------------------------------------------------------------------------------

    async def _expect_truth(self, report: Report) -> None:
        objects = self.mix.objects
        states = await _states(report)
        assert sorted(states) == sorted(objects)  # every object once, and nothing else
        counters = report.counters
        counted = (counters.done, counters.failed, counters.skipped, counters.vanished)
        values = list(states.values())
        assert counted == tuple(values.count(one) for one in (State.DONE, State.FAILED, State.SKIPPED, State.VANISHED))
        arrived, left = self._target_now(), self._source_now()
        for name, content in objects.items():
            if self.verb == "rm":
                assert (name in left) == (states[name] is not State.DONE) or states[name] is State.FAILED, name
            elif states[name] is State.DONE:
                assert arrived.get(name) == content, name
                assert (name not in left) == (self.verb == "mv"), name
        assert arrived.items() <= objects.items()  # whatever is there is whole, also what was not said to be done
        if self.verb == "mv":
            for name, content in objects.items():
                assert content in (arrived.get(name), left.get(name)), f"{name} is lost"
            pairs = {(SOURCE, name): (TARGET, name) for name in objects}
            if self.mix.operation in ("move", "move away"):
                assert self.world.s3.log.deleted_before_written(pairs) == []
        elif self.verb == "cp":
            assert left == objects

    def _target_now(self) -> Mapping[str, bytes]:
        if not self.target:
            return {}
        return self.world.written if "://" in self.target else self.world.files

    def _source_now(self) -> Mapping[str, bytes]:
        return self.world.left if "://" in self.source else read_tree(self.world.folder / "from")


async def _states(report: Report) -> dict[str, State]:
    """Return the state of every object of a job, from its journal."""
    journal = await open_journal(report.folder)
    try:
        found = {}
        async for batch in journal.batches():
            for transfer, state in zip(batch.transfers, batch.states, strict=True):
                assert transfer.source not in found, f"{transfer.source} is planned twice"
                found[transfer.source] = State(state)
        return found
    finally:
        await journal.close()
