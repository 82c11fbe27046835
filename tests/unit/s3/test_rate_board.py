from __future__ import annotations

import os
from array import array
from pathlib import Path

import pytest

from bucket_brigade.s3.rate_board import FRESH_S, PLACES, RateBoard, open_board
from bucket_brigade.s3.throttle import open_gate
from bucket_brigade.settings.values import EndpointSettings

ENDPOINT = EndpointSettings(endpoint_url="https://s3.example", access_key_id="someone")


def boards(*processes: int) -> list[RateBoard]:
    cells = memoryview(array("d", [0.0] * (3 * PLACES)))
    return [RateBoard(cells, process) for process in processes]


def test_paces_come_together_and_their_sum_stays_near() -> None:
    three, rates = boards(1, 2, 3), [900.0, 100.0, 200.0]
    now = 100.0
    for _ in range(10):
        for number, board in enumerate(three):
            now += 0.05
            rates[number] = board.share(now, rates[number])
    assert max(rates) - min(rates) < 1.0
    assert 0.75 * 1200 < sum(rates) < 1.25 * 1200


def test_who_has_left_or_is_silent_is_not_counted() -> None:
    one, other = boards(10, 11)
    other.share(100.0, 1.0)
    assert one.share(100.1, 101.0) == pytest.approx(51.0)
    other.leave()
    assert one.share(100.2, 101.0) == 101.0
    other.share(100.3, 1.0)
    assert one.share(100.4 + FRESH_S, 101.0) == 101.0


def test_processes_of_one_place_count_as_one() -> None:
    one, other = boards(5, 5 + PLACES)
    other.share(100.0, 1.0)
    assert one.share(100.1, 50.0) == 50.0


def test_the_board_lies_beside_the_gate(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert open_board(str(tmp_path / "file"), ENDPOINT) is None
    open_gate(str(tmp_path), ENDPOINT)
    board = open_board(str(tmp_path), ENDPOINT)
    again = open_board(str(tmp_path), ENDPOINT)
    assert board is not None
    assert again is not None
    board.share(100.0, 7.0)
    assert again.share(100.0, 7.0) == 7.0
    assert [os.stat(path).st_mode & 0o777 for path in (tmp_path / "gates").iterdir()] == [0o600, 0o600]
