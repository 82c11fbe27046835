"""Endpoints from the configuration of other programs: aliases of MinIO's ``mc``, S3 remotes of rclone. Reads text, writes text.

mc: ``{"version": "10", "aliases": {"NAME": {"url", "accessKey", "secretKey", "sessionToken", "api", "path"}}}``
(https://docs.min.io/community/minio-object-store/reference/minio-mc/mc-alias-import.html). rclone: an INI file, one section for
each remote (https://rclone.org/s3/).
"""

from __future__ import annotations

import configparser
import json
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from bucket_brigade.errors import ConfigError
from bucket_brigade.settings.addresses import is_loopback
from bucket_brigade.settings.schema import ENDPOINT_NAME, RESERVED_SCHEMES, check_endpoint_url, host_of

_PLACEHOLDER = "YOUR-"
_RCLONE_PRESETS = {
    "aws": "aws",
    "minio": "minio",
    "cloudflare": "r2",
    "ceph": "ceph",
    "wasabi": "wasabi",
    "seaweedfs": "seaweedfs",
    "gcs": "gcs",
}
_RCLONE_VIRTUAL = frozenset({"false", "0", "no"})


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint found elsewhere.

    Attributes:
        name: what it is called here: an endpoint's name is the scheme of its URLs.
        origin: what it is called there.
        values: keys of ``[endpoints.NAME]``, secrets among them.
        problem: why it cannot be taken over; else empty.
    """

    name: str
    origin: str
    values: dict[str, str | bool] = {}
    problem: str = ""


class _Alias(msgspec.Struct, kw_only=True, rename="camel"):
    url: str = ""
    access_key: str = ""
    secret_key: str = ""
    session_token: str = ""
    api: str = ""
    path: str = ""


class _McConfig(msgspec.Struct):
    aliases: dict[str, _Alias] = {}
    hosts: dict[str, _Alias] = {}


def read_mc(text: str) -> list[Imported]:
    """Return the aliases of an mc configuration (``~/.mc/config.json``). ConfigError if it is none."""
    try:
        config = msgspec.json.decode(text.encode(), type=_McConfig)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        # The decoder's own message may quote a value.
        raise ConfigError(
            "the file is no configuration of mc", remedy="Name the file config.json, usually in ~/.mc."
        ) from None
    return _unique(_from_alias(name, alias) for name, alias in (config.hosts | config.aliases).items())


def _from_alias(origin: str, alias: _Alias) -> Imported:
    name = endpoint_name(origin)
    if not alias.access_key or alias.access_key.startswith(_PLACEHOLDER):
        return Imported(name=name, origin=origin, problem="it has no credentials")
    if alias.api.lower() == "s3v2":
        return Imported(name=name, origin=origin, problem="it signs with version 2, which brigade does not")
    addressing = {"on": "path", "off": "virtual"}.get(alias.path.lower(), "auto")
    values: dict[str, str | bool] = {"endpoint_url": alias.url.rstrip("/"), "addressing": addressing}
    if "amazonaws.com" not in alias.url:
        values["preset"] = "minio"
        if addressing == "auto":
            del values["addressing"]
    return _checked(name, origin, values | _credentials(alias.access_key, alias.secret_key, alias.session_token))


def read_rclone(text: str) -> list[Imported]:
    """Return the S3 remotes of an rclone configuration (``rclone config file``). ConfigError if it is none, or encrypted."""
    if text.lstrip().startswith("# Encrypted rclone configuration File") or "RCLONE_ENCRYPT_V0:" in text[:200]:
        raise ConfigError(
            "the rclone configuration is encrypted", remedy="Write it out with `rclone config show` and name that file."
        )
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        # Its message quotes lines of the file.
        raise ConfigError(
            "the file is no configuration of rclone", remedy="`rclone config file` tells where it is."
        ) from None
    remotes = ((section, dict(parser.items(section))) for section in parser.sections())
    return _unique(_from_remote(section, remote) for section, remote in remotes if remote.get("type") == "s3")


def _from_remote(origin: str, remote: Mapping[str, str]) -> Imported:
    name = endpoint_name(origin)
    provider = remote.get("provider", "other").lower()
    values: dict[str, str | bool] = {}
    if provider in _RCLONE_PRESETS:
        values["preset"] = _RCLONE_PRESETS[provider]
    if url := remote.get("endpoint", ""):
        values["endpoint_url"] = (url if "://" in url else f"https://{url}").rstrip("/")
    elif provider not in ("aws", "gcs"):
        return Imported(name=name, origin=origin, problem="it has no endpoint")
    if region := remote.get("region", ""):
        values["region"] = region
    if remote.get("force_path_style", "").lower() in _RCLONE_VIRTUAL:
        values["addressing"] = "virtual"
    elif "preset" not in values:
        values["addressing"] = "path"
    if remote.get("requester_pays", "").lower() == "true":
        values["request_payer"] = "requester"
    if unsigned := {"true": "never", "false": "always"}.get(remote.get("use_unsigned_payload", "").lower()):
        values["payload_signing"] = unsigned
    if remote.get("access_key_id"):
        secret = remote.get("secret_access_key", "")
        values |= _credentials(remote["access_key_id"], secret, remote.get("session_token", ""))
    elif remote.get("profile"):
        values["profile"] = remote["profile"]
    elif remote.get("env_auth", "").lower() != "true":
        values["no_sign_request"] = True
    return _checked(name, origin, values)


def _credentials(key_id: str, secret: str, token: str) -> dict[str, str | bool]:
    found: dict[str, str | bool] = {"access_key_id": key_id, "secret_access_key": secret}
    return found | ({"session_token": token} if token else {})


def _checked(name: str, origin: str, values: dict[str, str | bool]) -> Imported:
    """Return the endpoint; one that would be refused here, with the reason."""
    url = str(values.get("endpoint_url", ""))
    wrong = check_endpoint_url(url) if url else None
    if wrong:
        return Imported(name=name, origin=origin, problem=f"its URL {wrong}")
    if values.get("access_key_id") and not values.get("secret_access_key"):
        return Imported(name=name, origin=origin, problem="it has one half of its credentials")
    if url.startswith("http://") and not is_loopback(host_of(url)):
        values = values | {"allow_http": True}
    return Imported(name=name, origin=origin, values=values)


def endpoint_name(origin: str) -> str:
    """Return a name that can be the scheme of URLs: ``My_Store`` becomes ``my-store``."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "+.-") else "-" for c in origin.lower()).strip("-+.")
    if name in RESERVED_SCHEMES or not ENDPOINT_NAME.fullmatch(name):
        name = f"x-{name}" if name else "x"
    return name


def _unique(found: Iterable[Imported]) -> list[Imported]:
    taken: set[str] = set()
    kept: list[Imported] = []
    for one in found:
        if one.name in taken and not one.problem:
            one = msgspec.structs.replace(one, problem=f"another one is called {one.name} here too")
        taken.add(one.name)
        kept.append(one)
    return kept


def to_toml(endpoint: Imported) -> Iterator[str]:
    """Yield the lines of the endpoint's table."""
    name = endpoint.name if "." not in endpoint.name and "+" not in endpoint.name else json.dumps(endpoint.name)
    yield f"[endpoints.{name}]"
    for key, value in endpoint.values.items():
        yield f"{key} = {json.dumps(value, ensure_ascii=False)}"
