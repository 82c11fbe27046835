"""From what is around the requests (credentials, connection, clock, identity) to findings. Pure."""

from __future__ import annotations

from bucket_brigade.errors import TransferError
from bucket_brigade.jobs.doctor.explain import CAUSES
from bucket_brigade.jobs.doctor.findings import Finding, Level
from bucket_brigade.s3.bucket_values import Identity
from bucket_brigade.s3.identity import Credentials
from bucket_brigade.s3.reach import Reached
from bucket_brigade.settings.units import NS_PER_S, format_duration, format_time

CLOCK_TOLERANCE_S = 900.0
"""S3 refuses requests that are signed further from its own time: RequestTimeTooSkewed."""

_NOTABLE_OFFSET_S = 60.0
_SOON_S = 21 * 86_400
_EXPIRES_SOON_S = 15 * 60


def credentials_finding(found: Credentials, *, now_ns: int) -> Finding:
    """Return which credentials are used, and for how long they are good."""
    words = f"{found.access_key_id}, from {found.source}" + (", temporary" if found.temporary else "")
    if found.expires_ns is None:
        return Finding(subject="credentials", level=Level.OK, found=words)
    left_s = (found.expires_ns - now_ns) / NS_PER_S
    if left_s <= 0:
        cause = CAUSES["ExpiredToken"]
        return Finding(
            subject="credentials",
            level=Level.ERROR,
            found=f"{words}, expired at {format_time(found.expires_ns)}",
            code="ExpiredToken",
            meaning=cause.meaning,
            remedy=cause.remedy,
            command=cause.command.format(profile=f" --profile {found.profile}" if found.profile else ""),
        )
    good = f"{words}, good for {format_duration(left_s)}"
    if left_s > _EXPIRES_SOON_S or found.method not in ("env", "explicit"):  # the others are renewed by themselves
        return Finding(subject="credentials", level=Level.OK, found=good)
    return Finding(
        subject="credentials",
        level=Level.WARNING,
        found=good,
        meaning="A job that takes longer is interrupted then, and can be resumed with new ones.",
        remedy="Get new ones before a long job, or name a profile that renews them.",
        command="aws sts get-session-token",
    )


def connection_findings(url: str, reached: Reached, *, now_ns: int) -> list[Finding]:
    """Return how the endpoint is reached: addresses, TLS, clock."""
    shown = ", ".join(reached.addresses[:4]) + (", …" if len(reached.addresses) > 4 else "")
    server = f", server {reached.server}" if reached.server else ""
    findings = [Finding(subject="connection", level=Level.OK, found=f"{url} at {shown}{server}")]
    certificate = reached.certificate
    if certificate is None:
        findings.append(
            Finding(
                subject="certificate",
                level=Level.OK,
                found="none: plain http",
                meaning="Everything but the secret access key is readable on the way.",
            )
        )
    else:
        left_s = (certificate.expires_ns - now_ns) / NS_PER_S
        soon = left_s < _SOON_S
        findings.append(
            Finding(
                subject="certificate",
                level=Level.WARNING if soon else Level.OK,
                found=f"{reached.tls}, {certificate.subject or ', '.join(certificate.names[:2])}, "
                f"issued by {certificate.issuer}, good until {format_time(certificate.expires_ns)}",
                meaning="It expires soon, and then nothing works." if soon else "",
                remedy="Let the endpoint's operator renew it." if soon else "",
            )
        )
    return [*findings, clock_finding(reached.clock_offset_s)]


def clock_finding(offset_s: float | None) -> Finding:
    """Return how far this machine's clock is off, by the endpoint's."""
    if offset_s is None:
        return Finding(subject="clock", level=Level.UNKNOWN, found="the endpoint tells no time")
    side = "behind" if offset_s > 0 else "ahead of"
    words = f"{format_duration(abs(offset_s))} {side} the endpoint's"
    if abs(offset_s) <= _NOTABLE_OFFSET_S:
        return Finding(
            subject="clock", level=Level.OK, found=words if abs(offset_s) > 2 else "the same as the endpoint's"
        )
    cause = CAUSES["RequestTimeTooSkewed"]
    beyond = abs(offset_s) > CLOCK_TOLERANCE_S
    return Finding(
        subject="clock",
        level=Level.ERROR if beyond else Level.WARNING,
        found=words,
        code="RequestTimeTooSkewed" if beyond else "",
        meaning=cause.meaning,
        remedy=cause.remedy,
        command=cause.command,
    )


def identity_finding(identity: Identity | TransferError) -> Finding:
    """Return whose credentials they are."""
    if isinstance(identity, TransferError):
        return Finding(
            subject="identity",
            level=Level.UNKNOWN,
            found=f"the endpoint does not tell whose credentials these are ({identity.code})",
            code=identity.code,
        )
    return Finding(subject="identity", level=Level.OK, found=f"{identity.arn}, account {identity.account}")
