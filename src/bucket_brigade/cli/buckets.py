"""``mb`` and ``rb``: create and remove buckets."""

from __future__ import annotations

from typing import Any

import click

from bucket_brigade.cli.invocation import load, with_brigade
from bucket_brigade.cli.locating import explaining, open_store, parse_bucket
from bucket_brigade.cli.options import common_options, endpoint_options, json_option
from bucket_brigade.cli.output import write_json
from bucket_brigade.cli.terminal import confirm
from bucket_brigade.errors import ConfigError, PermanentError
from bucket_brigade.jobs.brigade import Brigade


@click.command()
@click.argument("bucket")
@endpoint_options
@json_option
@common_options
@click.pass_context
def mb(ctx: click.Context, /, bucket: str, as_json: bool, **flags: Any) -> None:
    """Create BUCKET (s3://name), in --region or the region of the environment."""
    from bucket_brigade.s3.names import check_bucket_name

    settings = load(ctx).settings
    location = parse_bucket(bucket, settings)
    check_bucket_name(location.bucket)

    async def create(brigade: Brigade) -> None:
        store = await open_store(brigade, location, flags)
        region = flags.get("region") or settings.endpoints[location.endpoint].region
        with explaining(location):
            await store.create_bucket(location.bucket, region=region)

    with_brigade(settings, create)
    _tell({"created": str(location).rstrip("/")}, f"created {str(location).rstrip('/')}", as_json=as_json)


@click.command()
@click.argument("bucket")
@click.option("--force", is_flag=True, help="First delete every object, version and upload in it.")
@click.option("--yes", is_flag=True, help="Do not ask, with --force.")
@endpoint_options
@json_option
@common_options
@click.pass_context
def rb(ctx: click.Context, /, bucket: str, force: bool, yes: bool, as_json: bool, **flags: Any) -> None:
    """Remove the empty BUCKET; with --force, also one that is not."""
    settings = load(ctx).settings
    location = parse_bucket(bucket, settings)
    if force and not yes:
        confirm(f"delete {location} and the bucket itself, with all versions")

    async def remove(brigade: Brigade) -> int:
        from bucket_brigade.jobs.emptying import empty_bucket

        store = await open_store(brigade, location, flags)
        deleted = 0
        try:
            with explaining(location):
                deleted = await empty_bucket(store, location.bucket) if force else 0
                await store.delete_bucket(location.bucket)
        except PermanentError as error:
            if error.code != "BucketNotEmpty":
                raise
            remedy = "Something wrote into it meanwhile; try again." if force else "--force deletes what is in it."
            raise ConfigError(f"{location.bucket} is not empty", remedy=remedy) from error
        return deleted

    deleted = with_brigade(settings, remove)
    removed = str(location).rstrip("/")
    text = f"removed {removed}" + (f" and {deleted:,} objects and versions in it" if force else "")
    _tell({"removed": removed, "deleted": deleted}, text, as_json=as_json)


def _tell(document: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        write_json(document)
    else:
        click.echo(text)
