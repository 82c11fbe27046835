"""Where the processes that send to a throttling endpoint write their paces, so that they share it evenly at once.

Left to themselves they would come to about the same pace, in twenty seconds. The board is a file that those with the same state
directory map: for each of them its process, its pace and when it was written.
"""

from __future__ import annotations

import os

from bucket_brigade.s3.throttle import Gate, gate_path, open_shared
from bucket_brigade.settings.values import EndpointSettings

PLACES = 32
FRESH_S = 3.0
"""What was written longer ago is of somebody who is gone, or sends nothing."""

_PROCESS, _RATE, _AT = range(3)


class RateBoard:
    """One place for each process; two that fall on the same place count as one.

    Args:
        cells: three numbers for each place, shared.
        process: a number that no other process has.
    """

    def __init__(self, cells: Gate, process: int) -> None:
        self._cells = cells
        self._process = process
        self._mine = 3 * (process % PLACES)

    def share(self, now: float, rate: float) -> float:
        """Write this process's pace down and return the even share: the mean of all paces.

        Args:
            now: seconds of the system's monotonic clock.
            rate: requests per second.
        """
        cells, mine = self._cells, self._mine
        cells[mine + _PROCESS], cells[mine + _RATE], cells[mine + _AT] = float(self._process), rate, now
        rates = [
            cells[place + _RATE] for place in range(0, 3 * PLACES, 3) if 0.0 <= now - cells[place + _AT] <= FRESH_S
        ]
        return sum(rates) / len(rates)

    def leave(self) -> None:
        """This process has no pace any more."""
        self._cells[self._mine + _AT] = float("-inf")


def open_board(state_dir: str, endpoint: EndpointSettings) -> RateBoard | None:
    """Return the board of an endpoint that all processes with this state directory share, None where it cannot be written."""
    cells = open_shared(gate_path(state_dir, endpoint) + ".rates", 8 * 3 * PLACES)
    return None if cells is None else RateBoard(cells, os.getpid())
