"""The one layer of retries: a decorator over any ``Store``.

The first attempt runs bare, so that success costs a microsecond; only an error that may pass enters tenacity's loop. What the
errors mean is decided in ``s3.errors``, how long to wait in ``retry_delay_s``; this module sleeps.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from bucket_brigade.errors import Throttled, TransferError, TransientError, Unreachable
from bucket_brigade.s3.governor import Governor
from bucket_brigade.settings.values import RetrySettings

if TYPE_CHECKING:
    from tenacity import AsyncRetrying, RetryCallState

T = TypeVar("T")

PACED_ATTEMPTS = 3
"""By so many attempts less is a throttled request's wait reckoned."""

OnRetry = Callable[[TransferError, int, float], None]
"""Called before each wait with the error, the attempts made so far, and the seconds to wait."""


def retry_delay_s(policy: RetrySettings, attempt: int, retry_after_s: float | None, jitter: float) -> float:
    """Return how long to wait after the ``attempt``-th attempt failed (from 1), in seconds.

    ``jitter`` in [0, 1] picks the point in the full range; what the endpoint asked for is the least.
    """
    ceiling = min(policy.max_delay_s, policy.base_delay_s * 2.0 ** min(attempt, 64))
    return max(retry_after_s or 0.0, jitter * ceiling)


def may_retry(policy: RetrySettings, attempt: int, elapsed_s: float, delay_s: float) -> bool:
    """Tell whether another attempt may begin ``delay_s`` after the ``attempt``-th failed, ``elapsed_s`` after the first.

    Attempts that the endpoint throttled are not counted: time alone ends them.
    """
    return attempt < policy.max_attempts and elapsed_s + delay_s < policy.max_elapsed_s


class Retrier:
    """Runs one request until it succeeds, fails for good, or the policy's attempts or time are used up.

    Args:
        policy: how often and how long.
        governor: shared by everything that talks to the same endpoint.
        on_retry: told of every retry.
        passing: the errors after which a request is sent again.
        jitter: a number in [0, 1), drawn anew for each wait.
        now: seconds of a monotonic clock.
        sleep: waits.

    Attributes:
        retries: attempts beyond the first, over all requests.
    """

    def __init__(
        self,
        policy: RetrySettings,
        governor: Governor,
        on_retry: OnRetry | None = None,
        *,
        passing: tuple[type[TransferError], ...] = (TransientError,),
        jitter: Callable[[], float] = random.random,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.retries = 0
        self._policy = policy
        self._governor = governor
        self._on_retry = on_retry
        self._passing = passing
        self._jitter = jitter
        self._now = now
        self._sleep = sleep

    async def run(self, request: Callable[..., Awaitable[T]], /, *args: object, **options: object) -> T:
        """Return what ``request`` returns. A TransferError that gets out tells its ``attempts``."""
        began = self._now()
        try:
            return await self._attempt(request, args, options)
        except self._passing as error:
            failed = error
        return await self._again(failed, began, request, args, options)

    async def _attempt(
        self, request: Callable[..., Awaitable[T]], args: tuple[object, ...], options: dict[str, object]
    ) -> T:
        """Make one attempt, in its turn; its end is told to the governor whatever it is."""
        governor = self._governor
        if governor.in_flight < governor.open_to and governor.throttle.is_open:
            governor.in_flight += 1
        else:
            await governor.admit()
        sent_at = self._now()
        try:
            answer = await request(*args, **options)
        except self._passing as error:
            governor.failed(error, sent_at)
            raise
        except TransferError:
            governor.answered(sent_at)
            raise
        except BaseException:
            governor.leave()
            raise
        governor.answered(sent_at)
        return answer

    async def _again(
        self,
        first: TransferError,
        began: float,
        request: Callable[..., Awaitable[T]],
        args: tuple[object, ...],
        options: dict[str, object],
    ) -> T:
        failed: TransferError | None = first
        attempt = 1

        async def next_attempt() -> T:
            nonlocal failed, attempt
            if failed is not None:  # the attempt that was made before tenacity came into it
                error, failed = failed, None
                raise error
            attempt += 1
            self.retries += 1
            return await self._attempt(request, args, options)

        try:
            return await self._retrying(began)(next_attempt)
        except TransferError as error:
            error.attempts = attempt
            raise

    def _costs_an_attempt(self, error: TransferError | None) -> bool:
        """Throttling, and the loss of an endpoint that was there before, are waited out: time alone ends the attempts."""
        return not (isinstance(error, Throttled) or (isinstance(error, Unreachable) and self._governor.answers > 0))

    def _retrying(self, began: float) -> AsyncRetrying:
        from tenacity import AsyncRetrying, retry_if_exception_type

        spent = 0

        def wait(state: RetryCallState) -> float:
            error, jitter = _error_of(state), self._jitter()
            asked_s = error.retry_after_s if isinstance(error, TransientError) else None
            if isinstance(error, Throttled):
                # The pace of all requests answers it already: a long wait of this one would only leave its place unused.
                return retry_delay_s(self._policy, state.attempt_number - PACED_ATTEMPTS, asked_s, jitter)
            delay_s = retry_delay_s(self._policy, state.attempt_number, asked_s, jitter)
            return max(delay_s, self._governor.retry_budget.take(self._now(), self._governor.answers))

        def stop(state: RetryCallState) -> bool:
            nonlocal spent
            spent += self._costs_an_attempt(_error_of(state))
            return not may_retry(self._policy, spent, self._now() - began, state.upcoming_sleep)

        def tell(state: RetryCallState) -> None:
            error = _error_of(state)
            if self._on_retry is not None and error is not None:
                self._on_retry(error, state.attempt_number, state.upcoming_sleep)

        return AsyncRetrying(
            retry=retry_if_exception_type(self._passing),
            wait=wait,
            stop=stop,
            before_sleep=tell,
            sleep=self._sleep,
            reraise=True,
        )


def _error_of(state: RetryCallState) -> TransferError | None:
    error = state.outcome.exception() if state.outcome is not None else None
    return error if isinstance(error, TransferError) else None
