"""The verb ``set-limit``, and how the limits of a running job are shown."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from bucket_brigade.cli.invocation import load
from bucket_brigade.cli.options import common_options, json_option
from bucket_brigade.cli.output import write_json
from bucket_brigade.errors import ConfigError
from bucket_brigade.settings.limits import OFF, Limits

AUTO = "auto"


class _NumberOr(click.ParamType[int]):
    """A whole number, or the word that stands for 0."""

    def __init__(self, word: str) -> None:
        self.name = f"N|{word}"
        self._word = word

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        if value == self._word:
            return 0
        try:
            return int(str(value).replace("_", ""))
        except ValueError:
            self.fail(f"{value!r} is neither a whole number nor {self._word}.", param, ctx)


@click.command()
@click.argument("job")
@click.option("--max-bandwidth", metavar="RATE", help="Bytes per second: 20MiB, off, or '08:00,10M 18:00,off'.")
@click.option("--max-requests-per-second", type=_NumberOr(OFF), metavar="N|off", help="Requests per second.")
@click.option(
    "--concurrency", type=_NumberOr(AUTO), metavar="N|auto", help="Transfers in flight in each worker process."
)
@json_option
@common_options
@click.pass_context
def set_limit(ctx: click.Context, /, job: str, as_json: bool, **limits: Any) -> None:
    """Change what the running JOB may take; it follows within a second. What is not given stays as it is."""
    from bucket_brigade.jobs.folders import find_job_folder
    from bucket_brigade.jobs.limits import change_limits

    if all(value is None for value in limits.values()):
        raise ConfigError(
            "no limit is given", remedy="Give --max-bandwidth, --max-requests-per-second or --concurrency."
        )
    changed = change_limits(find_job_folder(load(ctx).settings.state_dir, job), **limits)
    if as_json:
        write_json(limits_document(changed))
    else:
        click.echo(limits_line(changed))


def limits_document(limits: Limits) -> dict[str, Any]:
    """Return the limits as JSON: 0 requests and ``off`` are no limit, a concurrency of 0 finds itself."""
    return msgspec.structs.asdict(limits)


def limits_line(limits: Limits) -> str:
    """Return the limits, for people."""
    requests = f"{limits.max_requests_per_second:,}/s" if limits.max_requests_per_second else OFF
    return f"bandwidth {limits.max_bandwidth}, requests {requests}, concurrency {limits.concurrency or AUTO}"
