"""What `brigade --help` and its verbs say: nobody should have to guess what a verb or a flag does."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from bucket_brigade.cli.main import ELSEWHERE, VERB_GROUPS, VERBS, brigade, main


def commands(
    command: click.Command, parent: click.Context | None = None
) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield the command and all below it, each with its context."""
    context = click.Context(command, info_name=command.name, parent=parent)
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None, name
            yield from commands(below, context)


TREE = [
    pytest.param(command, context, id=context.command_path.replace(" ", "-")) for command, context in commands(brigade)
]


@pytest.mark.parametrize(("command", "context"), TREE)
def test_every_verb_and_every_flag_has_a_help_text(command: click.Command, context: click.Context) -> None:
    assert command.help, "the verb has no help text"
    silent = [
        parameter.opts[0]
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option) and not parameter.help
    ]
    assert not silent, "flags without a help text"


@pytest.mark.parametrize(("command", "context"), TREE)
def test_every_flag_is_in_what_help_prints(command: click.Command, context: click.Context) -> None:
    shown = command.get_help(context)
    flags = [p for p in command.get_params(context) if isinstance(p, click.Option)]
    assert not [flag.opts[0] for flag in flags if flag.opts[0] not in shown]


def test_the_list_of_verbs_is_divided_into_groups_that_are_read_at_a_glance() -> None:
    shown = CliRunner().invoke(brigade, ["--help"]).output
    assert all(f"{title}:\n" in shown for title in VERB_GROUPS)
    assert all(f"\n  {name} " in shown for name in VERBS)
    assert max(map(len, VERB_GROUPS.values())) <= 8
    assert sum(map(len, VERB_GROUPS.values())) == len(VERBS), "a verb is in two groups"


def test_what_other_tools_call_it_leads_to_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert not set(ELSEWHERE) & set(VERBS)
    assert main(["sync", "a", "s3://b/"]) == 2
    assert "--no-clobber" in capsys.readouterr().err
    assert main(["stats"]) == 2
    assert "Did you mean 'status'?" in capsys.readouterr().err


def test_wrong_usage_names_the_help_of_its_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mb", "s3://photos", "--versioning"]) == 2
    assert "`brigade mb --help`" in capsys.readouterr().err


def test_a_key_that_does_not_exist_is_no_empty_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "engine.concurency"]) == 2
    assert "Did you mean engine.concurrency?" in capsys.readouterr().err
    assert main(["config", "engine.retry"]) == 0
