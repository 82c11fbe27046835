"""Flags about one object, as the values that jobs hold: attributes, filters, endpoints."""

from __future__ import annotations

from collections.abc import Mapping
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
)
_SHARED_BY_BOTH_SIDES = ("allow_http", "ca_bundle")


def parse_metadata(text: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs of ``key=value,key2=value2`` or of a JSON object, names in lower case as S3 keeps them.

    Raises:
        ConfigError: neither of both, an empty name, or a value that is not text.
    """
    if text.lstrip().startswith("{"):
        pairs = _metadata_from_json(text)
    else:
        pairs = [_split_pair(item) for item in text.split(",") if item.strip()]
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(
            f"--metadata names {twice!r} twice", remedy="Give each name once; upper and lower case are the same."
        )
    return tuple(pairs)


def _metadata_from_json(text: str) -> list[tuple[str, str]]:
    try:
        pairs = msgspec.json.decode(text.encode(), type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise ConfigError(
            f"--metadata is no JSON object of texts: {error}", remedy='Write it as \'{"name": "value"}\'.'
        ) from error
    return [(name.lower(), value) for name, value in pairs.items()]


def _split_pair(item: str) -> tuple[str, str]:
    name, equals, value = item.partition("=")
    if not equals or not name.strip():
        raise ConfigError(
            f"--metadata has no name and value in {item!r}",
            remedy="Write it as name=value,name2=value2, or as a JSON object where a value has a comma.",
        )
    return name.strip().lower(), value


def object_attributes(flags: Mapping[str, Any], defaults: ObjectAttributes) -> ObjectAttributes:
    """Return ``defaults`` with what the flags say."""
    given = {name: flags[name] for name in _ATTRIBUTE_FLAGS if flags.get(name) is not None}
    if flags.get("metadata") is not None:
        given["metadata"] = parse_metadata(flags["metadata"])
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
    own = {name: flags.get(f"source_{name}") for name in ("endpoint_url", "profile", "region")}
    of_source = msgspec.structs.replace(of_source, **{name: value for name, value in own.items() if value is not None})
    return of_source, of_side(target)


def url_scheme(location: str) -> str:
    """Return the scheme of a location as typed, empty for a path or ``-``."""
    scheme, separator, _ = location.partition("://")
    return scheme if separator else ""
