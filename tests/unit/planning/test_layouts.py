import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucket_brigade.model.job import LayoutName
from bucket_brigade.planning.layouts import PREFIX_BITS, Layout, directories, hash_bits, make_layout

NAMES = st.text(st.characters(exclude_categories=("Cs",)), max_size=100)
PREFIXES = st.sampled_from(["", "p/", "a/b/", "/", "0101/"])


def layout(name: LayoutName) -> Layout:
    counter = itertools.count(0b0101_0110_1001_10110010)
    return make_layout(name, random_bits=lambda: next(counter) % (1 << PREFIX_BITS))


@pytest.mark.parametrize(
    ("logical", "stored"),
    [
        ("", "p/0001/0010/0111/00011100/"),
        ("a", "p/1100/1010/0010/00110100/a"),
        ("photos/2026/IMG_0001.jpg", "p/0001/1110/1001/10010010/photos/2026/IMG_0001.jpg"),
        ("ключ", "p/0001/0101/1001/00110010/ключ"),
        ("/leading", "p/0010/0100/1110/00011010//leading"),
    ],
)
def test_hashed_keys_are_frozen(logical: str, stored: str) -> None:
    assert layout(LayoutName.HASHED).stored_key("p/", logical) == stored


def test_the_shape_is_four_four_four_and_eight_bits() -> None:
    assert directories(0b0101_0110_1001_10110010) == "0101/0110/1001/10110010/"
    assert directories(0) == "0000/0000/0000/00000000/"
    assert directories((1 << PREFIX_BITS) - 1) == "1111/1111/1111/11111111/"


@pytest.mark.parametrize("name", list(LayoutName))
@given(prefix=PREFIXES, logical=NAMES)
def test_every_layout_can_be_undone(name: LayoutName, prefix: str, logical: str) -> None:
    chosen = layout(name)
    stored = chosen.stored_key(prefix, logical)
    assert stored.startswith(prefix)
    assert stored.endswith(logical)
    assert chosen.logical_of(prefix, stored) == logical


@given(NAMES)
def test_the_hash_depends_on_the_name_alone(logical: str) -> None:
    stored = layout(LayoutName.HASHED).stored_key("", logical)
    assert layout(LayoutName.HASHED).stored_key("p/", logical) == "p/" + stored


def test_identity_adds_nothing() -> None:
    assert layout(LayoutName.IDENTITY).stored_key("p/", "a/b") == "p/a/b"


def test_random_bits_come_from_their_source_and_differ() -> None:
    chosen = layout(LayoutName.RANDOM)
    assert chosen.stored_key("p/", "a") == "p/0101/0110/1001/10110010/a"
    assert chosen.stored_key("p/", "a") == "p/0101/0110/1001/10110011/a"
    assert len({make_layout(LayoutName.RANDOM).stored_key("", "a") for _ in range(100)}) > 90


@pytest.mark.parametrize("name", [LayoutName.HASHED, LayoutName.RANDOM])
@pytest.mark.parametrize("stored", ["", "p/", "p/a", "q/0101/0110/1001/10110010/a", "p/0102/0110/1001/10110010/a"])
def test_what_a_layout_cannot_have_made_is_none(name: LayoutName, stored: str) -> None:
    assert layout(name).logical_of("p/", stored) is None


def test_a_hashed_key_with_another_names_hash_is_none() -> None:
    stored = layout(LayoutName.HASHED).stored_key("p/", "a")
    assert layout(LayoutName.HASHED).logical_of("p/", stored + "b") is None
    assert layout(LayoutName.RANDOM).logical_of("p/", stored + "b") == "ab"


@pytest.mark.parametrize("template", ["{:06}", "logs/2026/01/31/{:08x}.gz", "{0}/{0}/{0}"])
def test_ordered_names_are_spread_evenly(template: str) -> None:
    count = 100_000
    bits = [hash_bits(template.format(number)) for number in range(count)]
    for shift, buckets in ((16, 16), (12, 256), (8, 4096)):
        seen = Counter(value >> shift for value in bits)
        expected = count / buckets
        chi_square = sum((seen[bucket] - expected) ** 2 / expected for bucket in range(buckets))
        # Mean of the distribution is buckets - 1, its deviation sqrt(2 * (buckets - 1)): six of them, both ways.
        assert abs(chi_square - (buckets - 1)) < 6 * (2 * (buckets - 1)) ** 0.5
