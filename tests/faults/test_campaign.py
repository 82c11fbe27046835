"""The campaign: jobs of every kind under random mixes of faults, interrupted and resumed to their end, held to the promises.

240 seeds in every run, 3,000 with ``--slow``; ``--campaign-seed N`` (or N-M) chooses. Of the installed command, killed with
SIGKILL again and again: ten, and 200 with ``--slow``.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bucket_brigade.errors import BrigadeError, PlanError
from bucket_brigade.jobs.brigade import Brigade, Report
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.journal.status import read_status
from bucket_brigade.model.job import JobState
from tests.faults.hostile import HostileS3, in_thread
from tests.faults.killed import KilledJob
from tests.faults.mixes import Mix, mix_of
from tests.faults.truth import begin, expect_truth, places
from tests.faults.world import FINAL, World
from tests.integration.program import Program

RUNS_UNDER_FAULTS = 4
SUBMISSIONS = 10


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give the seeds their values."""
    chosen = metafunc.config.getoption("--campaign-seed")
    first, _, last = (chosen or "").partition("-")
    slow = metafunc.config.getoption("--slow")
    for name, count in (("seed", 3000 if slow else 240), ("kill_seed", 200 if slow else 10)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, range(int(first), int(last or first) + 1) if chosen else range(count))


async def test_a_killed_command_under_faults_keeps_the_promises(kill_seed: int, tmp_path: Path) -> None:
    mix = mix_of(kill_seed)
    with in_thread() as s3:
        world = World(s3, tmp_path, mix.way)
        try:
            job = KilledJob(mix, world, Program(tmp_path))
            job_id = await asyncio.to_thread(job.run)
            status = await read_status(f"{tmp_path}/state/jobs/{job_id}")
            await expect_truth(mix, world, f"{tmp_path}/state/jobs/{job_id}", status.counters)
        except BaseException as error:
            _tell(error, mix, s3)
            raise


def _tell(error: BaseException, mix: Mix, s3: HostileS3) -> None:
    error.add_note(f"{mix}\nstruck: {dict(s3.script.struck)}")
    error.add_note(f"again: .venv/bin/pytest -n0 tests/faults/test_campaign.py --campaign-seed {mix.seed}")


async def test_a_job_under_faults_keeps_its_promises(seed: int, s3: HostileS3, tmp_path: Path) -> None:
    mix = mix_of(seed)
    try:
        await Campaign(mix, World(s3, tmp_path, mix.way)).run()
    except BaseException as error:
        _tell(error, mix, s3)
        raise


class Campaign:
    """One job of one mix, from its submission to its end."""

    def __init__(self, mix: Mix, world: World) -> None:
        self.mix = mix
        self.world = world
        self.verb = mix.verb
        self.source, self.target = places(mix, world)

    async def run(self) -> None:
        """Run it to its end, and look at what is there then."""
        world, mix = self.world, self.mix
        begin(mix, world)
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
        await expect_truth(self.mix, self.world, report.folder, report.counters)
        if report.counters.failed:
            world.s3.script.clear()
            report = await self._once(job_id, retry_failed=True)
            assert report is not None
            assert report.state is JobState.DONE, report.failures[:3]
            await expect_truth(self.mix, self.world, report.folder, report.counters)

    async def _submit(self) -> str:
        request = JobRequest(
            verb=self.verb,
            source=self.source,
            target=self.target,
            recursive=self.verb == "rm",
            options=self.mix.options,
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
