"""The flags, in groups that several verbs share. Named as in ``aws s3`` wherever it has them.

Flags that ``settings.load`` knows (``SETTINGS_FLAGS``) never reach a verb: they are gathered in the click context, may stand
before or behind the verb, and are read by ``invocation.load``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Decorator = Callable[[Decorated], Decorated]

_GATHERED = "bucket_brigade.flags"

SETTINGS_FLAGS = {
    "config": "",
    "state_dir": "state_dir",
    "log_level": "log.level",
    "log_format": "log.format",
    "log_interval": "engine.log_interval_s",
    "concurrency": "engine.concurrency",
    "processes": "engine.processes",
    "memory": "engine.memory_bytes",
    "part_size": "transfer.part_size_bytes",
    "multipart_threshold": "transfer.multipart_threshold_bytes",
    "lane": "engine.lane",
    "list_shards": "engine.list_shards",
    "max_bandwidth": "engine.max_bandwidth",
    "max_requests_per_second": "engine.max_requests_per_second",
}
"""Parameter name to the setting's name in the configuration file; the file itself has none."""

STORAGE_CLASSES = "STANDARD, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING, GLACIER_IR, GLACIER, DEEP_ARCHIVE"


def gathered(ctx: click.Context) -> dict[str, str | bool]:
    """Return the settings flags that were given, by parameter name; those of the verb win over those before it."""
    found: dict[str, str | bool] = ctx.find_root().meta.setdefault(_GATHERED, {})
    return found


def _gather(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None and param.name is not None:
        gathered(ctx)[param.name] = value


def _gather_shards(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    _gather(ctx, param, "0" if value == "auto" else value)


def _setting(*names: str, metavar: str, text: str, choices: Iterable[str] = ()) -> Decorator[Any]:
    kind = click.Choice(list(choices)) if choices else click.STRING
    return click.option(
        *names, type=kind, metavar=None if choices else metavar, help=text, expose_value=False, callback=_gather
    )


def chain(*decorators: Decorator[Any]) -> Decorator[Any]:
    """Return one decorator that does what these do, the first one outermost."""

    def decorate(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def _verbose(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        gathered(ctx).setdefault("log_level", "debug")


common_options = chain(
    _setting("--config", metavar="FILE", text="Configuration file (TOML)."),
    _setting("--state-dir", metavar="DIR", text="Where jobs and their journals are kept."),
    _setting(
        "--log-level",
        metavar="",
        choices=("debug", "info", "warning", "error"),
        text="How much is logged: debug tells every transfer.",
    ),
    _setting(
        "--log-format",
        metavar="",
        choices=("auto", "json", "text"),
        text="auto: JSON lines where stderr is no terminal.",
    ),
    click.option(
        "-v", "--verbose", is_flag=True, expose_value=False, callback=_verbose, help="The same as --log-level debug."
    ),
)
"""--config --state-dir --log-level --log-format -v: on every verb."""

endpoint_options = chain(
    click.option("--endpoint-url", metavar="URL", help="The S3 service, instead of AWS."),
    click.option("--profile", metavar="NAME", help="Profile of the AWS configuration files."),
    click.option("--region", metavar="NAME", help="Region of the bucket."),
    click.option("--no-sign-request", is_flag=True, help="Anonymous requests."),
    click.option("--request-payer", metavar="requester", help="Confirm that the requester pays."),
    click.option("--allow-http", is_flag=True, help="Permit plain http to other hosts than loopback."),
    click.option("--ca-bundle", metavar="FILE", help="PEM file of the certificate authorities to trust."),
    click.option("--expected-bucket-owner", metavar="ACCOUNT", help="Refuse buckets of any other account."),
)
"""Which S3 service, and who we are there."""

source_endpoint_options = chain(
    click.option("--source-endpoint-url", metavar="URL", help="The S3 service of the source, where it is another one."),
    click.option("--source-profile", metavar="NAME", help="Profile for the source."),
    click.option("--source-region", metavar="NAME", help="Region of the source's bucket."),
    click.option("--source-expected-bucket-owner", metavar="ACCOUNT", help="Account that owns the source's bucket."),
    click.option("--source-sse-c-key-file", metavar="FILE", help="Key of the source's objects (SSE-C)."),
)

lane_option = _setting(
    "--lane",
    metavar="",
    choices=("auto", "on", "off"),
    text="Prepared requests: auto where the endpoint allows it, off sends all through aioboto3.",
)
list_shards_option = click.option(
    "--list-shards",
    metavar="N|auto",
    expose_value=False,
    callback=_gather_shards,
    help="Ranges of one bucket listed side by side; auto divides listings that turn out to be long, 1 none.",
)

engine_options = chain(
    lane_option,
    list_shards_option,
    _setting(
        "--concurrency",
        metavar="N|auto",
        text="Transfers in flight in each worker process; auto finds the best number.",
    ),
    _setting(
        "--max-bandwidth",
        metavar="RATE",
        text="Bytes per second of the whole job, such as 20MiB, or by the time of day: '08:00,10M 18:00,off'.",
    ),
    _setting("--max-requests-per-second", metavar="N|off", text="Requests per second of the whole job."),
    _setting("--processes", metavar="N", text="Worker processes; 0 chooses by itself."),
    _setting("--memory", metavar="SIZE", text="Budget for all buffers of a process, such as 64MiB."),
    _setting("--part-size", metavar="SIZE", text="Of multipart uploads and ranged downloads, 5MiB to 5GiB."),
    _setting("--multipart-threshold", metavar="SIZE", text="Objects of at least this size are moved in parts."),
    _setting("--log-interval", metavar="TIME", text="Between two progress events in the log, such as 10s."),
)

output_options = chain(
    click.option("--quiet", is_flag=True, help="Print nothing but errors."),
    click.option("--only-show-errors", is_flag=True, help="Print nothing but errors and warnings."),
    click.option("--no-progress", is_flag=True, help="No progress display."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON document at the end."),
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

filter_options = chain(
    click.option(
        "--include",
        multiple=True,
        metavar="GLOB",
        help="Take names that match, although an earlier flag excludes them.",
    ),
    click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out names that match; later flags win."),
    click.option("--min-size", metavar="SIZE", help="Only objects of at least this size, such as 1KiB."),
    click.option("--max-size", metavar="SIZE", help="Only objects of at most this size."),
    click.option("--newer-than", metavar="TIME", help="Only objects modified since: 7d, 12h or 2025-06-01."),
    click.option("--older-than", metavar="TIME", help="Only objects modified before: 90d or 2025-06-01T12:00:00Z."),
)

attribute_options = chain(
    click.option("--acl", metavar="NAME", help="Canned ACL, such as bucket-owner-full-control."),
    click.option("--allow-public-acl", is_flag=True, help="Permit an ACL that lets everybody reach the objects."),
    click.option(
        "--grants",
        multiple=True,
        metavar="PERMISSION=TYPE=ID",
        help="read|readacl|writeacl|full=id|uri|emailaddress=…; once for each grant.",
    ),
    click.option(
        "--sse",
        is_flag=False,
        flag_value="AES256",
        metavar="[AES256|aws:kms|aws:kms:dsse]",
        help="Encryption at rest.",
    ),
    click.option("--sse-kms-key-id", metavar="ID", help="Key for --sse aws:kms."),
    click.option("--sse-kms-context", metavar="JSON", help="Encryption context for --sse aws:kms."),
    click.option(
        "--bucket-key/--no-bucket-key", default=None, help="S3 bucket key for --sse aws:kms: fewer KMS calls."
    ),
    click.option(
        "--sse-c-key-file",
        metavar="FILE",
        help="Key of the user's own (SSE-C): 32 bytes, or their base64. Of the target; for a download, of the source.",
    ),
    click.option("--storage-class", metavar="NAME", help=STORAGE_CLASSES + "."),
    click.option("--metadata", metavar="KEY=VALUE,…", help="User metadata, also as a JSON object."),
    click.option("--tags", metavar="KEY=VALUE,…", help="At most ten tags, also as a JSON object."),
    click.option("--content-type", metavar="TYPE", help="Instead of guessing by the name's suffix."),
    click.option("--cache-control", metavar="TEXT", help="How caches may keep it, such as max-age=3600."),
    click.option("--content-encoding", metavar="TEXT", help="How the content is coded already, such as gzip."),
    click.option("--content-disposition", metavar="TEXT", help="What browsers do with it: attachment; filename=…"),
    click.option("--content-language", metavar="TEXT", help="Language of the content, such as en."),
    click.option("--expires", metavar="TIME", help="When the object is no longer cacheable (ISO 8601)."),
    click.option("--no-guess-mime-type", is_flag=True, help="Leave the content type to the store."),
    click.option("--website-redirect", metavar="URL", help="Where a website of the bucket redirects from the object."),
    click.option("--object-lock-mode", metavar="[GOVERNANCE|COMPLIANCE]", help="Needs --object-lock-retain-until."),
    click.option(
        "--object-lock-retain-until", metavar="TIME", help="Until then nobody deletes the version (ISO 8601)."
    ),
    click.option("--object-lock-legal-hold", metavar="[ON|OFF]", help="Nobody deletes the version while it is ON."),
    click.option(
        "--checksum-algorithm",
        metavar="[CRC64NVME|CRC32|CRC32C|SHA1|SHA256]",
        help="The checksum that the objects keep; computed here, and compared with what the store states.",
    ),
)

preserve_option = click.option(
    "--preserve",
    metavar="all|none|NAME,…",
    help="Carried over by copies: metadata, tags, acl, lock, storage-class, encryption, website-redirect, mtime, mode, owner. "
    "What is named here must be; what all and the default (metadata, tags, mtime) cannot carry over is reported.",
)

RULES = "bucket_brigade.rules"


class RuleOrderCommand(click.Command):
    """Keeps the order of ``--include`` and ``--exclude`` across both flags: the last one that matches decides.

    ``ctx.meta[RULES]`` holds a pair (is it an include, pattern) for each, as typed.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse once more than click does, for the order in which the flags were met."""
        values, _, met = self.make_parser(ctx).parse_args(list(args))
        patterns = {name: iter(values.get(name) or ()) for name in ("include", "exclude")}
        ctx.meta[RULES] = [
            (param.name == "include", next(patterns[param.name])) for param in met if param.name in patterns
        ]
        return super().parse_args(ctx, args)
