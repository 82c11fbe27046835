from __future__ import annotations

import base64
import hashlib
import itertools
import zlib

import awscrt.checksums
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucket_brigade.errors import ChecksumMismatch
from bucket_brigade.s3.checksums import (
    ReadDigest,
    choose_algorithm,
    combine_crc64nvme,
    combine_parts,
    crc64nvme,
    decode_crc,
    encode_crc,
    summed_in_python,
    verify_whole,
)
from bucket_brigade.s3.store import ObjectHead

CHECK = b"123456789"


def head(body: bytes, **checksums: str) -> ObjectHead:
    return ObjectHead(size=len(body), etag='"e"', checksums=checksums)


def test_the_catalogued_check_value_of_crc64nvme() -> None:
    assert crc64nvme(CHECK) == 0xAE8B14860A799888
    assert encode_crc(crc64nvme(CHECK)) == "rosUhgp5mIg="


@given(st.binary(max_size=300), st.integers(0, 2**64 - 1))
def test_the_crc_of_a_few_bytes_is_that_of_the_crt(data: bytes, previous: int) -> None:
    assert summed_in_python(data, previous) == awscrt.checksums.crc64nvme(data, previous)


@given(st.binary(), st.binary())
def test_a_crc_goes_on_and_combines(first: bytes, second: bytes) -> None:
    whole = crc64nvme(first + second)

    assert crc64nvme(second, crc64nvme(first)) == whole
    assert combine_crc64nvme(crc64nvme(first), crc64nvme(second), len(second)) == whole
    assert combine_parts([(crc64nvme(first), len(first)), (crc64nvme(second), len(second))]) == whole
    assert crc64nvme(memoryview(bytearray(first + second))) == whole


@given(st.integers(0, 2**64 - 1))
def test_an_encoded_crc_decodes_to_itself(crc: int) -> None:
    assert decode_crc(encode_crc(crc)) == crc


@pytest.mark.parametrize("encoded", ["", "no base64!", "AAAA", "rosUhgp5mIg=-3"])
def test_what_is_no_crc_decodes_to_none(encoded: str) -> None:
    assert decode_crc(encoded) is None


def test_the_cheapest_stated_algorithm_is_chosen() -> None:
    crc32 = encode_crc(zlib.crc32(CHECK), "CRC32")
    crc64 = encode_crc(crc64nvme(CHECK))

    assert choose_algorithm({"SHA256": "x", "CRC32": crc32, "CRC64NVME": crc64}, in_order=True) == "CRC64NVME"
    assert choose_algorithm({"SHA256": "x", "CRC32": crc32}, in_order=True) == "CRC32"
    assert choose_algorithm({"SHA256": "x"}, in_order=True) == "SHA256"
    assert choose_algorithm({"SHA256": "x"}, in_order=False) is None
    assert choose_algorithm({}, in_order=True) is None


@pytest.mark.parametrize(
    ("algorithm", "value"),
    [
        ("CRC64NVME", encode_crc(crc64nvme(CHECK))),
        ("CRC32", encode_crc(zlib.crc32(CHECK), "CRC32")),
        ("CRC32C", "4waSgw=="),
        ("SHA1", base64.b64encode(hashlib.sha1(CHECK).digest()).decode()),
        ("SHA256", base64.b64encode(hashlib.sha256(CHECK).digest()).decode()),
    ],
)
def test_each_algorithm_accepts_the_object_and_refuses_a_flipped_bit(algorithm: str, value: str) -> None:
    stated = head(CHECK, **{algorithm: value})

    verify_whole(stated, CHECK, "s3://b/k")
    with pytest.raises(ChecksumMismatch) as caught:
        verify_whole(stated, b"023456789", "s3://b/k")
    assert value in str(caught.value)
    assert "s3://b/k" in str(caught.value)


@given(st.binary(min_size=1, max_size=200), st.lists(st.integers(0, 200), max_size=6), st.randoms())
def test_parts_in_any_order_make_the_whole(body: bytes, cuts: list[int], random: object) -> None:
    edges = sorted({0, len(body), *(cut % len(body) for cut in cuts)})
    parts = list(itertools.pairwise(edges))
    random.shuffle(parts)  # type: ignore[attr-defined]
    digest = ReadDigest(head(body, CRC64NVME=encode_crc(crc64nvme(body))))

    for start, stop in parts:
        digest.add(start, body[start:stop])

    digest.verify("s3://b/k")


def test_a_part_that_is_missing_is_told() -> None:
    digest = ReadDigest(head(CHECK, CRC64NVME=encode_crc(crc64nvme(CHECK))))
    digest.add(5, CHECK[5:])

    with pytest.raises(ChecksumMismatch, match="0 bytes were read of 9"):
        digest.verify("s3://b/k")


def test_a_part_read_again_replaces_the_first() -> None:
    digest = ReadDigest(head(CHECK, CRC64NVME=encode_crc(crc64nvme(CHECK))))
    digest.add(0, b"XXXXX")
    digest.add(5, CHECK[5:])
    digest.add(0, CHECK[:5])

    digest.verify("s3://b/k")


def test_a_hash_refuses_parts_out_of_order() -> None:
    digest = ReadDigest(head(CHECK, SHA256="x"), in_order=True)

    with pytest.raises(ValueError, match="next"):
        digest.add(5, CHECK[5:])


def test_an_object_without_checksums_is_not_judged() -> None:
    verify_whole(head(CHECK), b"something else", "s3://b/k")


def test_an_empty_object_has_the_crc_zero() -> None:
    verify_whole(head(b"", CRC64NVME=encode_crc(0)), b"", "s3://b/k")
