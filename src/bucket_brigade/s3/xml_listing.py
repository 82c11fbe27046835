"""Pages of ListObjectsV2: one sweep of a compiled pattern for the shape that S3 and most others send, expat for any other."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from bucket_brigade.s3.store import ListedObject, ListPage
from bucket_brigade.s3.urls import decode_key, needs_decoding
from bucket_brigade.s3.xml_tree import Element, MalformedXml, is_in_utf8, parse_document

_OTHERS = (
    r"(?:<Owner>(?:<(?:ID|DisplayName)>[^<]*</(?:ID|DisplayName)>|<DisplayName/>)*</Owner>|<Owner/>"
    r"|<(?P<%s>ChecksumAlgorithm|ChecksumType|Type)>[^<]*</(?P=%s)>)*"
)
_OBJECT = re.compile(
    r"<Contents><Key>(?P<key>[^<]*)</Key><LastModified>(?P<modified>[^<]*)</LastModified><ETag>(?P<etag>[^<]*)</ETag>"
    + _OTHERS % ("a", "a")
    + r"<Size>(?P<size>[0-9]+)</Size>"
    + _OTHERS % ("b", "b")
    + r"(?:<StorageClass>(?P<class>[^<]*)</StorageClass>)?"
    + _OTHERS % ("c", "c")
    + "</Contents>"
)
_USUAL = re.compile(
    "<Contents><Key>([^<]*)</Key><LastModified>([^<]*)</LastModified><ETag>&quot;([^<]*)&quot;</ETag>"
    "(?:<ChecksumAlgorithm>[^<]*</ChecksumAlgorithm>)?(?:<ChecksumType>[^<]*</ChecksumType>)?"
    "<Size>([0-9]+)</Size><StorageClass>([^<]+)</StorageClass></Contents>"
)
"""An entry as S3 itself writes it. Sets of one character are what sre matches fastest: that no field needs decoding is asked
of the page as a whole, whose only ampersands are then those of the ETags' quotes."""
_KEY, _MODIFIED, _ETAG, _SIZE, _CLASS = (
    _OBJECT.groupindex[name] - 1 for name in ("key", "modified", "etag", "size", "class")
)
_PREFIX = re.compile(r"<CommonPrefixes><Prefix>([^<]*)</Prefix></CommonPrefixes>")
_OPENING, _CLOSING = "<Contents>", "</Contents>"
_ENTITY = re.compile(r"&(?:#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6})|(amp|lt|gt|quot|apos));")
_STRAY = re.compile(r"&(?!(?:#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6}|amp|lt|gt|quot|apos);)")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def parse_page(document: bytes) -> ListPage:
    """Return the page. Keys are decoded where the answer says that they are encoded (``EncodingType``).

    Raises MalformedXml where the document is no complete listing, or says that more follows without saying where.
    """
    try:
        page = _swept(document)
        return page if page is not None else _parsed(parse_document(document))
    except MalformedXml:
        raise
    except ValueError as exc:
        message = "an entry of the listing has no size or no date"
        raise MalformedXml(message) from exc


# --- the common shape --------------------------------------------------------------------------------------------------


def _swept(document: bytes) -> ListPage | None:
    """Return the page, None where its shape is not the common one: its entries in one row, one like the other.

    They are read by a pattern. The rest is read by expat, with an empty entry in their place: so it is known that they stand
    where entries do, in a document that is well-formed.
    """
    try:
        text = document.decode()
    except UnicodeDecodeError:
        return None
    first, end = text.find(_OPENING), text.rfind(_CLOSING) + len(_CLOSING)
    if first < 0 or "\r" in text or not is_in_utf8(text):
        return None
    entries = text[first:end]
    around = text[:first] + "<Contents/>" + text[end:]
    prefixes = _PREFIX.findall(around)
    if "&" in around or len(prefixes) != around.count("<CommonPrefixes"):
        prefixes = []
    root = parse_document((_PREFIX.sub("", around) if prefixes else around).encode())
    if sum(child.tag == "Contents" for child in root.children) != 1:
        return None
    root.children = [child for child in root.children if child.tag != "Contents"]
    rest = _parsed(root)
    encoded = root.get("EncodingType").strip() == "url"
    objects = _usual(entries, encoded) or _objects(entries, encoded)
    if objects is None:
        return None
    named = [decode_key(prefix, encoded) for prefix in prefixes]
    return ListPage(objects, named + rest.prefixes, rest.next_token)


def _in_a_row(entries: str, count: int) -> bool:
    """Tell whether so many entries, each found by a pattern, are all there is."""
    return entries.count("Contents>") == 2 * count and entries.count(_CLOSING + _OPENING) == count - 1


def _usual(entries: str, encoded: bool) -> list[ListedObject] | None:
    """Return the objects where all entries are usual, else None."""
    found = _USUAL.findall(entries)
    count = len(found)
    if not count or entries.count("&") != 2 * count or not _in_a_row(entries, count):
        return None
    keys, modified, etags, sizes, classes = zip(*found, strict=True)
    if encoded and needs_decoding("".join(keys)):
        keys = tuple(map(decode_key, keys))
    quoted_etags = [f'"{etag}"' for etag in etags]
    # Column by column: no code of ours runs for each entry, but that for a date of another second than its neighbours.
    return list(map(ListedObject, keys, map(int, sizes), quoted_etags, map(iso_to_ns, modified), classes))


def _objects(entries: str, encoded: bool) -> list[ListedObject] | None:
    """Return the objects where all entries have the fields that S3 knows, in its order, else None."""
    entries = entries.replace("&quot;", '"').replace("&#34;", '"')
    found = _OBJECT.findall(entries)
    if not _in_a_row(entries, len(found)):
        return None
    if "&" in entries:
        if _STRAY.search(entries):
            return None
        found = [tuple(_unescaped(field) for field in row) for row in found]
    return [
        ListedObject(
            decode_key(row[_KEY], encoded),
            int(row[_SIZE]),
            quoted(row[_ETAG]),
            iso_to_ns(row[_MODIFIED]),
            row[_CLASS] or "STANDARD",
        )
        for row in found
    ]


def _unescaped(text: str) -> str:
    return _ENTITY.sub(_entity, text) if "&" in text else text


def _entity(match: re.Match[str]) -> str:
    decimal, hexadecimal, name = match.groups()
    if name:
        return _NAMED[name]
    number = int(decimal) if decimal else int(hexadecimal, 16)
    if number == 0 or number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        message = "a character reference is no character"
        raise MalformedXml(message)
    return chr(number)


def _next_token(truncated: str, token: str) -> str | None:
    if truncated == "false" or not (truncated or token):
        return None
    if truncated != "true" or not token:
        message = "the listing is cut off without a token to go on with"
        raise MalformedXml(message)
    return token


# --- any other shape ---------------------------------------------------------------------------------------------------


def _parsed(root: Element) -> ListPage:
    if root.tag != "ListBucketResult":
        message = f"the answer is a {root.tag[:40]}, no listing"
        raise MalformedXml(message)
    decode = decode_key if root.get("EncodingType").strip() == "url" else str
    objects = [
        ListedObject(
            decode(entry.get("Key")),
            size_of(entry.get("Size").strip()),
            quoted(entry.get("ETag").strip()),
            iso_to_ns(entry.get("LastModified").strip() or "1970-01-01"),
            entry.get("StorageClass").strip() or "STANDARD",
        )
        for entry in root.all("Contents")
    ]
    prefixes = [decode(entry.get("Prefix")) for entry in root.all("CommonPrefixes")]
    return ListPage(
        objects, prefixes, _next_token(root.get("IsTruncated").strip().lower(), root.get("NextContinuationToken"))
    )


def size_of(stated: str) -> int:
    """Return a size of decimal digits. Raises MalformedXml."""
    if not (stated.isascii() and stated.isdecimal()):
        message = "an entry of the listing has no size"
        raise MalformedXml(message)
    return int(stated)


def quoted(etag: str) -> str:
    """Return an ETag with its quotes, which rclone leaves out in listings; empty stays empty."""
    return etag if not etag or etag[-1] == '"' else f'"{etag}"'


# --- dates -------------------------------------------------------------------------------------------------------------

_MINUTE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]").fullmatch
_REST = re.compile(r":([0-5][0-9])(?:\.([0-9]{0,9}))?Z").fullmatch
_EPOCH = date(1970, 1, 1).toordinal()
_MONTHS = {"JanFebMarAprMayJunJulAugSepOctNovDec"[index * 3 : index * 3 + 3]: index + 1 for index in range(12)}


@lru_cache(maxsize=4096)
def _day_to_s(year: int, month: int, day: int) -> int:
    return (date(year, month, day).toordinal() - _EPOCH) * 86_400


@lru_cache(maxsize=4096)  # neighbours in a bucket were often written in the same second
def iso_to_ns(stated: str) -> int:
    """Return the nanoseconds since the epoch of ``2026-11-22T12:31:03.123Z``; the fraction may have 0 to 9 digits.

    Other forms of ISO 8601 are read too, more slowly; without a zone they are UTC. Raises ValueError.
    """
    minute_s, rest_ns = _minute_to_s(stated[:16]), _rest_to_ns(stated[16:])
    if minute_s is None or rest_ns is None:
        return _other_date_to_ns(stated)
    return minute_s * 1_000_000_000 + rest_ns


@lru_cache(maxsize=4096)  # neighbours in a bucket were often written in the same minute
def _minute_to_s(stated: str) -> int | None:
    """Return the seconds since the epoch of ``2026-11-22T12:31``, None where it has another form."""
    if _MINUTE(stated) is None:
        return None
    day_s = _day_to_s(int(stated[:4]), int(stated[5:7]), int(stated[8:10]))
    return day_s + int(stated[11:13]) * 3600 + int(stated[14:16]) * 60


@lru_cache(maxsize=4096)  # S3 writes whole seconds: there are 60 of them
def _rest_to_ns(stated: str) -> int | None:
    """Return the nanoseconds of ``:03.123Z``, None where it has another form."""
    match = _REST(stated)
    return None if match is None else int(match[1]) * 1_000_000_000 + int((match[2] or "").ljust(9, "0"))


def _other_date_to_ns(stated: str) -> int:
    if stated[10:11] not in ("", "T", " "):
        message = "not a date of ISO 8601"  # Python takes any character there
        raise ValueError(message)
    moment = datetime.fromisoformat(stated)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


@lru_cache(maxsize=4096)  # neighbours in a bucket were often written in the same second
def http_date_to_ns(stated: str) -> int:
    """Return the nanoseconds since the epoch of ``Sun, 22 Nov 2026 12:31:03 GMT``, 0 where it is no such date."""
    try:
        day, month, year, clock = stated[5:7], stated[8:11], stated[12:16], stated[17:25]
        seconds = _day_to_s(int(year), _MONTHS[month], int(day))
        seconds += int(clock[:2]) * 3600 + int(clock[3:5]) * 60 + int(clock[6:8])
    except (ValueError, KeyError):
        return 0
    return seconds * 1_000_000_000
