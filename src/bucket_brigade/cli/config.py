"""``brigade config``: what is in force, and where each value came from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import click
import msgspec

from bucket_brigade.cli.importing import import_mc, import_rclone, presets
from bucket_brigade.cli.invocation import load
from bucket_brigade.cli.options import common_options, engine_options, json_option
from bucket_brigade.cli.output import write_json
from bucket_brigade.cli.redaction import HIDDEN, redact, redact_text
from bucket_brigade.errors import ConfigError
from bucket_brigade.settings.units import format_size
from bucket_brigade.settings.values import Secret, Settings

_AWS_VARIABLES = {
    "endpoints.s3.endpoint_url": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "endpoints.s3.region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "endpoints.s3.profile": ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"),
    "endpoints.s3.access_key_id": ("AWS_ACCESS_KEY_ID",),
    "endpoints.s3.secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
    "endpoints.s3.session_token": ("AWS_SESSION_TOKEN",),
    "endpoints.s3.ca_bundle": ("AWS_CA_BUNDLE",),
}


class ConfigGroup(click.Group):
    """``config`` shows what is in force, all of it or the keys behind it; the names of its subcommands are no keys."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the subcommand that is named, else ``show`` with everything behind it."""
        if args and args[0] in self.commands:
            return super().resolve_command(ctx, args)
        return "show", self.commands["show"], args

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Leave flags before a key to ``show``."""
        return super().parse_args(ctx, args if args and args[0] in {*self.commands, "--help"} else ["show", *args])


@click.group(cls=ConfigGroup)
def config() -> None:
    """Show what is in force (config [KEY…]), or take endpoints over from other programs."""


@config.command("show")
@click.argument("keys", nargs=-1)
@engine_options
@json_option
@common_options
@click.pass_context
def show(ctx: click.Context, /, keys: tuple[str, ...], as_json: bool) -> None:
    """Show what is in force, and where each value came from: of all KEYS, or of those that begin so."""
    loaded = load(ctx)
    rows = {
        key: (None if value is not None else _from_aws(key, os.environ)) or (value, loaded.origins.get(key, "default"))
        for key, value in flatten(loaded.settings)
        if not keys or key.startswith(keys)
    }
    _check_known(keys, [name for name, _ in flatten(loaded.settings)])
    if as_json:
        write_json({key: {"value": value, "origin": origin} for key, (value, origin) in rows.items()})
        return
    click.echo(f"# file: {loaded.config_path or 'none'}")
    shown = {key: _written(key, value) for key, (value, _) in rows.items()}
    key_width = max(map(len, shown), default=0)
    value_width = min(40, max(map(len, shown.values()), default=0))
    for key, (_, origin) in rows.items():
        click.echo(f"{key:<{key_width}}  {shown[key]:<{value_width}}  # {origin}")


for _command in (import_mc, import_rclone, presets):
    config.add_command(_command)


def _check_known(keys: tuple[str, ...], known: list[str]) -> None:
    """Raise ConfigError for a key with which nothing that is known begins."""
    for key in keys:
        if not any(name.startswith(key) for name in known):
            from difflib import get_close_matches

            near = get_close_matches(key, known, n=1)
            remedy = f"Did you mean {near[0]}?" if near else "`brigade config` lists them all."
            raise ConfigError(f"there is no key {key!r} in force", remedy=remedy)


def _from_aws(key: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return what an ``AWS_*`` variable says about the endpoint ``s3``: it is read when a client is opened."""
    for variable in _AWS_VARIABLES.get(key, ()):
        if environ.get(variable):
            shown = HIDDEN if "SECRET" in variable or "TOKEN" in variable else redact_text(environ[variable])
            return shown, f"environment {variable}"
    return None


def flatten(settings: Settings) -> Iterator[tuple[str, Any]]:
    """Yield every setting in force as (dotted key, value); secrets come as ``***``."""
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if isinstance(value, dict):
            for inner, struct in value.items():
                yield from _flatten_struct(f"{name}.{inner}", struct)
        elif isinstance(value, msgspec.Struct):
            yield from _flatten_struct(name, value)
        else:
            yield name, value


def _flatten_struct(prefix: str, struct: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    for name in struct.__struct_fields__:
        if name == "name":
            continue  # an endpoint's name is in its keys
        key, value = f"{prefix}.{name}", getattr(struct, name)
        if isinstance(value, msgspec.Struct):
            yield from _flatten_struct(key, value)
        elif isinstance(value, Secret):
            yield key, HIDDEN
        elif isinstance(value, str):
            yield key, redact("", value)
        else:
            yield key, value


def _written(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if key.endswith("_bytes") and isinstance(value, int):
        return format_size(value)
    return msgspec.json.encode(value).decode()
