"""Flags about one object, as the values that jobs hold: attributes, filters, endpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from bucket_brigade.errors import ConfigError
from bucket_brigade.model.job import EndpointOverrides, ObjectAttributes
from bucket_brigade.model.location import DEFAULT_ENDPOINT

_ATTRIBUTE_FLAGS = (
    "acl",
    "sse",
    "sse_kms_key_id",
    "storage_class",
    "content_type",
    "cache_control",
    "content_encoding",
    "content_disposition",
    "content_language",
    "expires",
    "sse_kms_context",
    "bucket_key",
    "website_redirect",
    "checksum_algorithm",
)
_LOCK_FLAGS = {
    "object_lock_mode": "lock_mode",
    "object_lock_retain_until": "retain_until",
    "object_lock_legal_hold": "legal_hold",
}
_PERMISSIONS = {
    "full": "grant_full_control",
    "read": "grant_read",
    "readacl": "grant_read_acp",
    "writeacl": "grant_write_acp",
}
_GRANTEES = {"id": "id", "uri": "uri", "emailaddress": "emailAddress"}
_SHARED_BY_BOTH_SIDES = ("allow_http", "ca_bundle")


def parse_metadata(text: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs of ``key=value,key2=value2`` or of a JSON object, names in lower case as S3 keeps them.

    Raises:
        ConfigError: neither of both, an empty name, or a value that is not text.
    """
    return _parse_pairs("--metadata", text, fold=str.lower)


def parse_tags(text: str) -> tuple[tuple[str, str], ...]:
    """Return the tags of ``key=value,key2=value2`` or of a JSON object; upper and lower case differ.

    Raises:
        ConfigError: neither of both, an empty name, or a value that is not text.
    """
    return _parse_pairs("--tags", text, fold=str)


def parse_grants_flags(grants: Iterable[str]) -> dict[str, str]:
    """Return the grant headers that ``--grants read=uri=… full=id=…`` mean, by the name of the attribute.

    Raises:
        ConfigError: a grant that cannot be read.
    """
    headers: dict[str, list[str]] = {}
    for written in (one for group in grants for one in group.split()):
        permission, _, grantee = written.partition("=")
        kind, equals, name = grantee.partition("=")
        if permission not in _PERMISSIONS or kind.lower() not in _GRANTEES or not equals or not name or '"' in name:
            raise ConfigError(
                f"--grants {written!r} cannot be read",
                remedy="Write it as read|readacl|writeacl|full=id|uri|emailaddress=…, as for aws s3.",
            )
        headers.setdefault(_PERMISSIONS[permission], []).append(f'{_GRANTEES[kind.lower()]}="{name}"')
    return {field: ", ".join(grantees) for field, grantees in headers.items()}


def _parse_pairs(flag: str, text: str, *, fold: Callable[[str], str]) -> tuple[tuple[str, str], ...]:
    if text.lstrip().startswith("{"):
        pairs = _pairs_from_json(flag, text)
    else:
        pairs = [_split_pair(flag, item) for item in text.split(",") if item.strip()]
    pairs = [(fold(name), value) for name, value in pairs]
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"{flag} names {twice!r} twice", remedy="Give each name once.")
    return tuple(pairs)


def _pairs_from_json(flag: str, text: str) -> list[tuple[str, str]]:
    try:
        pairs = msgspec.json.decode(text.encode(), type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise ConfigError(
            f"{flag} is no JSON object of texts: {error}", remedy='Write it as \'{"name": "value"}\'.'
        ) from error
    return list(pairs.items())


def _split_pair(flag: str, item: str) -> tuple[str, str]:
    name, equals, value = item.partition("=")
    if not equals or not name.strip():
        raise ConfigError(
            f"{flag} has no name and value in {item!r}",
            remedy="Write it as name=value,name2=value2, or as a JSON object where a value has a comma.",
        )
    return name.strip(), value


def object_attributes(flags: Mapping[str, Any], defaults: ObjectAttributes) -> ObjectAttributes:
    """Return ``defaults`` with what the flags say."""
    given = {name: flags[name] for name in _ATTRIBUTE_FLAGS if flags.get(name) is not None}
    if flags.get("metadata") is not None:
        given["metadata"] = parse_metadata(flags["metadata"])
    if flags.get("tags") is not None:
        given["tagging"] = parse_tags(flags["tags"])
    given |= {field: flags[name] for name, field in _LOCK_FLAGS.items() if flags.get(name) is not None}
    given |= parse_grants_flags(flags.get("grants") or ())
    return msgspec.structs.replace(defaults, **given)


def endpoint_overrides(flags: Mapping[str, Any]) -> EndpointOverrides:
    """Return what the flags say about the endpoint; a flag that was not given says nothing."""
    return EndpointOverrides(
        endpoint_url=flags.get("endpoint_url"),
        profile=flags.get("profile"),
        region=flags.get("region"),
        no_sign_request=True if flags.get("no_sign_request") else None,
        request_payer=flags.get("request_payer"),
        allow_http=True if flags.get("allow_http") else None,
        ca_bundle=flags.get("ca_bundle"),
        expected_bucket_owner=flags.get("expected_bucket_owner"),
    )


def side_overrides(source: str, target: str, flags: Mapping[str, Any]) -> tuple[EndpointOverrides, EndpointOverrides]:
    """Return the overrides of the source's and of the target's endpoint.

    The plain flags speak of the endpoint ``s3``, and of a named one only where no side is written ``s3://``: a job from
    ``s3://`` to ``minio://`` must not send MinIO what was meant for AWS. The ``--source-…`` flags always speak of the
    source; with ``--source-endpoint-url`` the source is another service, which is not shown the target's profile.
    """
    plain = endpoint_overrides(flags)
    shared = EndpointOverrides(**{name: getattr(plain, name) for name in _SHARED_BY_BOTH_SIDES})
    default_is_meant = DEFAULT_ENDPOINT in (url_scheme(source), url_scheme(target))

    def of_side(location: str) -> EndpointOverrides:
        return shared if default_is_meant and url_scheme(location) != DEFAULT_ENDPOINT else plain

    of_source = shared if flags.get("source_endpoint_url") else of_side(source)
    own = {name: flags.get(f"source_{name}") for name in ("endpoint_url", "profile", "region", "expected_bucket_owner")}
    of_source = msgspec.structs.replace(of_source, **{name: value for name, value in own.items() if value is not None})
    return _with_key_files(of_source, of_side(target), flags, writes=bool(url_scheme(target)))


def _with_key_files(
    of_source: EndpointOverrides, of_target: EndpointOverrides, flags: Mapping[str, Any], *, writes: bool
) -> tuple[EndpointOverrides, EndpointOverrides]:
    """Give each side its key of SSE-C: the plain flag means what is written, and what is read where nothing is written."""
    plain, own = flags.get("sse_c_key_file"), flags.get("source_sse_c_key_file")
    of_source = msgspec.structs.replace(of_source, sse_c_key_file=own if own or writes else plain)
    if plain and writes:
        of_target = msgspec.structs.replace(of_target, sse_c_key_file=plain)
    return of_source, of_target


def url_scheme(location: str) -> str:
    """Return the scheme of a location as typed, empty for a path or ``-``."""
    scheme, separator, _ = location.partition("://")
    return scheme if separator else ""
