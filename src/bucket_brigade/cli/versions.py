"""Versions on the command line: the flags of ``cp`` and ``rm``, and the verbs ``undelete`` and ``restore``."""

from __future__ import annotations

import contextlib
from typing import Any

import click
import msgspec

from bucket_brigade.cli.options import (
    RuleOrderCommand,
    chain,
    common_options,
    endpoint_options,
    engine_options,
    filter_options,
    output_options,
    preserve_option,
)
from bucket_brigade.cli.submitting import submit_verb
from bucket_brigade.errors import ConfigError
from bucket_brigade.model.location import S3Location
from bucket_brigade.s3.listing import iterate_as_of
from bucket_brigade.s3.store import Store

_AS_OF_HELP = "What was current then: 2d, 2026-01-31 or 2026-01-31T12:00:00Z."

as_of_option = click.option("--as-of", metavar="TIME", help=_AS_OF_HELP)
all_versions_option = click.option(
    "--all-versions", is_flag=True, help="All versions and delete markers of each key, in their order."
)
noncurrent_options = (
    click.option("--all-versions", is_flag=True, help="All versions and delete markers, for good."),
    click.option(
        "--noncurrent",
        is_flag=True,
        help="Versions that are no longer current, for good; --older-than counts from when they were replaced.",
    ),
    click.option(
        "--keep-last",
        type=click.IntRange(min=0),
        metavar="N",
        help="Of --noncurrent, which it implies: the newest N of each key stay.",
    ),
)
_recursive_option = click.option("--recursive", is_flag=True, help="Everything below the prefix.")
_dryrun_option = click.option("--dryrun", is_flag=True, help="Show what would be done, and do nothing.")


async def version_as_of(store: Store, location: S3Location, as_of: str) -> S3Location:
    """Return the object in the version that was current then.

    Raises:
        ConfigError: there was none.
    """
    from bucket_brigade.jobs.versions import instant_ns

    pages = iterate_as_of(store, location.bucket, prefix=location.key, as_of_ns=instant_ns(as_of))
    async with contextlib.aclosing(pages):
        async for page in pages:
            for version in page:
                if version.key == location.key:
                    return msgspec.structs.replace(location, version_id=version.version_id)
            if page and page[-1].key > location.key:
                break
    raise ConfigError(f"{location} did not exist then", remedy=f"`brigade ls {location} --versions` shows its history.")


_in_place = chain(
    _recursive_option,
    _dryrun_option,
    filter_options,
    endpoint_options,
    engine_options,
    output_options,
    common_options,
)


@click.command(cls=RuleOrderCommand)
@click.argument("location")
@_in_place
@click.pass_context
def undelete(ctx: click.Context, /, location: str, **flags: Any) -> int:
    """Remove the latest delete markers at LOCATION: what they hid is there again, as it was."""
    return submit_verb(ctx, "undelete", location, "", flags)


@click.command(cls=RuleOrderCommand)
@click.argument("location")
@click.option("--as-of", metavar="TIME", required=True, help=_AS_OF_HELP)
@click.option(
    "--delete-newer", is_flag=True, help="Delete what did not exist then, by delete markers; else it is reported."
)
@preserve_option
@_in_place
@click.pass_context
def restore(ctx: click.Context, /, location: str, **flags: Any) -> int:
    """Bring LOCATION back to what it was: old versions are copied over the present ones, where they differ.

    Nothing is lost: what is there now becomes a noncurrent version. For archived objects see unarchive.
    """
    return submit_verb(ctx, "restore", location, "", flags)
