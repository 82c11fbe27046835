"""``brigade iam-policy``: the least that the identity of a job has to be allowed."""

from __future__ import annotations

import importlib
import time
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from bucket_brigade.cli.invocation import load, run_async
from bucket_brigade.cli.options import RULES, common_options
from bucket_brigade.cli.output import write_json
from bucket_brigade.cli.requests import build_request
from bucket_brigade.errors import ConfigError
from bucket_brigade.jobs.policy import JobPolicy, least_policy, policy_document
from bucket_brigade.model.job import NO_ATTRIBUTES, Job
from bucket_brigade.settings.values import Settings

_VERBS = ("cp", "mv", "rm", "set", "unarchive")
_IN_PLACE = ("set", "unarchive")


@click.command("iam-policy", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--side", type=click.Choice(["source", "target"]), help="Only what this side's identity needs.")
@common_options
@click.argument("words", metavar="JOB… | VERB …", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def iam_policy(ctx: click.Context, /, side: str | None, words: tuple[str, ...]) -> None:
    """Print the least IAM policy for jobs (by their ids), or for a command that is not yet run: cp s3://a/ s3://b/ --sse.

    One document where one identity does all; else one for each side, as {"source": …, "target": …}.
    """
    jobs = [_job_of_command(ctx, words)] if words[0] in _VERBS else _jobs_by_id(ctx, words)
    settings = load(ctx).settings
    policies = [_policy(job, settings) for job in jobs]
    documents = {
        name: policy_document(statement for policy in policies for statement in getattr(policy, name))
        for name in ("source", "target")
        if (side is None or name == side) and any(getattr(policy, name) for policy in policies)
    }
    if not documents:
        raise ConfigError("no bucket is on that side, so nothing has to be allowed", remedy="Leave --side out.")
    write_json(documents if len(documents) > 1 else next(iter(documents.values())))
    for note in dict.fromkeys(note for policy in policies for note in policy.notes):
        click.echo(f"brigade: note: {note}", err=True)


def _policy(job: Job, settings: Settings) -> JobPolicy:
    from bucket_brigade.jobs.sides import job_endpoints

    return least_policy(job, *job_endpoints(settings, job))


def _jobs_by_id(ctx: click.Context, ids: Sequence[str]) -> list[Job]:
    from bucket_brigade.jobs.folders import find_job_folder
    from bucket_brigade.journal.status import read_status

    settings = load(ctx).settings
    folders = [find_job_folder(settings.state_dir, job_id) for job_id in ids]

    async def read() -> list[Job]:
        return [(await read_status(folder)).job for folder in folders]

    return run_async(read)


def _job_of_command(ctx: click.Context, words: Sequence[str]) -> Job:
    """Return the job that a command would submit. Raises what the command itself would, before it asks the network."""
    from bucket_brigade.cli.main import VERBS
    from bucket_brigade.jobs.build import build_job

    verb, *rest = words
    module, attribute = VERBS[verb].command.split(":")
    command: click.Command = getattr(importlib.import_module(f"bucket_brigade.cli.{module}"), attribute)
    parsed = command.make_context(verb, list(rest), parent=ctx)
    flags: dict[str, Any] = dict(parsed.params)
    settings = load(ctx).settings
    defaults = settings.transfer
    if verb in _IN_PLACE:
        defaults = msgspec.structs.replace(defaults, attributes=NO_ATTRIBUTES)
    source = flags.pop("location", None) or flags.pop("source")
    request = build_request(
        verb,
        source,
        flags.pop("target", ""),
        flags=flags,
        rules=parsed.meta[RULES],
        defaults=defaults,
        now_ns=time.time_ns(),
    )
    return build_job(request, settings)
