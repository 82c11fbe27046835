"""The small XML documents of S3: errors, receipts, and the bodies of DeleteObjects and CompleteMultipartUpload."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from bucket_brigade.s3.store import DeleteError, DeleteKey
from bucket_brigade.s3.xml_tree import Element, MalformedXml, parse_document

NO_ANSWER = DeleteError(code="NoAnswer", message="the store's answer does not mention the key")

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


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
    """Tell whether XML 1.0 can carry the key at all: most control characters cannot be written in it, escaped or not."""
    return _NOT_XML.search(key) is None


# --- answers -----------------------------------------------------------------------------------------------------------


def parse_delete_result(document: bytes, keys: list[DeleteKey]) -> dict[int, DeleteError]:
    """Return the keys that were not deleted, by their position in ``keys``; what is not mentioned is ``NO_ANSWER``.

    An error for a key that was not asked for is ignored: it cannot be told apart from a garbled key, which is then missing
    in the answer. Raises MalformedXml.
    """
    root = parse_document(document)
    if root.tag != "DeleteResult":
        message = f"the answer is a {root.tag[:40]}, no DeleteResult"
        raise MalformedXml(message)
    mentioned: dict[tuple[str, str], DeleteError | None] = {}
    for entry in root.children:
        if entry.tag == "Deleted":
            mentioned.setdefault((entry.get("Key"), entry.get("VersionId")), None)
        elif entry.tag == "Error":
            error = DeleteError(code=entry.get("Code") or "Unknown", message=entry.get("Message"))
            mentioned[(entry.get("Key"), entry.get("VersionId"))] = error
    failed: dict[int, DeleteError] = {}
    for position, key in enumerate(keys):
        error_or_none = _answer_for(key, mentioned)
        if error_or_none is not None and error_or_none.code not in {"NoSuchKey", "NoSuchVersion"}:
            failed[position] = error_or_none
    return failed


def _answer_for(key: DeleteKey, mentioned: dict[tuple[str, str], DeleteError | None]) -> DeleteError | None:
    """Find the answer for one key: of its version, else the one that names no version, which some stores leave out."""
    exact = (key.key, key.version_id or "")
    if exact in mentioned:
        return mentioned[exact]
    if key.version_id is not None:
        # An answer without a version speaks for this one only if it cannot mean another.
        return (
            NO_ANSWER
            if any(name == key.key and version for name, version in mentioned)
            else mentioned.get((key.key, ""), NO_ANSWER)
        )
    # Stores with versioning may name the version they hid, though none was asked for.
    versions = [answer for (name, _), answer in mentioned.items() if name == key.key]
    return versions[0] if len(versions) == 1 else NO_ANSWER
