"""Pages of a listing, as S3 cuts them, from what the in-memory store keeps. Pure."""

from __future__ import annotations

import bisect
from collections.abc import Iterator

from bucket_brigade.s3.store import ListedObject, ListedVersion, ListPage, OpenUpload, UploadPage, VersionPage
from tests.fakes.memory_bucket import Bucket, Version

MAX_KEYS = 1000


def page_of_objects(
    bucket: Bucket, *, prefix: str, delimiter: str, start_after: str, token: str | None, page_size: int
) -> ListPage:
    """Return up to ``page_size`` keys and common prefixes. The token of a page is its last key or common prefix."""
    after = start_after if token is None else token
    objects: list[ListedObject] = []
    prefixes: list[str] = []
    last = ""
    for key, version in _current_objects(bucket, prefix, after):
        folder = _common_prefix(key, prefix, delimiter)
        if folder and folder in (last, token):
            continue
        if len(objects) + len(prefixes) == min(page_size, MAX_KEYS):
            return ListPage(objects, prefixes, last)
        if folder:
            prefixes.append(folder)
        else:
            storage_class = version.attributes.storage_class or "STANDARD"
            objects.append(ListedObject(key, len(version.content), version.etag, version.modified_ns, storage_class))
        last = folder or key
    return ListPage(objects, prefixes, None)


def page_of_versions(bucket: Bucket, *, prefix: str, markers: tuple[str, str] | None, page_size: int) -> VersionPage:
    """Return up to ``page_size`` versions and delete markers: keys in order, newest first."""
    listed = [
        ListedVersion(
            key=key,
            version_id=version.id or "null",
            is_latest=is_latest,
            is_delete_marker=version.is_delete_marker,
            size=len(version.content),
            etag=version.etag,
            modified_ns=version.modified_ns,
            storage_class="" if version.is_delete_marker else version.attributes.storage_class or "STANDARD",
        )
        for key, version, is_latest in bucket.history()
        if key.startswith(prefix)
    ]
    names = [(one.key, one.version_id) for one in listed]
    start = 0 if markers is None else _place_after(names, markers)
    page = listed[start : start + min(page_size, MAX_KEYS)]
    more = start + len(page) < len(listed)
    return VersionPage(page, names[start + len(page) - 1] if more else None)


def page_of_uploads(bucket: Bucket, *, prefix: str, markers: tuple[str, str] | None) -> UploadPage:
    """Return up to 1,000 uploads in progress: keys in order, oldest first."""
    uploads = [
        OpenUpload(upload.key, upload_id, upload.initiated_ns)
        for upload_id, upload in bucket.uploads.items()
        if upload.key.startswith(prefix)
    ]
    uploads.sort(key=lambda one: (one.key, one.initiated_ns))
    names = [(one.key, one.upload_id) for one in uploads]
    start = 0 if markers is None else _place_after(names, markers)
    page = uploads[start : start + MAX_KEYS]
    more = start + len(page) < len(uploads)
    return UploadPage(page, names[start + len(page) - 1] if more else None)


def _place_after(names: list[tuple[str, str]], marker: tuple[str, str]) -> int:
    if marker in names:
        return names.index(marker) + 1
    # What the marker names is gone meanwhile: go on behind its key.
    return bisect.bisect_right([key for key, _ in names], marker[0])


def _current_objects(bucket: Bucket, prefix: str, after: str) -> Iterator[tuple[str, Version]]:
    keys = bucket.keys()
    start = bisect.bisect_right(keys, after) if after > prefix else bisect.bisect_left(keys, prefix)
    for key in keys[start:]:
        if not key.startswith(prefix):
            if key > prefix:
                return
            continue
        version = bucket.current(key)
        if version is not None and not version.is_delete_marker:
            yield key, version


def _common_prefix(key: str, prefix: str, delimiter: str) -> str:
    end = key.find(delimiter, len(prefix)) if delimiter else -1
    return key[: end + len(delimiter)] if end >= 0 else ""
