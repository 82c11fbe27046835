"""Job files: one ``cp``, ``mv`` or ``rm`` with everything about it, written down in TOML for ``brigade run``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

import msgspec

from bucket_brigade.errors import ConfigError
from bucket_brigade.model.job import EndpointOverrides, Filters, LayoutName, Rule, TransferOptions
from bucket_brigade.settings import schema
from bucket_brigade.settings.hints import nearest
from bucket_brigade.settings.schema import Key, Kind
from bucket_brigade.settings.sources import flatten, locate_keys, read_toml
from bucket_brigade.settings.units import ns_of, parse_time

_TOP_RULES = {
    "verb": schema.Rule(choices=("cp", "mv", "rm", "undelete", "restore", "set", "unarchive")),
    "layout": schema.Rule(choices=tuple(LayoutName)),
    "manifest_format": schema.Rule(choices=("auto", "csv", "csv-plain", "jsonl")),
}
_TEXTS = ("verb", "source", "target", "version_id", "manifest", "manifest_format", "catalog", "layout", "as_of")
_SWITCHES = ("recursive", "all_versions", "noncurrent", "delete_newer")
_SIZES = ("min_size", "max_size")
_TIMES = ("modified_after", "modified_before")
_RULES = "filters.rules"


class JobFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a job file says, field by field what a job request takes. Paths are relative to the current folder."""

    verb: str
    source: str
    target: str = ""
    recursive: bool = False
    version_id: str | None = None
    filters: Filters = Filters()
    options: TransferOptions | None = None
    layout: LayoutName = LayoutName.IDENTITY
    manifest: str | None = None
    manifest_format: str = "auto"
    catalog: str | None = None
    source_endpoint: EndpointOverrides = EndpointOverrides()
    target_endpoint: EndpointOverrides = EndpointOverrides()
    all_versions: bool = False
    noncurrent: bool = False
    keep_last: int | None = None
    as_of: str | None = None
    delete_newer: bool = False


def _keys() -> Iterator[Key]:
    for name in _TEXTS:
        yield Key(name=name, kind=Kind.TEXT, rule=_TOP_RULES.get(name, schema.ANY))
    for name in _SWITCHES:
        yield Key(name=name, kind=Kind.SWITCH)
    yield Key(name="keep_last", kind=Kind.COUNT, rule=schema.Rule(low=0))
    for name in _SIZES:
        yield Key(name=f"filters.{name}", kind=Kind.SIZE, rule=schema.Rule(low=0))
    yield from schema.keys_of(TransferOptions, schema.TRANSFER_RULES, below="options.")
    for side in ("source_endpoint", "target_endpoint"):
        yield from schema.keys_of(EndpointOverrides, schema.ENDPOINT_RULES, below=f"{side}.")


KEYS: Mapping[str, Key] = {key.name: key for key in _keys()}
"""The keys of a job file that are plain values."""

_KNOWN = frozenset({*KEYS, _RULES, *(f"filters.{name}" for name in _TIMES)})


def load_job_file(path: str, *, now_ns: int, options: TransferOptions | None = None) -> JobFile:
    """Read a job file.

    Args:
        path: of the TOML file.
        now_ns: what ages such as ``30d`` are counted from, nanoseconds since the epoch.
        options: of the settings in force, which ``[options]`` of the file changes; without that table the job takes them whole.

    Raises:
        ConfigError: it cannot be read, an unknown key (with the nearest known one), a missing or unacceptable value.
    """
    tables, text = read_toml(path)
    lines = locate_keys(text)
    values: dict[str, object] = {}
    for key, written in flatten(tables, is_leaf=_is_leaf):
        where = f"{path}:{lines[key]}" if key in lines else path
        if key not in _KNOWN:
            guess = nearest(key, _KNOWN)
            remedy = f"Did you mean {guess}?" if guess else "See docs/configuration.md for all keys of a job file."
            raise ConfigError(f"unknown key {key} ({where})", remedy=remedy)
        try:
            values[key] = _read(key, written, now_ns)
        except ConfigError as error:
            raise ConfigError(f"{key} ({where}): {error}", remedy=error.remedy) from error
    for required in ("verb", "source"):
        if required not in values:
            raise ConfigError(f"{path} has no {required}", remedy=f'Write {required} = "…" at its top.')
    return _build(values, options)


def _is_leaf(key: str) -> bool:
    return key in KEYS


def _read(key: str, written: object, now_ns: int) -> object:
    if key in KEYS:
        return schema.read_value(KEYS[key], written)
    if key == _RULES:
        return _read_rules(written)
    if isinstance(written, date):
        return ns_of(written)
    if isinstance(written, str):
        return parse_time(written, now_ns=now_ns)
    raise ConfigError(f"{written!r} is neither an age nor a date", remedy='Write "30d" or 2026-01-31.')


def _read_rules(written: object) -> tuple[Rule, ...]:
    rules = []
    for entry in written if isinstance(written, list) else [written]:
        if not isinstance(entry, dict) or len(entry) != 1 or not entry.keys() <= {"include", "exclude"}:
            remedy = 'Write rules = [{ exclude = "*" }, { include = "*.jpg" }]; the last rule that matches decides.'
            raise ConfigError("a rule is one include or one exclude", remedy=remedy)
        ((action, pattern),) = entry.items()
        if not isinstance(pattern, str) or not pattern:
            raise ConfigError(f"the pattern of {action} is no text", remedy="Write a glob in quotes.")
        rules.append(Rule(include=action == "include", pattern=pattern))
    return tuple(rules)


def _build(values: Mapping[str, object], options: TransferOptions | None) -> JobFile:
    changed = _below("options.", values)
    top = {name: value for name, value in values.items() if "." not in name}
    fields = top | {
        "layout": LayoutName(str(top.get("layout", LayoutName.IDENTITY))),
        "filters": _filters(_below("filters.", values)),
        "options": _options(options or TransferOptions(), changed) if changed else options,
        "source_endpoint": msgspec.convert(_below("source_endpoint.", values), EndpointOverrides),
        "target_endpoint": msgspec.convert(_below("target_endpoint.", values), EndpointOverrides),
    }
    return msgspec.convert(fields, JobFile)


def _below(prefix: str, values: Mapping[str, object]) -> dict[str, object]:
    return {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}


def _filters(values: Mapping[str, object]) -> Filters:
    renamed = {name + "_ns" if name in _TIMES else name: value for name, value in values.items()}
    return msgspec.structs.replace(Filters(), **renamed)


def _options(options: TransferOptions, values: Mapping[str, object]) -> TransferOptions:
    attributes = msgspec.structs.replace(options.attributes, **_below("attributes.", values))
    plain = {name: value for name, value in values.items() if "." not in name}
    return msgspec.structs.replace(options, attributes=attributes, **plain)
