"""Every reader of S3's documents against Python's DOM and its own dates and quoting: the same, or refused.

The documents are right ones in every shape that stores write, and those with a byte or an element damaged. What XML does not
allow may not be read, and what it says may not be read otherwise: what a listing lacks may be deleted, and what it names is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import quote_plus, unquote_to_bytes
from xml.dom import Node
from xml.dom.expatbuilder import parseString
from xml.dom.minidom import Element
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bucket_brigade.s3.store import ListedObject, ListedVersion, ListPage, VersionPage
from bucket_brigade.s3.xml_listing import parse_page
from bucket_brigade.s3.xml_messages import delete_lists, deleted_keys, usual_receipt
from bucket_brigade.s3.xml_tree import MalformedXml
from bucket_brigade.s3.xml_versions import in_order, parse_version_page

# --- the judge ---------------------------------------------------------------------------------------------------------


class _Refused(Exception):
    pass


def tree(document: bytes) -> Element:
    """Return the root. Raises _Refused for what is no XML, and for a DOCTYPE."""
    try:
        parsed = parseString(document.lstrip(), namespaces=False)
    except (ExpatError, ValueError, LookupError) as exc:
        raise _Refused from exc
    if parsed.doctype is not None:
        raise _Refused
    root: Element = parsed.documentElement
    return root


def children(parent: Element, tag: str) -> list[Element]:
    """Return the children with this tag, whatever its prefix."""
    return [one for one in parent.childNodes if one.nodeType == Node.ELEMENT_NODE and _local(one) == tag]


def text_of(parent: Element, tag: str) -> str:
    """Return the text right inside the first child with this tag."""
    found = children(parent, tag)
    texts = (Node.TEXT_NODE, Node.CDATA_SECTION_NODE)
    return "".join(one.data for one in found[0].childNodes if one.nodeType in texts) if found else ""


def _local(one: Element) -> str:
    return str(one.tagName).rpartition(":")[2]


def judged_page(document: bytes) -> ListPage | None:
    """Return what a listing says, None where it is none."""
    try:
        return _page(tree(document))
    except (_Refused, ValueError, OverflowError):
        return None


def _page(root: Element) -> ListPage:
    if _local(root) != "ListBucketResult":
        raise _Refused
    encoded = text_of(root, "EncodingType").strip() == "url"
    token = text_of(root, "NextContinuationToken")
    stated = text_of(root, "IsTruncated").strip().lower()
    truncated = stated == "true"
    if stated not in ("true", "false", "") or (stated != "false" and truncated != bool(token)):
        raise _Refused
    return ListPage(
        [_object(entry, encoded) for entry in children(root, "Contents")],
        [_key(text_of(entry, "Prefix"), encoded) for entry in children(root, "CommonPrefixes")],
        token if truncated else None,
    )


def _object(entry: Element, encoded: bool) -> ListedObject:
    size = text_of(entry, "Size").strip()
    if not re.fullmatch("[0-9]+", size):
        raise _Refused
    etag = text_of(entry, "ETag").strip()
    return ListedObject(
        _key(text_of(entry, "Key"), encoded),
        int(size),
        etag if not etag or etag.endswith('"') else f'"{etag}"',
        _ns(text_of(entry, "LastModified").strip() or "1970-01-01"),
        text_of(entry, "StorageClass").strip() or "STANDARD",
    )


def _key(text: str, encoded: bool) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "surrogateescape") if encoded else text


def _ns(stated: str) -> int:
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{0,9})?Z", stated):
        whole, _, fraction = stated.removesuffix("Z").partition(".")
        moment = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
        return round(moment.timestamp()) * 10**9 + int(fraction.ljust(9, "0"))
    moment = datetime.fromisoformat(stated)
    if stated[10:11] not in ("", "T", " "):
        raise _Refused
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 10**6) * 1000


STANDING_FOR = {code: chr(0xE000 + code) for code in range(0x20) if chr(code) not in "\t\n\r"}
"""XML has no room for these. A store that writes them in a key all the same, where nothing else is odd, means what it says."""
CONTROLS = {ord(other): chr(code) for code, other in STANDING_FOR.items()}


def agrees(document: bytes) -> bool:
    """Fail where a page is read otherwise than the judge reads it; return whether it was read."""
    try:
        page = parse_page(document)
    except MalformedXml:
        return False
    wanted = judged_page(document.decode().translate(STANDING_FOR).encode())
    assert wanted is not None, f"no listing, but read as one: {document!r}"
    assert [_bare(one) for one in page.objects] == [_bare(one) for one in wanted.objects], document
    assert [one.translate(CONTROLS) for one in wanted.prefixes] == page.prefixes, document
    assert wanted.next_token == page.next_token, document
    return True


def _bare(one: ListedObject) -> ListedObject:
    # White space around an ETag or a class means nothing, and is left as it is by one way and not by the other.
    key, etag, storage_class = (text.translate(CONTROLS) for text in (one.key, one.etag, one.storage_class))
    return ListedObject(key, one.size, etag.strip(" \t\n"), one.modified_ns, storage_class.strip(" \t\n") or "STANDARD")


# --- right pages in every shape ----------------------------------------------------------------------------------------

keys = st.one_of(
    st.text("ab/+%&<>\"'\\ é日🪣\u2028\x85", min_size=1, max_size=12),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12),
    st.sampled_from(["</Key>", "<Contents>", "&amp;", "&quot;", "]]>", "<!--", "%", "%zz", "++", "a" * 1024]),
)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1))  # noqa: DTZ001
entries = st.tuples(
    keys,
    st.integers(0, 2**46),
    moments,
    st.sampled_from(["STANDARD", "GLACIER", ""]),
    st.sampled_from(["0f3a", "0f3a-12", "a&b", ""]),
)
DATES = ("%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.000Z", "%Y-%m-%dT%H:%M:%S+00:00")
QUOTES = ("&quot;", '"', "&#34;", "&#x22;", "")
SHAPES = st.fixed_dictionaries(
    {
        "encoded": st.booleans(),
        "quote": st.sampled_from(QUOTES),
        "date": st.sampled_from(DATES),
        "extras": st.sampled_from(
            [
                "",
                "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>",
                "<Owner><ID>1</ID><DisplayName>d</DisplayName></Owner>",
                "<Owner/>",
                "<Type>Normal</Type>",
                "<Unknown>&lt;Key&gt;x</Unknown>",
                "<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress></RestoreStatus>",
            ]
        ),
        "between": st.sampled_from(["", "", "\n", "\n  ", "<!-- a -->", "<?p i?>"]),
        "head": st.sampled_from(["", '<?xml version="1.0" encoding="UTF-8"?>\n', "\n \n<?xml version='1.0'?>"]),
        "space": st.sampled_from(["", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', " "]),
        "order": st.permutations(range(6)),
        "cdata": st.booleans(),
    }
)


def written(
    shape: dict[str, object], rows: list[tuple[str, int, datetime, str, str]], prefixes: list[str], token: str
) -> bytes:
    """Return a listing as a store of this shape writes it."""
    encoded, between = shape["encoded"], str(shape["between"])

    def named(key: str) -> str:
        if encoded:
            return quote_plus(key, safe="/")
        return f"<![CDATA[{key}]]>" if shape["cdata"] and "]]>" not in key else escape(key)

    document = f"{shape['head']}<ListBucketResult{shape['space']}><Name>b</Name>{between}"
    document += "<EncodingType>url</EncodingType>" if encoded else ""
    document += f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>{between}"
    document += f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token else ""
    for key, size, modified, storage_class, etag in rows:
        quote = str(shape["quote"])
        fields = [
            f"<Key>{named(key)}</Key>",
            f"<LastModified>{modified.strftime(str(shape['date']))}</LastModified>",
            f"<ETag>{quote}{escape(etag)}{quote}</ETag>",
            f"<Size>{size}</Size>",
            f"<StorageClass>{storage_class}</StorageClass>" if storage_class else "",
            str(shape["extras"]),
        ]
        order: list[int] = shape["order"]  # type: ignore[assignment]
        document += f"<Contents>{between.join(fields[at] for at in order)}</Contents>{between}"
    for prefix in prefixes:
        document += f"<CommonPrefixes><Prefix>{named(prefix)}</Prefix></CommonPrefixes>"
    return (document + "</ListBucketResult>\n").encode()


pages = st.builds(
    written, SHAPES, st.lists(entries, max_size=4), st.lists(keys, max_size=2), st.text("ab<&>=/+ ", max_size=9)
)


@settings(max_examples=150)
@given(pages)
def test_right_pages_of_every_shape_are_read_as_they_are(document: bytes) -> None:
    assert agrees(document)


# --- damaged ones ------------------------------------------------------------------------------------------------------

ENTRY = (
    "<Contents><Key>a%2B{0}</Key><LastModified>2026-11-22T12:31:0{0}.000Z</LastModified><ETag>&quot;0f{0}&quot;</ETag>"
    "<ChecksumType>FULL_OBJECT</ChecksumType><Size>1{0}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
AS_S3_WRITES_IT = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
    "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
    f"<NextContinuationToken>1/a+b=</NextContinuationToken>{ENTRY.format(1)}{ENTRY.format(2)}"
    "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListBucketResult>"
).encode()
OTHERS = b'\x00\n\r <>/&;%"!0\x80'


def damaged(document: bytes) -> Iterator[bytes]:
    """Yield the document with every byte lost, doubled, or replaced by others that mean something."""
    for at, byte in enumerate(document):
        yield document[:at] + document[at + 1 :]
        yield document[: at + 1] + document[at:]
        for other in OTHERS:
            if other != byte:
                yield document[:at] + bytes([other]) + document[at + 1 :]


def rearranged(document: bytes) -> Iterator[bytes]:
    """Yield the document with every tag lost, doubled, or exchanged for another one of it, and things between its tags."""
    tags = [match.span() for match in re.finditer(rb"<[^>]*>", document)]
    others = sorted({document[start:end] for start, end in tags})
    others += [
        b"<Contents/>",
        b"<Key/>",
        b"<!-- <Contents> -->",
        b"<![CDATA[<Key>]]>",
        b"<x>",
        b"text",
        b"<Key>k</Key>",
    ]
    others += [
        b"<Size>3</Size>",
        b"<Contents><Key>k</Key></Contents>",
        b"<IsTruncated>false</IsTruncated>",
        b"&lt;",
        b"<?p?>",
    ]
    for start, end in tags:
        yield document[:start] + document[end:]
        yield document[:end] + document[start:]
        for other in others:
            yield document[:start] + other + document[end:]
            yield document[:end] + other + document[end:]


@pytest.mark.parametrize("ways", [damaged, rearranged])
def test_a_damaged_page_is_refused_or_read_as_what_it_says(ways: object) -> None:
    outcomes = [agrees(document) for document in ways(AS_S3_WRITES_IT)]  # type: ignore[operator]
    assert any(outcomes)
    assert not all(outcomes)


# --- versions ----------------------------------------------------------------------------------------------------------

VERSION = (
    "<Version><Key>a%2B</Key><VersionId>v{0}</VersionId><IsLatest>false</IsLatest>"
    "<LastModified>2026-11-22T12:31:0{0}.000Z</LastModified><ETag>&quot;0f{0}&quot;</ETag><Size>1{0}</Size>"
    "<StorageClass>GLACIER</StorageClass></Version>"
)
VERSIONS_IN_ORDER = (
    "<ListVersionsResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextKeyMarker>a%2B</NextKeyMarker>"
    "<NextVersionIdMarker>v2</NextVersionIdMarker><DeleteMarker><Key>a%2B</Key><VersionId>m</VersionId><IsLatest>true</IsLatest>"
    "<LastModified>2026-11-22T12:31:09.000Z</LastModified><Owner><ID>1</ID></Owner></DeleteMarker>"
    f"{VERSION.format(1)}{VERSION.format(2)}</ListVersionsResult>"
).encode()
VERSIONS_IN_ANOTHER_ORDER = VERSIONS_IN_ORDER.replace(b"<VersionId>v2</VersionId>", b"").replace(
    b"<IsLatest>false</IsLatest>", b"<IsLatest>false</IsLatest><VersionId>v2</VersionId>"
)


def judged_versions(document: bytes) -> VersionPage | None:
    """Return what a listing of versions says, None where it is none."""
    try:
        root = tree(document.decode().translate(STANDING_FOR).encode())
        if _local(root) not in ("ListVersionsResult", "ListBucketVersionsResult"):
            return None
        encoded = text_of(root, "EncodingType").strip() == "url"
        stated = text_of(root, "IsTruncated").strip().lower()
        marker = _key(text_of(root, "NextKeyMarker"), encoded), text_of(root, "NextVersionIdMarker").strip()
        if stated not in ("true", "false", "") or (stated != "false" and (stated == "true") != bool(marker[0])):
            return None
        entries = [one for one in root.childNodes if one.nodeType == Node.ELEMENT_NODE]
        versions = [_judged_version(one, encoded) for one in entries if _local(one) in ("Version", "DeleteMarker")]
    except (_Refused, ValueError, OverflowError):
        return None
    return VersionPage(in_order(versions), marker if stated == "true" else None)


def _judged_version(entry: Element, encoded: bool) -> ListedVersion:
    is_marker = _local(entry) == "DeleteMarker"
    size, etag = ("0" if is_marker else text_of(entry, "Size").strip()), text_of(entry, "ETag").strip()
    if not re.fullmatch("[0-9]+", size) or not children(entry, "Key") or not text_of(entry, "LastModified"):
        raise _Refused
    return ListedVersion(
        _key(text_of(entry, "Key"), encoded),
        text_of(entry, "VersionId").strip() or "null",
        text_of(entry, "IsLatest").strip() == "true",
        is_marker,
        int(size),
        etag if not etag or etag.endswith('"') else f'"{etag}"',
        _ns(text_of(entry, "LastModified").strip()),
        text_of(entry, "StorageClass").strip() or ("" if is_marker else "STANDARD"),
    )


def _shown(page: VersionPage) -> tuple[list[list[str]], object]:
    # White space around a field means nothing, and is left as it is by one way and not by the other.
    fields = ListedVersion.__struct_fields__
    rows = [
        [str(getattr(one, name)).translate(CONTROLS).strip(" \t\n") or "null" for name in fields]
        for one in page.versions
    ]
    return rows, page.next_markers


@pytest.mark.parametrize(
    ("versions", "ways"),
    [(VERSIONS_IN_ORDER, damaged), (VERSIONS_IN_ORDER, rearranged), (VERSIONS_IN_ANOTHER_ORDER, rearranged)],
)
def test_a_damaged_page_of_versions_is_refused_or_read_as_what_it_says(versions: bytes, ways: object) -> None:
    for document in (versions, *ways(versions)):  # type: ignore[operator]
        try:
            page = parse_version_page(document)
        except MalformedXml:
            assert document != versions
            continue
        wanted = judged_versions(document)
        assert wanted is not None, document
        assert _shown(page) == _shown(wanted), document


# --- what was deleted, and what was copied ------------------------------------------------------------------------------

DELETED = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<Deleted><Key>a</Key></Deleted><Deleted><Key>\xc3\xa9</Key></Deleted><Deleted><Key>c</Key></Deleted></DeleteResult>"
)
DELETED_VERSIONS = (
    b"<DeleteResult><Deleted><Key>a</Key><VersionId>v</VersionId></Deleted><Deleted><Key>b</Key>"
    b"<DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>m</DeleteMarkerVersionId></Deleted>"
    b"<Error><Key>x</Key><Code>AccessDenied</Code><Message>No</Message></Error></DeleteResult>"
)


def judged_lists(document: bytes) -> tuple[list[dict[str, str]], list[dict[str, str]]] | None:
    """Return the keys and versions that a document calls deleted, and those that it calls refused."""
    try:
        root = tree(document.decode().translate(STANDING_FOR).encode())
    except (_Refused, UnicodeDecodeError):
        return None
    if _local(root) != "DeleteResult":
        return None
    deleted, refused = (
        [_named(*[text_of(one, name) for name in ("Key", "VersionId")]) for one in children(root, tag)]
        for tag in ("Deleted", "Error")
    )
    return deleted, refused


def _named(key: str, version: str) -> dict[str, str]:
    return {"Key": key.translate(CONTROLS), "VersionId": version.translate(CONTROLS)}


@pytest.mark.parametrize(
    "result", [DELETED, DELETED_VERSIONS, DELETED_VERSIONS.split(b"<Error>")[0] + b"</DeleteResult>"]
)
@pytest.mark.parametrize("ways", [damaged, rearranged])
def test_a_damaged_result_of_a_delete_calls_nothing_deleted_that_it_does_not_say(result: bytes, ways: object) -> None:
    for document in (result, *ways(result)):  # type: ignore[operator]
        wanted = judged_lists(document)
        try:
            lists = delete_lists(document)
        except MalformedXml:
            assert document != result
        else:
            found = tuple(
                [_named(one.get("Key", ""), one.get("VersionId", "")) for one in entries] for entries in lists
            )
            assert found == wanted, document
        if told := deleted_keys(document):
            assert wanted is not None, document
            assert (sorted(told), wanted[1]) == (sorted({one["Key"] for one in wanted[0]}), []), document


RECEIPT = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<CopyObjectResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;0f-2&quot;</ETag>"
    b"<ChecksumType>FULL_OBJECT</ChecksumType><ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME></CopyObjectResult>"
)


@pytest.mark.parametrize("ways", [damaged, rearranged])
def test_a_damaged_receipt_is_left_to_the_parser_or_read_as_what_it_says(ways: object) -> None:
    outcomes = []
    for document in ways(RECEIPT):  # type: ignore[operator]
        receipt = usual_receipt(document)
        outcomes.append(receipt is not None)
        if receipt is not None:
            root = tree(document)
            assert receipt == (_local(root), text_of(root, "ETag"), text_of(root, "ChecksumCRC64NVME")), document
    assert any(outcomes)
    assert not all(outcomes)
