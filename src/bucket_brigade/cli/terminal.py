"""Questions to the person at the terminal."""

from __future__ import annotations

import sys

import click

from bucket_brigade.cli.text import printable
from bucket_brigade.errors import ConfigError


def confirm(action: str, *, look_first: str = "--dryrun") -> None:
    """Ask whether to do what cannot be undone; ``look_first`` shows without doing it, "" where nothing does.

    Raises:
        ConfigError: there is no terminal to ask on, or the answer was no. Nothing was changed.
    """
    shown = printable(action)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        message = f"this would {shown}, and there is no terminal on which to ask"
        raise ConfigError(
            message, remedy="Say --yes to go ahead" + (f", or look first with {look_first}." if look_first else ".")
        )
    if not click.confirm(f"{shown[0].upper()}{shown[1:]}?", err=True):
        raise ConfigError("not confirmed, so nothing was changed", remedy="Answer y, or say --yes, to go ahead.")
