"""``cp``, ``mv`` and ``rm``: each call is one job."""

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
    preserve_option,
    source_endpoint_options,
)
from bucket_brigade.cli.submitting import submit_verb
from bucket_brigade.cli.versions import all_versions_option, as_of_option, noncurrent_options

recursive_option = click.option("--recursive", is_flag=True, help="Everything below the source.")
dryrun_option = click.option("--dryrun", is_flag=True, help="Show what would be done, and do nothing.")
version_option = click.option("--version-id", metavar="ID", help="This version of the one source object.")
manifest_options = (
    click.option("--manifest", metavar="FILE", help="CSV or JSON lines that name the objects of the source."),
    click.option(
        "--manifest-format",
        type=click.Choice(["auto", "csv", "csv-plain", "jsonl"]),
        default="auto",
        help="Of --manifest.",
    ),
)
copy_options = (
    click.option(
        "--layout",
        type=click.Choice(["identity", "hashed", "random"]),
        default="identity",
        help="How keys are stored; hashed and random spread the load, and write a catalog.",
    ),
    click.option("--catalog", metavar="FILE|URL", help="Where the catalog is written; for a download, read."),
    click.option(
        "--no-clobber", is_flag=True, help="Skip what is at the target already (If-None-Match where it is enforced)."
    ),
    click.option("--unarchive", is_flag=True, help="Restore archived objects first, and wait for them."),
    click.option(
        "--if-unchanged",
        is_flag=True,
        help="Replace only what was not written at the target since the job was submitted (If-Match).",
    ),
    click.option(
        "--follow-symlinks/--no-follow-symlinks", default=None, help="Walk into symbolic links (not by default)."
    ),
)


_transfer_verb = chain(
    recursive_option,
    dryrun_option,
    version_option,
    filter_options,
    endpoint_options,
    source_endpoint_options,
    attribute_options,
    preserve_option,
    *manifest_options,
    *copy_options,
    engine_options,
    output_options,
    common_options,
)


@click.command(cls=RuleOrderCommand)
@click.argument("source")
@click.argument("target")
@all_versions_option
@as_of_option
@_transfer_verb
@click.pass_context
def cp(ctx: click.Context, /, source: str, target: str, **flags: Any) -> int:
    """Copy SOURCE to TARGET: disk to S3, S3 to disk, S3 to S3; - is standard input or output of one object."""
    return submit_verb(ctx, "cp", source, target, flags)


@click.command(cls=RuleOrderCommand)
@click.argument("source")
@click.argument("target")
@_transfer_verb
@click.pass_context
def mv(ctx: click.Context, /, source: str, target: str, **flags: Any) -> int:
    """Copy SOURCE to TARGET, verify, then delete each source that is still unchanged."""
    return submit_verb(ctx, "mv", source, target, flags)


@click.command(cls=RuleOrderCommand)
@click.argument("source", metavar="TARGET")
@recursive_option
@dryrun_option
@click.option("--yes", is_flag=True, help="Delete many objects without asking.")
@version_option
@noncurrent_options[0]
@noncurrent_options[1]
@noncurrent_options[2]
@filter_options
@endpoint_options
@manifest_options[0]
@manifest_options[1]
@engine_options
@output_options
@common_options
@click.pass_context
def rm(ctx: click.Context, /, source: str, **flags: Any) -> int:
    """Delete the object, or with --recursive everything below the prefix, at TARGET."""
    return submit_verb(ctx, "rm", source, "", flags)
