"""``mb``, ``rb`` and ``bucket``: create, remove, look at and change buckets."""

from __future__ import annotations

import functools
from typing import Any

import click
import msgspec

from bucket_brigade.cli.attributes import endpoint_overrides
from bucket_brigade.cli.bucket_options import bucket_changes, bucket_options, shown_bucket
from bucket_brigade.cli.exits import OK
from bucket_brigade.cli.invocation import load, output_of, resume_command, with_brigade
from bucket_brigade.cli.locating import explaining, parse_bucket
from bucket_brigade.cli.options import common_options, endpoint_options, json_option, output_options
from bucket_brigade.cli.output import write_json
from bucket_brigade.cli.running import run_request
from bucket_brigade.cli.terminal import confirm
from bucket_brigade.errors import ConfigError
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.s3.bucket_values import NO_CHANGES, BucketInfo


@click.command()
@click.argument("bucket")
@click.option("--object-lock", is_flag=True, help="Let objects be locked; only a new bucket can have it.")
@bucket_options
@endpoint_options
@json_option
@common_options
@click.pass_context
def mb(ctx: click.Context, /, bucket: str, object_lock: bool, as_json: bool, **flags: Any) -> None:
    """Create BUCKET (s3://name), private, in --region or the region of the environment."""
    from bucket_brigade.s3.names import bucket_name_warning, check_bucket_name

    settings = load(ctx).settings
    location = parse_bucket(bucket, settings)
    check_bucket_name(location.bucket)
    changes = bucket_changes(flags)
    warning = bucket_name_warning(location.bucket)
    if warning:
        click.echo(f"brigade: warning: {warning}", err=True)

    async def create(brigade: Brigade) -> None:
        region = flags.get("region") or settings.endpoints[location.endpoint].region
        with explaining(location):
            await brigade.create_bucket(
                bucket, region=region, object_lock=object_lock, changes=changes, overrides=endpoint_overrides(flags)
            )

    with_brigade(settings, create)
    _tell({"created": str(location).rstrip("/")}, f"created {str(location).rstrip('/')}", as_json=as_json)


@click.command()
@click.argument("bucket")
@click.option("--force", is_flag=True, help="First delete every object, version and upload in it.")
@click.option("--yes", is_flag=True, help="Do not ask, with --force.")
@endpoint_options
@output_options
@common_options
@click.pass_context
def rb(ctx: click.Context, /, bucket: str, force: bool, yes: bool, as_json: bool, **flags: Any) -> int:
    """Remove the empty BUCKET; with --force, also one that is not: what is much is deleted by a job, which can be resumed."""
    loaded = load(ctx)
    location, overrides = parse_bucket(bucket, loaded.settings), endpoint_overrides(flags)
    if force and not yes:
        confirm(
            f"delete {location} and the bucket itself, with all versions",
            look_first=f"`brigade du --versions {location}`",
        )
    # The job's own document would stand beside ours.
    output = msgspec.structs.replace(output_of(ctx, loaded, flags), summary=False, as_json=False)

    async def remove(brigade: Brigade) -> int:
        with explaining(location):
            request = await brigade.emptying_request(bucket, overrides=overrides) if force else None
            if request is not None:
                code = await run_request(brigade, request, output, functools.partial(resume_command, ctx))
                if code != OK:
                    return code
            await brigade.delete_bucket(bucket, force=force, overrides=overrides)
        return OK

    code = with_brigade(loaded.settings, remove)
    if code == OK:
        removed = str(location).rstrip("/")
        text = f"removed {removed}" + (" and all that was in it" if force else "")
        _tell({"removed": removed}, text, as_json=as_json)
    return code


@click.group()
def bucket() -> None:
    """Show or change how a bucket is configured."""


@bucket.command("info")
@click.argument("bucket")
@endpoint_options
@json_option
@common_options
@click.pass_context
def bucket_info(ctx: click.Context, /, bucket: str, as_json: bool, **flags: Any) -> None:
    """Show how BUCKET (s3://name) is configured."""
    settings = load(ctx).settings
    location = parse_bucket(bucket, settings)

    async def look(brigade: Brigade) -> BucketInfo:
        with explaining(location):
            return await brigade.bucket_info(bucket, overrides=endpoint_overrides(flags))

    info = with_brigade(settings, look)
    if as_json:
        write_json(info)
        return
    for name, value in shown_bucket(info):
        click.echo(f"{name:<20} {value}")


@bucket.command("set", short_help="Change how BUCKET (s3://name) is configured.")
@click.argument("bucket")
@bucket_options
@click.option("--yes", is_flag=True, help="Do not ask before the public is let in.")
@endpoint_options
@json_option
@common_options
@click.pass_context
def bucket_set(ctx: click.Context, /, bucket: str, yes: bool, as_json: bool, **flags: Any) -> None:
    """Change how BUCKET (s3://name) is configured; what is not named stays as it is."""
    settings = load(ctx).settings
    location = parse_bucket(bucket, settings)
    changes = bucket_changes(flags)
    if changes == NO_CHANGES:
        raise ConfigError("nothing to change was named", remedy="`brigade bucket set --help` lists what can be.")
    if flags["block_public_access"] is False and not yes:
        confirm(
            f"no longer keep the public out of {location}, whatever access control lists and policies say",
            look_first=f"`brigade bucket info {str(location).rstrip('/')}`",
        )

    async def change(brigade: Brigade) -> list[str]:
        with explaining(location):
            return await brigade.change_bucket(bucket, changes, overrides=endpoint_overrides(flags))

    changed = with_brigade(settings, change)
    where = str(location).rstrip("/")
    names = ", ".join(name.replace("_", " ") for name in changed)
    _tell({"bucket": where, "changed": changed}, f"changed of {where}: {names}", as_json=as_json)


def _tell(document: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        write_json(document)
    else:
        click.echo(text)
