"""Whole jobs against the hostile S3: how they are set up, run, resumed, and what must be true of any of them afterwards."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bucket_brigade.jobs.brigade import Brigade, Report
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.model.job import JobState, TransferOptions
from bucket_brigade.s3.store import Store
from bucket_brigade.settings.values import EndpointSettings, EngineSettings, RetrySettings, Settings
from tests.faults.hostile import HostileS3
from tests.faults.hostile.state import StoredObject, etag_of
from tests.samples import make_tree, patterned_bytes, read_tree

SOURCE, TARGET = "source", "target"
PART = 5 << 20
IN_PARTS = TransferOptions(part_size_bytes=PART, multipart_threshold_bytes=PART, copy_limit_bytes=PART)
"""The smallest parts that S3 takes."""
HASTY = RetrySettings(max_attempts=5, max_elapsed_s=20.0, base_delay_s=0.005, max_delay_s=0.05)
ENGINE = EngineSettings(concurrency=8, processes=1, batch_size=20, checkpoint_interval_s=0.1, grace_s=2.0, retry=HASTY)
FINAL = frozenset({JobState.DONE, JobState.DONE_WITH_FAILURES})


@dataclass
class World:
    """A hostile S3 with two buckets, a folder on disk, and a brigade that moves between them.

    Attributes:
        way: ``lane`` or ``client``.
        engine: of every run.
        endpoint: over the server's own settings.
    """

    s3: HostileS3
    folder: Path
    way: str = "lane"
    engine: EngineSettings = ENGINE
    endpoint: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (SOURCE, TARGET):
            self.s3.state.create_bucket(name)
        (self.folder / "from").mkdir(exist_ok=True)

    @property
    def settings(self) -> Settings:
        """The settings of a run. ``away`` is the same server for somebody else, so that a copy to it is a relay."""
        engine = msgspec.structs.replace(self.engine, lane="on" if self.way == "lane" else "off")
        names = {name: self.s3.endpoint(name, **self.endpoint) for name in ("hostile", "away")}
        return Settings(
            endpoints={"s3": EndpointSettings(), **names}, state_dir=str(self.folder / "state"), engine=engine
        )

    # --- what is moved -------------------------------------------------------------------------------------------

    def fill(self, objects: Mapping[str, bytes], bucket: str = SOURCE) -> None:
        """Put objects into a bucket, unseen by any script."""
        held = self.s3.state.buckets[bucket]
        for key, content in objects.items():
            self.s3.state.write(held, key, StoredObject(content, etag_of(content)))

    def write_files(self, objects: Mapping[str, bytes]) -> None:
        """Put files into the source folder."""
        make_tree(self.folder / "from", objects)

    @property
    def written(self) -> dict[str, bytes]:
        """What the target bucket holds."""
        return self.s3.objects(TARGET)

    @property
    def left(self) -> dict[str, bytes]:
        """What the source bucket holds."""
        return self.s3.objects(SOURCE)

    @property
    def files(self) -> dict[str, bytes]:
        """What the target folder holds."""
        return read_tree(self.folder / "to")

    # --- jobs ----------------------------------------------------------------------------------------------------

    async def run(self, verb: str, source: str, target: str = "", **request: object) -> Report:
        """Submit a job, run it to its end (or its interruption), and check its books."""
        async with Brigade(self.settings) as brigade:
            job = await brigade.submit(JobRequest(verb=verb, source=source, target=target, **request))  # type: ignore[arg-type]
            run = await brigade.start(job.id)
            report = await run.wait()
        self.check(report)
        return report

    async def resume(self, report: Report, *, retry_failed: bool = False) -> Report:
        """Resume a job with a new brigade."""
        async with Brigade(self.settings) as brigade:
            run = await brigade.start(report.job.id, retry_failed=retry_failed)
            report = await run.wait()
        self.check(report)
        return report

    async def upload(self, objects: Mapping[str, bytes], **request: object) -> Report:
        """Upload these files."""
        self.write_files(objects)
        return await self.run("cp", f"{self.folder}/from/", f"hostile://{TARGET}/", **request)

    async def download(self, objects: Mapping[str, bytes], **request: object) -> Report:
        """Download these objects."""
        self.fill(objects)
        return await self.run("cp", f"hostile://{SOURCE}/", f"{self.folder}/to/", **request)

    async def copy(self, objects: Mapping[str, bytes], **request: object) -> Report:
        """Copy these objects on the server."""
        self.fill(objects)
        return await self.run("cp", f"hostile://{SOURCE}/", f"hostile://{TARGET}/", **request)

    async def relay(self, objects: Mapping[str, bytes], **request: object) -> Report:
        """Relay these objects from one endpoint to another."""
        self.fill(objects)
        return await self.run("cp", f"hostile://{SOURCE}/", f"away://{TARGET}/", **request)

    async def move(self, objects: Mapping[str, bytes], **request: object) -> Report:
        """Move these objects on the server."""
        self.fill(objects)
        return await self.run("mv", f"hostile://{SOURCE}/", f"hostile://{TARGET}/", **request)

    async def delete(self, objects: Mapping[str, bytes]) -> Report:
        """Delete these objects."""
        self.fill(objects)
        return await self.run("rm", f"hostile://{SOURCE}/", recursive=True)

    @contextlib.asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        """Give the store alone, for what no job asks."""
        async with Brigade(self.settings) as brigade:
            yield await brigade.store("hostile")

    # --- what is always true -------------------------------------------------------------------------------------

    def check(self, report: Report) -> None:
        """Hold a report against what must be true of every job that has ended."""
        counters = report.counters
        if report.state in FINAL:
            assert counters.settled == counters.planned, counters
            assert (report.state is JobState.DONE) == (not counters.failed), counters
            assert not self.s3.state.uploads, f"left: {list(self.s3.state.uploads.values())}"
            temporary = [path for path in (self.folder / "to").rglob(".*") if path.is_file()]
            assert not temporary, temporary
        else:
            assert report.state is JobState.INTERRUPTED, report.state
            assert report.reason


def small_objects(count: int = 5) -> dict[str, bytes]:
    """Return a few small objects, all different."""
    return {f"d{index % 2}/k{index:03}": f"content of {index}".encode() * 40 for index in range(count)}


def big_object(extra: int = 12345) -> bytes:
    """Return the content of an object that takes two parts."""
    return patterned_bytes(PART + extra, seed=extra)


def done(report: Report, count: int) -> None:
    """Expect that all objects of a job are done, and nothing else."""
    counters = report.counters
    assert report.state is JobState.DONE, (report.state, report.reason, report.failures[:3])
    assert (counters.planned, counters.done) == (count, count)


def failed_codes(report: Report) -> dict[str, str]:
    """Return source -> code of what failed."""
    return {failure.source: failure.code for failure in report.failures}


def chance_of(*words: object) -> random.Random:
    """Return randomness that these words decide."""
    return random.Random(" ".join(map(str, words)))
