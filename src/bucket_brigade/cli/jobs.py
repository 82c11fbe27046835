"""The verbs about jobs: ``run``, ``resume``, ``status``, ``jobs``, ``cancel`` and ``report``."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from typing import Any

import click

from bucket_brigade.cli.invocation import load, output_of, resume_command, with_brigade
from bucket_brigade.cli.limits import limits_document, limits_line
from bucket_brigade.cli.options import common_options, engine_options, json_option, output_options
from bucket_brigade.cli.output import write_json, write_json_lines
from bucket_brigade.cli.tables import job_document, status_lines, write_job_table
from bucket_brigade.errors import ConfigError
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.jobs.limits import limits_in_force
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.journal.port import JobStatus
from bucket_brigade.model.job import JobState, TransferOptions
from bucket_brigade.model.transfer import JobId

_RESUMABLE = (JobState.INTERRUPTED, JobState.PLANNED, JobState.RUNNING)


@click.command()
@click.argument("jobfile", type=click.Path(dir_okay=False))
@click.option("--dryrun", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Delete many objects without asking.")
@engine_options
@output_options
@common_options
@click.pass_context
def run(ctx: click.Context, /, jobfile: str, **flags: Any) -> int:
    """Run the job that the TOML file JOBFILE describes (see config/jobs/ for examples)."""
    from bucket_brigade.cli.requests import confirm_delete
    from bucket_brigade.cli.submitting import show_dry_run, submit_and_run

    loaded = load(ctx)
    request = read_request(jobfile, loaded.settings.transfer)
    output = output_of(ctx, loaded, flags)
    if flags["dryrun"]:
        return show_dry_run(loaded.settings, request, as_json=output.as_json)
    confirm_delete(request, yes=flags["yes"])
    return submit_and_run(ctx, loaded.settings, request, output)


def read_request(path: str, defaults: TransferOptions) -> JobRequest:
    """Return the request that a job file describes; ages in it count back from now.

    Raises:
        ConfigError: the file cannot be read, or says something unknown.
    """
    from bucket_brigade.settings.jobfile import load_job_file

    said = load_job_file(path, now_ns=time.time_ns(), options=defaults)
    return JobRequest(**{name: getattr(said, name) for name in said.__struct_fields__})


@click.command()
@click.argument("job", required=False)
@click.option("--retry-failed", is_flag=True, help="Try the objects that failed once more.")
@click.option(
    "--or-run", metavar="JOBFILE", help="Where no job is interrupted, run this one: for containers that restart."
)
@engine_options
@output_options
@common_options
@click.pass_context
def resume(ctx: click.Context, /, job: str | None, retry_failed: bool, or_run: str | None, **flags: Any) -> int:
    """Go on with JOB (any unique beginning of its id), or with the newest interrupted one."""
    from bucket_brigade.cli.running import run_request, run_submitted

    loaded = load(ctx)
    output = output_of(ctx, loaded, flags)
    command = functools.partial(resume_command, ctx)
    request = read_request(or_run, loaded.settings.transfer) if or_run else None

    async def go_on(brigade: Brigade) -> int:
        job_id = job or newest_resumable(await brigade.jobs(), retry_failed=retry_failed)
        if job_id is not None:
            return await run_submitted(brigade, job_id, output, command, retry_failed=retry_failed)
        if request is not None:
            return await run_request(brigade, request, output, command)
        what = "interrupted, and none has failures" if retry_failed else "interrupted"
        raise ConfigError(f"no job is {what}", remedy="`brigade jobs` lists them all.")

    return with_brigade(loaded.settings, go_on)


def newest_resumable(statuses: list[JobStatus], *, retry_failed: bool) -> JobId | None:
    """Return the id of the newest job that can go on, or None: an interrupted one before any other."""
    wanted = (*_RESUMABLE, JobState.DONE_WITH_FAILURES) if retry_failed else _RESUMABLE
    for state in wanted:
        for status in statuses:
            if status.state is state:
                return status.job.id
    return None


@click.command()
@click.argument("job", required=False)
@json_option
@common_options
@click.pass_context
def status(ctx: click.Context, /, job: str | None, as_json: bool) -> None:
    """Show how JOB (or the newest one) stands, running or not."""

    async def find(brigade: Brigade) -> tuple[JobStatus, str]:
        found = await brigade.status(job) if job else _newest(await brigade.jobs())
        return found, brigade.job_folder(found.job.id)

    found, folder = with_brigade(load(ctx).settings, find)
    limits = limits_in_force(folder)
    if as_json:
        write_json(job_document(found) | {"folder": folder, "limits": limits and limits_document(limits)})
        return
    command = resume_command(ctx, found.job.id) if found.state in (JobState.INTERRUPTED, JobState.PLANNED) else ""
    for line in status_lines(found, folder, command):
        click.echo(line)
    if limits is not None:
        click.echo(f"{'limits':<10} {limits_line(limits)}")


def _newest(statuses: list[JobStatus]) -> JobStatus:
    if not statuses:
        raise ConfigError("there are no jobs in the state directory", remedy="Begin one with `brigade cp`.")
    return statuses[0]


@click.command()
@json_option
@common_options
@click.pass_context
def jobs(ctx: click.Context, /, as_json: bool) -> None:
    """List the jobs in the state directory, newest first."""
    statuses = with_brigade(load(ctx).settings, lambda brigade: brigade.jobs())
    if as_json:
        write_json_lines(job_document(found) for found in statuses)
    else:
        write_job_table(statuses)


@click.command()
@click.argument("job")
@json_option
@common_options
@click.pass_context
def cancel(ctx: click.Context, /, job: str, as_json: bool) -> None:
    """End JOB for good: stop the process that runs it and abort its multipart uploads. What was moved stays."""
    found = with_brigade(load(ctx).settings, lambda brigade: brigade.cancel(job))
    if as_json:
        write_json(job_document(found))
    else:
        click.echo(f"job {found.job.id} is cancelled; {found.counters.done:,} objects were done and stay")


@click.command()
@click.argument("job", required=False)
@click.option("--all", "all_objects", is_flag=True, help="Also write objects.csv, with every object.")
@json_option
@common_options
@click.pass_context
def report(ctx: click.Context, /, job: str | None, all_objects: bool, as_json: bool) -> None:
    """Write the report of JOB (or the newest one) beside its journal, and say where it is."""

    async def write(brigade: Brigade) -> tuple[JobStatus, dict[str, str]]:
        found = await brigade.status(job) if job else _newest(await brigade.jobs())
        return found, await brigade.write_report(found.job.id, all_objects=all_objects)

    found, paths = with_brigade(load(ctx).settings, write)
    if as_json:
        write_json(job_document(found) | {"reports": paths})
        return
    for line in (*status_lines(found, "", ""), *(f"{name:<10} {path}" for name, path in _sorted(paths))):
        click.echo(line)


def _sorted(paths: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted(paths.items(), key=lambda item: item[0] != "report")
