"""The keys that can be configured, read off the structs they fill, and how each value is understood.

A key is dotted: ``engine.retry.max_attempts``. Endpoints have any name: ``endpoints.*.region`` stands for all of them.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterator, Mapping
from enum import Enum, auto
from typing import Any
from urllib.parse import urlsplit

import msgspec

from bucket_brigade.errors import ConfigError
from bucket_brigade.model.job import PRESERVABLE, Overwrite
from bucket_brigade.model.parts import MAX_PART_BYTES, MAX_SINGLE_PUT_BYTES, MIB, MIN_PART_BYTES
from bucket_brigade.settings.addresses import hands_out_credentials
from bucket_brigade.settings.limits import check_bandwidth
from bucket_brigade.settings.units import format_size, parse_duration, parse_size
from bucket_brigade.settings.values import Secret


class Kind(Enum):
    """How a value is written."""

    TEXT = auto()
    SECRET = auto()
    SWITCH = auto()
    COUNT = auto()
    SIZE = auto()
    DURATION = auto()
    PAIRS = auto()
    PRICES = auto()
    """A table of names and amounts."""
    NAMES = auto()
    """A list of names: an array, or text with commas."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What a value must fulfil beyond its kind. ``check`` returns what is wrong with it, or None; ``zero`` may stand for 0."""

    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    check: Callable[[str], str | None] | None = None
    zero: str = ""


ANY = Rule()
ENDPOINT_NAME = re.compile(r"[a-z][a-z0-9+.-]*", re.ASCII)
RESERVED_SCHEMES = frozenset({"file", "http", "https"})
_REGION = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)
_AMOUNT = re.compile(r"\d+(\.\d+)?", re.ASCII)
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_TRUE, _FALSE = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})


def _check_region(text: str) -> str | None:
    return None if _REGION.fullmatch(text) else "is no region, which is lower-case letters, digits and dashes"


def _check_account(text: str) -> str | None:
    return None if _ACCOUNT.fullmatch(text) else "is no account id, which is 12 digits"


def check_endpoint_url(text: str) -> str | None:
    """Return what is wrong with an endpoint's URL, or None. Addresses that hand out credentials are refused."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https") or not host:
        return "is not a URL like https://s3.example.com"
    if parts.username is not None or parts.password is not None:
        return "holds credentials, which belong into access_key_id and secret_access_key"
    if parts.query or parts.fragment:
        return "has a query or fragment, which no S3 service has"
    if hands_out_credentials(host):
        return "is a link-local or metadata address, which is never an S3 service"
    return None


def host_of(url: str) -> str:
    """Return the host of a URL that ``check_endpoint_url`` accepts."""
    return urlsplit(url).hostname or ""


ENDPOINT_RULES: Mapping[str, Rule] = {
    "endpoint_url": Rule(check=check_endpoint_url),
    "region": Rule(check=_check_region),
    "preset": Rule(choices=("aws", "minio", "r2", "b2", "gcs", "ceph", "seaweedfs", "wasabi", "garage")),
    "request_payer": Rule(choices=("requester",)),
    "addressing": Rule(choices=("auto", "path", "virtual")),
    "checksum": Rule(choices=("auto", "crc64nvme", "when_required")),
    "payload_signing": Rule(choices=("auto", "always", "never")),
    "connect_timeout_s": Rule(low=0.1, high=3600),
    "read_timeout_s": Rule(low=0.1, high=3600),
    "expected_bucket_owner": Rule(check=_check_account),
}
TRANSFER_RULES: Mapping[str, Rule] = {
    "part_size_bytes": Rule(low=MIN_PART_BYTES, high=MAX_PART_BYTES),
    "multipart_threshold_bytes": Rule(low=1, high=MAX_SINGLE_PUT_BYTES),
    "copy_limit_bytes": Rule(low=MIB, high=MAX_SINGLE_PUT_BYTES),
    "overwrite": Rule(choices=tuple(Overwrite)),
    "preserve": Rule(choices=("all", "none", *PRESERVABLE)),
}
ENGINE_RULES: Mapping[str, Rule] = {
    "concurrency": Rule(low=0, high=10_000, zero="auto"),
    "processes": Rule(low=0, high=256),
    "memory_bytes": Rule(low=MIN_PART_BYTES),
    "part_concurrency": Rule(low=1, high=1000),
    "checkpoint_interval_s": Rule(low=0.05, high=3600),
    "grace_s": Rule(low=0, high=86_400),
    "log_interval_s": Rule(low=0.1, high=86_400),
    "planned_ahead": Rule(low=1, high=10_000),
    "batch_size": Rule(low=1, high=1000),
    "max_batch_attempts": Rule(low=1, high=1000),
    "max_failures_in_a_row": Rule(low=0),
    "lane": Rule(choices=("auto", "on", "off")),
    "list_shards": Rule(low=0, high=256, zero="auto"),
    "max_bandwidth": Rule(check=check_bandwidth),
    "max_requests_per_second": Rule(low=0, high=1_000_000, zero="off"),
    "retry.max_attempts": Rule(low=1, high=1000),
    "retry.max_elapsed_s": Rule(low=0, high=604_800),
    "retry.base_delay_s": Rule(low=0, high=3600),
    "retry.max_delay_s": Rule(low=0, high=3600),
}
LOG_RULES: Mapping[str, Rule] = {
    "level": Rule(choices=("debug", "info", "warning", "error")),
    "format": Rule(choices=("auto", "json", "text")),
}


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One configurable key: its dotted name, how it is written, what it must fulfil, and its default."""

    name: str
    kind: Kind
    rule: Rule = ANY
    default: object = None


def keys_of(
    struct: type[msgspec.Struct], rules: Mapping[str, Rule], *, below: str = "", omit: frozenset[str] = frozenset()
) -> Iterator[Key]:
    """Yield the keys that fill ``struct`` and the structs inside it; ``below`` is put before their names."""
    hints = typing.get_type_hints(struct)
    for field in msgspec.structs.fields(struct):
        if field.name in omit:
            continue
        name, hint = below + field.name, hints[field.name]
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            inner = {key.partition(".")[2]: rule for key, rule in rules.items() if key.startswith(field.name + ".")}
            yield from keys_of(hint, inner, below=name + ".")
        else:
            rule = rules.get(field.name, ANY)
            yield Key(name=name, kind=_kind_of(field.name, hint), rule=rule, default=field.default)


def _kind_of(name: str, hint: object) -> Kind:
    if hint == tuple[str, ...]:
        return Kind.NAMES
    if hint == tuple[tuple[str, float], ...]:
        return Kind.PRICES
    types = {hint, *typing.get_args(hint)} - {type(None)}
    if Secret in types:
        return Kind.SECRET
    if bool in types:
        return Kind.SWITCH
    if int in types:
        return Kind.SIZE if name.endswith("_bytes") else Kind.COUNT
    if float in types:
        return Kind.DURATION
    if any(isinstance(kind, type) and issubclass(kind, str) for kind in types):
        return Kind.TEXT
    return Kind.PAIRS


def read_value(key: Key, written: object) -> object:
    """Return the value that ``written`` (of TOML, of the environment, of a flag) means for ``key``.

    Raises:
        ConfigError: of the wrong type, out of range, or not one of the choices. It never shows a secret.
    """
    if key.rule.zero and written == key.rule.zero:
        return 0
    value = _READERS[key.kind](written)
    if key.name.endswith("attributes.metadata") and isinstance(value, tuple):
        # HTTP, and so S3, knows no case in the names of headers.
        return tuple((name.lower(), text) for name, text in value)
    if key.kind is Kind.NAMES and isinstance(value, tuple):
        for name in value:
            _check_text(key.rule, name)
        return expand_preserve(value) if key.name.endswith("preserve") else value
    if isinstance(value, str):
        _check_text(key.rule, value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _check_range(key, value)
    return value


def _check_text(rule: Rule, text: str) -> None:
    if rule.choices and text not in rule.choices:
        raise ConfigError(f"{text!r} is not among the choices", remedy=f"Choose one of {', '.join(rule.choices)}.")
    wrong = rule.check(text) if rule.check else None
    if wrong:
        # A URL may hold a password where it should not: what is shown stops before it.
        shown = text if "@" not in text else "the value"
        raise ConfigError(f"{shown!r} {wrong}")


def _check_range(key: Key, value: float) -> None:
    low, high = key.rule.low, key.rule.high
    if (low is None or value >= low) and (high is None or value <= high):
        return
    bounds = [f"at least {_show(key.kind, low)}"] if low is not None else []
    bounds += [f"at most {_show(key.kind, high)}"] if high is not None else []
    raise ConfigError(f"{_show(key.kind, value)} is out of range", remedy=f"It must be {' and '.join(bounds)}.")


def _show(kind: Kind, value: float) -> str:
    if kind is Kind.SIZE:
        return format_size(int(value))
    return f"{value:g} s" if kind is Kind.DURATION else f"{value:g}"


def _read_text(written: object) -> str:
    if not isinstance(written, str):
        raise ConfigError(f"{written!r} is not a text", remedy="Put it in quotes.")
    if not written or "\0" in written:
        raise ConfigError("the text is empty", remedy="Leave the key out to get its default.")
    return written


def _read_secret(written: object) -> Secret:
    if not isinstance(written, str) or not written:
        raise ConfigError("the secret is not a text, or empty", remedy="Put it in quotes.")
    return Secret(written)


def _read_switch(written: object) -> bool:
    if isinstance(written, bool):
        return written
    if isinstance(written, str) and written.lower() in _TRUE | _FALSE:
        return written.lower() in _TRUE
    raise ConfigError(f"{written!r} is neither true nor false", remedy="Write true or false.")


def _read_count(written: object) -> int:
    if isinstance(written, str) and re.fullmatch(r"-?\d[\d_]*", written.strip(), re.ASCII):
        return int(written)
    if not isinstance(written, int) or isinstance(written, bool):
        raise ConfigError(f"{written!r} is not a whole number")
    return written


def _read_size(written: object) -> int:
    if isinstance(written, str):
        return parse_size(written)
    if not isinstance(written, int) or isinstance(written, bool):
        raise ConfigError(f"{written!r} is not a size", remedy='Write it like "8MiB", or as a number of bytes.')
    return written


def _read_duration(written: object) -> float:
    if isinstance(written, str):
        return parse_duration(written)
    if not isinstance(written, int | float) or isinstance(written, bool):
        raise ConfigError(f"{written!r} is not a duration", remedy='Write it like "30s", or as a number of seconds.')
    return float(written)


def _read_pairs(written: object) -> tuple[tuple[str, str], ...]:
    pairs: Mapping[Any, object]
    if isinstance(written, str):
        pairs = dict(pair.split("=", 1) for pair in written.split(",") if "=" in pair)
        whole = len(pairs) == written.count(",") + 1
    else:
        pairs = written if isinstance(written, Mapping) else {}
        whole = isinstance(written, Mapping) and all(isinstance(text, str) for text in pairs.values())
    if not whole:
        remedy = 'Write { name = "text" } in a file, name=text,name=text elsewhere.'
        raise ConfigError("the value is no table of different names and their texts", remedy=remedy)
    return tuple((str(name).strip(), str(text)) for name, text in pairs.items())


def _read_prices(written: object) -> tuple[tuple[str, float], ...]:
    if isinstance(written, Mapping | tuple):
        written = {name: str(amount) for name, amount in dict(written).items()}
    pairs = _read_pairs(written)
    for name, amount in pairs:
        if not _AMOUNT.fullmatch(amount):
            raise ConfigError(f"the price of {name}, {amount!r}, is no amount", remedy="Write it like 0.023.")
    return tuple((name, float(amount)) for name, amount in pairs)


def _read_names(written: object) -> tuple[str, ...]:
    names = [name.strip() for name in written.split(",")] if isinstance(written, str) else written
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{written!r} is no list of names", remedy='Write ["one", "two"], or "one,two".')
    return tuple(name for name in names if name)


def expand_preserve(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return what ``--preserve`` names, each once, in the order of PRESERVABLE; ``all`` is everything, ``none`` nothing.

    Raises:
        ConfigError: ``none`` beside others.
    """
    if "none" in names and len(set(names)) > 1:
        raise ConfigError("none stands beside other names", remedy="Write none alone, or leave it out.")
    return tuple(name for name in PRESERVABLE if "all" in names or name in names)


_READERS: Mapping[Kind, Callable[[object], object]] = {
    Kind.TEXT: _read_text,
    Kind.SECRET: _read_secret,
    Kind.SWITCH: _read_switch,
    Kind.COUNT: _read_count,
    Kind.SIZE: _read_size,
    Kind.DURATION: _read_duration,
    Kind.PAIRS: _read_pairs,
    Kind.PRICES: _read_prices,
    Kind.NAMES: _read_names,
}
