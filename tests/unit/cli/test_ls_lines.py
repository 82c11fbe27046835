"""The lines of `brigade ls`: the same bytes whatever a page holds, in any time zone."""

import datetime as dt
import time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bucket_brigade.cli import ls_lines
from bucket_brigade.cli.ls_lines import Listing, Row
from bucket_brigade.cli.output import Lines
from bucket_brigade.s3.store import ListedObject

SECOND = 1_000_000_000


@pytest.fixture
def written(capsysbinary: pytest.CaptureFixture[bytes]) -> Any:
    def write(objects: list[ListedObject], *, cut: int = 0, human: bool = False, rows: bool = False) -> list[str]:
        with Lines() as lines:
            listing = Listing(lines, as_json=False, human=human)
            if rows:
                listing.rows(Row(one.key[cut:], one.size, one.modified_ns) for one in objects)
            else:
                listing.objects(objects, cut=cut)
            listing.summary()
        return capsysbinary.readouterr().out.decode().split("\n")

    return write


@pytest.mark.parametrize("zone", ["UTC", "America/St_Johns", "Asia/Kathmandu", "Europe/Berlin"])
def test_times_are_those_of_the_zone_on_both_sides_of_a_change_of_its_clocks(
    written: Any, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    ls_lines._shown_time.cache_clear()
    ls_lines._shown_minute.cache_clear()
    try:
        seconds = [1_774_746_000 + step * 599 for step in range(-20, 20)]  # around 2026-03-29T01:00:00Z
        lines = written([ListedObject(f"k{n}", n, '"e"', n * SECOND + 5) for n in seconds])
        expected = [
            dt.datetime.fromtimestamp(n, ZoneInfo(zone)).strftime(f"%Y-%m-%d %H:%M:%S {n:>10} k{n}") for n in seconds
        ]
        assert lines[:40] == expected
    finally:
        monkeypatch.undo()
        time.tzset()
        ls_lines._shown_time.cache_clear()
        ls_lines._shown_minute.cache_clear()


def test_a_name_that_would_move_the_cursor_is_escaped_and_its_neighbours_are_not_touched(written: Any) -> None:
    objects = [ListedObject(key, 1, "", 0) for key in ("p/100%s", "p/\x1b[2J", "p/é\nforged", "p/\u202egpj")]

    names = [line.split(" 1 ", 1)[1] for line in written(objects, cut=2)[:4]]

    assert names == ["100%s", "\\x1b[2J", "é\\x0aforged", "\\u202egpj"]


@pytest.mark.parametrize("human", [True, False])
def test_objects_and_rows_are_written_alike(written: Any, human: bool) -> None:
    objects = [ListedObject(f"k{n}", n * 7919, "", n) for n in range(2500)]

    lines = written(objects, human=human)

    assert written(objects, human=human, rows=True) == lines
    assert lines[-3] == "Total Objects: 2500"


def test_what_is_not_known_is_a_dash_and_counts_no_bytes(written: Any) -> None:
    lines = written([ListedObject("k", -1, "", 0), ListedObject("l", 3, "", 0)], rows=True)

    assert lines[0] == f"{'-':>19} {'-':>10} k"
    assert lines[-2] == "   Total Size: 3"
