"""Pages of versions: the order of the document is kept, sweep and expat read the same, and damage is never an end."""

from __future__ import annotations

from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bucket_brigade.s3.store import ListedVersion, VersionPage
from bucket_brigade.s3.xml_tree import MalformedXml
from bucket_brigade.s3.xml_versions import in_order, parse_version_page

SECOND = 1_795_350_663_000_000_000
AWS = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>Version</Prefix>'
    "<KeyMarker></KeyMarker><VersionIdMarker></VersionIdMarker><NextKeyMarker>a+b%2B</NextKeyMarker>"
    "<NextVersionIdMarker>null</NextVersionIdMarker><MaxKeys>3</MaxKeys><EncodingType>url</EncodingType>"
    "<IsTruncated>true</IsTruncated>"
    "<DeleteMarker><Key>a+b%2B</Key><VersionId>m1</VersionId><IsLatest>true</IsLatest>"
    "<LastModified>2026-11-22T12:31:03.000Z</LastModified><Owner><ID>1</ID></Owner></DeleteMarker>"
    "<Version><Key>a+b%2B</Key><VersionId>v2</VersionId><IsLatest>false</IsLatest>"
    "<LastModified>2026-11-22T12:31:03.000Z</LastModified><ETag>&quot;e2&quot;</ETag>"
    "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><Size>2</Size><StorageClass>GLACIER</StorageClass>"
    "<Owner><ID>1</ID><DisplayName>d</DisplayName></Owner></Version>"
    "<Version><Key>a+b%2B</Key><VersionId>null</VersionId><IsLatest>false</IsLatest>"
    "<LastModified>2026-11-22T12:31:03.000Z</LastModified><ETag>e1</ETag><Size>1</Size></Version>"
    "</ListVersionsResult>"
)
EXPECTED = VersionPage(
    [
        ListedVersion("a b+", "m1", True, True, 0, "", SECOND, ""),
        ListedVersion("a b+", "v2", False, False, 2, '"e2"', SECOND, "GLACIER"),
        ListedVersion("a b+", "null", False, False, 1, '"e1"', SECOND, "STANDARD"),
    ],
    ("a b+", "null"),
)


def for_expat(document: str) -> bytes:
    """Return the same document in a shape that the sweep leaves to expat."""
    return document.replace("<Key>", "<!-- --><Key>").encode()


def test_page_of_aws_is_read_by_the_sweep_and_by_expat() -> None:
    assert parse_version_page(AWS.encode()) == EXPECTED
    assert parse_version_page(for_expat(AWS)) == EXPECTED
    assert parse_version_page(AWS.replace("><", ">\n  <").encode()) == EXPECTED


names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8)


@given(
    entries=st.lists(st.tuples(names, st.booleans(), st.integers(0, 3), st.integers(0, 9))),
    encoded=st.booleans(),
    more=st.booleans(),
)
def test_sweep_and_expat_agree(entries: list[tuple[str, bool, int, int]], encoded: bool, more: bool) -> None:
    def written(name: str) -> str:
        return quote_plus(name) if encoded else escape(name)

    document = "<ListVersionsResult><Name>b</Name>" + "<EncodingType>url</EncodingType>" * encoded
    document += f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>"
    document += f"<NextKeyMarker>{written('marker é')}</NextKeyMarker>" * more
    for number, (name, is_marker, second, size) in enumerate(entries):
        tag = "DeleteMarker" if is_marker else "Version"
        document += f"<{tag}><Key>{written(name)}</Key><VersionId>v{number}</VersionId><IsLatest>false</IsLatest>"
        document += f"<LastModified>2026-11-22T12:31:0{second}.000Z</LastModified>"
        document += "" if is_marker else f"<ETag>&quot;e&quot;</ETag><Size>{size}</Size>"
        document += f"</{tag}>"
    document += "</ListVersionsResult>"
    page = parse_version_page(document.encode())
    assert page == parse_version_page(for_expat(document))
    assert sorted((one.key, one.is_delete_marker) for one in page.versions) == sorted(
        (name, is_marker) for name, is_marker, _, _ in entries
    )
    assert page.next_markers == (("marker é", "") if more else None)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: "<html><body>200 OK</body></html>",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("<Size>2</Size>", ""),
        lambda text: text.replace("<Key>a+b%2B</Key>", "", 1),
        lambda text: text.replace("2026-11-22T12:31:03.000Z", "yesterday", 1),
        lambda text: text.replace("<NextKeyMarker>a+b%2B</NextKeyMarker>", ""),
        lambda text: text.replace("ListVersionsResult", "ListBucketResult"),
    ],
)
def test_damage_is_never_read_as_a_listing(damage: object) -> None:
    with pytest.raises(MalformedXml):
        parse_version_page(damage(AWS).encode())  # type: ignore[operator]


def version(key: str, number: int, *, is_latest: bool = False, is_marker: bool = False, at: int = 0) -> ListedVersion:
    return ListedVersion(key, f"v{number}", is_latest, is_marker, 0, "", at)


def test_the_order_of_a_document_is_kept_whatever_its_times() -> None:
    """A clock of the store that ran backwards does not turn a history round."""
    skewed = [
        version("a", 3, is_latest=True, at=5),
        version("a", 2, is_marker=True, at=9),
        version("a", 1, at=1),
        version("b", 1, is_latest=True),
    ]
    assert in_order(skewed) == skewed


def test_markers_behind_all_versions_are_put_where_their_times_say() -> None:
    a3, a1, b1 = version("a", 3, at=3), version("a", 1, at=1), version("b", 1, is_latest=True, at=1)
    a4 = version("a", 4, is_latest=True, is_marker=True, at=4)
    a2 = version("a", 2, is_marker=True, at=2)
    assert in_order([a3, a1, b1, a4, a2]) == [a4, a3, a2, a1, b1]


def test_markers_that_really_are_the_oldest_stay_where_they_are() -> None:
    history = [version("a", 2, is_latest=True, at=2), version("a", 1, is_marker=True, at=2)]
    assert in_order(history) == history
