from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucket_brigade.errors import ConfigError
from bucket_brigade.settings.units import (
    format_duration,
    format_size,
    format_time,
    ns_of,
    parse_duration,
    parse_size,
    parse_time,
)

DAY_NS = 86_400 * 10**9
NOON = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1048576", 1 << 20),
        ("1_048_576", 1 << 20),
        ("8MiB", 8 << 20),
        ("8mib", 8 << 20),
        ("8MB", 8_000_000),
        (" 64 KiB ", 64 << 10),
        ("1.5GiB", 3 << 29),
        ("0.1KB", 100),
        ("7B", 7),
        ("2TiB", 2 << 40),
    ],
)
def test_sizes_are_read_with_their_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1e6", "8 Mi B", "8XB", "0.5", "1.0001KB", "٣MiB", "8M", "1ZiB"])
def test_what_is_no_size_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_size(text)
    assert caught.value.remedy


def test_a_bare_letter_is_ambiguous_and_the_error_says_both_ways() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_size("8M")
    assert "8MiB" in caught.value.remedy
    assert "8MB" in caught.value.remedy


@given(st.integers(0, 1 << 60), st.sampled_from([("KiB", 1024), ("MB", 10**6), ("GiB", 1 << 30), ("", 1)]))
def test_a_whole_number_of_units_is_exact(number: int, unit: tuple[str, int]) -> None:
    assert parse_size(f"{number}{unit[0]}") == number * unit[1]


@given(st.integers(0, 1 << 60))
def test_a_formatted_size_reads_back_to_within_its_precision(size: int) -> None:
    number, unit = format_size(size).split()
    # 0.05 of at least one unit, and one digit before the point at least.
    assert abs(float(number) * parse_size("1" + unit) - size) <= 0.05 * parse_size("1" + unit)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (8 << 20, "8 MiB"),
        (1_500_000_000, "1.4 GiB"),
        ((1 << 20) - 1, "1.0 MiB"),
    ],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("0.5", 0.5), ("250ms", 0.25), ("2m", 120), ("1h30m", 5400), ("30d", 2_592_000), ("2w", 1_209_600)],
)
def test_durations_are_read_with_their_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5 minutes", "-3s", "1h30", "s", "1M", "1 y"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4 s"), (42, "42 s"), (59.7, "1m 00s"), (187, "3m 07s"), (7500, "2h 05m"), (367_200, "4d 06h")],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30d", NOON - 30 * DAY_NS),
        ("12h", NOON - DAY_NS // 2),
        ("2026-01-31", NOON - DAY_NS // 2),
        ("2026-01-31T12:00:00Z", NOON),
        ("2026-01-31T12:00:00", NOON),
        ("2026-01-31T14:00:00+02:00", NOON),
        ("2026-01-31T12:00:00.000001Z", NOON + 1000),
    ],
)
def test_times_are_ages_or_iso_dates(text: str, expected: int) -> None:
    assert parse_time(text, now_ns=NOON) == expected


@pytest.mark.parametrize("text", ["", "30", "yesterday", "2026-13-01", "31.01.2026"])
def test_what_is_no_time_is_refused_and_a_bare_number_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="neither an age nor a date"):
        parse_time(text, now_ns=NOON)


@given(st.integers(0, 4_000_000_000))
def test_times_for_people_read_back_to_the_second(seconds: int) -> None:
    assert parse_time(format_time(seconds * 10**9), now_ns=0) == seconds * 10**9


def test_a_date_is_its_midnight_in_utc() -> None:
    assert ns_of(date(1970, 1, 2)) == DAY_NS
