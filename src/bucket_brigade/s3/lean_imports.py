"""The client libraries without what they prepare and a process of ours may never need: a third of the time of a short job.

Only the command and its worker processes do this (``import_lean``). A program that uses bucket-brigade as a library shares
botocore and aiohttp with us, and gets them whole.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any, Self

_SIGV4A = ("v4a", "s3v4a", "s3v4a-query")

_is_lean = False


def import_lean() -> None:
    """Import botocore without the CRT, whose loading gathers entropy for 40 ms: the first signature with SigV4A loads it.

    And without what writes the documentation of its methods, out of HTML: 8 ms.
    """
    global _is_lean  # what is imported, and how, is a matter of the process
    if "awscrt" in sys.modules or "botocore.compat" in sys.modules:
        return
    _is_lean = True
    sys.modules["awscrt"] = None  # type: ignore[assignment] # how the import system spells "there is none"
    try:
        importlib.import_module("botocore.compat")
    finally:
        del sys.modules["awscrt"]
    sys.modules["botocore.docs.docstring"] = _NoDocumentation("botocore.docs.docstring")
    from botocore.auth import AUTH_TYPE_MAPS

    AUTH_TYPE_MAPS.update({name: _late_signer(name) for name in _SIGV4A})


class _NoDocumentation(types.ModuleType):
    """Stands for the module with botocore's kinds of docstrings, each of which is empty."""

    def __getattr__(self, name: str) -> type[str]:
        if name.startswith("__"):
            raise AttributeError(name)
        return _NoDocstring


class _NoDocstring(str):
    __slots__ = ()

    def __new__(cls, *_: Any, **__: Any) -> Self:
        return super().__new__(cls)


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


def import_aiohttp() -> None:
    """Import aiohttp, after ``import_lean`` without the system's certificates, which it would read twice (40 ms).

    It does so for contexts that serve whoever brings none of his own; our sessions, and the lane, bring theirs.
    """
    if not _is_lean or "aiohttp" in sys.modules:
        return
    import ssl

    context: Any = ssl.SSLContext
    loaders = context.load_default_certs, context.set_default_verify_paths
    context.load_default_certs = context.set_default_verify_paths = lambda *_: None
    try:
        importlib.import_module("aiohttp")
    finally:
        context.load_default_certs, context.set_default_verify_paths = loaders
