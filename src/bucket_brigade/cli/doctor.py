"""``brigade doctor``: what keeps jobs from working, what it means, and what to do about it."""

from __future__ import annotations

import shutil
import textwrap
from typing import Any

import click
import msgspec

from bucket_brigade.cli.attributes import side_overrides
from bucket_brigade.cli.exits import OK, SOME_FAILED
from bucket_brigade.cli.invocation import load, with_brigade
from bucket_brigade.cli.options import common_options, endpoint_options, json_option
from bucket_brigade.cli.output import write_json
from bucket_brigade.cli.redaction import redact_text
from bucket_brigade.cli.text import printable
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.jobs.doctor.findings import Diagnosis, Examination, Finding, Level

_STYLES: dict[Level, dict[str, Any]] = {
    Level.OK: {"fg": "green"},
    Level.UNKNOWN: {"dim": True},
    Level.WARNING: {"fg": "yellow"},
    Level.ERROR: {"fg": "red", "bold": True},
}
_LEVEL_WIDTH = 8
_SUBJECT_WIDTH = 14
_WIDEST = 110


@click.command()
@click.argument("location", default="s3://")
@click.option("--other", metavar="LOCATION", help="The other side of a job: its source, or its target.")
@click.option("--read-only", is_flag=True, help="Write nothing, not even a probe object that is deleted at once.")
@endpoint_options
@json_option
@common_options
@click.pass_context
def doctor(
    ctx: click.Context, /, location: str, other: str | None, read_only: bool, as_json: bool, **flags: Any
) -> int:
    """Find out what works and what does not at LOCATION (s3://bucket/prefix/): credentials, connection, clock, permissions.

    Ends with 3 where something is wrong. Probe objects are written below the prefix, and deleted again.
    """
    settings = load(ctx).settings

    own, others = side_overrides(location, other or location, flags)

    async def ask(brigade: Brigade) -> Diagnosis:
        return await brigade.doctor(location, other=other, read_only=read_only, overrides=own, other_overrides=others)

    diagnosis = with_brigade(settings, ask)
    if as_json:
        write_json({"level": diagnosis.level, **msgspec.to_builtins(diagnosis)})
    else:
        width = min(shutil.get_terminal_size((100, 24)).columns, _WIDEST)
        for examination in diagnosis.examinations:
            for line in examination_lines(examination, width):
                click.echo(line)
    return SOME_FAILED if diagnosis.level is Level.ERROR else OK


def examination_lines(examination: Examination, width: int) -> list[str]:
    """Return an examination as lines of at most ``width`` columns (but commands, which are never broken)."""
    where = printable(examination.location)
    lines = [click.style(where, bold=True), ""]
    for finding in examination.findings:
        lines += _finding_lines(finding, width)
    counts = {level: sum(finding.level is level for finding in examination.findings) for level in Level}
    told = ", ".join(f"{count} {level}" for level, count in counts.items() if count)
    lines += ["", f"{told}." + (f" Profile: {examination.profile_path}" if examination.profile_path else ""), ""]
    return lines


def _finding_lines(finding: Finding, width: int) -> list[str]:
    indent = " " * (_LEVEL_WIDTH + _SUBJECT_WIDTH)
    level = click.style(f"{finding.level:<{_LEVEL_WIDTH}}", **_STYLES[finding.level])
    room = max(30, width - len(indent))
    found = _wrapped(finding.found, room)
    lines = [f"{level}{finding.subject:<{_SUBJECT_WIDTH}}{found[0]}"]
    lines += [indent + line for line in found[1:]]
    if finding.level is Level.OK:
        return lines
    lines += [indent + line for line in _wrapped(finding.meaning, room) if line]
    lines += [indent + line for line in _wrapped(f"→ {finding.remedy}", room, "  ") if finding.remedy]
    if finding.command:
        lines.append(indent + "  " + click.style(redact_text(printable(finding.command)), fg="cyan"))
    return lines


def _wrapped(text: str, room: int, indent: str = "") -> list[str]:
    return textwrap.wrap(redact_text(printable(text)), room, subsequent_indent=indent, break_on_hyphens=False) or [""]
