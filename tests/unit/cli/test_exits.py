from __future__ import annotations

import subprocess
import sys

import click
import pytest

from bucket_brigade.cli.exits import report_error
from bucket_brigade.cli.main import main
from bucket_brigade.errors import BrigadeError, ConfigError, Interrupted, JobFailed, JournalError, PlanError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("wrong", remedy="Mend it."), 2),
        (PlanError("wrong", remedy="Mend it."), 3),
        (JobFailed("wrong", remedy="Mend it."), 3),
        (JournalError("wrong", remedy="Mend it."), 1),
        (Interrupted("wrong", remedy="Mend it."), 130),
    ],
)
def test_an_error_is_one_line_on_what_is_wrong_and_one_on_what_to_do(
    error: BrigadeError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report_error(error, []) == code
    assert capsys.readouterr().err == "brigade: wrong\n  Mend it.\n"


def test_an_error_inside_a_group_is_that_error(capsys: pytest.CaptureFixture[str]) -> None:
    group = ExceptionGroup("several", [ExceptionGroup("inner", [JobFailed("wrong")]), ConfigError("also")])
    assert report_error(group, []) == 3
    assert capsys.readouterr().err == "brigade: wrong\n"


def test_a_bug_inside_a_group_is_not_hidden_by_an_expected_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert report_error(ExceptionGroup("several", [ConfigError("wrong"), ValueError("oops")]), []) == 1
    assert "ValueError: oops" in capsys.readouterr().err


def test_a_bug_asks_for_a_report_and_shows_where_only_at_debug(capsys: pytest.CaptureFixture[str]) -> None:
    error = ValueError("oops")
    assert report_error(error, []) == 1
    short = capsys.readouterr().err
    assert report_error(error, ["cp", "--log-level", "debug"]) == 1
    long = capsys.readouterr().err
    assert "Traceback" not in short
    assert "report this" in short
    assert "ValueError: oops" in long.splitlines()


def test_secrets_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    report_error(ConfigError("https://user:hush@host/x?X-Amz-Signature=hush failed"), [])
    assert "hush" not in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interruption_is_130(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert report_error(error, []) == 130


def test_usage_errors_name_the_flag_and_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cp", "--inclde", "x", "a", "b"]) == 2
    error = capsys.readouterr().err
    assert "--inclde" in error
    assert "--include" in error
    assert "`brigade cp --help`" in error


def test_an_unknown_verb_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resum"]) == 2
    assert "Did you mean 'resume'?" in capsys.readouterr().err


def test_the_entry_point_imports_nothing_of_weight() -> None:
    script = (
        "import sys; from bucket_brigade.cli.main import main; code = main(['--version']);"
        "heavy = {'aioboto3', 'botocore', 'aiohttp', 'rich', 'structlog', 'moto', 'awscrt', 'msgspec', 'asyncio', 'uvloop'};"
        "print(sorted(heavy & set(sys.modules))); sys.exit(code)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
