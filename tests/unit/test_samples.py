"""The samples are what they say."""

from tests.samples import AWKWARD_KEYS


def test_there_are_two_hundred_valid_keys_all_different() -> None:
    assert len(AWKWARD_KEYS) >= 200
    assert len({sample.name for sample in AWKWARD_KEYS}) == len(AWKWARD_KEYS)
    assert len({sample.key for sample in AWKWARD_KEYS}) == len(AWKWARD_KEYS)
    assert all(1 <= len(sample.key.encode()) <= 1024 for sample in AWKWARD_KEYS)
