"""What can be configured, as frozen values. ``settings.load`` reads them from TOML < environment < flags."""

from __future__ import annotations

import msgspec

from bucket_brigade.model.job import TransferOptions
from bucket_brigade.model.parts import MIB


class Secret:
    """A value that never shows itself: not in repr, not in str, not in any encoding. ``reveal()`` gives it out."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself, for a signer."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


class EndpointSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One S3 service: where it is, who we are there, and what is particular about it.

    Attributes:
        name: the scheme of its URLs; ``s3`` is what the AWS environment describes.
        endpoint_url: None for AWS itself (or ``AWS_ENDPOINT_URL[_S3]`` for the endpoint ``s3``).
        region: None leaves it to the environment or profile; then ``us-east-1``.
        profile: of the AWS configuration files.
        access_key_id, secret_access_key, session_token: instead of a profile; from the environment or the configuration file.
        no_sign_request: anonymous requests.
        request_payer: ``requester`` or None.
        preset: what kind of service it is (``minio``, ``r2``, …): fills in what is left open here.
        addressing: ``auto``, ``path`` or ``virtual``.
        checksum: ``auto`` sends CRC64NVME with every write until the endpoint refuses it; ``crc64nvme`` insists;
            ``when_required`` sends none; sizes and ETags are still checked.
        payload_signing: whether signatures cover the SHA-256 of bodies (0.6 s of CPU a GiB): ``auto`` where neither TLS nor
            their own checksum protects them on the way, and over http always; ``always``; ``never`` where TLS or a checksum does.
        allow_http: permits http to other hosts than loopback.
        ca_bundle: a PEM file; None for the system's.
        connect_timeout_s, read_timeout_s: until the connection stands; between two reads or writes that make progress.
        expected_bucket_owner: account id, sent with every request.
        sse_c_key: of SSE-C, 32 bytes or their base64: every object here is written and read with it.
        copy_source_sse_c_key: of the source of copies within this endpoint; set by the job, never configured.
        copy_source_bucket_owner: of the source of copies, likewise; None: ``expected_bucket_owner`` is meant; empty: nobody is.
    """

    name: str = "s3"
    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    access_key_id: str | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    no_sign_request: bool = False
    request_payer: str | None = None
    addressing: str = "auto"
    checksum: str = "auto"
    payload_signing: str = "auto"
    allow_http: bool = False
    ca_bundle: str | None = None
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    expected_bucket_owner: str | None = None
    sse_c_key: Secret | None = None
    copy_source_sse_c_key: Secret | None = None
    copy_source_bucket_owner: str | None = None
    preset: str | None = None


class RetrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """How failed requests are tried again: exponential back-off with full jitter, honouring Retry-After.

    Attributes:
        max_attempts: the first one included.
        max_elapsed_s: no new attempt is begun after this many seconds.
        base_delay_s, max_delay_s: the n-th wait is drawn from [0, min(max, base * 2**n)].
    """

    max_attempts: int = 8
    max_elapsed_s: float = 300.0
    base_delay_s: float = 0.1
    max_delay_s: float = 20.0


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a job is run; may differ from one run of the same job to the next.

    Attributes:
        concurrency: transfers in flight in each worker process; 0 (``auto``) finds out how many the endpoint is worth.
        processes: worker processes; 0 begins with one and adds more, up to the cores, while the queue stays full.
        memory_bytes: one budget for all body buffers of a process. A transfer holds min(object, part size) for each part in
            flight, so at most ``memory_bytes / part_size`` parts are in flight, whatever the concurrency:
            peak memory of a worker = about 80 MB + memory_bytes + concurrency x 64 KiB + 4 batches x 300 KB.
        part_concurrency: parts of one object in flight.
        checkpoint_interval_s: how much work, in seconds, a ``kill -9`` can make us do again.
        grace_s: how long SIGTERM waits for transfers in flight before they are cancelled.
        log_interval_s: between two progress events in the log.
        planned_ahead: batches planned and not yet begun before planning waits.
        batch_size: transfers in a full batch, at most 1,000.
        max_batch_attempts: a batch whose worker died this often fails.
        max_failures_in_a_row: after so many objects that the endpoint refused or failed, with none in between that went well, the
            job stops, resumable; 0 never stops it.
        lane: ``auto`` sends requests over the lane (prepared requests) where the endpoint allows it; ``off`` sends all through
            the aioboto3 client; ``on`` refuses endpoints and requests that the lane cannot serve.
        list_shards: ranges of one bucket that are listed side by side; 0 begins with one and divides listings that turn out
            to be long.
        max_bandwidth: bytes of bodies per second that the job may send, and may receive; a size, ``off``, or a timetable
            (``08:00,10M 18:00,off``), see ``settings.limits``.
        max_requests_per_second: of the whole job; 0 for no limit.
    """

    concurrency: int = 0
    processes: int = 0
    memory_bytes: int = 48 * MIB
    part_concurrency: int = 8
    checkpoint_interval_s: float = 2.0
    grace_s: float = 20.0
    log_interval_s: float = 10.0
    planned_ahead: int = 64
    batch_size: int = 1000
    max_batch_attempts: int = 10
    max_failures_in_a_row: int = 1000
    lane: str = "auto"
    list_shards: int = 0
    max_bandwidth: str = "off"
    max_requests_per_second: int = 0
    retry: RetrySettings = RetrySettings()


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How events are logged.

    Attributes:
        level: ``debug`` (every transfer), ``info`` (jobs, batches, progress), ``warning`` (failures), ``error``.
        format: ``auto`` is JSON lines where stderr is no terminal, else readable; ``json``; ``text``.
    """

    level: str = "info"
    format: str = "auto"


class PriceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What storage costs, for ``brigade du``: nothing is known but what is written here.

    Attributes:
        currency: shown behind the amounts.
        gb_month: pairs of storage class and price of a GB (2**30 bytes) for a month.
    """

    currency: str = "USD"
    gb_month: tuple[tuple[str, float], ...] = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in force for one run of the program.

    Attributes:
        endpoints: by name; the endpoint ``s3`` is always there.
        state_dir: holds one folder for each job (0700).
        transfer: defaults of new jobs.
    """

    endpoints: dict[str, EndpointSettings]
    state_dir: str
    engine: EngineSettings = EngineSettings()
    transfer: TransferOptions = TransferOptions()
    log: LogSettings = LogSettings()
    prices: PriceSettings = PriceSettings()
