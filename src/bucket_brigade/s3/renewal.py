"""Credentials that the endpoint calls expired although their own date says otherwise: renewed once for all who were refused.

botocore renews credentials by their date alone. A wrong date, a revoked session or a clock that jumped leave every request
refused until that date; so what the endpoint says decides.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog

_log = structlog.get_logger("bucket_brigade.s3")


class Renewal:
    """Renews the credentials of one client.

    Args:
        credentials: of the botocore session, refreshable.
        on_renewed: called when there are new ones.
        now: seconds of a monotonic clock.
    """

    def __init__(
        self, credentials: Any, on_renewed: Callable[[], None], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._credentials = credentials
        self._on_renewed = on_renewed
        self._now = now
        self._lock = asyncio.Lock()
        self._asked_at = float("-inf")
        self._renewed = False

    async def renew(self, sent_at: float) -> bool:
        """Return whether a request that was sent at ``sent_at``, and refused, should be sent again with newer credentials.

        Asks the source of the credentials, unless that was done since the request was sent.
        """
        async with self._lock:
            if sent_at >= self._asked_at:
                self._renewed = await self._ask()
                self._asked_at = self._now()
            return self._renewed

    async def _ask(self) -> bool:
        credentials = self._credentials
        try:
            before = await credentials.get_frozen_credentials()
            credentials._expiry_time = credentials._time_fetcher()  # noqa: SLF001 - there is no other way to ask for it
            after = await credentials.get_frozen_credentials()
        except Exception as exc:
            _log.warning("credentials cannot be renewed", reason=type(exc).__name__)
            return False
        if after == before:
            return False
        self._on_renewed()
        _log.info("credentials renewed")
        return True


def is_renewable(credentials: Any) -> bool:
    """Return whether credentials have a source that can be asked again (role, SSO, instance, process)."""
    return hasattr(credentials, "_refresh_using")
