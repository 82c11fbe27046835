"""``brigade ls --versions`` and ``--as-of``: the history of a prefix, page after page at flat memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from bucket_brigade.cli.locating import matcher
from bucket_brigade.cli.ls_lines import Listing, Row
from bucket_brigade.errors import ConfigError
from bucket_brigade.model.location import S3Location
from bucket_brigade.s3.listing import iterate_as_of, iterate_versions
from bucket_brigade.s3.store import Store


def check_version_flags(flags: Mapping[str, Any]) -> None:
    """Raise ConfigError for flags that cannot stand beside ``--versions`` and ``--as-of``."""
    if flags["versions"] and flags["as_of"]:
        raise ConfigError("--versions and --as-of contradict each other", remedy="Give one of them.")
    if (flags["versions"] or flags["as_of"]) and (flags["catalog"] or flags["logical"]):
        raise ConfigError("versions are listed under their stored keys", remedy="Leave --catalog and --logical out.")


async def show_versions(
    store: Store, where: S3Location, listing: Listing, *, recursive: bool, as_of: str | None
) -> None:
    """List all versions, or what was current at ``as_of``. Of one level, what lies deeper is shown as its folder.

    Stores roll versions up by a delimiter in ways of their own, so the whole prefix is listed for that, too.
    """
    from bucket_brigade.jobs.versions import instant_ns

    whole_tree = recursive or bool(where.pattern)
    cut = 0 if whole_tree else where.key.rfind("/") + 1
    matches = matcher(where)
    if as_of is None:
        pages = iterate_versions(store, where.bucket, prefix=where.key)
    else:
        pages = iterate_as_of(store, where.bucket, prefix=where.key, as_of_ns=instant_ns(as_of))
    last_folder = ""
    async with contextlib.aclosing(pages):
        async for page in pages:
            await asyncio.sleep(0)  # lets the request for the next page go out before this one is written
            for one in page:
                name = one.key[cut:]
                folder, slash, _ = name.partition("/")
                if not matches(one.key):
                    continue
                if slash and not whole_tree:
                    if folder != last_folder:
                        listing.folders([folder + slash])
                    last_folder = folder
                elif as_of is None:
                    listing.version(name, one)
                else:
                    listing.rows([Row(name, one.size, one.modified_ns, "", one.etag, one.storage_class)])
