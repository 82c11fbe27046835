"""``config import-mc``, ``config import-rclone`` and ``config presets``: a way over for users of other programs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from bucket_brigade.cli.invocation import load
from bucket_brigade.cli.options import chain, common_options, json_option
from bucket_brigade.cli.output import write_json
from bucket_brigade.cli.redaction import HIDDEN
from bucket_brigade.cli.text import align
from bucket_brigade.errors import ConfigError
from bucket_brigade.settings.importing import Imported, read_mc, read_rclone, to_toml
from bucket_brigade.settings.load import load_settings, own_config_file
from bucket_brigade.settings.presets import PRESETS

_SECRETS = frozenset({"secret_access_key", "session_token"})

_importing = chain(
    click.option(
        "--into", metavar="FILE", help="The configuration that is added to; by default the one in force, or your own."
    ),
    click.option("--only", metavar="NAME", multiple=True, help="Only this one; may be repeated."),
    click.option("--allow-http", is_flag=True, help="Also what is not encrypted; allow_http is written for it."),
    click.option("--dryrun", is_flag=True, help="Show what would be added (without secrets), and write nothing."),
    json_option,
    common_options,
)


@click.command("import-mc")
@click.option(
    "--file", "path", default="~/.mc/config.json", show_default=True, metavar="FILE", help="mc's configuration."
)
@_importing
@click.pass_context
def import_mc(ctx: click.Context, /, path: str, **flags: Any) -> int:
    """Take over the aliases of a MinIO client (mc) as endpoints."""
    return _import(ctx, path, read_mc, flags)


@click.command("import-rclone")
@click.option(
    "--file",
    "path",
    default="~/.config/rclone/rclone.conf",
    show_default=True,
    metavar="FILE",
    help="rclone's configuration.",
)
@_importing
@click.pass_context
def import_rclone(ctx: click.Context, /, path: str, **flags: Any) -> int:
    """Take over the S3 remotes of an rclone configuration as endpoints."""
    return _import(ctx, path, read_rclone, flags)


@click.command("presets")
@json_option
@common_options
def presets(as_json: bool) -> int:
    """Show the presets for S3 services (preset = "…" in [endpoints.NAME])."""
    if as_json:
        write_json({name: msgspec.structs.asdict(preset) for name, preset in PRESETS.items()})
        return 0
    rows = [
        (name, one.title, one.endpoint_url or "-", one.region or "-", one.addressing, one.checksum)
        for name, one in PRESETS.items()
    ]
    for line in align([("PRESET", "SERVICE", "URL", "REGION", "ADDRESSING", "CHECKSUM"), *rows]):
        click.echo(line)
    return 0


def _import(ctx: click.Context, path: str, read: Callable[[str], list[Imported]], flags: dict[str, Any]) -> int:
    loaded = load(ctx)
    target = flags["into"] or loaded.config_path or own_config_file()
    known = frozenset(loaded.settings.endpoints)
    found = [_judged(one, known, flags) for one in read(_text_of(path))]
    taken = [one for one in found if not one.problem]
    if taken and not flags["dryrun"]:
        _append(target, taken)
    _tell(found, target, flags)
    return 0


def _text_of(path: str) -> str:
    expanded = os.path.expanduser(path)
    try:
        return Path(expanded).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{expanded} cannot be read: {error.strerror}", remedy="Name it with --file.") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{expanded} is not UTF-8", remedy="Name the right file with --file.") from None


def _judged(one: Imported, known: frozenset[str], flags: dict[str, Any]) -> Imported:
    problem = one.problem
    if flags["only"] and not {one.name, one.origin} & set(flags["only"]):
        problem = "it is not named by --only"
    elif not problem and one.name in known:
        problem = f"an endpoint {one.name} is configured already"
    elif not problem and one.values.get("allow_http") and not flags["allow_http"]:
        problem = "it is plain http, not encrypted (--allow-http takes it over all the same)"
    return msgspec.structs.replace(one, problem=problem)


def _append(target: str, endpoints: Sequence[Imported]) -> None:
    """Add the tables behind what the file holds: written whole or not at all, readable by its owner alone, and loadable."""
    try:
        before = Path(target).read_text(encoding="utf-8") if os.path.exists(target) else ""
        os.makedirs(os.path.dirname(os.path.abspath(target)), mode=0o700, exist_ok=True)
        tables = ["\n".join(to_toml(one)) for one in endpoints]
        separator = "" if not before or before.endswith("\n") else "\n"
        text = before + separator + ("\n" if before else "") + "\n\n".join(tables) + "\n"
        descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(target)), prefix=".config-")
    except OSError as error:
        raise ConfigError(
            f"{target} cannot be written: {error.strerror}", remedy="Name another with --into."
        ) from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        load_settings(config_path=temporary, environ={})
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _tell(found: Sequence[Imported], target: str, flags: dict[str, Any]) -> None:
    written = not flags["dryrun"] and any(not one.problem for one in found)
    if flags["as_json"]:
        write_json({"file": target, "written": written, "endpoints": [_shown(one) for one in found]})
        return
    if not found:
        click.echo("There is nothing to take over.")
    for one in found:
        renamed = "" if one.name == one.origin else f" (there {one.origin})"
        if one.problem:
            click.echo(f"skipped {one.origin}: {one.problem}")
        elif flags["dryrun"]:
            click.echo("\n".join(to_toml(msgspec.structs.replace(one, values=_hidden(one)))) + "\n")
        else:
            click.echo(f"added {one.name}{renamed}: brigade ls {one.name}://")
    if written:
        click.echo(f"into {target}; try `brigade doctor NAME://BUCKET`")


def _shown(one: Imported) -> dict[str, Any]:
    return {"name": one.name, "origin": one.origin, "values": _hidden(one), "problem": one.problem or None}


def _hidden(one: Imported) -> dict[str, str | bool]:
    return {key: HIDDEN if key in _SECRETS else value for key, value in one.values.items()}
