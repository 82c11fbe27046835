"""Pages of ListObjectsV2: one sweep of a compiled pattern for the shape that S3 and most others send, expat for any other."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from bucket_brigade.s3.store import ListedObject, ListPage
from bucket_brigade.s3.urls import decode_key, needs_decoding
from bucket_brigade.s3.xml_tree import Element, MalformedXml, parse_document

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
_TRUNCATED = re.compile(r"<IsTruncated>(true|false)</IsTruncated>")
_TOKEN = re.compile(r"<NextContinuationToken>([^<]*)</NextContinuationToken>")
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
    """Return the page, None where its shape is not the common one.

    A ``<`` never stands in text but in CDATA and comments, so that counting the tags proves that the pattern saw them all.
    """
    try:
        text = document.decode()
    except UnicodeDecodeError:
        return None
    if "<ListBucketResult" not in text or not text.rstrip().endswith("</ListBucketResult>"):
        return None
    if "!" in text and "<!" in text:  # looking for one character is fifty times as fast, and nearly no page has it
        return None
    usual = _usual(text)
    if usual is not None:
        objects, text = usual
    else:
        objects = []
        text = text.replace("&quot;", '"').replace("&#34;", '"')
    found = _OBJECT.findall(text)
    prefixes = _PREFIX.findall(text)
    truncated = _TRUNCATED.findall(text)
    tokens = _TOKEN.findall(text)
    if (
        len(found) != text.count("<Contents")
        or len(prefixes) != text.count("<CommonPrefixes")
        or len(truncated) != 1
        or len(tokens) != text.count("<NextContinuationToken")
    ):
        return None
    encoded = "<EncodingType>url</EncodingType>" in text
    if "&" in text:
        if _STRAY.search(text):
            return None
        found = [tuple(_unescaped(field) for field in row) for row in found]
        prefixes = [_unescaped(prefix) for prefix in prefixes]
        tokens = [_unescaped(token) for token in tokens]
    decode = decode_key if encoded else str
    objects += [
        ListedObject(
            decode(row[_KEY]),
            int(row[_SIZE]),
            quoted(row[_ETAG]),
            iso_to_ns(row[_MODIFIED]),
            row[_CLASS] or "STANDARD",
        )
        for row in found
    ]
    return ListPage(objects, [decode(prefix) for prefix in prefixes], _next_token(truncated[0], "".join(tokens)))


def _usual(text: str) -> tuple[list[ListedObject], str] | None:
    """Return the objects of a page whose entries all are usual and stand in one row, and what is around them; else None."""
    found = _USUAL.findall(text)
    count = len(found)
    if not count or text.count("<Contents") != count or text.count("</Contents><Contents>") != count - 1:
        return None
    around = text[: text.find("<Contents>")] + text[text.rfind("</Contents>") + len("</Contents>") :]
    if text.count("&") != 2 * count + around.count("&"):
        return None
    keys, modified, etags, sizes, classes = zip(*found, strict=True)
    if "<EncodingType>url</EncodingType>" in around and needs_decoding("".join(keys)):
        keys = tuple(map(decode_key, keys))
    quoted_etags = [f'"{etag}"' for etag in etags]
    # Column by column: no code of ours runs for each entry, but that for a date of another second than its neighbours.
    return list(map(ListedObject, keys, map(int, sizes), quoted_etags, map(iso_to_ns, modified), classes)), around


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
    if truncated != "true":
        return None
    if not token:
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
            int(entry.get("Size")),
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


def quoted(etag: str) -> str:
    """Return an ETag with its quotes, which rclone leaves out in listings; empty stays empty."""
    return etag if not etag or etag[-1] == '"' else f'"{etag}"'


# --- dates -------------------------------------------------------------------------------------------------------------

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
    if stated[16:17] != ":" or stated[-1] != "Z":
        return _other_date_to_ns(stated)
    minute_s = _minute_to_s(stated[:16])
    if minute_s is None:
        return _other_date_to_ns(stated)
    ns = (minute_s + int(stated[17:19])) * 1_000_000_000
    fraction = stated[20:-1]
    return ns if fraction in ("000", "") else ns + int(fraction.ljust(9, "0")[:9])


@lru_cache(maxsize=4096)  # neighbours in a bucket were often written in the same minute
def _minute_to_s(stated: str) -> int | None:
    """Return the seconds since the epoch of ``2026-11-22T12:31``, None where it has another form."""
    if len(stated) != 16 or stated[4] + stated[7] + stated[10] + stated[13] != "--T:":
        return None
    day_s = _day_to_s(int(stated[:4]), int(stated[5:7]), int(stated[8:10]))
    return day_s + int(stated[11:13]) * 3600 + int(stated[14:16]) * 60


def _other_date_to_ns(stated: str) -> int:
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
