"""The entry point of ``brigade``. It imports click and nothing else of weight: each verb's module is loaded when it is called."""

from __future__ import annotations

import gc
import importlib
import sys
from typing import NamedTuple

import click

from bucket_brigade import __version__
from bucket_brigade.cli.options import common_options
from bucket_brigade.cli.starting import import_structlog


class Verb(NamedTuple):
    """Where a verb's command is (``module:attribute`` below ``bucket_brigade.cli``), and its line in ``brigade --help``."""

    command: str
    summary: str


# In the order in which a newcomer meets them.
VERB_GROUPS = {
    "Moving objects": {
        "cp": Verb("transfer:cp", "Copy objects: disk to S3, S3 to disk, S3 to S3."),
        "mv": Verb("transfer:mv", "Copy, verify, then delete the source."),
        "rm": Verb("transfer:rm", "Delete objects."),
        "set": Verb("change:set_", "Change attributes of objects in place."),
        "unarchive": Verb("change:unarchive", "Restore archived objects."),
        "undelete": Verb("versions:undelete", "Remove delete markers: the objects are there again."),
        "restore": Verb("versions:restore", "Bring a prefix back to what it was at a time."),
    },
    "Looking": {
        "ls": Verb("ls:ls", "List buckets or objects."),
        "du": Verb("du:du", "Tell how much there is, versions and cost included."),
        "cat": Verb("cat:cat", "Write one object, or a range of it, to standard output."),
        "lookup": Verb("lookup:lookup", "Translate between logical and stored keys."),
    },
    "Buckets": {
        "mb": Verb("buckets:mb", "Create a bucket."),
        "rb": Verb("buckets:rb", "Remove a bucket."),
        "bucket": Verb("buckets:bucket", "Show or change how a bucket is configured."),
        "gc": Verb("gc:gc", "List or abort abandoned multipart uploads."),
    },
    "Jobs": {
        "run": Verb("jobs:run", "Run the job that a TOML file describes."),
        "resume": Verb("jobs:resume", "Go on with an interrupted job."),
        "status": Verb("jobs:status", "Show how a job stands."),
        "jobs": Verb("jobs:jobs", "List the jobs in the state directory."),
        "set-limit": Verb("limits:set_limit", "Change the limits of a running job."),
        "cancel": Verb("jobs:cancel", "End a job for good."),
        "report": Verb("jobs:report", "Write and show a job's report."),
    },
    "Setting up, finding out": {
        "doctor": Verb("doctor:doctor", "Find out what is wrong with credentials, connection, permissions."),
        "iam-policy": Verb("policy:iam_policy", "Print the least IAM policy that a job needs."),
        "config": Verb("config:config", "Show what is in force, and where each value came from."),
        "completion": Verb("completion:completion", "Print the completion script of a shell."),
        "demo": Verb("demo:demo", "Move a small tree through an embedded S3 server."),
    },
}
VERBS = {name: verb for group in VERB_GROUPS.values() for name, verb in group.items()}

# What the same is called elsewhere (aws s3, s5cmd, rclone, mc), and how to say it here.
ELSEWHERE = {
    "sync": "`brigade cp SOURCE TARGET --no-clobber` copies what is missing at the target; nothing is deleted there.",
    "copy": "`brigade cp SOURCE TARGET`.",
    "copyto": "`brigade cp SOURCE TARGET`.",
    "move": "`brigade mv SOURCE TARGET`.",
    "mirror": "`brigade cp SOURCE TARGET --no-clobber` copies what is missing at the target; nothing is deleted there.",
    "delete": "`brigade rm LOCATION`; many with --recursive.",
    "purge": "`brigade rm s3://bucket/prefix/ --recursive`, or with the bucket itself `brigade rb s3://bucket --force`.",
    "list": "`brigade ls LOCATION`; everything below it with --recursive.",
    "lsd": "`brigade ls LOCATION`.",
    "size": "`brigade du LOCATION`.",
    "pipe": "`… | brigade cp - s3://bucket/key`.",
    "rcat": "`… | brigade cp - s3://bucket/key`.",
    "mkdir": "`brigade mb s3://bucket`; prefixes need not be made.",
    "head": "`brigade ls LOCATION --json`.",
    "stat": "`brigade ls LOCATION --json`.",
    "configure": "`brigade config`; `brigade config import-rclone` and `import-mc` take over what is configured there.",
}


class VerbGroup(click.Group):
    """A group that knows its commands' names and summaries, and imports a command only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which a newcomer meets them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one verb's command."""
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        import_structlog()
        module, attribute = verb.command.split(":")
        command = getattr(importlib.import_module(f"bucket_brigade.cli.{module}"), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - a wrong line in VERBS is a bug of ours
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest verb where the one that was typed does not exist."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            ctx.fail(f"There is no verb {args[0]!r}." + _instead_of(args[0]))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb, and end as a command in a pipe should where the reader went away: click would make that a 1."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            from bucket_brigade.cli.exits import reader_is_gone

            return reader_is_gone()
        return result

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs without importing any of them."""
        widest = max(map(len, VERBS))
        for title, verbs in VERB_GROUPS.items():
            with formatter.section(title):
                # Padded, so that the summaries of all groups stand below each other.
                formatter.write_dl([(name.ljust(widest), verb.summary) for name, verb in verbs.items()])


def _instead_of(word: str) -> str:
    """Say how a verb of another tool is said here, or which verb was nearly typed; empty where neither is known."""
    import difflib

    if word in ELSEWHERE:
        return f" Say {ELSEWHERE[word]}"
    near = difflib.get_close_matches(word, VERBS, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


@click.group(
    cls=VerbGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Locations are s3://bucket/key, s3://bucket/prefix/, NAME://bucket/… for a configured endpoint, paths, and - .",
)
@click.version_option(__version__, prog_name="brigade")
@common_options
def brigade() -> None:
    """Move objects in bulk between disk, S3 and S3-compatible stores, as durable jobs.

    Every cp, mv and rm is a journaled job: interrupt it at any time, and `brigade resume` goes on where it was.
    """


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code (see docs/cli.md): 0, 1, 2, 3, 130 or 141."""
    arguments = sys.argv[1:] if arguments is None else arguments
    gc.disable()  # importing leaves no cycles worth a search through all modules: ``run_loop`` turns it on again
    try:
        result = brigade.main(arguments, prog_name="brigade", standalone_mode=False)
    except BaseException as error:
        from bucket_brigade.cli.exits import report_error

        return report_error(error, arguments)
    finally:
        gc.enable()
    return result if isinstance(result, int) else 0
