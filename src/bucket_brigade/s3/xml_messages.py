"""The small XML documents of S3: errors, receipts, and the bodies of DeleteObjects and CompleteMultipartUpload."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from bucket_brigade.s3.xml_tree import Element, MalformedXml, is_in_utf8, parse_document

_UNSAFE = re.compile("[\x00-\x1f\ud800-\udfff\ufffe\uffff]").search


class ErrorMessage(NamedTuple):
    """What an ``<Error>`` document says; fields it does not have are empty."""

    code: str
    message: str
    request_id: str
    region: str
    endpoint: str


def parse_error(document: bytes) -> ErrorMessage | None:
    """Return the error that the document is, None where it is anything else (HTML of a proxy, nothing, a receipt)."""
    if b"<Error" not in document and b":Error" not in document:
        return None
    try:
        root = parse_document(document)
    except MalformedXml:
        return None
    return _error(root) if root.tag == "Error" else None


def _error(root: Element) -> ErrorMessage:
    fields = (root.get(name).strip() for name in ("Code", "Message", "RequestId", "Region", "Endpoint"))
    return ErrorMessage(*fields)


_RECEIPT = re.compile(
    rb"\s*(?:<\?xml version=\"1\.0\"(?: encoding=\"UTF-8\")?\?>\s*)?"
    rb"<(?P<result>Copy(?:Object|Part)Result)(?: xmlns=\"[!#-%'-;=?-~]*\")?>"
    rb"(?:<(?P<other>LastModified|ChecksumType)>[ -%'-;=?-~]*</(?P=other)>)*+"
    rb"<ETag>(?P<etag>(?:[ -%'-;=?-~]|&quot;|&#34;)*+)</ETag>"
    rb"(?:<(?P<behind>LastModified|ChecksumType)>[ -%'-;=?-~]*</(?P=behind)>)*+"
    rb"(?:<ChecksumCRC64NVME>(?P<crc>[ -%'-;=?-~]*)</ChecksumCRC64NVME>)?+"
    rb"(?:<(?P<last>LastModified|ChecksumType)>[ -%'-;=?-~]*</(?P=last)>)*+</(?P=result)>\s*"
).fullmatch
"""Text is visible ASCII without ``&``, ``<`` and ``>``."""


class Receipt(NamedTuple):
    """What the document of an answer to a copy says; ``crc`` is empty where it says none."""

    result: str
    etag: str
    crc: str


def usual_receipt(document: bytes | bytearray) -> Receipt | None:
    """Return what the answer to a copy says where it has the usual shape, None for any other (an ``<Error>`` too)."""
    match = _RECEIPT(document)
    if match is None:
        return None
    result, etag, crc = match.group("result", "etag", "crc")
    return Receipt(
        result.decode(),
        etag.replace(b"&quot;", b'"').replace(b"&#34;", b'"').decode("latin-1"),
        (crc or b"").decode("latin-1"),
    )


# --- bodies of requests ------------------------------------------------------------------------------------------------


class Rows(NamedTuple):
    """A request body that is a list, taken from one that botocore wrote: what is before, between and after the entries.

    ``rows`` has one template for each set of fields that an entry can have, with ``%s`` for the fields in their order.
    """

    before: str
    rows: tuple[str, ...]
    after: str

    def body(self, entries: Iterable[str]) -> bytes:
        """Return the document with these filled-in rows."""
        return (self.before + "".join(entries) + self.after).encode()

    def body_of_keys(self, keys: Iterable[str]) -> bytes:
        """Return the document of rows that have nothing but a key: all are escaped at once, with a NUL between them."""
        opening, closing = (self.rows[0] % "\0").split("\0")
        rows = escape("\0".join(keys)).replace("\0", closing + opening)
        return (self.before + opening + rows + closing + self.after).encode()


def rows_of(body: bytes, tag: str, placeholders: tuple[str, ...]) -> Rows:
    """Cut a body that botocore wrote at its ``<tag>`` entries; each placeholder in an entry becomes a ``%s``.

    Every entry must have its placeholders in the order of ``placeholders``; those it lacks are simply not in its template.
    Raises ValueError where the body is not of that shape.
    """
    text = body.decode()
    found = list(re.finditer(f"<{tag}>.*?</{tag}>", text))
    if not found or any(before.end() != after.start() for before, after in pairwise(found)):
        message = f"the body is no list of {tag}"
        raise ValueError(message)
    rows: list[str] = []
    for entry in found:
        row = entry.group().replace("%", "%%")
        places = [row.find(placeholder) for placeholder in placeholders if placeholder in row]
        if places != sorted(places) or any(row.count(placeholder) > 1 for placeholder in placeholders):
            message = f"the fields of a {tag} are in another order"
            raise ValueError(message)
        for placeholder in placeholders:
            row = row.replace(placeholder, "%s")
        rows.append(row)
    return Rows(text[: found[0].start()], tuple(rows), text[found[-1].end() :])


def escape(text: str) -> str:
    """Return the text as botocore escapes it in the body of DeleteObjects, line ends included."""
    if "&" in text:
        text = text.replace("&", "&amp;")
    if "<" in text or ">" in text:
        text = text.replace("<", "&lt;").replace(">", "&gt;")
    if "\r" in text or "\n" in text:
        text = text.replace("\r", "&#xD;").replace("\n", "&#xA;")
    return text


def fits_xml(key: str) -> bool:
    """Tell whether XML 1.0 can carry the key (or several, joined), and a careless writer leaves it as it is (CR, LF, TAB)."""
    return key.isprintable() or not _UNSAFE(key)  # what is printable is safe, and three times as fast to tell


# --- answers -----------------------------------------------------------------------------------------------------------


_DELETED = re.compile(
    "<Deleted>(?:<Key>([^<]*)</Key>)(?:<VersionId>([^<]*)</VersionId>)?"
    "(?:<DeleteMarker>[^<]*</DeleteMarker>)?(?:<DeleteMarkerVersionId>[^<]*</DeleteMarkerVersionId>)?</Deleted>"
)

Entries = list[dict[str, str]]


def delete_lists(document: bytes) -> tuple[Entries, Entries]:
    """Return the entries of a DeleteResult: what was deleted, and what was refused, each a dictionary of its fields.

    Raises MalformedXml.
    """
    swept = _swept_deleted(document)
    if swept is not None:
        return swept, []
    root = parse_document(document)
    if root.tag != "DeleteResult":
        message = f"the answer is a {root.tag[:40]}, no DeleteResult"
        raise MalformedXml(message)
    deleted, refused = (
        [{field.tag: field.text for field in reversed(entry.children)} for entry in root.all(tag)]
        for tag in ("Deleted", "Error")
    )
    return deleted, refused


def deleted_keys(document: bytes) -> frozenset[str]:
    """Return the keys that a DeleteResult calls deleted, where all went well and nothing needs decoding; else none."""
    try:
        entries = _plain_entries(document) or ""
    except MalformedXml:
        return frozenset()
    opening, closing = "<Deleted><Key>", "</Key></Deleted>"
    keys = entries.removeprefix(opening).removesuffix(closing).split(closing + opening)
    is_plain = entries.startswith(opening) and entries.endswith(closing) and "<" not in "".join(keys)
    return frozenset(keys) if is_plain else frozenset()


def _swept_deleted(document: bytes) -> Entries | None:
    """Return the entries where all went well and no text needs decoding, as nearly always; else None."""
    entries = _plain_entries(document)
    if entries is None or _DELETED.sub("", entries):
        return None
    return [{"Key": key, "VersionId": version} for key, version in _DELETED.findall(entries)]


def _plain_entries(document: bytes) -> str | None:
    """Return what stands between the first ``<Deleted>`` and the last ``</Deleted>``, None where it needs decoding.

    What is around it is read by expat: nothing else may stand there. Raises MalformedXml where it is no XML.
    """
    if b"&" in document or b"\r" in document:
        return None
    try:
        text = document.decode()
    except UnicodeDecodeError:
        return None
    first, end = text.find("<Deleted>"), text.rfind("</Deleted>") + len("</Deleted>")
    if first < 0 or not is_in_utf8(text):
        return None
    root = parse_document((text[:first] + "<Deleted/>" + text[end:]).encode())
    return (
        text[first:end] if [root.tag, *(child.tag for child in root.children)] == ["DeleteResult", "Deleted"] else None
    )
