"""Pages of listings: as S3 gives them, in whatever order the bucket is kept."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from urllib.parse import quote
from xml.sax.saxutils import escape

from tests.faults.hostile.messages import Answer, Request, document
from tests.faults.hostile.state import Bucket, State, StoredObject, utf8_order

MAX_KEYS = 1000


def list_objects(bucket: Bucket, request: Request) -> Answer:
    """ListObjectsV2. StartAfter is a bound on the keys; a continuation token is a place in the bucket's own order."""
    query = request.query
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    token = query.get("continuation-token")
    after = None if token is None else base64.urlsafe_b64decode(token.encode()).decode("utf-8", "surrogateescape")
    start_after = utf8_order(query.get("start-after", "")) if token is None else b""
    most = min(int(query.get("max-keys", MAX_KEYS)), MAX_KEYS)
    contents: list[str] = []
    folders: list[str] = []
    last, truncated = "", False
    for key in bucket.keys_behind(after):
        if not key.startswith(prefix) or (start_after and utf8_order(key) <= start_after):
            continue
        place = key.find(delimiter, len(prefix)) if delimiter else -1
        folder = key[: place + len(delimiter)] if place >= 0 else ""
        if folder and folders and folders[-1] == folder:
            last = key
            continue
        if len(contents) + len(folders) >= most:
            truncated = True
            break
        if folder:
            folders.append(folder)
        else:
            contents.append(_contents(key, bucket.objects[key]))
        last = key
    inside = f"<Name>{bucket.name}</Name><EncodingType>url</EncodingType><KeyCount>{len(contents)}</KeyCount>"
    inside += f"<MaxKeys>{most}</MaxKeys><IsTruncated>{'true' if truncated else 'false'}</IsTruncated>"
    if truncated:
        inside += f"<NextContinuationToken>{token_behind(last)}</NextContinuationToken>"
    inside += "".join(contents)
    inside += "".join(f"<CommonPrefixes><Prefix>{_encoded(one)}</Prefix></CommonPrefixes>" for one in folders)
    return document("ListBucketResult", inside)


def token_behind(key: str) -> str:
    """Return the continuation token that goes on behind a key."""
    return base64.urlsafe_b64encode(utf8_order(key)).decode()


def _contents(key: str, stored: StoredObject) -> str:
    return (
        f"<Contents><Key>{_encoded(key)}</Key><LastModified>{iso_date(stored.modified_s)}</LastModified>"
        f"<ETag>{escape(stored.etag)}</ETag><Size>{len(stored.content)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )


def _encoded(key: str) -> str:
    return quote(utf8_order(key), safe="/")


def iso_date(instant_s: float) -> str:
    """Return a date as S3's documents give it."""
    return datetime.fromtimestamp(instant_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def list_uploads(state: State, bucket: Bucket, request: Request) -> Answer:
    """ListMultipartUploads."""
    prefix = request.query.get("prefix", "")
    marker = (utf8_order(request.query.get("key-marker", "")), request.query.get("upload-id-marker", ""))
    found = sorted(
        (one for one in state.uploads.values() if one.bucket == bucket.name and one.key.startswith(prefix)),
        key=lambda one: (utf8_order(one.key), one.id),
    )
    found = [one for one in found if (utf8_order(one.key), one.id) > marker]
    page, rest = found[:MAX_KEYS], found[MAX_KEYS:]
    inside = f"<Bucket>{bucket.name}</Bucket><EncodingType>url</EncodingType>"
    inside += f"<IsTruncated>{'true' if rest else 'false'}</IsTruncated>"
    if rest:
        inside += f"<NextKeyMarker>{_encoded(page[-1].key)}</NextKeyMarker>"
        inside += f"<NextUploadIdMarker>{page[-1].id}</NextUploadIdMarker>"
    for one in page:
        inside += f"<Upload><Key>{_encoded(one.key)}</Key><UploadId>{one.id}</UploadId>"
        inside += f"<Initiated>{iso_date(one.initiated_s)}</Initiated></Upload>"
    return document("ListMultipartUploadsResult", inside)
