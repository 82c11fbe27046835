"""Faults that are no object's own: throttling, outages, credentials and clocks. Rows 1, 2, 6 to 9 and 31."""

from __future__ import annotations

import asyncio
import stat
import time
from email.utils import formatdate
from pathlib import Path

import msgspec
import pytest

from bucket_brigade.errors import ConfigError
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.model.job import JobState
from tests.faults.hostile import Fault, HostileS3, Request, Rule, serving
from tests.faults.hostile.faults import (
    ACCESS_DENIED,
    BAD_GATEWAY,
    EXPIRED_TOKEN,
    GATEWAY_TIMEOUT,
    HTML_503,
    INTERNAL_ERROR,
    REQUEST_TIMEOUT,
    SLOW_DOWN,
    TOO_MANY,
    redirect,
    refuse,
    skewed,
)
from tests.faults.hostile.messages import Answer, error
from tests.faults.hostile.throttle import Throttle
from tests.faults.world import TARGET, World, done, failed_codes, small_objects


def engine(world: World, **changes: object) -> None:
    """Run the world's jobs with these settings of the engine."""
    world.engine = msgspec.structs.replace(world.engine, **changes)


def of(fault: Fault) -> object:
    """Name a parameter by its fault."""
    return pytest.param(fault, id=fault.name)


# --- rows 1 and 2 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [of(SLOW_DOWN), of(TOO_MANY), of(INTERNAL_ERROR), of(HTML_503), of(BAD_GATEWAY)])
async def test_rows_1_and_2_a_burst_of_refusals_fails_no_object(world: World, fault: Fault) -> None:
    objects = small_objects(12)
    world.s3.script.add(fault, "PutObject", times=2)
    done(await world.upload(objects), len(objects))
    assert world.written == objects


async def test_row_1_an_object_that_is_refused_again_and_again_goes_back_to_the_queue(world: World) -> None:
    """Four refusals are all that one round of attempts takes; in the next round the object is done."""
    objects = small_objects(6)
    world.s3.script.add(INTERNAL_ERROR, "PutObject", where="k003", times=world.engine.retry.max_attempts * 2)
    done(await world.upload(objects), len(objects))
    assert world.written == objects


async def test_row_2_an_object_that_always_fails_is_named_and_all_others_are_done(world: World) -> None:
    objects = small_objects(6)
    world.s3.script.add(GATEWAY_TIMEOUT, "PutObject", where="k003", times=None)
    report = await world.upload(objects)
    assert failed_codes(report) == {"d1/k003": "GatewayTimeout"}
    assert report.counters.done == 5


async def test_row_2_an_endpoint_that_fails_everything_pauses_the_job_and_fails_no_object(world: World) -> None:
    objects = small_objects(30)
    engine(world, max_failures_in_a_row=10)
    world.s3.script.add(INTERNAL_ERROR, "PutObject", times=None)
    report = await world.upload(objects)
    assert report.state is JobState.INTERRUPTED
    assert "in a row" in report.reason
    assert (report.counters.failed, report.counters.done) == (0, 0)
    world.s3.script.clear()
    done(await world.resume(report), len(objects))
    assert world.written == objects


async def test_row_1_partitions_that_split_under_load_take_a_job_without_a_failure(world: World) -> None:
    world.s3.writes = Throttle(200, split_after_s=0.3)
    objects = {f"{index % 16:x}/{index:04}": b"x" for index in range(300)}
    done(await world.upload(objects), len(objects))
    assert world.s3.writes.refused > 0


@pytest.mark.parametrize("fault", [of(REQUEST_TIMEOUT), of(SLOW_DOWN)])
async def test_row_2_a_listing_survives_refusals(world: World, fault: Fault) -> None:
    objects = small_objects()
    world.s3.script.add(fault, "ListObjectsV2")
    done(await world.download(objects), len(objects))
    assert world.files == objects


# --- row 6 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 307])
async def test_row_6_a_redirect_to_another_host_stops_the_job_and_names_the_host(world: World, status: int) -> None:
    async with serving(HostileS3(remember=True)) as trap:
        world.s3.script.add(redirect(trap.url, status), "PutObject", times=None)
        report = await world.upload(small_objects())
        assert report.state is JobState.INTERRUPTED
        assert f"127.0.0.1:{trap.port}" in report.reason
        assert not trap.seen
    assert report.counters.failed == 0
    world.s3.script.clear()
    done(await world.resume(report), 5)


# --- row 7 -------------------------------------------------------------------------------------------------------------


async def test_row_7_a_wrong_clock_pauses_the_job_and_shows_by_how_much_it_is_wrong(world: World) -> None:
    objects = small_objects()
    world.s3.script.add(skewed(formatdate(time.time() + 3723, usegmt=True)), "PutObject", times=None)
    report = await world.upload(objects)
    assert report.state is JobState.INTERRUPTED
    assert "it is 1 h 2 min" in report.reason
    assert "behind" in report.reason
    assert report.counters.failed == 0
    world.s3.script.clear()
    done(await world.resume(report), len(objects))


# --- row 8 -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def rotating(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A profile whose process gives out another session token at each call; returns the file that lists its calls."""
    calls = tmp_path / "calls"
    script = tmp_path / "credentials.sh"
    script.write_text(
        f"""#!/bin/sh
echo call >> {calls}
n=$(wc -l < {calls} | tr -d ' ')
printf '{{"Version": 1, "AccessKeyId": "AKIAROTATING", "SecretAccessKey": "s", "SessionToken": "token-%s",' "$n"
printf '"Expiration": "2099-01-01T00:00:00Z"}}'
"""
    )
    script.chmod(stat.S_IRWXU)
    config = tmp_path / "aws-config"
    config.write_text(f"[profile rotating]\ncredential_process = {script}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    world.endpoint = {"access_key_id": None, "secret_access_key": None, "profile": "rotating"}
    return calls


def expired(*tokens: str) -> Fault:
    """Refuse requests with these session tokens, and carry out all others."""

    def instead(request: Request) -> Answer:
        assert request.headers["x-amz-security-token"] in tokens
        return error(400, "ExpiredToken")

    return Fault(name="expired token", instead=instead)


class OnlyOfToken(Rule):
    """Strikes the requests with one session token."""

    token = "token-1"

    def strikes(self, request: Request, chance: object) -> bool:
        return request.headers.get("x-amz-security-token") == self.token and request.operation == "PutObject"


async def test_row_8_credentials_that_expire_are_renewed_once_for_all(world: World, rotating: Path) -> None:
    objects = small_objects(12)
    world.s3.script = type(world.s3.script)([OnlyOfToken(expired("token-1"))])
    retry = msgspec.structs.replace(world.engine.retry, max_attempts=1)  # the renewal costs no attempt
    engine(world, retry=retry)
    report = await world.upload(objects)
    done(report, len(objects))
    assert report.counters.retries == 0
    assert len(rotating.read_text().split()) == 2


async def test_row_8_credentials_that_cannot_be_renewed_pause_the_job(world: World) -> None:
    objects = small_objects(12)
    world.s3.script.add(EXPIRED_TOKEN, "PutObject", skip=4, times=None)
    report = await world.upload(objects)
    assert report.state is JobState.INTERRUPTED
    assert "expired" in report.reason
    assert report.counters.failed == 0
    world.s3.script.clear()
    done(await world.resume(report), len(objects))
    assert world.written == objects


# --- row 9 -------------------------------------------------------------------------------------------------------------


async def test_row_9_keys_that_are_forbidden_fail_each_alone(world: World) -> None:
    objects = small_objects(12)
    world.s3.script.add(ACCESS_DENIED, "PutObject", where="d0/", times=None)
    report = await world.upload(objects)
    assert set(failed_codes(report).values()) == {"AccessDenied"}
    assert (report.counters.done, report.counters.failed) == (6, 6)


async def test_row_9_many_refusals_in_a_row_stop_the_job(world: World) -> None:
    objects = small_objects(60)
    engine(world, max_failures_in_a_row=10)
    world.s3.script.add(ACCESS_DENIED, "PutObject", skip=5, times=None)
    report = await world.upload(objects)
    assert report.state is JobState.INTERRUPTED
    assert "in a row" in report.reason
    assert 10 <= report.counters.failed < 30
    world.s3.script.clear()
    report = await world.resume(report)
    assert report.state is JobState.DONE_WITH_FAILURES
    done(await world.resume(report, retry_failed=True), len(objects))


# --- row 31 ------------------------------------------------------------------------------------------------------------


async def test_row_31_an_endpoint_that_goes_away_is_waited_for(world: World) -> None:
    objects = small_objects(60)
    world.write_files(objects)
    world.s3.writes = Throttle(100)  # so that it takes long enough to go away in the middle
    async with Brigade(world.settings) as brigade:
        job = await brigade.submit(JobRequest(verb="cp", source=f"{world.folder}/from/", target=f"hostile://{TARGET}/"))
        run = await brigade.start(job.id)
        while not world.written:
            await asyncio.sleep(0.005)
        port = world.s3.port
        await world.s3.stop()
        await asyncio.sleep(0.5)  # longer than all counted attempts together would take
        await world.s3.start(port)
        report = await run.wait()
    done(report, len(objects))
    assert world.written == objects


async def test_row_31_an_endpoint_that_stays_away_pauses_the_job_and_fails_no_object(world: World) -> None:
    objects = small_objects(60)
    world.write_files(objects)
    engine(world, retry=msgspec.structs.replace(world.engine.retry, max_elapsed_s=0.5))
    async with Brigade(world.settings) as brigade:
        job = await brigade.submit(JobRequest(verb="cp", source=f"{world.folder}/from/", target=f"hostile://{TARGET}/"))
        port = world.s3.port
        await world.s3.stop()
        run = await brigade.start(job.id)
        report = await run.wait()
    assert report.state is JobState.INTERRUPTED
    assert "refuses connections" in report.reason
    assert report.counters.failed == 0
    await world.s3.start(port)
    done(await world.resume(report), len(objects))


async def test_row_31_a_name_that_does_not_resolve_is_told_at_once(world: World) -> None:
    world.write_files(small_objects())
    world.endpoint = {"endpoint_url": "http://nowhere.invalid", "allow_http": True}
    with pytest.raises(ConfigError, match="cannot be resolved"):
        await world.run("cp", f"{world.folder}/from/", f"hostile://{TARGET}/")


async def test_a_store_that_asks_for_a_pause_gets_it(world: World) -> None:
    world.s3.script.add(refuse(503, "SlowDown", Retry_After="1"), "PutObject")
    began = asyncio.get_running_loop().time()
    done(await world.upload(small_objects(2)), 2)
    assert asyncio.get_running_loop().time() - began >= 0.9
