"""``brigade lookup``: which stored key a name has, and which name a stored key; by a catalog, or computed for ``hashed``."""

from __future__ import annotations

from typing import Any, NamedTuple

import click

from bucket_brigade.cli.catalogs import local_catalog
from bucket_brigade.cli.invocation import load, with_brigade
from bucket_brigade.cli.locating import parse_s3
from bucket_brigade.cli.options import common_options, endpoint_options, json_option
from bucket_brigade.cli.output import Lines
from bucket_brigade.cli.text import printable
from bucket_brigade.errors import ConfigError
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.settings.values import Settings


class Found(NamedTuple):
    """One object: the name its user knows, and its key in the bucket."""

    logical: str
    stored: str


@click.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--catalog", metavar="FILE|URL", help="Where to look; without it, the hashed layout is computed.")
@click.option(
    "--prefix", default="", help="The target prefix of the upload or copy, such as photos/ (without --catalog)."
)
@json_option
@endpoint_options
@common_options
@click.pass_context
def lookup(
    ctx: click.Context, /, names: tuple[str, ...], catalog: str | None, prefix: str, as_json: bool, **flags: Any
) -> None:
    """Show logical and stored key of each of NAMES, which may be either: keys, or URLs such as s3://bucket/key."""
    settings = load(ctx).settings
    keys = [_key_of(name, settings) for name in names]
    if catalog is None:
        found = [compute(key, prefix) for key in keys]
    else:
        found = with_brigade(settings, lambda brigade: _look(brigade, settings, catalog, keys, flags))
    with Lines() as lines:
        for one in found:
            if as_json:
                lines.write_json(one._asdict())
            else:
                lines.write(f"{printable(one.logical)}\t{printable(one.stored)}")
    known = {name for one in found for name in one}
    missing = [key for key in keys if key not in known]
    if missing:
        message = f"{len(missing)} of {len(keys)} names are not in the catalog, the first is {missing[0]!r}"
        raise ConfigError(message, remedy="Names are whole keys, the target prefix included.")


def _key_of(name: str, settings: Settings) -> str:
    scheme, separator, _ = name.partition("://")
    return parse_s3(name, settings).key if separator and scheme in settings.endpoints else name


def compute(key: str, prefix: str) -> Found:
    """Return the pair of names under the ``hashed`` layout, whichever of the two ``key`` is.

    Raises:
        ConfigError: ``key`` is not below ``prefix``.
    """
    from bucket_brigade.planning.layouts import HashedLayout

    if not key.startswith(prefix):
        raise ConfigError(f"{key!r} is not below the prefix {prefix!r}", remedy="Give whole keys, or another --prefix.")
    layout = HashedLayout()
    name = layout.logical_of(prefix, key)
    if name is not None:
        return Found(prefix + name, key)
    return Found(key, layout.stored_key(prefix, key[len(prefix) :]))


async def _look(
    brigade: Brigade, settings: Settings, catalog: str, keys: list[str], flags: dict[str, Any]
) -> list[Found]:
    from bucket_brigade.planning.catalog import lookup as look_up

    async with local_catalog(brigade, settings, catalog, flags) as path:
        return [Found(entry.logical, entry.stored) for entry in look_up(path, keys)]
