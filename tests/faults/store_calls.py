"""One call of every method of the store port, with arguments found by the names of its parameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.s3.store import Acl, DeleteKey, Grant, PartReceipt, Store

ARGUMENTS: Mapping[str, Any] = {
    "acl": Acl("owner", (Grant("CanonicalUser", "owner", "FULL_CONTROL"),)),
    "attributes": ObjectAttributes(legal_hold="ON", lock_mode="GOVERNANCE", retain_until="2040-01-01T00:00:00Z"),
    "body": b"body",
    "bucket": "bucket",
    "days": 1,
    "key": "key",
    "keys": [DeleteKey("key")],
    "length": 5 << 20,
    "number": 1,
    "parts": [PartReceipt(1, '"etag"', 4)],
    "size": 4,
    "source_bucket": "source",
    "source_key": "key",
    "start": 0,
    "tags": (("name", "value"),),
    "upload_id": "upload",
}

METHODS = sorted(
    name for name, function in vars(Store).items() if inspect.iscoroutinefunction(function) and not name.startswith("_")
)


async def call(store: Any, method: str) -> object:
    """Call one method of the store with every argument that it must have."""
    wanted = inspect.signature(getattr(Store, method)).parameters
    needed = [name for name, one in wanted.items() if one.default is one.empty and name != "self"]
    arguments = {name: bytearray(4) if name == "into" else ARGUMENTS[name] for name in needed}
    if "into" in arguments:
        arguments["into"] = memoryview(arguments["into"])
    return await getattr(store, method)(**arguments)
