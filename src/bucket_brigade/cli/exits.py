"""The one place where an error becomes a message and an exit code.

0 all done · 1 a bug, a damaged journal, or an output that cannot be written · 2 wrong input, nothing changed ·
3 some objects failed · 130 interrupted, resumable · 141 the reader of our output went away, as with any command in a pipe.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback

import click

from bucket_brigade import __version__
from bucket_brigade.cli.redaction import redact_text
from bucket_brigade.errors import BrigadeError, ConfigError

OK = 0
BUG = 1
USAGE = 2
SOME_FAILED = 3
INTERRUPTED = 130
BROKEN_PIPE = 141
_REFUSALS = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EIO,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.EMFILE,
        errno.ENFILE,
    }
)
"""What the machine, and no bug of ours, is to blame for."""
ISSUES_URL = "https://github.com/bucket-brigade/bucket-brigade/issues"


def report_error(error: BaseException, arguments: list[str]) -> int:
    """Print what is wrong and what to do about it on stderr, and return the exit code."""
    if isinstance(error, BaseExceptionGroup):
        error = _first_leaf(error)
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case SystemExit():
            return error.code if isinstance(error.code, int) else BUG
        case click.Abort() | KeyboardInterrupt():
            _print("interrupted", remedy="")
            return INTERRUPTED
        case click.ClickException():
            return _report_usage(error, arguments)
        case ConfigError(remedy=""):
            _print(str(error), "Change it and try again; nothing was changed.")
            return error.exit_code
        case BrigadeError():
            _print(str(error), error.remedy)
            return error.exit_code
        case BrokenPipeError():
            return reader_is_gone()
        case OSError() if error.errno in _REFUSALS:
            _print(
                f"the system refused: {error}", "Give it what it lacks (space, permission, descriptors), and try again."
            )
            return BUG
        case MemoryError():
            _print(
                "the system gives no more memory", "Lower --memory or --concurrency, or raise the limit (ulimit -v)."
            )
            return BUG
        case _:
            return _report_bug(error, arguments)


def _first_leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    leaf: BaseException = group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = next((inner for inner in leaf.exceptions if not isinstance(inner, BrigadeError)), leaf.exceptions[0])
    return leaf


def _report_usage(error: click.ClickException, arguments: list[str]) -> int:
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else _command_path(arguments)
    _print(error.format_message(), f"`{path} --help` lists what can be said.")
    return USAGE


def _command_path(arguments: list[str]) -> str:
    """Return the command with its verb: click's parser names no context when a flag lacks its value."""
    from bucket_brigade.cli.main import VERBS

    verb = next((argument for argument in arguments if argument in VERBS), "")
    return f"brigade {verb}".rstrip()


def _report_bug(error: BaseException, arguments: list[str]) -> int:
    if _wants_traceback(arguments):
        sys.stderr.write(redact_text("".join(traceback.format_exception(error))))
        remedy = f"Please report this at {ISSUES_URL} with the lines above"
    else:
        remedy = f"Please report this at {ISSUES_URL}; `--log-level debug` shows where it happened"
    _print(f"bug in bucket-brigade {__version__}: {type(error).__name__}: {error}", remedy)
    return BUG


def _wants_traceback(arguments: list[str]) -> bool:
    asked = "--log-level=debug" in arguments or any(
        arguments[i : i + 2] == ["--log-level", "debug"] for i in range(len(arguments))
    )
    return asked or os.environ.get("BRIGADE_LOG_LEVEL", "").lower() == "debug"


def _print(message: str, remedy: str) -> None:
    lines = [f"brigade: {message}", *([f"  {remedy}"] if remedy else [])]
    try:
        sys.stderr.write(redact_text("\n".join(lines)) + "\n")
        sys.stderr.flush()
    except OSError:
        return  # nobody is listening; the exit code still tells


def reader_is_gone() -> int:
    """Return the exit code after a broken pipe, and keep the interpreter's last flush of stdout from complaining about it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE
