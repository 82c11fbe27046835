from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucket_brigade.operations.filemeta import (
    FileStatus,
    decode_mode,
    decode_mtime,
    encode_mode,
    encode_mtime,
    status_in,
)


@given(st.integers(-(10**19), 10**19))
def test_a_time_comes_back_to_the_nanosecond(modified_ns: int) -> None:
    assert decode_mtime(encode_mtime(modified_ns)) == modified_ns


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1354040105.123456789", 1_354_040_105_123_456_789),  # rclone
        ("1354040105", 1_354_040_105_000_000_000),  # s3fs
        ("1354040105.1234567891", 1_354_040_105_123_456_789),
        ("-1.5", -1_500_000_000),
        ("", None),
        ("2012-11-27T18:15:05Z", None),
        ("1e9", None),
    ],
)
def test_times_are_read_as_rclone_and_s3fs_write_them(text: str, ns: int | None) -> None:
    assert decode_mtime(text) == ns


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("100644", 0o644),  # rclone: octal
        ("0100664", 0o664),
        ("33188", 0o644),  # s3fs: decimal
        ("33206", 0o666),  # decimal, although it could be read as octal
        ("644", 0o644),
        ("104755", 0o755),  # without setuid
        ("40755", None),  # a folder
        ("rw-r--r--", None),
        ("", None),
    ],
)
def test_modes_are_read_octal_or_decimal_and_never_give_setuid(text: str, mode: int | None) -> None:
    assert decode_mode(text) == mode


@given(st.integers(0, 0o777))
def test_a_mode_comes_back(mode: int) -> None:
    assert decode_mode(encode_mode(0o100000 | mode)) == mode


def test_ids_that_are_none_are_left_alone() -> None:
    told = status_in((("uid", "1000"), ("gid", "99999999999"), ("mtime", "x")))
    assert told == FileStatus(uid=1000)
