"""What a job would do, planned and shown instead of journaled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from bucket_brigade.errors import BrigadeError
from bucket_brigade.model.job import CURRENT_VERSIONS, Job
from bucket_brigade.model.location import LocalPath, Location, S3Location
from bucket_brigade.model.transfer import Refused, Transfer
from bucket_brigade.planning.planner import Planner


class DryRunSink:
    """A BatchSink that passes transfers on to a reader, one slice at a time."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._slices: asyncio.Queue[list[Transfer] | None] = asyncio.Queue(maxsize=1)

    async def append(
        self, batches: Sequence[Sequence[Transfer]], *, refused: Sequence[Refused], cursor: bytes, exhausted: bool
    ) -> None:
        """See BatchSink."""
        for batch in batches:
            await self._slices.put(list(batch))

    async def follow(self, planner: Planner) -> None:
        """Run the planner to its end."""
        try:
            await planner.run(self, b"")
        except BrigadeError:
            await self._slices.put(None)
            raise
        await self._slices.put(None)

    async def transfers(self) -> AsyncGenerator[tuple[str, str, int]]:
        """Yield (source, target, bytes) as a person would name them."""
        while (batch := await self._slices.get()) is not None:
            for transfer in batch:
                yield (
                    shown(self._job.source, transfer.source) + self._version_of(transfer),
                    shown(self._job.target, transfer.target) if self._job.target is not None else "",
                    transfer.size,
                )

    def _version_of(self, transfer: Transfer) -> str:
        """Tell versions of one key apart where the job means several."""
        tells = self._job.versions != CURRENT_VERSIONS and transfer.version_id is not None
        return f"?versionId={transfer.version_id}" if tells else ""


def shown(location: Location | None, name: str) -> str:
    """Return the URL or path of one transfer's side."""
    if isinstance(location, S3Location):
        return f"{location.endpoint}://{location.bucket}/{name}"
    if isinstance(location, LocalPath):
        return f"{location.path}/{name}" if location.recursive else location.path
    return "-"
