"""Listing pages: the sweep and expat read the same, and damage is never read as a listing."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucket_brigade.s3.store import ListedObject, ListPage
from bucket_brigade.s3.xml_listing import http_date_to_ns, iso_to_ns, parse_page
from bucket_brigade.s3.xml_tree import MalformedXml

AWS = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix></Prefix>'
    "<KeyCount>2</KeyCount><MaxKeys>2</MaxKeys><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
    "<NextContinuationToken>1/a+b=&amp;</NextContinuationToken>"
    "<Contents><Key>a+b%2Bc%25/%C3%A9</Key><LastModified>2026-11-22T12:31:03.000Z</LastModified>"
    "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>"
    "<ChecksumType>FULL_OBJECT</ChecksumType><Size>7</Size><Owner><ID>1</ID><DisplayName>d</DisplayName></Owner>"
    "<StorageClass>GLACIER</StorageClass></Contents>"
    "<Contents><Key>z</Key><LastModified>1970-01-01T00:00:00Z</LastModified><ETag>bare</ETag><Size>0</Size></Contents>"
    "<CommonPrefixes><Prefix>p+q/</Prefix></CommonPrefixes></ListBucketResult>"
)
EXPECTED = ListPage(
    [
        ListedObject("a b+c%/é", 7, '"d41d8cd98f00b204e9800998ecf8427e"', 1_795_350_663_000_000_000, "GLACIER"),
        ListedObject("z", 0, '"bare"', 0, "STANDARD"),
    ],
    ["p q/"],
    "1/a+b=&",
)


def for_expat(document: str) -> bytes:
    """Return the same document in a shape that the sweep leaves to expat."""
    return document.replace("<Key>", "<!-- --><Key>").encode()


def test_page_of_aws_is_read_by_the_sweep_and_by_expat() -> None:
    assert parse_page(AWS.encode()) == EXPECTED
    assert parse_page(for_expat(AWS)) == EXPECTED
    assert parse_page(AWS.replace("><", ">\n  <").encode()) == EXPECTED


def test_keys_are_taken_as_they_are_where_the_store_does_not_encode() -> None:
    plain = AWS.replace("<EncodingType>url</EncodingType>", "")
    for document in (plain.encode(), for_expat(plain)):
        page = parse_page(document)
        assert page.objects[0].key == "a+b%2Bc%25/%C3%A9"
        assert page.prefixes == ["p+q/"]


def test_bytes_that_are_no_utf8_come_back_as_surrogates() -> None:
    page = parse_page(AWS.replace("%C3%A9", "%FF").encode())
    assert page.objects[0].key.encode("utf-8", "surrogateescape").endswith(b"\xff")


def test_empty_page() -> None:
    page = parse_page(b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
    assert page == ListPage([], [], None)


def test_last_page_has_no_token_even_where_the_store_names_one() -> None:
    assert parse_page(AWS.replace("<IsTruncated>true", "<IsTruncated>false").encode()).next_token is None


@pytest.mark.parametrize(
    "document",
    [
        "",
        "<html><body>Welcome</body></html>",
        "<Error><Code>SlowDown</Code></Error>",
        AWS.replace("<NextContinuationToken>1/a+b=&amp;</NextContinuationToken>", ""),
        AWS.replace("<Size>7</Size>", ""),
        AWS.replace("<Size>7</Size>", "<Size>-</Size>"),
        AWS.replace("2026-11-22T12:31:03.000Z", "yesterday"),
        AWS.replace("2026-11-22", "2026-13-22"),
        AWS.replace("1/a+b=&amp;", "1/a+b=&#xD800;"),
        AWS.replace("1/a+b=&amp;", "1/a+b=&unknown;"),
        '<!DOCTYPE x [<!ENTITY a "b">]>' + AWS[AWS.index("<List") :],
    ],
)
def test_what_is_no_whole_listing_is_refused(document: str) -> None:
    for encoded in (document.encode(), for_expat(document)):
        with pytest.raises(MalformedXml):
            parse_page(encoded)


def test_page_cut_anywhere_is_refused() -> None:
    document = AWS.encode()
    for end in range(len(document)):
        with pytest.raises(MalformedXml):
            parse_page(document[:end])


entries = st.lists(
    st.tuples(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
        st.integers(0, 2**46),
        st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001
        st.sampled_from(["STANDARD", "GLACIER", ""]),
        st.booleans(),
    ),
    max_size=5,
)


def page_of(rows: list[tuple[str, int, datetime, str, bool]], prefixes: list[str], token: str) -> str:
    parts = ["<ListBucketResult><EncodingType>url</EncodingType>"]
    for key, size, modified, storage_class, with_owner in rows:
        parts.append(f"<Contents><Key>{escape(quote_plus(key, safe='/'))}</Key>")
        parts.append(
            f"<LastModified>{modified.isoformat(timespec='milliseconds')}Z</LastModified><ETag>&#34;x&#34;</ETag>"
        )
        parts.append(f"<Size>{size}</Size>" + ("<Owner><ID>i</ID></Owner>" if with_owner else ""))
        parts.append(f"<StorageClass>{storage_class}</StorageClass></Contents>" if storage_class else "</Contents>")
    parts += [f"<CommonPrefixes><Prefix>{escape(quote_plus(one))}</Prefix></CommonPrefixes>" for one in prefixes]
    parts.append(f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>")
    parts.append(f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token else "")
    return "".join(parts) + "</ListBucketResult>"


@given(
    entries,
    st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9), max_size=3),
    st.text("ab<&>=/ ", max_size=9),
)
def test_what_a_store_wrote_is_what_is_read(
    rows: list[tuple[str, int, datetime, str, bool]], prefixes: list[str], token: str
) -> None:
    token = token.strip()
    document = page_of(rows, prefixes, token)
    page = parse_page(document.encode())
    assert [(one.key, one.size, one.etag, one.storage_class) for one in page.objects] == [
        (key, size, '"x"', storage_class or "STANDARD") for key, size, _, storage_class, _ in rows
    ]
    for one, (_, _, modified, _, _) in zip(page.objects, rows, strict=True):
        expected = modified.replace(tzinfo=UTC, microsecond=modified.microsecond // 1000 * 1000)
        assert one.modified_ns == round(expected.timestamp() * 1000) * 1_000_000
    assert (page.prefixes, page.next_token) == (prefixes, token or None)
    assert parse_page(for_expat(document)) == page


@given(entries, st.integers(0, 2000), st.integers(1, 255))
def test_damage_is_refused_or_read_as_expat_reads_it(
    rows: list[tuple[str, int, datetime, str, bool]], at: int, flip: int
) -> None:
    document = bytearray(page_of(rows, ["p/"], "t").encode())
    document[at % len(document)] ^= flip
    with contextlib.suppress(MalformedXml):
        page = parse_page(bytes(document))
        assert parse_page(bytes(document).replace(b"<Key>", b"<!-- --><Key>")) == page


def test_dates() -> None:
    assert iso_to_ns("2026-11-22T12:31:03.123456789Z") == 1_795_350_663_123_456_789
    assert iso_to_ns("2026-11-22T14:31:03.5+02:00") == iso_to_ns("2026-11-22T12:31:03.5") == 1_795_350_663_500_000_000
    assert http_date_to_ns("Sun, 22 Nov 2026 12:31:03 GMT") == 1_795_350_663_000_000_000
    for nonsense in ("", "yesterday", "Sun, 22 Foo 2026 12:31:03 GMT", "Sun, 99 Nov 2026 12:31:03 GMT"):
        assert http_date_to_ns(nonsense) == 0


def test_usual_entries_are_the_same_by_every_way() -> None:
    entry = (
        "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;{tag}&quot;</ETag>"
        "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>{size}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
    )
    rows = "".join(entry.format(key=f"a%2B{number}", tag=f"e{number}-2", size=number) for number in range(3))
    page = (
        "<ListBucketResult><Name>b</Name><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>{}"
        "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes><NextContinuationToken>t&amp;1</NextContinuationToken></ListBucketResult>"
    )
    usual = parse_page(page.format(rows).encode())
    assert [(one.key, one.etag, one.size) for one in usual.objects] == [(f"a+{n}", f'"e{n}-2"', n) for n in range(3)]
    assert (usual.prefixes, usual.next_token) == (["p/"], "t&1")
    assert parse_page(page.format(rows.replace("&quot;", '"')).encode()) == usual
    assert parse_page(page.format(rows.replace("</Contents><", "</Contents>\n<")).encode()) == usual
    with pytest.raises(MalformedXml):
        parse_page(page.format(rows.replace("</Contents>", "", 1)).encode())
