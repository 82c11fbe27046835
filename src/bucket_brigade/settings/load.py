"""Reads what is configured: built-in defaults < a TOML file < ``BRIGADE_*`` variables < flags."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from bucket_brigade.errors import ConfigError
from bucket_brigade.model.job import EndpointOverrides, TransferOptions
from bucket_brigade.model.location import DEFAULT_ENDPOINT
from bucket_brigade.settings import schema
from bucket_brigade.settings.addresses import is_loopback
from bucket_brigade.settings.customer_keys import key_and_digest, read_key_file
from bucket_brigade.settings.hints import nearest
from bucket_brigade.settings.presets import fill_from_preset
from bucket_brigade.settings.schema import Key, Kind
from bucket_brigade.settings.sources import Given, from_environment, from_file, from_flags, variable_of_key
from bucket_brigade.settings.values import EndpointSettings, EngineSettings, LogSettings, PriceSettings, Settings

APPLICATION = "bucket-brigade"
CONFIG_FILE = "config.toml"
DEFAULT = "default"

Filled = TypeVar("Filled", bound=msgspec.Struct)

_NOT_CONFIGURED = frozenset({"name", "copy_source_sse_c_key", "copy_source_bucket_owner"})
_ENDPOINT_KEYS = {
    key.name: key for key in schema.keys_of(EndpointSettings, schema.ENDPOINT_RULES, omit=_NOT_CONFIGURED)
}
KEYS: Mapping[str, Key] = {
    key.name: key
    for key in (
        Key(name="state_dir", kind=Kind.TEXT),
        *schema.keys_of(EngineSettings, schema.ENGINE_RULES, below="engine."),
        *schema.keys_of(TransferOptions, schema.TRANSFER_RULES, below="transfer."),
        *schema.keys_of(LogSettings, schema.LOG_RULES, below="log."),
        *schema.keys_of(PriceSettings, {}, below="prices."),
        *(
            Key(name=f"endpoints.*.{name}", kind=key.kind, rule=key.rule, default=key.default)
            for name, key in _ENDPOINT_KEYS.items()
        ),
    )
}
"""Every key that can be configured, by its dotted name; ``*`` stands for the name of an endpoint."""

_TABLES = frozenset({"endpoints", *(name.rpartition(".")[0] for name in KEYS if "." in name)})
_PATHS = frozenset({"state_dir", "endpoints.*.ca_bundle"})


class LoadedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force, and why.

    Attributes:
        origins: dotted key to where its value came from: ``default``, ``file /etc/brigade.toml:12``,
            ``environment BRIGADE_MEMORY``, ``flag --memory``.
        warnings: what a person should know, one sentence each.
        config_path: the file that was read, None where there is none.
    """

    settings: Settings
    origins: dict[str, str]
    warnings: tuple[str, ...] = ()
    config_path: str | None = None


def load_settings(
    *, config_path: str | None = None, environ: Mapping[str, str], flags: Mapping[str, object] | None = None
) -> LoadedSettings:
    """Read everything that is configured.

    Args:
        config_path: of ``--config``; else ``BRIGADE_CONFIG``, else the user's own file if there is one.
        environ: the environment variables.
        flags: dotted key to value; None values were not given.

    Raises:
        ConfigError: an unknown key, naming the nearest known one, or a value that is not acceptable, naming its origin.
    """
    path = _find_file(config_path, environ)
    in_file = list(from_file(path, is_leaf=_is_leaf)) if path else []
    given = [*in_file, *from_environment(environ), *from_flags(flags or {})]
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    names = [DEFAULT_ENDPOINT]
    # What comes later overrides, but what it overrides is checked all the same.
    for item in given:
        if _is_endpoint(item.key):
            names.append(_endpoint_of(item))
        if not _is_empty_table(item):
            values[item.key] = _read(item)
            origins[item.key] = item.origin
    settings = _build(tuple(dict.fromkeys(names)), values, origins)
    return LoadedSettings(
        settings=settings,
        origins={key: origins.get(key, DEFAULT) for key in _all_keys(settings)},
        warnings=tuple(_warnings(path, in_file)),
        config_path=path,
    )


def with_overrides(endpoint: EndpointSettings, overrides: EndpointOverrides) -> EndpointSettings:
    """Return the endpoint as the flags of one side change it. A profile given there replaces configured keys.

    Raises:
        ConfigError: an override that would be refused in the configuration too.
    """
    changes = {name: value for name, value in msgspec.structs.asdict(overrides).items() if value is not None}
    key_file = changes.pop("sse_c_key_file", None)
    for name, value in changes.items():
        flag = f"--{name.replace('_', '-')}"
        changes[name] = _read(Given(f"endpoints.{endpoint.name}.{name}", value, f"flag {flag}", os.getcwd()))
    if "profile" in changes:
        changes |= {"access_key_id": None, "secret_access_key": None, "session_token": None}
    if key_file is not None:
        changes["sse_c_key"] = read_key_file(key_file)
    changed = msgspec.structs.replace(endpoint, **changes)
    _check_endpoint(changed, "the flags")
    return changed


def known_key(dotted: str) -> Key | None:
    """Return what is known of a dotted key, or None."""
    parts = dotted.split(".")
    if parts[0] == "endpoints" and len(parts) > 2:
        # An endpoint's name may hold dots of its own.
        return KEYS.get(f"endpoints.*.{parts[-1]}")
    return KEYS.get(dotted) if "*" not in dotted else None


def _is_leaf(dotted: str) -> bool:
    key = known_key(dotted)
    return key is not None and key.kind in (Kind.PAIRS, Kind.PRICES)


def _find_file(config_path: str | None, environ: Mapping[str, str]) -> str | None:
    named = config_path or environ.get("BRIGADE_CONFIG")
    if named:
        return named
    own = own_config_file()
    return own if os.path.isfile(own) else None


def own_config_file() -> str:
    """Return where the user's own configuration file is, or would be."""
    import platformdirs  # late: nothing is asked of it where the file is named

    return os.path.join(platformdirs.user_config_dir(APPLICATION), CONFIG_FILE)


def _read(item: Given) -> object:
    key = known_key(item.key)
    if key is None:
        raise _unknown(item)
    if key.kind is Kind.SECRET and item.origin.startswith("flag"):
        raise ConfigError(f"{item.key} is a secret", remedy="Give it by environment, profile or file, never by a flag.")
    try:
        value = schema.read_value(key, item.written)
    except ConfigError as error:
        raise ConfigError(f"{item.key} ({item.origin}): {error}", remedy=error.remedy) from error
    if key.name in _PATHS and isinstance(value, str):
        return os.path.abspath(os.path.join(item.folder, os.path.expanduser(value)))
    return value


def _unknown(item: Given) -> ConfigError:
    if item.key in _TABLES or (_is_endpoint(item.key) and item.key.count(".") == 1):
        message = f"{item.key} ({item.origin}) is a table, not a value"
        return ConfigError(message, remedy=f"Write [{item.key}] and its keys below it.")
    parts = item.key.split(".")
    endpoint = ".".join(parts[1:-1]) if parts[0] == "endpoints" and len(parts) > 2 else "NAME"
    guess = nearest(item.key, [name.replace("*", endpoint) for name in KEYS])
    if item.origin.startswith("environment"):
        guess = guess and variable_of_key(guess)
        return ConfigError(f"{item.origin} sets nothing that is known", remedy=_guess(guess))
    return ConfigError(f"unknown key {item.key} ({item.origin})", remedy=_guess(guess))


def _guess(guess: str | None) -> str:
    return f"Did you mean {guess}?" if guess else "See docs/configuration.md for all keys."


def _endpoint_of(item: Given) -> str:
    """Return the name of the endpoint that a value belongs to; an empty table names one too."""
    below = item.key.removeprefix("endpoints.")
    name = below if _is_empty_table(item) else below.rpartition(".")[0]
    if not name:
        raise _unknown(item)
    if name in schema.RESERVED_SCHEMES:
        raise ConfigError(f"an endpoint cannot be called {name} ({item.origin})", remedy="Give it a name of its own.")
    if not schema.ENDPOINT_NAME.fullmatch(name):
        message = f"{name!r} ({item.origin}) cannot be an endpoint's name, which is the scheme of its URLs"
        raise ConfigError(message, remedy="Begin with a lower-case letter; then letters, digits, '+', '-' and '.'.")
    return name


def _is_empty_table(item: Given) -> bool:
    return item.written == {} and _is_table(item.key)


def _is_table(dotted: str) -> bool:
    return dotted in _TABLES or (_is_endpoint(dotted) and known_key(dotted) is None)


def _build(names: tuple[str, ...], values: Mapping[str, object], origins: dict[str, str]) -> Settings:
    endpoints = {name: _build_endpoint(name, values, origins) for name in names}
    state_dir = values.get("state_dir")
    return Settings(
        endpoints=endpoints,
        state_dir=state_dir if isinstance(state_dir, str) else _default_state_dir(),
        engine=_fill(EngineSettings(), "engine.", values),
        transfer=_fill(TransferOptions(), "transfer.", values),
        log=_fill(LogSettings(), "log.", values),
        prices=_fill(PriceSettings(), "prices.", values),
    )


def _is_endpoint(dotted: str) -> bool:
    return dotted.startswith("endpoints.")


def _default_state_dir() -> str:
    import platformdirs  # late: nothing is asked of it where the folder is configured

    return platformdirs.user_state_dir(APPLICATION)


def _build_endpoint(name: str, values: Mapping[str, object], origins: dict[str, str]) -> EndpointSettings:
    below = f"endpoints.{name}."
    given = {key.removeprefix(below): value for key, value in values.items() if key.startswith(below)}
    preset = {below + key: value for key, value in fill_from_preset(name, given).items()}
    origins |= dict.fromkeys(preset, f"preset {given.get('preset')}")
    endpoint = _fill(EndpointSettings(name=name), below, {**preset, **values})
    _check_endpoint(endpoint, next((origin for key, origin in origins.items() if key.startswith(below)), DEFAULT))
    return endpoint


def _fill(struct: Filled, below: str, values: Mapping[str, object]) -> Filled:
    """Return ``struct`` with the values of the keys below ``below``, and so with the structs inside it."""
    changes: dict[str, object] = {}
    for name in struct.__struct_fields__:
        current = getattr(struct, name)
        if isinstance(current, msgspec.Struct):
            changes[name] = _fill(current, f"{below}{name}.", values)
        elif below + name in values:
            changes[name] = values[below + name]
    return msgspec.structs.replace(struct, **changes)


def _check_endpoint(endpoint: EndpointSettings, origin: str) -> None:
    where = f"endpoint {endpoint.name} ({origin})"
    if (endpoint.access_key_id is None) != (endpoint.secret_access_key is None):
        remedy = "Give both access_key_id and secret_access_key, or neither."
        raise ConfigError(f"{where} has one half of its credentials", remedy=remedy)
    if endpoint.session_token is not None and endpoint.access_key_id is None:
        remedy = "Give access_key_id and secret_access_key too."
        raise ConfigError(f"{where} has a session token without the credentials it belongs to", remedy=remedy)
    if endpoint.sse_c_key is not None:
        key_and_digest(endpoint.sse_c_key)
    url = endpoint.endpoint_url
    if url and url.startswith("http://") and not endpoint.allow_http:
        host = schema.host_of(url)
        if not is_loopback(host):
            remedy = "Use https, or set allow_http (--allow-http) where the network is trusted."
            raise ConfigError(f"{where} would send data unencrypted to {host}", remedy=remedy)


def _all_keys(settings: Settings) -> Iterable[str]:
    for key in KEYS:
        if not _is_endpoint(key):
            yield key
    for name in settings.endpoints:
        for key in _ENDPOINT_KEYS:
            yield f"endpoints.{name}.{key}"


def _warnings(path: str | None, in_file: Iterable[Given]) -> Iterable[str]:
    secrets = [item.key for item in in_file if (key := known_key(item.key)) and key.kind is Kind.SECRET]
    if path and secrets and stat.S_IMODE(os.stat(path).st_mode) & 0o077:
        yield f"{path} holds {secrets[0]} and other users can read it: run chmod 600 {path}"
