"""Signature version 4 for requests that are sent millions of times with another key and another body.

Everything that stays the same for a second (date, scope, signing key, credentials) is one ``Stamp``, made once; a request
costs one SHA-256 of its canonical form and one HMAC. docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = sha256(b"").hexdigest()
ALGORITHM = "AWS4-HMAC-SHA256"


class Identity(NamedTuple):
    """Who signs: one state of possibly temporary credentials. ``token`` is empty for permanent ones."""

    access_key: str
    secret_key: str
    token: str

    def __repr__(self) -> str:
        return "Identity(***)"


class Stamp(NamedTuple):
    """All of a signature that is the same within one second.

    Attributes:
        date: ``20261122T123103Z``, the header ``x-amz-date``.
        credential: ``AWS4-HMAC-SHA256 Credential=…``, the beginning of the header ``Authorization``.
        preamble: the string to sign up to the hash of the canonical request.
        key: the signing key of the day.
        inner, outer: the SHA-256 of the padded signing key, with which both halves of an HMAC begin (RFC 2104).
        token: the header ``x-amz-security-token``, empty for permanent credentials.
    """

    date: str
    credential: str
    preamble: str
    key: bytes
    inner: Any
    outer: Any
    token: str

    def __repr__(self) -> str:
        return f"Stamp({self.date})"

    def sign(self, canonical: str) -> str:
        """Return the signature, in hex, of a canonical request."""
        inner, outer = self.inner.copy(), self.outer.copy()
        inner.update((self.preamble + sha256(canonical.encode()).hexdigest()).encode())
        outer.update(inner.digest())
        signature: str = outer.hexdigest()
        return signature


def stamp_of(*, date: str, access_key: str, token: str, key: bytes, region: str, service: str) -> Stamp:
    """Return the stamp of a second: its ``date`` is that of ``x-amz-date``, ``key`` the signing key of its day."""
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    padded = key.ljust(sha256().block_size, b"\0")
    return Stamp(
        date=date,
        credential=f"{ALGORITHM} Credential={access_key}/{scope}",
        preamble=f"{ALGORITHM}\n{date}\n{scope}\n",
        key=key,
        inner=sha256(bytes(byte ^ 0x36 for byte in padded)),
        outer=sha256(bytes(byte ^ 0x5C for byte in padded)),
        token=token,
    )


def signing_key(secret_key: str, day: str, region: str, service: str) -> bytes:
    """Return the key that signs all requests of one day (``20261122``) to one service in one region."""
    key = b"AWS4" + secret_key.encode()
    for scope in (day, region, service, "aws4_request"):
        key = hmac.digest(key, scope.encode(), "sha256")
    return key


class Signer:
    """Gives out the stamp of the present second for one (region, service).

    ``stamp()`` is what every request calls and never waits; where it returns None (a second has passed, or the credentials
    are to be refreshed) the caller awaits ``renew()``, which does the work once for all who wait.

    Args:
        credentials: of the botocore session; its ``get_frozen_credentials`` refreshes temporary ones before they expire.
        region, service: of the credential scope.
        now: seconds since the epoch.
    """

    def __init__(self, credentials: Any, *, region: str, service: str, now: Callable[[], float] = time.time) -> None:
        self._credentials = credentials
        self._region = region
        self._service = service
        self._now = now
        self._lock = asyncio.Lock()
        self._key_of: tuple[Identity, str] | None = None
        self._key = b""
        self._stamp: Stamp | None = None
        self._second = -1.0

    def stamp(self) -> Stamp | None:
        """Return the stamp of this second, None where it has to be renewed first."""
        if 0.0 <= self._now() - self._second < 1.0:
            return self._stamp
        return None

    def forget(self) -> None:
        """Forget the stamp: the credentials are other ones now."""
        self._second = -1.0

    async def renew(self) -> Stamp:
        """Return the stamp of this second, with credentials that have not expired.

        Raises what botocore raises where credentials cannot be had.
        """
        async with self._lock:
            stamp = self.stamp()
            if stamp is None:
                frozen = await self._credentials.get_frozen_credentials()
                stamp = self._renewed(Identity(frozen.access_key, frozen.secret_key, frozen.token or ""))
            return stamp

    def _renewed(self, identity: Identity) -> Stamp:
        second = float(int(self._now()))
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        day = date[:8]
        if self._key_of != (identity, day):
            self._key = signing_key(identity.secret_key, day, self._region, self._service)
            self._key_of = (identity, day)
        self._stamp = stamp_of(
            date=date,
            access_key=identity.access_key,
            token=identity.token,
            key=self._key,
            region=self._region,
            service=self._service,
        )
        self._second = second
        return self._stamp
