"""What makes the command start quickly: three libraries are imported without what they prepare and nobody uses here.

Only the command does this, whose process is its own. A program that uses bucket-brigade as a library imports them whole.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any


def import_structlog() -> None:
    """Import structlog without rich, which it would load (50 ms) to draw tracebacks."""
    if "structlog" not in sys.modules and "rich" not in sys.modules:
        sys.modules["rich"] = None  # type: ignore[assignment] # how the import system spells "there is none"
        try:
            importlib.import_module("structlog")
        finally:
            del sys.modules["rich"]


def import_clients() -> None:
    """Import what talks to S3: botocore without the CRT, aiohttp without certificates of its own."""
    from bucket_brigade.s3.late_crt import import_botocore

    import_botocore()
    _import_aiohttp()


def _import_aiohttp() -> None:
    """Import aiohttp without the system's certificates, which it would read twice (40 ms).

    It does so for contexts that serve whoever brings none of his own; botocore's sessions, and the lane, bring theirs.
    """
    if "aiohttp" in sys.modules:
        return
    import ssl

    context: Any = ssl.SSLContext
    loaders = context.load_default_certs, context.set_default_verify_paths
    context.load_default_certs = context.set_default_verify_paths = lambda *_: None
    try:
        importlib.import_module("aiohttp")
    finally:
        context.load_default_certs, context.set_default_verify_paths = loaders
