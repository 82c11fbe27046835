"""What a test is told about a server that runs."""

from __future__ import annotations

from dataclasses import dataclass

from bucket_brigade.settings.values import EndpointSettings

SIGNATURES = "signatures"
"""A wrong key or signature is refused."""
DIGESTS = "digests"
"""A write whose CRC64NVME does not fit the body is refused."""
CONDITIONS = "conditions"
"""If-Match on reads."""
CONDITIONAL_WRITES = "conditional writes"
"""If-None-Match on writes."""
COPY_CONDITIONS = "copy conditions"
"""x-amz-copy-source-if-match."""
POLICIES = "policies"
"""IAM policies decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A real S3 server on loopback, alone for this process.

    Attributes:
        name: the product, and ``-tls`` where it speaks https.
        endpoint: how to reach it, with credentials that it accepts.
        enforces: the promises that it keeps, by the names above: only what it enforces can be proved with it.
    """

    name: str
    endpoint: EndpointSettings
    enforces: frozenset[str]
