"""Pages of ListObjectVersions, in the order of the document: it is the only thing that tells two versions of one second apart.

botocore gives versions and delete markers as two lists, and S3's times have a resolution of a second. So both adapters read
the document here: one sweep of compiled patterns for the usual shape, expat for any other.
"""

from __future__ import annotations

import re
from itertools import pairwise

from bucket_brigade.s3.store import ListedVersion, VersionPage
from bucket_brigade.s3.urls import decode_key
from bucket_brigade.s3.xml_listing import iso_to_ns, quoted
from bucket_brigade.s3.xml_tree import Element, MalformedXml, parse_document

_CHECKSUMS = r"(?:<Checksum(?:Algorithm|Type)>[^<]*</Checksum(?:Algorithm|Type)>)*"
_IN_USUAL_ORDER = re.compile(
    r"<(?:Version|(DeleteMarker))><Key>([^<]*)</Key><VersionId>([^<]*)</VersionId><IsLatest>(true|false)</IsLatest>"
    r"<LastModified>([^<]*)</LastModified>(?:<ETag>([^<]*)</ETag>" + _CHECKSUMS + r"<Size>([0-9]+)</Size>)?"
    r"(?:<StorageClass>([^<]*)</StorageClass>)?"
    r"(?:<Owner>(?:<(?:ID|DisplayName)>[^<]*</(?:ID|DisplayName)>|<DisplayName ?/>)*</Owner>)?</(?:Version|DeleteMarker)>"
)
_ENTRY = re.compile(r"<(Version|DeleteMarker)>(.*?)</\1>", re.DOTALL)
_FIELD = re.compile(r"<(Key|VersionId|IsLatest|LastModified|ETag|Size|StorageClass)>([^<]*)</")
_TOP = re.compile(r"<(EncodingType|IsTruncated|NextKeyMarker|NextVersionIdMarker)>([^<]*)</")
_FIELDS = ("Key", "VersionId", "IsLatest", "LastModified", "ETag", "Size", "StorageClass")
_TOPS = ("EncodingType", "IsTruncated", "NextKeyMarker", "NextVersionIdMarker")
_ROOTS = frozenset({"ListVersionsResult", "ListBucketVersionsResult"})
_MARKER = "DeleteMarker"
_ENDS = ("</ListVersionsResult>", "</ListBucketVersionsResult>")

_Entry = tuple[str, dict[str, str]]


def parse_version_page(document: bytes) -> VersionPage:
    """Return the page. Keys are decoded where the answer says that they are encoded (``EncodingType``).

    Raises MalformedXml where the document is no complete listing, or says that more follows without saying where.
    """
    try:
        page = _swept(document)
        return page if page is not None else _page(*_parsed(document))
    except MalformedXml:
        raise
    except (ValueError, KeyError) as exc:
        message = "an entry of the listing has no key, no size or no date"
        raise MalformedXml(message) from exc


def _page(entries: list[_Entry], top: dict[str, str]) -> VersionPage:
    encoded = top.get("EncodingType", "").strip() == "url"
    return VersionPage(
        in_order([_version(kind, fields, encoded) for kind, fields in entries]), _next_markers(top, encoded)
    )


def _swept(document: bytes) -> VersionPage | None:
    """Return the page, None where the shape is not the usual one. Only CDATA and comments hide a ``<``."""
    try:
        text = document.decode().replace("&quot;", '"').replace("&#34;", '"')
    except UnicodeDecodeError:
        return None
    if "<!" in text or "&" in text or not text.rstrip().endswith(_ENDS):
        return None
    count = text.count("</Version>") + text.count(f"</{_MARKER}>")
    rows = _IN_USUAL_ORDER.findall(text)
    if len(rows) == count:
        top = dict(_TOP.findall(_IN_USUAL_ORDER.sub("", text)))
        if "IsTruncated" not in top:
            return None
        encoded = top.get("EncodingType", "").strip() == "url"
        decode = decode_key if encoded else str
        return VersionPage(in_order([_listed(row, decode(row[1])) for row in rows]), _next_markers(top, encoded))
    entries = [(found[1], dict(_FIELD.findall(found[2]))) for found in _ENTRY.finditer(text)]
    top = dict(_TOP.findall(_ENTRY.sub("", text)))
    return _page(entries, top) if len(entries) == count and "IsTruncated" in top else None


def _listed(row: tuple[str, ...], key: str) -> ListedVersion:
    marker, _, version_id, is_latest, modified, etag, size, storage_class = row
    return ListedVersion(
        key,
        version_id or "null",
        is_latest == "true",
        bool(marker),
        0 if marker else int(size),
        quoted(etag),
        iso_to_ns(modified),
        storage_class or ("" if marker else "STANDARD"),
    )


def _parsed(document: bytes) -> tuple[list[_Entry], dict[str, str]]:
    root = parse_document(document)
    if root.tag not in _ROOTS:
        message = f"the answer is a {root.tag[:40]}, no listing of versions"
        raise MalformedXml(message)
    entries = [(one.tag, _fields(one)) for one in root.children if one.tag in ("Version", _MARKER)]
    return entries, {name: root.get(name) for name in _TOPS}


def _fields(entry: Element) -> dict[str, str]:
    return {field.tag: field.text for field in entry.children if field.tag in _FIELDS}


def _version(kind: str, fields: dict[str, str], encoded: bool) -> ListedVersion:
    is_marker = kind == _MARKER
    return ListedVersion(
        decode_key(fields["Key"], encoded),
        fields.get("VersionId", "").strip() or "null",
        fields.get("IsLatest", "").strip() == "true",
        is_marker,
        0 if is_marker else int(fields["Size"]),
        quoted(fields.get("ETag", "").strip()),
        iso_to_ns(fields["LastModified"].strip()),
        fields.get("StorageClass", "").strip() or ("" if is_marker else "STANDARD"),
    )


def _next_markers(top: dict[str, str], encoded: bool) -> tuple[str, str] | None:
    if top.get("IsTruncated", "").strip().lower() != "true":
        return None
    key = decode_key(top.get("NextKeyMarker", ""), encoded)
    if not key:
        message = "the listing is cut off without a marker to go on with"
        raise MalformedXml(message)
    return key, top.get("NextVersionIdMarker", "").strip()


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
