"""Throttling as S3's: a token bucket for each range of keys, and ranges that are split under sustained load."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

KEYS_REMEMBERED = 512
WRITES = frozenset(
    {"PutObject", "CopyObject", "DeleteObject", "CreateMultipartUpload", "UploadPart", "UploadPartCopy"}
    | {"CompleteMultipartUpload", "AbortMultipartUpload", "DeleteObjects"}
)


@dataclass
class Partition:
    """One range of keys, from ``first`` up to the next one's, with its tokens."""

    first: str
    tokens: float
    refilled_s: float
    refused_since_s: float | None = None
    last_refused_s: float = 0.0
    keys: deque[str] = field(default_factory=lambda: deque(maxlen=KEYS_REMEMBERED))


class Throttle:
    """Says which requests are one too many.

    Args:
        per_s: requests a second that one partition takes; may be changed at any time.
        burst_s: a partition that was idle takes so many seconds' worth at once.
        split_after_s: a partition that has been asked for too much for so long is split at the median of the keys asked
            for; S3 takes half an hour and more. None never splits.
        max_partitions: no more splits then.
        now: seconds of a monotonic clock.
    """

    def __init__(
        self,
        per_s: float,
        *,
        burst_s: float = 0.1,
        split_after_s: float | None = None,
        max_partitions: int = 64,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.per_s = per_s
        self.admitted = 0
        self.refused = 0
        self._burst_s = burst_s
        self._split_after_s = split_after_s
        self._max_partitions = max_partitions
        self._now = now
        self.partitions = [Partition("", per_s * burst_s, now())]

    def admits(self, key: str) -> bool:
        """Take a token of the key's partition; False where there is none."""
        now = self._now()
        partition = self._partition(key)
        if self._split_after_s is not None:
            partition.keys.append(key)
        most = self.per_s * self._burst_s
        partition.tokens = min(max(most, 1.0), partition.tokens + (now - partition.refilled_s) * self.per_s)
        partition.refilled_s = now
        if partition.tokens >= 1.0:
            partition.tokens -= 1.0
            self.admitted += 1
            return True
        self.refused += 1
        self._note_refusal(partition, now)
        return False

    def _partition(self, key: str) -> Partition:
        if len(self.partitions) == 1:
            return self.partitions[0]
        return next(one for one in reversed(self.partitions) if one.first <= key)

    def _note_refusal(self, partition: Partition, now: float) -> None:
        """Load is sustained while no second passes without a refusal."""
        if partition.refused_since_s is None or now - partition.last_refused_s > 1.0:
            partition.refused_since_s = now
        partition.last_refused_s = now
        if self._split_after_s is not None and now - partition.refused_since_s >= self._split_after_s:
            self._split(partition, now)

    def _split(self, partition: Partition, now: float) -> None:
        partition.refused_since_s = None
        ordered = sorted(set(partition.keys))
        if len(ordered) < 2 or len(self.partitions) >= self._max_partitions:
            return
        middle = ordered[len(ordered) // 2]
        upper = Partition(middle, self.per_s * self._burst_s, now)
        self.partitions.insert(self.partitions.index(partition) + 1, upper)
        partition.keys.clear()
