"""A catalog for a verb to read, wherever it is: on disk, or in a bucket and then fetched first."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from typing import Any

from bucket_brigade.cli.attributes import url_scheme
from bucket_brigade.cli.locating import open_store, parse_s3
from bucket_brigade.errors import ConfigError, NotFound
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.model.parts import MIB
from bucket_brigade.settings.values import Settings

_RANGE_BYTES = 8 * MIB
_RANGES_AHEAD = 4


@contextlib.asynccontextmanager
async def local_catalog(
    brigade: Brigade, settings: Settings, text: str, flags: Mapping[str, Any]
) -> AsyncIterator[str]:
    """Lend the path of the catalog that ``text`` names; one from a bucket is a temporary file, removed afterwards.

    Raises:
        ConfigError: it is not there.
    """
    if not url_scheme(text):
        yield text
        return
    from bucket_brigade.cli.cat import write_object

    location = parse_s3(text, settings, listing=False)
    store = await open_store(brigade, location, flags)
    descriptor, path = tempfile.mkstemp(prefix="brigade-catalog-", suffix=".jsonl.gz")
    try:
        with open(descriptor, "wb") as file:
            await write_object(store, location, None, file, range_bytes=_RANGE_BYTES, ahead=_RANGES_AHEAD)
        yield path
    except NotFound as error:
        raise ConfigError(f"there is no catalog at {text}", remedy="Name a catalog that brigade wrote.") from error
    finally:
        os.unlink(path)
