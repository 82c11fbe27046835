"""What S3 allows as the name of a bucket or an object.

Source: docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html and object-keys.html.
"""

from __future__ import annotations

import re

from bucket_brigade.errors import BadKey, ConfigError
from bucket_brigade.model.location import MAX_KEY_BYTES

_ARN = re.compile(
    r"\Aarn:(aws|aws-[a-z-]+):(s3|s3-object-lambda|s3-outposts):[a-z0-9-]*:\d{0,12}:(accesspoint|outpost)[/:].+\Z"
)
_ADDRESS = re.compile(r"\A\d+\.\d+\.\d+\.\d+\Z")
_LOOSE = re.compile(r"\A[A-Za-z0-9._-]{1,255}\Z")
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3", "-an")


def broken_bucket_rules(name: str) -> list[str]:
    """Return every rule of S3 for new general-purpose buckets that ``name`` breaks, in words that follow "it"."""
    rules: list[tuple[bool, str]] = [
        (not 3 <= len(name) <= 63, f"must have 3 to 63 characters, not {len(name)}"),
        (
            bool(re.search(r"[^a-z0-9.-]", name)),
            "may hold only lower-case letters, digits, dots and hyphens",
        ),
        (not re.match(r"[a-z0-9]", name), "must begin with a letter or digit"),
        (not re.search(r"[a-z0-9]\Z", name), "must end with a letter or digit"),
        (".." in name, "must not hold two dots in a row"),
        (
            bool(re.search(r"\.-|-\.", name)),
            "must not have a hyphen beside a dot: between dots, it is a part of a host name",
        ),
        (bool(_ADDRESS.match(name)), "must not look like an IP address"),
        *((name.startswith(prefix), f"must not begin with {prefix}") for prefix in _RESERVED_PREFIXES),
        *((name.endswith(suffix), f"must not end with {suffix}") for suffix in _RESERVED_SUFFIXES),
    ]
    return [words for broken, words in rules if broken]


def check_bucket_name(name: str, *, strict: bool = True) -> None:
    """Raise ConfigError, naming each broken rule, unless ``name`` can be a bucket.

    ``strict`` holds it to the rules for new buckets. Otherwise it may be any bucket that exists somewhere: old ones with
    capitals and underscores, those of other stores, aliases of access points and ARNs of them.
    """
    if strict:
        broken = broken_bucket_rules(name)
    elif _ARN.match(name) or _LOOSE.match(name):
        broken = [] if name not in {".", ".."} else ["must not be a dot or two"]
    else:
        broken = ["may hold only letters, digits, dots, hyphens and underscores, 1 to 255 of them"]
    if broken:
        raise ConfigError(
            f"{name[:80]!r} cannot be the name of a bucket: it {'; it '.join(broken)}.",
            remedy="Choose a name of 3 to 63 lower-case letters, digits and hyphens.",
        )


def bucket_name_warning(name: str) -> str:
    """Return what is allowed and still unwise about the name of a new bucket, in a sentence; "" where nothing is."""
    if "." in name:
        return (
            f"{name} has dots: no certificate of the endpoint matches {name} as a part of its host name, so it needs"
            ' addressing = "path", and has no Transfer Acceleration.'
        )
    return ""


def check_key(key: str) -> None:
    """Raise BadKey unless ``key`` can be one: 1 to 1,024 bytes of UTF-8."""
    try:
        length = len(key.encode("utf-8"))
    except UnicodeEncodeError as exc:
        raise BadKey(f"The key {key!r} is not UTF-8.", code="NotUtf8") from exc
    if not key:
        raise BadKey("The key is empty.", code="EmptyKey")
    if length > MAX_KEY_BYTES:
        raise BadKey(f"The key {key[:40]!r}… has {length} bytes; S3 allows {MAX_KEY_BYTES}.", code="KeyTooLongError")
