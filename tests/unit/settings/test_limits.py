from __future__ import annotations

from pathlib import Path

import pytest

from bucket_brigade.errors import ConfigError
from bucket_brigade.settings.limits import (
    FILE,
    Limits,
    bandwidth_at,
    check_bandwidth,
    parse_bandwidth,
    read_limits,
    write_limits,
)

MIB = 1 << 20


@pytest.mark.parametrize(
    ("text", "bytes_per_s"),
    [("20MiB", 20 * MIB), ("20M", 20 * MIB), ("1.5m", 1_572_864), ("3MB", 3_000_000), ("off", None), ("OFF", None)],
)
def test_one_rate_holds_all_day(text: str, bytes_per_s: int | None) -> None:
    assert {bandwidth_at(parse_bandwidth(text), minute) for minute in (0, 600, 1439)} == {bytes_per_s}


def test_a_timetable_holds_from_each_entry_on_and_over_midnight() -> None:
    timetable = parse_bandwidth("18:00,off 08:00,10M 9:30,512K")
    at = {minute: bandwidth_at(timetable, minute) for minute in (0, 479, 480, 570, 1079, 1080, 1439)}
    assert at == {0: None, 479: None, 480: 10 * MIB, 570: 512 * 1024, 1079: 512 * 1024, 1080: None, 1439: None}


@pytest.mark.parametrize("text", ["", "fast", "8:00", "25:00,1M", "08:61,1M", "08:00,1M 3M", "12", "1K,2K", "-1M"])
def test_what_is_no_bandwidth_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_bandwidth(text)
    assert check_bandwidth(text)


def test_limits_go_through_the_file(tmp_path: Path) -> None:
    limits = Limits(max_bandwidth="08:00,10M 18:00,off", max_requests_per_second=5, concurrency=3)
    write_limits(str(tmp_path), limits)
    assert read_limits(str(tmp_path)) == limits
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("content", ["", "{", '{"max_bandwidth": "fast"}', '{"concurrency": "x"}'])
def test_a_file_that_says_nothing_sensible_changes_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    assert read_limits(str(tmp_path)) is None
