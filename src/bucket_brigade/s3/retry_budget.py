"""How many retries all requests to one endpoint may make together, so that an endpoint in trouble is not given more of it."""

from __future__ import annotations

RESERVE = 1000.0
PER_ANSWER = 0.2
PER_S = 20.0


class RetryBudget:
    """A token bucket: each answer brings a fifth of a retry, each second twenty; it holds a thousand. Pure.

    A retry for which there is no token is made later, not given up: the policy's time and attempts decide that.
    """

    def __init__(self) -> None:
        self._tokens = RESERVE
        self._answers = 0
        self._taken_at = float("inf")

    def take(self, now: float, answers: int) -> float:
        """Take a token for one retry, and return how many seconds it has to wait for it at least.

        Args:
            now: monotonic seconds.
            answers: requests answered since the beginning.
        """
        earned = PER_ANSWER * (answers - self._answers) + PER_S * max(0.0, now - self._taken_at)
        self._tokens = min(RESERVE, self._tokens + earned) - 1.0
        self._answers, self._taken_at = answers, now
        return max(0.0, -self._tokens / PER_S)
