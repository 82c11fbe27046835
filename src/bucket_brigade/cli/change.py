"""``set`` and ``unarchive``: objects are changed, or made readable, where they are."""

from __future__ import annotations

import time
from typing import Any

import click
import msgspec

from bucket_brigade.cli.invocation import load, output_of
from bucket_brigade.cli.options import (
    RULES,
    RuleOrderCommand,
    attribute_options,
    common_options,
    endpoint_options,
    engine_options,
    filter_options,
    output_options,
)
from bucket_brigade.cli.requests import build_request
from bucket_brigade.cli.submitting import show_dry_run, submit_and_run
from bucket_brigade.cli.transfer import dryrun_option, manifest_options, recursive_option, version_option
from bucket_brigade.model.job import NO_ATTRIBUTES, Unarchive


def _in_place(function: Any) -> Any:
    for decorate in (
        common_options,
        output_options,
        engine_options,
        *reversed(manifest_options),
        endpoint_options,
        filter_options,
        version_option,
        dryrun_option,
        recursive_option,
    ):
        function = decorate(function)
    return function


@click.command("set", cls=RuleOrderCommand)
@click.argument("location")
@attribute_options
@_in_place
@click.pass_context
def set_(ctx: click.Context, /, location: str, **flags: Any) -> int:
    """Change attributes of the object, or with --recursive of everything below the prefix, at LOCATION.

    Tags, ACL and lock are set by requests of their own; everything else by a copy of the object onto itself, which keeps what is
    not named and, in a bucket with versions, makes a new one.
    """
    return _submit(ctx, "set", location, flags, Unarchive())


@click.command(cls=RuleOrderCommand)
@click.argument("location")
@click.option(
    "--days", type=click.IntRange(1), default=7, show_default=True, help="How long the objects stay readable."
)
@click.option("--tier", type=click.Choice(["Standard", "Bulk", "Expedited"]), help="How fast, and how dear.")
@click.option("--wait", is_flag=True, help="Until all can be read: minutes to days. It can be interrupted and resumed.")
@_in_place
@click.pass_context
def unarchive(ctx: click.Context, /, location: str, **flags: Any) -> int:
    """Restore archived objects (GLACIER, DEEP_ARCHIVE, archive tiers) at LOCATION, so that they can be read for a while."""
    asked = Unarchive(days=flags.pop("days"), tier=flags.pop("tier"), wait=flags.pop("wait"))
    return _submit(ctx, "unarchive", location, flags, asked)


def _submit(ctx: click.Context, verb: str, location: str, flags: dict[str, Any], unarchive: Unarchive) -> int:
    loaded = load(ctx)
    request = build_request(
        verb,
        location,
        "",
        flags=flags,
        rules=ctx.meta[RULES],
        # What the configuration sets on every new object is not asked for here.
        defaults=msgspec.structs.replace(loaded.settings.transfer, attributes=NO_ATTRIBUTES),
        now_ns=time.time_ns(),
    )
    request = msgspec.structs.replace(request, unarchive=unarchive)
    output = output_of(ctx, loaded, flags)
    if flags["dryrun"]:
        return show_dry_run(loaded.settings, request, as_json=output.as_json)
    return submit_and_run(ctx, loaded.settings, request, output)
