"""The facade over real servers: what it starts, stops, resumes and leaves behind."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from tests.fakes.gated_server import gated_server
from tests.samples import make_tree, patterned_bytes, read_tree
from tests.servers import RunningServer

from bucket_brigade.errors import ConfigError, JournalError
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.jobs.build import build_job
from bucket_brigade.jobs.folders import jobs_dir
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.journal.port import UploadIntent
from bucket_brigade.journal.sqlite import create_journal, open_journal
from bucket_brigade.model.events import JobFinished, JobStarted
from bucket_brigade.model.job import Filters, JobState, LayoutName, Rule
from bucket_brigade.model.transfer import BatchId
from bucket_brigade.s3.listing import iterate_objects, iterate_uploads
from bucket_brigade.s3.store import Store
from bucket_brigade.settings.values import EngineSettings, RetrySettings, Settings

FILES = {f"d{number % 3}/f{number:02}": patterned_bytes(number * 37, seed=number) for number in range(20)}


@dataclass
class World:
    brigade: Brigade
    store: Store
    bucket: str

    async def keys(self, prefix: str = "") -> list[str]:
        pages = iterate_objects(self.store, self.bucket, prefix=prefix)
        return [entry.key async for page in pages for entry in page.objects]

    async def uploads(self) -> list[str]:
        return [upload.key async for page in iterate_uploads(self.store, self.bucket) for upload in page]

    def url(self, prefix: str) -> str:
        return f"mini://{self.bucket}/{prefix}"


@pytest.fixture
def settings(rclone: RunningServer, tmp_path: Path) -> Settings:
    engine = EngineSettings(processes=1, concurrency=4, batch_size=5, retry=RetrySettings(max_attempts=2))
    return Settings(endpoints={"mini": rclone.endpoint}, state_dir=str(tmp_path / "state"), engine=engine)


@pytest.fixture
async def world(settings: Settings, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with Brigade(settings) as brigade:
        store = await brigade.store("mini")
        bucket = f"brigade-{abs(hash(request.node.name)) % 10**9}"
        await store.create_bucket(bucket)
        yield World(brigade, store, bucket)


@pytest.fixture
def tree(tmp_path: Path) -> str:
    return make_tree(tmp_path / "tree", FILES)


async def test_up_across_and_down_again_is_the_same_tree(world: World, tree: str, tmp_path: Path) -> None:
    brigade = world.brigade
    report = await (await brigade.copy(tree, world.url("up/"))).wait()
    assert (report.state, report.counters.done) == (JobState.DONE, len(FILES))
    await (await brigade.copy(world.url("up/"), world.url("copied/"))).wait()
    await (await brigade.copy(world.url("copied/"), f"{tmp_path}/down/")).wait()
    assert read_tree(tmp_path / "down") == FILES
    report = await (await brigade.delete(world.url("up/"), recursive=True)).wait()
    assert report.counters.done == len(FILES)
    assert await world.keys("up/") == []
    assert len(await world.keys("copied/")) == len(FILES)
    assert [status.state for status in await brigade.jobs()] == [JobState.DONE] * 4


async def test_a_report_lies_beside_the_journal(world: World, tree: str) -> None:
    run = await world.brigade.copy(tree, world.url("up/"))
    events = [event async for event in run]
    assert isinstance(events[0], JobStarted)
    assert isinstance(events[-1], JobFinished)
    report = await run.wait()
    paths = await world.brigade.write_report(report.job.id[:15], all_objects=True)
    assert {os.path.dirname(path) for path in paths.values()} == {report.folder}
    document = json.loads(Path(paths["report"]).read_bytes())
    assert (document["state"], document["counters"]["done"]) == ("done", len(FILES))
    assert len(Path(paths["objects"]).read_text().splitlines()) == 1 + len(FILES)
    assert len(Path(paths["failures"]).read_text().splitlines()) == 1


async def test_a_dry_run_names_every_transfer_and_changes_nothing(world: World, tree: str, settings: Settings) -> None:
    filters = Filters(rules=(Rule(include=False, pattern="d0/*"),))
    request = JobRequest(verb="cp", source=tree, target=world.url("up/"), filters=filters)
    shown = [transfer async for transfer in world.brigade.dry_run(request)]
    expected = sorted(name for name in FILES if not name.startswith("d0/"))
    assert shown == [(f"{tree}/{name}", world.url(f"up/{name}"), len(FILES[name])) for name in expected]
    assert await world.keys() == []
    assert not os.path.exists(settings.state_dir)


async def test_a_dry_run_may_be_left_at_any_time(world: World, tree: str) -> None:
    transfers = world.brigade.dry_run(JobRequest(verb="cp", source=tree, target=world.url("up/")))
    await anext(transfers)
    await asyncio.wait_for(transfers.aclose(), 5)


async def test_a_job_stopped_at_once_is_resumed_to_its_end(world: World, tree: str) -> None:
    job = await world.brigade.submit(JobRequest(verb="cp", source=tree, target=world.url("up/")))
    run = await world.brigade.start(job.id)
    run.stop(now=True)
    report = await run.wait()
    assert report.state is JobState.INTERRUPTED
    report = await (await world.brigade.start(job.id)).wait()
    assert (report.state, report.counters.planned, report.counters.done) == (JobState.DONE, 20, 20)
    assert len(await world.keys("up/")) == 20
    with pytest.raises(ConfigError, match="is over"):
        await world.brigade.start(job.id)


async def test_leaving_the_brigade_stops_its_runs_resumably(tree: str, settings: Settings) -> None:
    async with gated_server() as server:
        there = msgspec.structs.replace(settings, endpoints={"gated": server.endpoint})
        async with Brigade(there) as brigade:
            run = await brigade.copy(tree, "gated://b/p/")
            while not server.waiting:
                await asyncio.sleep(0.001)
        assert run.is_over
        server.gate.set()
        async with Brigade(there) as brigade:
            assert (await brigade.status(run.job.id)).state is JobState.INTERRUPTED
            report = await (await brigade.start(run.job.id)).wait()
        assert (report.state, report.counters.done) == (JobState.DONE, len(FILES))
        assert len(server.objects) == len(FILES)


async def test_failed_objects_are_tried_again_and_only_those(world: World, tree: str, tmp_path: Path) -> None:
    await (await world.brigade.copy(tree, world.url("up/"))).wait()
    obstacle = tmp_path / "down" / "d1"
    obstacle.parent.mkdir()
    obstacle.write_bytes(b"in the way")
    run = await world.brigade.copy(world.url("up/"), f"{tmp_path}/down/")
    report = await run.wait()
    failing = sum(name.startswith("d1/") for name in FILES)
    assert (report.state, report.counters.failed) == (JobState.DONE_WITH_FAILURES, failing)
    assert {failure.code for failure in report.failures} == {"BadKey"}
    with pytest.raises(ConfigError, match="is over"):
        await world.brigade.start(run.job.id)
    obstacle.unlink()
    report = await (await world.brigade.start(run.job.id, retry_failed=True)).wait()
    assert (report.state, report.counters.failed, report.counters.done) == (JobState.DONE, 0, 20)
    assert report.failures == ()
    assert read_tree(tmp_path / "down") == FILES


async def test_nothing_that_matches_is_wrong_input_and_a_consistent_report(world: World, tree: str) -> None:
    filters = Filters(rules=(Rule(include=False, pattern="*"),))
    for source in (tree, f"{tree}/d0/f00"):
        run = await world.brigade.copy(source, world.url("up/"), filters=filters)
        with pytest.raises(ConfigError, match="matches"):
            await run.wait()
        paths = await world.brigade.write_report(run.job.id)
        document = json.loads(Path(paths["report"]).read_bytes())
        assert (document["state"], document["counters"]["planned"]) == ("done", 0)
    with pytest.raises(ConfigError, match="matches"):
        await (await world.brigade.delete(world.url("none/"))).wait()


async def test_cancel_aborts_what_is_open_at_the_store_and_ends_the_job(world: World, tree: str) -> None:
    job = await world.brigade.submit(JobRequest(verb="cp", source=tree, target=world.url("up/")))
    upload_id = await world.store.create_multipart_upload(world.bucket, "up/big")
    journal = await open_journal(world.brigade.job_folder(job.id))
    intent = UploadIntent(
        batch_id=BatchId(1),
        index=0,
        endpoint="mini",
        bucket=world.bucket,
        key="up/big",
        part_size_bytes=1,
        fingerprint="f",
    )
    await journal.name_upload(await journal.record_upload(intent), upload_id)
    await journal.close()
    status = await world.brigade.cancel(job.id)
    assert status.state is JobState.CANCELLED
    assert await world.uploads() == []
    with pytest.raises(ConfigError, match="is over"):
        await world.brigade.cancel(job.id)
    with pytest.raises(ConfigError, match="is over"):
        await world.brigade.start(job.id)


async def test_a_job_that_runs_cannot_be_started_or_cancelled_from_beside_it(tree: str, settings: Settings) -> None:
    async with gated_server() as server:
        endpoints = {"gated": server.endpoint}
        async with Brigade(msgspec.structs.replace(settings, endpoints=endpoints)) as brigade:
            run = await brigade.copy(tree, "gated://b/p/")
            with pytest.raises(JournalError):
                await brigade.start(run.job.id)
            with pytest.raises(ConfigError, match="this process runs the job"):
                await brigade.cancel(run.job.id)
            server.gate.set()
            assert (await run.wait()).counters.done == len(FILES)


async def test_a_job_of_one_object_whose_submission_was_killed_touches_no_namesake(
    world: World, settings: Settings
) -> None:
    """Its journal is there, its one transfer is not: it must not be listed by its name as a prefix."""
    for key in ("one", "one2", "one-three"):
        await world.store.put_object(world.bucket, key, b"1")
    job = build_job(JobRequest(verb="rm", source=world.url("one")), settings)
    os.makedirs(jobs_dir(settings.state_dir))
    await (await create_journal(os.path.join(jobs_dir(settings.state_dir), job.id), job)).close()
    report = await (await world.brigade.start(job.id)).wait()
    assert (report.counters.planned, report.counters.done) == (1, 1)
    assert await world.keys() == ["one-three", "one2"]


async def test_a_move_by_a_manifest_without_etags_deletes_what_it_copied(world: World, tmp_path: Path) -> None:
    for key in ("p/a", "p/b"):
        await world.store.put_object(world.bucket, key, key.encode())
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"{world.bucket},p/a\n{world.bucket},p/b\n{world.bucket},p/gone\n")
    run = await world.brigade.move(world.url("p/"), world.url("q/"), manifest=str(manifest))
    report = await run.wait()
    assert (report.counters.done, report.counters.vanished, report.counters.failed) == (2, 1, 0)
    assert await world.keys() == ["q/a", "q/b"]


async def test_a_layout_gives_the_names_back_by_its_catalog(world: World, tree: str, tmp_path: Path) -> None:
    catalog = world.url("catalogs/c.gz")
    await (await world.brigade.copy(tree, world.url("up/"), layout=LayoutName.HASHED, catalog=catalog)).wait()
    assert all(key.count("/") > 2 for key in await world.keys("up/"))
    request = JobRequest(verb="cp", source=world.url("up/"), target=f"{tmp_path}/down/", catalog=catalog)
    assert len([transfer async for transfer in world.brigade.dry_run(request)]) == len(FILES)
    await (await world.brigade.copy(world.url("up/"), f"{tmp_path}/down/", catalog=catalog)).wait()
    assert read_tree(tmp_path / "down") == FILES


# --- looked at before anything has changed -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        ("mini://no-such-bucket-1/p/", "BUCKET", "does not exist"),
        ("TREE", "mini://no-such-bucket-1/p/", "does not exist"),
        ("BUCKETmissing", "TREE/", "does not exist"),
    ],
)
async def test_what_is_not_there_is_told_before_anything_has_changed(
    world: World, tree: str, settings: Settings, source: str, target: str, says: str
) -> None:
    named = [word.replace("BUCKET", world.url("")).replace("TREE", tree) for word in (source, target)]
    with pytest.raises(ConfigError, match=says) as caught:
        await world.brigade.copy(*named)
    assert caught.value.remedy
    assert not os.path.exists(jobs_dir(settings.state_dir))


async def test_refused_credentials_are_told_before_anything_has_changed(
    rclone: RunningServer, tree: str, settings: Settings
) -> None:
    wrong = msgspec.structs.replace(rclone.endpoint, access_key_id="AKIAWRONG")
    async with Brigade(msgspec.structs.replace(settings, endpoints={"mini": wrong})) as brigade:
        with pytest.raises(ConfigError) as caught:
            await brigade.copy(tree, "mini://some-bucket/p/")
    assert caught.value.remedy
    assert not os.path.exists(jobs_dir(settings.state_dir))
