"""``brigade config``: what is in force, and where each value came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import msgspec

from bucket_brigade.cli.invocation import load
from bucket_brigade.cli.options import common_options, engine_options, json_option
from bucket_brigade.cli.output import write_json
from bucket_brigade.cli.redaction import HIDDEN, redact
from bucket_brigade.settings.units import format_size
from bucket_brigade.settings.values import Secret, Settings


@click.command()
@click.argument("keys", nargs=-1)
@engine_options
@json_option
@common_options
@click.pass_context
def config(ctx: click.Context, /, keys: tuple[str, ...], as_json: bool) -> None:
    """Show what is in force, and where each value came from: of all KEYS, or of those that begin so."""
    loaded = load(ctx)
    rows = {
        key: (value, loaded.origins.get(key, "default"))
        for key, value in flatten(loaded.settings)
        if not keys or key.startswith(keys)
    }
    if as_json:
        write_json({key: {"value": value, "origin": origin} for key, (value, origin) in rows.items()})
        return
    click.echo(f"# file: {loaded.config_path or 'none'}")
    shown = {key: _written(key, value) for key, (value, _) in rows.items()}
    key_width = max(map(len, shown), default=0)
    value_width = min(40, max(map(len, shown.values()), default=0))
    for key, (_, origin) in rows.items():
        click.echo(f"{key:<{key_width}}  {shown[key]:<{value_width}}  # {origin}")


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
