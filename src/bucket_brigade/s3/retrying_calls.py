"""How often, and as what, one request of a store is sent: retries, renewed credentials, damaged bodies, lost answers."""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Protocol, Self, TypeVar

from bucket_brigade.errors import (
    ChecksumMismatch,
    CredentialsExpired,
    NotFound,
    PreconditionFailed,
    TransientError,
)
from bucket_brigade.s3.checksums import decode_crc
from bucket_brigade.s3.governor import Governor
from bucket_brigade.s3.hedging import Hedger
from bucket_brigade.s3.job_limits import JobLimits
from bucket_brigade.s3.renewal import Renewal
from bucket_brigade.s3.retry import OnRetry, Retrier
from bucket_brigade.s3.store import (
    ObjectHead,
    Store,
    Written,
)
from bucket_brigade.settings.values import RetrySettings

T = TypeVar("T")

RENEWALS = 3
"""So often may the credentials be renewed for one request: it may have been signed before somebody else's renewal."""


class _Run(Protocol):
    """Runs ``request(*args, **options)`` as often as it has to be."""

    def __call__(
        self, request: Callable[..., Awaitable[T]], /, *args: object, **options: object
    ) -> Coroutine[object, object, T]: ...


class RetryingCalls:
    """Runs the requests of one store, each as often as it has to be.

    Attributes:
        inner: makes one attempt per call.
        governor: lets requests begin.
        limits: of the job that this store belongs to, if it belongs to one.
        hedger: makes second requests for slow ones.
    """

    def __init__(
        self,
        inner: Store,
        policy: RetrySettings,
        governor: Governor,
        on_retry: OnRetry | None = None,
        renewal: Renewal | None = None,
    ) -> None:
        self.inner = inner
        self.governor = governor
        self.limits: JobLimits | None = None
        self._shared = (policy, governor, on_retry, renewal)
        self._retrier = Retrier(policy, governor, on_retry)
        # A body that the endpoint received damaged is sent again, as after a lost connection.
        self._resender = Retrier(policy, governor, on_retry, passing=(TransientError, ChecksumMismatch))
        self._renewal = renewal
        self.hedger = Hedger()
        self._run = self._renewing(self._retrier)
        self._run_resending = self._renewing(self._resender)

    @property
    def is_aws(self) -> bool:
        """Whether this is Amazon S3 itself, as its address says."""
        return bool(getattr(self.inner, "is_aws", False))

    @property
    def retries(self) -> int:
        """Attempts beyond the first, over all calls so far."""
        return self._retrier.retries + self._resender.retries

    def for_job(self, limits: JobLimits) -> Self:
        """Return the store of one job: it shares everything but the limits, and the count of retries."""
        store = type(self)(self.inner, *self._shared)
        store.limits = limits
        limits.attach(store)
        return store

    def _renewing(self, retrier: Retrier) -> _Run:
        """Return what runs a request with retries, and renews credentials if that is possible."""
        return retrier.run if self._renewal is None else functools.partial(self._run_renewing, retrier)

    async def _run_renewing(
        self, retrier: Retrier, request: Callable[..., Awaitable[T]], /, *args: object, **options: object
    ) -> T:
        """Run a request; where the endpoint calls the credentials expired, renew them. That costs none of its attempts."""
        assert self._renewal is not None  # noqa: S101 - narrows the type
        for _ in range(RENEWALS):
            sent_at = time.monotonic()
            try:
                return await retrier.run(request, *args, **options)
            except CredentialsExpired:
                if not await self._renewal.renew(sent_at):
                    raise
        return await retrier.run(request, *args, **options)

    async def _run_conditional(
        self,
        attempt: Callable[[], Awaitable[Written]],
        bucket: str,
        key: str,
        is_ours: Callable[[ObjectHead], bool],
    ) -> Written:
        tried = False

        async def next_attempt() -> Written:
            nonlocal tried
            again, tried = tried, True
            try:
                return await attempt()
            except PreconditionFailed:
                if not again:
                    raise
                try:
                    head = await self.inner.head_object(bucket, key)
                except NotFound:
                    head = None
                if head is None or not is_ours(head):
                    raise
                return Written(head.etag, head.version_id, decode_crc(head.checksums.get("CRC64NVME", "")))

        return await self._run(next_attempt)
