"""A request becomes a running job, or the list of what it would do."""

from __future__ import annotations

import functools
import time
from typing import Any

import click
import msgspec

from bucket_brigade.cli.invocation import Output, load, output_of, resume_command, with_brigade
from bucket_brigade.cli.options import RULES
from bucket_brigade.cli.output import Lines
from bucket_brigade.cli.requests import build_request, confirm_delete
from bucket_brigade.cli.text import printable
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.model.job import NO_ATTRIBUTES, Unarchive
from bucket_brigade.model.transfer import UNKNOWN_SIZE
from bucket_brigade.s3.lean_imports import import_lean
from bucket_brigade.settings.values import Settings

STREAM = "-"
_ACTIONS = {"cp": "copy", "mv": "move", "rm": "delete", "set": "change", "unarchive": "restore"}
_ACTIONS |= {"undelete": "remove marker", "restore": "bring back"}


IN_PLACE = frozenset({"set", "unarchive"})
"""What the configuration sets on every new object is not asked for by these."""


def submit_verb(
    ctx: click.Context,
    verb: str,
    source: str,
    target: str,
    flags: dict[str, Any],
    *,
    unarchive: Unarchive | None = None,
) -> int:
    """Run (or, with ``--dryrun``, show) the job that a verb and its flags describe, and return the exit code."""
    loaded = load(ctx)
    defaults = loaded.settings.transfer
    if verb in IN_PLACE:
        defaults = msgspec.structs.replace(defaults, attributes=NO_ATTRIBUTES)
    request = build_request(
        verb, source, target, flags=flags, rules=ctx.meta[RULES], defaults=defaults, now_ns=time.time_ns()
    )
    if unarchive is not None:
        request = msgspec.structs.replace(request, unarchive=unarchive)
    output = output_of(ctx, loaded, flags)
    if flags["dryrun"]:
        return show_dry_run(loaded.settings, request, as_json=output.as_json)
    if verb == "rm":
        confirm_delete(request, yes=flags["yes"])
    return submit_and_run(ctx, loaded.settings, request, output)


def submit_and_run(ctx: click.Context, settings: Settings, request: JobRequest, output: Output) -> int:
    """Submit one job, run it to its end and return the exit code."""
    from bucket_brigade.cli.running import run_request

    import_lean()
    if request.target == STREAM:
        output = msgspec.structs.replace(output, summary_on_stderr=True)
    resume = functools.partial(resume_command, ctx)
    return with_brigade(settings, lambda brigade: run_request(brigade, request, output, resume))


def show_dry_run(settings: Settings, request: JobRequest, *, as_json: bool) -> int:
    """Print every transfer that the request would make, as it is planned; nothing is written anywhere."""

    async def show(brigade: Brigade) -> int:
        with Lines() as lines:
            async for source, target, size in brigade.dry_run(request):
                if as_json:
                    lines.write_json({"source": source, "target": target or None, "size": _known(size)})
                else:
                    lines.write(_dry_line(request.verb, source, target))
        return 0

    return with_brigade(settings, show)


def _known(size: int) -> int | None:
    return None if size == UNKNOWN_SIZE else size


def _dry_line(verb: str, source: str, target: str) -> str:
    line = f"(dryrun) {_ACTIONS[verb]}: {printable(source)}"
    return f"{line} to {printable(target)}" if verb in ("cp", "mv") else line
