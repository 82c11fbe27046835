"""What makes the command start quickly: structlog is imported without what it prepares and nobody uses here.

Only the command does this, whose process is its own. A program that uses bucket-brigade as a library imports it whole.
"""

from __future__ import annotations

import importlib
import sys


def import_structlog() -> None:
    """Import structlog without rich, which it would load (50 ms) to draw tracebacks."""
    if "structlog" not in sys.modules and "rich" not in sys.modules:
        sys.modules["rich"] = None  # type: ignore[assignment] # how the import system spells "there is none"
        try:
            importlib.import_module("structlog")
        finally:
            del sys.modules["rich"]
