"""What an error means for whoever asked, and what to do about it. Pure."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from bucket_brigade.errors import (
    AccessDenied,
    BrigadeError,
    ClockSkewed,
    CredentialsExpired,
    TransferError,
    WrongRegion,
)
from bucket_brigade.jobs.doctor.findings import Finding, Level


class Cause(NamedTuple):
    """Why something is refused. ``{bucket}``, ``{host}`` and ``{profile}`` stand for those of the examination."""

    subject: str
    meaning: str
    remedy: str
    command: str = ""


_NETWORK = "connection"
_CLOCK = Cause(
    "clock",
    "Requests are signed with the time. S3 refuses those that are more than 15 minutes off, whoever signs them.",
    "Set the clock of this machine by NTP (in a virtual machine: also that of its host).",
    "sudo timedatectl set-ntp true",
)
_EXPIRED = Cause(
    "credentials",
    "They are temporary ones, and their time is over.",
    "Get new ones, and set all three of their values.",
    "aws sso login{profile}",
)

CAUSES: dict[str, Cause] = {
    "InvalidAccessKeyId": Cause(
        "credentials",
        "The endpoint knows no such access key: it was deleted, or belongs to another service or partition.",
        "Use a key of this endpoint, or another profile.",
        "aws iam list-access-keys{profile}",
    ),
    "SignatureDoesNotMatch": Cause(
        "credentials",
        "The secret access key is not the one that belongs to the access key (or something between us changes requests).",
        "Set the secret again, without white space around it; or make a new key.",
        "aws configure{profile}",
    ),
    "ExpiredToken": _EXPIRED,
    "CredentialsExpired": _EXPIRED,
    "InvalidToken": Cause(
        "credentials",
        "The session token does not belong to the access key: one of the three values is of another session.",
        "Set all three values of one session, or unset AWS_SESSION_TOKEN for a permanent key.",
        "unset AWS_SESSION_TOKEN",
    ),
    "AccountProblem": Cause("credentials", "The account is blocked.", "Ask its owner, or AWS."),
    "RequestTimeTooSkewed": _CLOCK,
    "RequestInTheFuture": _CLOCK,
    "NoSuchBucket": Cause(
        "bucket",
        "There is no bucket of this name at this endpoint.",
        "Check name and endpoint, or create it (brigade mb).",
        "aws s3api create-bucket --bucket {bucket}",
    ),
    "InvalidBucketName": Cause("bucket", "No bucket can have this name.", "Check the name."),
    "NameNotResolved": Cause(
        _NETWORK,
        "DNS knows no address for this name: it is misspelt, or DNS does not work here.",
        "Check the endpoint's URL, and that this machine resolves names.",
        "getent hosts {host}",
    ),
    "ConnectionRefused": Cause(
        _NETWORK,
        "The machine is there and nothing listens at this port.",
        "Check the port, and that the service runs.",
        "curl -v {url}",
    ),
    "TimedOut": Cause(
        _NETWORK,
        "Nothing answers in time: a firewall drops packets, or no route leads there.",
        "Check firewall, security group, VPC endpoint and proxy.",
        "curl -v --max-time 10 {url}",
    ),
    "ForbiddenAddress": Cause(
        _NETWORK,
        "The name leads to an address that is never an S3 endpoint, or would be reached unencrypted.",
        "Check the endpoint's URL and DNS; for http in a trusted network add --allow-http.",
        "getent hosts {host}",
    ),
    "NotHttp": Cause(
        _NETWORK, "What listens there is no web server.", "Check the port of the endpoint's URL.", "curl -v {url}"
    ),
    "NoTls": Cause(
        "certificate",
        "The port speaks plain http, and the endpoint's URL says https.",
        "Use the port with TLS; or http:// where the network is trusted.",
        "curl -v {url}",
    ),
    "BadTls": Cause(
        "certificate",
        "The endpoint offers nothing newer than TLS 1.1.",
        "Let it offer TLS 1.2 or 1.3.",
        "openssl s_client -connect {netloc}",
    ),
    "CertificateExpired": Cause(
        "certificate",
        "The certificate of the endpoint has expired.",
        "Let its operator renew it.",
        "openssl s_client -connect {netloc} </dev/null | openssl x509 -noout -dates",
    ),
    "CertificateNotYetValid": Cause(
        "certificate",
        "The certificate is not valid yet: it is new, or the clock of this machine is slow.",
        "Check the clock of this machine.",
        "date -u",
    ),
    "CertificateSelfSigned": Cause(
        "certificate",
        "The certificate is signed by itself or by an authority that this machine does not know.",
        "Give the PEM file of its authority: --ca-bundle FILE, or ca_bundle in the configuration.",
        "brigade doctor … --ca-bundle authority.pem",
    ),
    "CertificateUntrusted": Cause(
        "certificate",
        "The certificate is signed by an authority that this machine does not know.",
        "Give the PEM file of its authority: --ca-bundle FILE, or ca_bundle in the configuration.",
        "brigade doctor … --ca-bundle authority.pem",
    ),
    "CertificateWrongHost": Cause(
        "certificate",
        "The certificate belongs to another host: the URL is wrong, or somebody else answers.",
        'Use the host name that is in the certificate; for buckets with dots, addressing = "path".',
        "openssl s_client -connect {netloc} </dev/null | openssl x509 -noout -ext subjectAltName",
    ),
    "BadCertificate": Cause(
        "certificate",
        "The certificate cannot be verified.",
        "Give the right host name, or --ca-bundle.",
        "openssl s_client -connect {netloc} -showcerts",
    ),
}


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where something was refused, for the words of the remedy."""

    url: str = ""
    bucket: str = ""
    profile: str = ""

    @property
    def words(self) -> dict[str, str]:
        """What stands for the names in braces."""
        netloc = self.url.partition("://")[2].partition("/")[0]
        host = netloc.rpartition("@")[2]
        if not host.endswith("]"):
            host = host.partition(":")[0] if host.count(":") == 1 else host
        with_port = netloc if ":" in netloc else f"{netloc}:{443 if self.url.startswith('https') else 80}"
        return {
            "url": self.url,
            "netloc": with_port,
            "host": host,
            "bucket": self.bucket,
            "profile": f" --profile {self.profile}" if self.profile else "",
        }


def ends_it(error: BrigadeError) -> bool:
    """Tell whether every other request would fail like this one: connection, certificate, clock, credentials, region."""
    if isinstance(error, ClockSkewed | CredentialsExpired | WrongRegion):
        return True
    return isinstance(error, TransferError) and error.code in CAUSES


def finding_of(error: BrigadeError, subject: str, place: Place) -> Finding:
    """Return what an error means; ``subject`` is what was tried, and gives way to what is to blame."""
    code = error.code if isinstance(error, TransferError) else "ConfigError"
    cause = CAUSES.get(code)
    if cause is None and isinstance(error, ClockSkewed | CredentialsExpired):
        cause = _CLOCK if isinstance(error, ClockSkewed) else _EXPIRED
    if isinstance(error, WrongRegion):
        cause = Cause(
            "region",
            "Requests are signed for one region, and this one answers for another.",
            error.remedy,
            "aws s3api get-bucket-location --bucket {bucket}",
        )
    if cause is None:
        meaning = "The endpoint refuses it to these credentials." if isinstance(error, AccessDenied) else ""
        cause = Cause(subject, meaning, error.remedy)
    return Finding(
        subject=cause.subject,
        level=Level.ERROR,
        found=str(error),
        code=code,
        meaning=cause.meaning,
        remedy=cause.remedy,
        command=cause.command.format(**place.words),
    )


def policy_statement(actions: tuple[str, ...], resource: str) -> str:
    """Return the statement of an IAM policy that allows ``actions``."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return msgspec.json.encode(statement).decode()
