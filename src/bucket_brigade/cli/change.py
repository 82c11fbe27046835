"""``set`` and ``unarchive``: objects are changed, or made readable, where they are."""

from __future__ import annotations

from typing import Any

import click

from bucket_brigade.cli.options import (
    RuleOrderCommand,
    attribute_options,
    chain,
    common_options,
    endpoint_options,
    engine_options,
    filter_options,
    output_options,
)
from bucket_brigade.cli.submitting import submit_verb
from bucket_brigade.cli.transfer import dryrun_option, manifest_options, recursive_option, version_option
from bucket_brigade.model.job import Unarchive

_in_place = chain(
    recursive_option,
    dryrun_option,
    version_option,
    filter_options,
    endpoint_options,
    *manifest_options,
    engine_options,
    output_options,
    common_options,
)


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
    return submit_verb(ctx, "set", location, "", flags)


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
    return submit_verb(ctx, "unarchive", location, "", flags, unarchive=asked)
