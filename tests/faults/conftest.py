"""The program, and stores to look at what it did: as for the integration tests."""

from __future__ import annotations

from tests.integration.conftest import bucket, mini, other, program

__all__ = ["bucket", "mini", "other", "program"]
