"""Pages of ListObjectVersions, in the order of the document: it is the only thing that tells two versions of one second apart.

botocore gives versions and delete markers as two lists, and S3's times have a resolution of a second. So both adapters read
the document here: one sweep of compiled patterns for the usual shape, expat for any other.
"""

from __future__ import annotations

import re
from itertools import pairwise

from bucket_brigade.s3.store import ListedVersion, VersionPage
from bucket_brigade.s3.urls import decode_key
from bucket_brigade.s3.xml_listing import iso_to_ns, quoted, size_of
from bucket_brigade.s3.xml_tree import Element, MalformedXml, is_in_utf8, parse_document

_OWNER = r"<Owner>(?:<ID>[^<]*</ID>|<DisplayName>[^<]*</DisplayName>|<DisplayName ?/>)*</Owner>"
_CHECKSUMS = "(?:<ChecksumAlgorithm>[^<]*</ChecksumAlgorithm>)*(?:<ChecksumType>[^<]*</ChecksumType>)?"
_IN_USUAL_ORDER = re.compile(
    r"<(Version|DeleteMarker)><Key>([^<]*)</Key><VersionId>([^<]*)</VersionId><IsLatest>(true|false)</IsLatest>"
    r"<LastModified>([^<]*)</LastModified>(?:<ETag>([^<]*)</ETag>" + _CHECKSUMS + r"<Size>([0-9]+)</Size>)?"
    r"(?:<StorageClass>([^<]*)</StorageClass>)?(?:" + _OWNER + r")?</\1>"
)
_IN_ANY_ORDER = re.compile(r"<(Version|DeleteMarker)>((?:<([A-Za-z]+)>[^<]*</\3>|" + _OWNER + r")*)</\1>")
_FIELD = re.compile(r"<(Key|VersionId|IsLatest|LastModified|ETag|Size|StorageClass)>([^<]*)</\1>")
_FIELDS = ("Key", "VersionId", "IsLatest", "LastModified", "ETag", "Size", "StorageClass")
_TOPS = ("EncodingType", "IsTruncated", "NextKeyMarker", "NextVersionIdMarker")
_ROOTS = frozenset({"ListVersionsResult", "ListBucketVersionsResult"})
_MARKER = "DeleteMarker"
_KINDS = ("Version", _MARKER)


def parse_version_page(document: bytes) -> VersionPage:
    """Return the page. Keys are decoded where the answer says that they are encoded (``EncodingType``).

    Raises MalformedXml where the document is no complete listing, or says that more follows without saying where.
    """
    try:
        page = _swept(document)
        return page if page is not None else _parsed(parse_document(document))
    except MalformedXml:
        raise
    except (ValueError, KeyError) as exc:
        message = "an entry of the listing has no key, no size or no date"
        raise MalformedXml(message) from exc


def _swept(document: bytes) -> VersionPage | None:
    """Return the page, None where its entries do not stand in one row, in the usual shape.

    They are read by a pattern. The rest is read by expat, with an empty entry in their place, as in ``s3.xml_listing``.
    """
    try:
        text = document.decode()
    except UnicodeDecodeError:
        return None
    first = min((at for at in (text.find(f"<{kind}>") for kind in _KINDS) if at >= 0), default=-1)
    if first < 0 or "\r" in text or not is_in_utf8(text):
        return None
    end = max(text.rfind(f"</{kind}>") + len(f"</{kind}>") for kind in _KINDS)
    entries = text[first:end].replace("&quot;", '"').replace("&#34;", '"')
    root = parse_document((text[:first] + "<Version/>" + text[end:]).encode())
    if "&" in entries or sum(child.tag in _KINDS for child in root.children) != 1:
        return None
    top = _top(root)
    encoded = top["EncodingType"].strip() == "url"
    rows = _IN_USUAL_ORDER.findall(entries)
    if _in_a_row(entries, len(rows)):
        versions = [_listed(row, decode_key(row[1], encoded)) for row in rows]
    else:
        found = _IN_ANY_ORDER.findall(entries)
        if not _in_a_row(entries, len(found)):
            return None
        versions = [_version(kind, dict(reversed(_FIELD.findall(fields))), encoded) for kind, fields, _ in found]
    return VersionPage(in_order(versions), _next_markers(top, encoded))


def _in_a_row(entries: str, count: int) -> bool:
    """Tell whether so many entries, each found by a pattern, are all there is."""
    return (
        sum(entries.count(f"{kind}>") for kind in _KINDS) == 2 * count
        and sum(entries.count(f"</{one}><{other}>") for one in _KINDS for other in _KINDS) == count - 1
    )


def _listed(row: tuple[str, ...], key: str) -> ListedVersion:
    kind, _, version_id, is_latest, modified, etag, size, storage_class = row
    return ListedVersion(
        key,
        version_id or "null",
        is_latest == "true",
        kind == _MARKER,
        0 if kind == _MARKER else int(size),
        quoted(etag),
        iso_to_ns(modified),
        storage_class or ("" if kind == _MARKER else "STANDARD"),
    )


def _parsed(root: Element) -> VersionPage:
    top = _top(root)
    encoded = top["EncodingType"].strip() == "url"
    versions = [_version(one.tag, _fields(one), encoded) for one in root.children if one.tag in _KINDS]
    return VersionPage(in_order(versions), _next_markers(top, encoded))


def _top(root: Element) -> dict[str, str]:
    if root.tag not in _ROOTS:
        message = f"the answer is a {root.tag[:40]}, no listing of versions"
        raise MalformedXml(message)
    return {name: root.get(name) for name in _TOPS}


def _fields(entry: Element) -> dict[str, str]:
    return {field.tag: field.text for field in reversed(entry.children) if field.tag in _FIELDS}


def _version(kind: str, fields: dict[str, str], encoded: bool) -> ListedVersion:
    is_marker = kind == _MARKER
    return ListedVersion(
        decode_key(fields["Key"], encoded),
        fields.get("VersionId", "").strip() or "null",
        fields.get("IsLatest", "").strip() == "true",
        is_marker,
        0 if is_marker else size_of(fields["Size"].strip()),
        quoted(fields.get("ETag", "").strip()),
        iso_to_ns(fields["LastModified"].strip()),
        fields.get("StorageClass", "").strip() or ("" if is_marker else "STANDARD"),
    )


def _next_markers(top: dict[str, str], encoded: bool) -> tuple[str, str] | None:
    stated = top["IsTruncated"].strip().lower()
    key = decode_key(top["NextKeyMarker"], encoded)
    if stated == "false" or not (stated or key):
        return None
    if stated != "true" or not key:
        message = "the listing is cut off without a marker to go on with"
        raise MalformedXml(message)
    return key, top["NextVersionIdMarker"].strip()


def in_order(versions: list[ListedVersion]) -> list[ListedVersion]:
    """Return a page in S3's order: keys in theirs, the versions of each from the newest to the oldest.

    That is the order of the document, but from stores (moto) that write all versions of a page before all its markers;
    of theirs the times decide, so that what they made within one tick of their clock cannot be told apart.
    """
    kinds = [one.is_delete_marker for one in versions]
    if kinds != sorted(kinds) or kinds[:1] == kinds[-1:] or _is_in_order(versions):
        return versions
    return sorted(versions, key=lambda one: (_bytes(one.key), not one.is_latest, -one.modified_ns))


def _is_in_order(versions: list[ListedVersion]) -> bool:
    for newer, older in pairwise(versions):
        if newer.key == older.key:
            if older.is_latest or older.modified_ns > newer.modified_ns:
                return False
        elif _bytes(newer.key) > _bytes(older.key):
            return False
    return True


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")
