"""``brigade completion``: the scripts that make a shell complete verbs and flags."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from bucket_brigade.cli.options import common_options

_VARIABLE = "_BRIGADE_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common_options
@click.pass_context
def completion(ctx: click.Context, /, shell: str) -> None:
    """Print the completion script of SHELL; for bash: eval "$(brigade completion bash)"."""
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click knows the three that the argument admits
    root = ctx.find_root().command
    click.echo(kind(root, {}, "brigade", _VARIABLE).source())
