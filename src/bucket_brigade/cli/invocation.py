"""What every verb begins with: the settings in force, the facade, and one event loop to run in."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from bucket_brigade.cli.options import SETTINGS_FLAGS, gathered

if TYPE_CHECKING:
    from bucket_brigade.jobs.brigade import Brigade
    from bucket_brigade.settings.load import LoadedSettings
    from bucket_brigade.settings.values import Settings

Result = TypeVar("Result")


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """What a run prints, and where.

    Attributes:
        progress: show the live display on stderr.
        log_level: of the log on stderr.
        json_log: JSON lines instead of the readable form.
        summary: print the summary (text) at the end.
        as_json: print one JSON document at the end instead.
        summary_on_stderr: standard output belongs to the object itself (target ``-``).
    """

    progress: bool
    log_level: str
    json_log: bool
    summary: bool
    as_json: bool
    log_interval_s: float
    summary_on_stderr: bool = False


def load(ctx: click.Context) -> LoadedSettings:
    """Read the settings: file < environment < the flags gathered in ``ctx``; warnings go to stderr.

    Raises:
        ConfigError: an unknown key, a value out of range, an unreadable file.
    """
    from bucket_brigade.settings.load import load_settings

    given = gathered(ctx)
    flags = {SETTINGS_FLAGS[name]: value for name, value in given.items() if SETTINGS_FLAGS[name]}
    config = given.get("config")
    config_path = str(config) if config is not None else None
    loaded = load_settings(config_path=config_path, environ=os.environ, flags=flags)
    for warning in loaded.warnings:
        click.echo(f"brigade: warning: {warning}", err=True)
    return loaded


def resume_command(ctx: click.Context, job_id: str) -> str:
    """Return the exact command that resumes the job, with the state directory and configuration of this call."""
    words = ["brigade", "resume", job_id]
    for name, flag in (("state_dir", "--state-dir"), ("config", "--config")):
        value = gathered(ctx).get(name)
        if value is not None:
            words += [flag, os.path.abspath(str(value))]
    return shlex.join(words)


def decide_output(
    settings: Settings, *, level_is_given: bool, flags: dict[str, Any], stderr_is_terminal: bool
) -> Output:
    """Return what a run prints, from its flags and from what stderr is.

    With the display, the log says nothing below a warning unless a level was asked for; a JSON log takes the display's place.
    """
    quiet, errors_only = bool(flags.get("quiet")), bool(flags.get("only_show_errors"))
    json_log = settings.log.format == "json" or (settings.log.format == "auto" and not stderr_is_terminal)
    progress = stderr_is_terminal and not (json_log or quiet or errors_only or flags.get("no_progress"))
    level = settings.log.level
    if quiet:
        level = "error"
    elif errors_only or (progress and not level_is_given):
        level = "warning" if level != "error" else level
    as_json = bool(flags.get("as_json"))
    return Output(
        progress=progress,
        log_level=level,
        json_log=json_log,
        summary=not (quiet or errors_only or as_json),
        as_json=as_json,
        log_interval_s=settings.engine.log_interval_s,
    )


def output_of(ctx: click.Context, loaded: LoadedSettings, flags: dict[str, Any]) -> Output:
    """Return what this call prints."""
    given = loaded.origins.get("log.level", "default") != "default"
    return decide_output(loaded.settings, level_is_given=given, flags=flags, stderr_is_terminal=sys.stderr.isatty())


def run_async(main: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run one coroutine to its end on a uvloop event loop (asyncio's own where there is no uvloop)."""
    from bucket_brigade.cli.logging import route_notes_to_stderr
    from bucket_brigade.engine.loop import run_loop

    route_notes_to_stderr()
    return run_loop(main())


def with_brigade(settings: Settings, main: Callable[[Brigade], Coroutine[Any, Any, Result]]) -> Result:
    """Run one coroutine with an open facade."""
    from bucket_brigade.jobs.brigade import Brigade

    async def run() -> Result:
        async with Brigade(settings) as brigade:
            return await main(brigade)

    return run_async(run)
