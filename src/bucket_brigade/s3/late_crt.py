"""botocore without the CRT, until something is signed with SigV4A: loading it takes 40 ms, most of them to gather entropy.

Only our own processes do this. A program that uses bucket-brigade as a library shares its botocore with us.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

_SIGV4A = ("v4a", "s3v4a", "s3v4a-query")


def import_botocore() -> None:
    """Import botocore with its own signers; those that only the CRT has are loaded when they are first used."""
    if "awscrt" in sys.modules or "botocore.compat" in sys.modules:
        return
    sys.modules["awscrt"] = None  # type: ignore[assignment] # how the import system spells "there is none"
    try:
        importlib.import_module("botocore.compat")
    finally:
        del sys.modules["awscrt"]
    from botocore.auth import AUTH_TYPE_MAPS

    AUTH_TYPE_MAPS.update({name: _late_signer(name) for name in _SIGV4A})


def _late_signer(name: str) -> type[Any]:
    from botocore.auth import BaseSigner

    class LateSigner(BaseSigner):
        """What botocore takes for a class of signers, and gives a signer of the CRT."""

        REQUIRES_REGION = True

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            import awscrt.auth
            import awscrt.http
            import botocore.compat

            botocore.compat.awscrt = awscrt  # type: ignore[attr-defined] # where botocore.crt looks for it
            from botocore.crt.auth import CRT_AUTH_TYPE_MAPS

            return CRT_AUTH_TYPE_MAPS[name](*args, **kwargs)

    return LateSigner
