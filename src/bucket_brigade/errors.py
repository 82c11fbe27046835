"""The errors of bucket-brigade, by what the caller can do about them.

::

    BrigadeError
    ├─ ConfigError             exit 2: fix your input
    ├─ PlanError               the source cannot be listed or expanded; nothing was changed
    ├─ TransferError           one request or one object failed
    │  ├─ TransientError       worth another attempt
    │  │  ├─ Throttled         the endpoint asks for less (SlowDown, 503, 429)
    │  │  ├─ StoreUnavailable  the endpoint failed (500, 502, 504, an HTML page)
    │  │  ├─ ConnectionLost    no answer, or only a part of one (reset, time-out)
    │  │  │  └─ Unreachable    no connection at all (DNS, refused, no route)
    │  │  └─ Conflict          409: another write was in the way
    │  └─ PermanentError       the same request would fail again
    │     ├─ NotFound          no such bucket, key, version or upload
    │     ├─ AccessDenied      401 and 403
    │     ├─ CredentialsExpired, ClockSkewed
    │     ├─ PreconditionFailed 412: the condition of the request is false
    │     ├─ ChecksumMismatch  what arrived is not what was sent
    │     ├─ SourceChanged     the source is no longer what was planned
    │     ├─ BadKey            the name cannot exist at the target
    │     ├─ LocalError        the operating system refused (EACCES, EIO, ENOSPC…)
    │     ├─ NotSupported      the endpoint does not offer it
    │     └─ NotHonoured       the endpoint says yes and does not do it (encryption, lock, conditions)
    ├─ JournalError            corrupt, locked by another run, disk full
    │  └─ LeaseLost            another worker has the batch now
    └─ JobFailed               exit 3: some objects failed; the report names them
"""

from __future__ import annotations

from typing import ClassVar


class BrigadeError(Exception):
    """The root of every error that bucket-brigade raises on purpose.

    ``str(error)`` is one sentence on what is wrong; ``remedy`` one on what to do about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class ConfigError(BrigadeError):
    """The input is wrong: a flag, a URL, a configuration key, missing credentials. Nothing was changed."""

    exit_code = 2


class PlanError(BrigadeError):
    """The source cannot be listed or expanded. Nothing that was not yet planned has been changed."""

    exit_code = 3


class TransferError(BrigadeError):
    """One request to a store, or one object, failed.

    Attributes:
        code: the error code of S3 (``SlowDown``, ``NoSuchKey``) or a name of ours in the same style.
        status: the HTTP status, 0 where there was no answer.
        request_id: ``x-amz-request-id`` of the answer, empty where there was none.
        attempts: how many times the request was sent before this was given up.
    """

    exit_code = 3

    def __init__(
        self, message: str, *, code: str = "", status: int = 0, request_id: str = "", remedy: str = ""
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.code = code or type(self).__name__
        self.status = status
        self.request_id = request_id
        self.attempts = 1


class TransientError(TransferError):
    """Another attempt may succeed.

    Attributes:
        retry_after_s: how long the endpoint asked to wait, in seconds, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        status: int = 0,
        request_id: str = "",
        remedy: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, code=code, status=status, request_id=request_id, remedy=remedy)
        self.retry_after_s = retry_after_s


class Throttled(TransientError):
    """The endpoint asks for fewer requests: 503 SlowDown, 503, 429."""


class StoreUnavailable(TransientError):
    """The endpoint failed: 500, 502, 504, an HTML page in place of an answer, a success that proves nothing."""


class ConnectionLost(TransientError):
    """No answer, or only a part of one: reset, time-out, short body, DNS failure."""


class Unreachable(ConnectionLost):
    """No connection could be made: DNS failure, refused, no route. No object is to blame: the job waits, then pauses."""


class Conflict(TransientError):
    """409 ConditionalRequestConflict or OperationAborted: another write was in the way."""


class PermanentError(TransferError):
    """The same request would fail again."""


class NotFound(PermanentError):
    """No such bucket, key, version or multipart upload."""


class AccessDenied(PermanentError):
    """The credentials are refused or do not allow this."""


class CredentialsExpired(AccessDenied):
    """The temporary credentials have expired."""


class ClockSkewed(PermanentError):
    """RequestTimeTooSkewed: the clock of this machine differs too much from the endpoint's."""


class WrongRegion(PermanentError):
    """The bucket lives in another region; ``code`` is PermanentRedirect and the message names the region.

    Attributes:
        region: its name as the endpoint tells it; empty where it does not.
    """

    region = ""


class PreconditionFailed(PermanentError):
    """412: the condition of the request (If-Match, If-None-Match) is false."""


class ChecksumMismatch(PermanentError):
    """What arrived is not what was sent."""


class SourceChanged(PermanentError):
    """The source is no longer the object or file that was planned."""


class BadKey(PermanentError):
    """The name cannot exist at the target, or would leave the target folder."""


class LocalError(PermanentError):
    """The operating system refused a file operation; ``code`` is the errno's name (``EACCES``)."""


class DiskFull(LocalError):
    """No space is left on the target file system (ENOSPC, EDQUOT). The job stops and can be resumed."""


class NotSupported(PermanentError):
    """The endpoint does not offer this request or option."""


class NotHonoured(PermanentError):
    """The endpoint accepted a request and did not do what it asked for: no encryption, no lock. What was written is removed.

    Attributes:
        etag: of what was written, empty where nothing was.
        version_id: of what was written, None where the bucket keeps no versions.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        status: int = 0,
        request_id: str = "",
        remedy: str = "",
        etag: str = "",
        version_id: str | None = None,
    ) -> None:
        super().__init__(message, code=code, status=status, request_id=request_id, remedy=remedy)
        self.etag = etag
        self.version_id = version_id


class JournalError(BrigadeError):
    """The journal is corrupt, locked by another run, or cannot be written."""

    exit_code = 1


class LeaseLost(JournalError):
    """Another worker holds the batch now; what this one still wanted to record is refused."""


class JobFailed(BrigadeError):
    """Some objects of the job failed; the report names each with its reason."""

    exit_code = 3


class Interrupted(BrigadeError):
    """The job was asked to stop and can be resumed."""

    exit_code = 130
