"""The flags that configure a bucket, as values, and a bucket's configuration as lines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import click

from bucket_brigade.errors import ConfigError
from bucket_brigade.s3.bucket_values import (
    ALL_BLOCKED,
    NOTHING_BLOCKED,
    BucketChanges,
    BucketInfo,
    Encryption,
    Ownership,
    Versioning,
)

_DAY_S = 86_400
_NEVER = "never"
_OWNERSHIPS = {"enforced": Ownership.ENFORCED, "preferred": Ownership.PREFERRED, "writer": Ownership.WRITER}
_VERSIONINGS = {"on": Versioning.ENABLED, "suspended": Versioning.SUSPENDED}


def bucket_options(function: Any) -> Any:
    """--versioning --encryption --kms-key-id --bucket-key --block-public-access --ownership --abort-uploads-after --tags."""
    for option in reversed(
        (
            click.option("--versioning", type=click.Choice(list(_VERSIONINGS)), help="Keep old versions of objects."),
            click.option(
                "--encryption",
                type=click.Choice(["AES256", "aws:kms", "aws:kms:dsse"]),
                help="Of objects that are written without naming one.",
            ),
            click.option("--kms-key-id", metavar="ID", help="Key for --encryption aws:kms."),
            click.option(
                "--bucket-key", is_flag=True, help="Ask KMS once for many objects, with --encryption aws:kms."
            ),
            click.option(
                "--block-public-access/--no-block-public-access",
                default=None,
                help="Keep the public out, whatever access control lists and policies say.",
            ),
            click.option(
                "--ownership",
                type=click.Choice(list(_OWNERSHIPS)),
                help="Who owns what others write; enforced is the bucket's owner, and disables access control lists.",
            ),
            click.option(
                "--abort-uploads-after",
                metavar="TIME|never",
                help="Let the store abort multipart uploads this long after they began, such as 7d.",
            ),
            click.option(
                "--tags", metavar="KEY=VALUE,…", help="Replace the bucket's tags; an empty text removes them."
            ),
        )
    ):
        function = option(function)
    return function


def bucket_changes(flags: Mapping[str, Any]) -> BucketChanges:
    """Return what the flags say. Raises ConfigError for what cannot be read, or says nothing by itself."""
    block, ownership, versioning = flags["block_public_access"], flags["ownership"], flags["versioning"]
    return BucketChanges(
        versioning=_VERSIONINGS[versioning] if versioning else None,
        encryption=_encryption(flags),
        public_access_block=None if block is None else ALL_BLOCKED if block else NOTHING_BLOCKED,
        ownership=_OWNERSHIPS[ownership] if ownership else None,
        abort_uploads_days=_days(flags["abort_uploads_after"]),
        tags=None if flags["tags"] is None else parse_tags(flags["tags"]),
    )


def _encryption(flags: Mapping[str, Any]) -> Encryption | None:
    algorithm, key, bucket_key = flags["encryption"], flags["kms_key_id"], flags["bucket_key"]
    if (key or bucket_key) and not (algorithm and algorithm.startswith("aws:kms")):
        raise ConfigError("--kms-key-id and --bucket-key belong to KMS", remedy="Add --encryption aws:kms.")
    if algorithm is None:
        return None
    return Encryption(algorithm=algorithm, kms_key_id=key or "", bucket_key=bucket_key)


def _days(text: str | None) -> int | None:
    """Return whole days, 0 for never."""
    from bucket_brigade.settings.units import parse_duration

    if text is None:
        return None
    if text == _NEVER:
        return 0
    seconds = parse_duration(text)
    if seconds < _DAY_S:
        raise ConfigError(
            f"--abort-uploads-after {text} is less than a day, which is the least S3 knows", remedy="Write it like 7d."
        )
    return math.ceil(seconds / _DAY_S)


def parse_tags(text: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs of ``key=value,key2=value2``. Raises ConfigError for one without a name, or one that comes twice."""
    pairs = [item.partition("=") for item in text.split(",") if item.strip()]
    if any(not name.strip() for name, _, _ in pairs):
        raise ConfigError(f"--tags has a tag without a name in {text!r}", remedy="Write it as name=value,name2=value2.")
    tags = tuple((name.strip(), value.strip()) for name, _, value in pairs)
    if len({name for name, _ in tags}) < len(tags):
        raise ConfigError("--tags names a tag twice", remedy="Give each name once.")
    return tags


def shown_bucket(info: BucketInfo) -> Iterator[tuple[str, str]]:
    """Yield the lines of a bucket's configuration as pairs of name and text; what may not be read says so."""
    values = {
        "region": info.region or "the endpoint does not tell",
        "versioning": info.versioning.value,
        "object_lock": _lock(info),
        "encryption": _encrypted(info),
        "public_access_block": _blocked(info),
        "ownership": info.ownership.value if info.ownership else "",
        "lifecycle_rules": _lifecycle(info),
        "tags": ", ".join(f"{name}={value}" for name, value in info.tags) or "none",
    }
    yield "bucket", info.name
    for name, value in values.items():
        reason = info.unknown.get(name)
        yield name.replace("_", " "), value if reason is None else f"not known ({reason})"


def _lock(info: BucketInfo) -> str:
    lock = info.object_lock
    if lock is None:
        return "off"
    if not lock.mode:
        return "on, without a default retention"
    return f"on, {lock.mode} for {lock.days or lock.years} {'days' if lock.days else 'years'} by default"


def _encrypted(info: BucketInfo) -> str:
    encryption = info.encryption
    if encryption is None:
        return "none by default"
    key = f", key {encryption.kms_key_id}" if encryption.kms_key_id else ""
    return encryption.algorithm + key + (", bucket key" if encryption.bucket_key else "")


def _blocked(info: BucketInfo) -> str:
    block = info.public_access_block
    if block == ALL_BLOCKED:
        return "everything blocked"
    blocked = [name.replace("_", " ") for name in block.__struct_fields__ if getattr(block, name)]
    return ", ".join(blocked) or "nothing blocked"


def _lifecycle(info: BucketInfo) -> str:
    uploads = "stale uploads are never aborted"
    if info.abort_uploads_days is not None:
        uploads = f"uploads are aborted after {info.abort_uploads_days} days"
    return f"{info.lifecycle_rules}; {uploads}"
