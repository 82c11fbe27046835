"""Where objects are: in a bucket, on disk, or on a standard stream."""

from __future__ import annotations

import msgspec

MAX_KEY_BYTES = 1024
"""The longest key of S3, in bytes of UTF-8: docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html."""

DEFAULT_ENDPOINT = "s3"
"""The name, and URL scheme, of the endpoint that the AWS environment describes."""


class S3Location(msgspec.Struct, frozen=True, kw_only=True, tag="s3"):
    """A bucket, a prefix in it, or one object.

    Attributes:
        endpoint: the configured name of the S3 service, which is also the scheme of its URLs.
        bucket: its name; empty for the endpoint as a whole.
        key: a key, or a prefix where ``recursive`` says so.
        version_id: one version of the object; None for the current one.
        recursive: everything below the prefix (or matching ``pattern``) instead of one object.
        pattern: the glob after the prefix, empty for all keys below it.
    """

    endpoint: str = DEFAULT_ENDPOINT
    bucket: str = ""
    key: str = ""
    version_id: str | None = None
    recursive: bool = False
    pattern: str = ""

    def __str__(self) -> str:
        return f"{self.endpoint}://{self.bucket}/{self.key}{self.pattern}" if self.bucket else f"{self.endpoint}://"


class LocalPath(msgspec.Struct, frozen=True, kw_only=True, tag="local"):
    """A file, or a folder with everything in it.

    Attributes:
        path: absolute, without a trailing slash.
        recursive: the tree below ``path`` (or what matches ``pattern`` in it) instead of one file.
        pattern: the glob below ``path``, empty for all files.
    """

    path: str
    recursive: bool = False
    pattern: str = ""

    def __str__(self) -> str:
        return self.path + ("/" if self.recursive and not self.path.endswith("/") else "") + self.pattern


class StandardStream(msgspec.Struct, frozen=True, kw_only=True, tag="stream"):
    """``-``: standard input as a source, standard output as a target, of one object."""

    def __str__(self) -> str:
        return "-"


Location = S3Location | LocalPath | StandardStream
