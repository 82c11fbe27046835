"""``brigade gc``: multipart uploads that nobody will finish, which are billed and invisible."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any

import click

from bucket_brigade.cli.invocation import load, with_brigade
from bucket_brigade.cli.locating import explaining, open_store, parse_s3
from bucket_brigade.cli.options import common_options, endpoint_options, json_option
from bucket_brigade.cli.output import Lines
from bucket_brigade.cli.text import printable
from bucket_brigade.errors import ConfigError
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.journal.port import JobStatus
from bucket_brigade.model.job import JobState
from bucket_brigade.model.location import S3Location
from bucket_brigade.s3.store import OpenUpload, Store
from bucket_brigade.s3.uploads import uploads_in_progress
from bucket_brigade.settings.units import format_duration, format_time, parse_duration

_OVER = (JobState.DONE, JobState.DONE_WITH_FAILURES, JobState.CANCELLED)
_CLOCK_TOLERANCE_NS = 15 * 60 * 1_000_000_000
_IN_FLIGHT = 16


@click.command()
@click.argument("location")
@click.option("--older-than", default="1d", show_default=True, metavar="TIME", help="Leave younger uploads alone.")
@click.option("--include-live", is_flag=True, help="Also uploads that jobs which can be resumed may still need.")
@click.option("--yes", is_flag=True, help="Abort them; without it they are only listed.")
@json_option
@endpoint_options
@common_options
@click.pass_context
def gc(
    ctx: click.Context, /, location: str, older_than: str, include_live: bool, yes: bool, as_json: bool, **flags: Any
) -> None:
    """List (or with --yes abort) the multipart uploads below LOCATION (s3://bucket/prefix) that were left behind."""
    settings = load(ctx).settings
    where = parse_s3(location, settings)
    if not where.bucket or where.pattern:
        raise ConfigError(f"{location} names no bucket", remedy="Write it as s3://bucket or s3://bucket/prefix.")
    before_ns = time.time_ns() - round(parse_duration(older_than) * 1e9)

    async def collect(brigade: Brigade) -> tuple[int, int]:
        store = await open_store(brigade, where, flags)
        live = [] if include_live else [status for status in await brigade.jobs() if status.state not in _OVER]
        with explaining(where):
            return await sweep(store, where, live, before_ns=before_ns, abort=yes, as_json=as_json)

    found, kept = with_brigade(settings, collect)
    if not as_json:
        verb = "aborted" if yes else "abandoned; --yes aborts them"
        click.echo(
            f"{found:,} multipart uploads {verb}" + (f"; {kept:,} left to jobs that can be resumed" if kept else "")
        )


async def sweep(
    store: Store, where: S3Location, live: Sequence[JobStatus], *, before_ns: int, abort: bool, as_json: bool
) -> tuple[int, int]:
    """Show, and with ``abort`` abort, the uploads that were begun before ``before_ns`` and no live job may need.

    Returns:
        How many were shown, and how many were kept for live jobs.
    """
    found = kept = 0
    with Lines() as lines:
        async with contextlib.aclosing(uploads_in_progress(store, where.bucket, where.key)) as pages:
            async for uploads in pages:
                old = [upload for upload in uploads if upload.initiated_ns <= before_ns]
                mine = [upload for upload in old if not any(may_need(status, where.bucket, upload) for status in live)]
                kept += len(old) - len(mine)
                found += len(mine)
                if abort:
                    await _abort_all(store, where.bucket, mine)
                for upload in mine:
                    _tell(lines, where, upload, aborted=abort, as_json=as_json)
    return found, kept


def may_need(status: JobStatus, bucket: str, upload: OpenUpload) -> bool:
    """Say whether a job that can be resumed may still continue this upload.

    It is judged by where the job writes and when it was submitted, not by the ids in its journal: an upload may have been
    created in the instant before its id was recorded. The job's endpoint is not compared: two names may mean one service.
    """
    target = status.job.target
    return (
        isinstance(target, S3Location)
        and target.bucket == bucket
        and upload.key.startswith(target.key)
        and upload.initiated_ns >= status.job.created_ns - _CLOCK_TOLERANCE_NS
    )


async def _abort_all(store: Store, bucket: str, uploads: Sequence[OpenUpload]) -> None:
    room = asyncio.Semaphore(_IN_FLIGHT)

    async def abort(upload: OpenUpload) -> None:
        async with room:
            await store.abort_multipart_upload(bucket, upload.key, upload.upload_id)

    async with asyncio.TaskGroup() as group:
        for upload in uploads:
            group.create_task(abort(upload))


def _tell(lines: Lines, where: S3Location, upload: OpenUpload, *, aborted: bool, as_json: bool) -> None:
    if as_json:
        begun = format_time(upload.initiated_ns)
        lines.write_json({"key": upload.key, "upload_id": upload.upload_id, "begun": begun, "aborted": aborted})
        return
    age = format_duration(max(0.0, (time.time_ns() - upload.initiated_ns) / 1e9))
    lines.write(f"{age:>9}  {printable(f'{where.endpoint}://{where.bucket}/{upload.key}')}  {upload.upload_id}")
