"""One S3 location and its store, for the verbs that speak to a store without a job."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bucket_brigade.cli.attributes import endpoint_overrides
from bucket_brigade.errors import AccessDenied, ConfigError, NotFound
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.model.job import Rule
from bucket_brigade.model.location import S3Location
from bucket_brigade.s3.store import Store
from bucket_brigade.settings.locations import parse_location
from bucket_brigade.settings.values import Settings


def parse_s3(
    text: str, settings: Settings, *, recursive: bool = False, version_id: str | None = None, listing: bool = True
) -> S3Location:
    """Return the S3 location that ``text`` names; for a listing, a bare bucket and a prefix in mid-name are fine.

    Raises:
        ConfigError: it is no location, or not in a bucket.
    """
    location = parse_location(
        text,
        endpoints=settings.endpoints.keys(),
        recursive_flag=recursive,
        role="listing" if listing else "source",
        version_id=version_id,
    )
    if not isinstance(location, S3Location):
        raise ConfigError(f"{text} is not in a bucket", remedy="Write it as s3://bucket/key.")
    return location


def parse_bucket(text: str, settings: Settings) -> S3Location:
    """Return the bucket that ``text`` names, and nothing in it.

    Raises:
        ConfigError: it names no bucket, or something inside one.
    """
    if text and not any(character in text for character in ":/"):
        raise ConfigError(f"{text} is not a bucket", remedy=f"Write it as s3://{text}.")
    location = parse_s3(text, settings)
    if not location.bucket or location.key or location.pattern:
        raise ConfigError(f"{text} is not a bucket", remedy="Write it as s3://bucket, without a key.")
    return location


async def open_store(brigade: Brigade, location: S3Location, flags: Mapping[str, Any]) -> Store:
    """Return the store of the location's endpoint, as the flags change it."""
    return await brigade.store(location.endpoint, endpoint_overrides(flags))


@contextlib.contextmanager
def explaining(location: S3Location) -> Iterator[None]:
    """Turn what a store says about a missing bucket or key, or refused credentials, into the error of a wrong input.

    Raises:
        ConfigError: NotFound and AccessDenied from the block, with what to do.
    """
    from bucket_brigade.jobs.preflight import explained

    try:
        yield
    except (NotFound, AccessDenied) as error:
        raise explained(error, location.endpoint, location.bucket, location.key) from error


def matcher(where: S3Location) -> Callable[[str], bool]:
    """Return what says whether a key matches the location's pattern."""
    if not where.pattern:
        return lambda _key: True
    from bucket_brigade.planning.filters import compile_rules

    root = len(where.key)
    accepts = compile_rules((Rule(False, "*"), Rule(True, where.pattern)))
    return lambda key: accepts(key[root:])
