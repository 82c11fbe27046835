"""What the doctor says: findings, each with what it means and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from bucket_brigade.s3.profile import EndpointProfile


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    UNKNOWN = "unknown"
    """It could not be found out; nothing is known to be wrong."""
    WARNING = "warning"
    """Jobs work, but not all that they could be asked for."""
    ERROR = "error"
    """Jobs fail because of it."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was found.

    Attributes:
        subject: what was looked at: ``credentials``, ``clock``, ``put``…
        level: how bad it is.
        found: what was found, in words that follow the subject.
        code: the endpoint's error code, or ours; "" where nothing was refused.
        meaning: what follows from it.
        remedy: what to do.
        command: the command, or the statement of a policy, that does it.
    """

    subject: str
    level: Level
    found: str
    code: str = ""
    meaning: str = ""
    remedy: str = ""
    command: str = ""


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found about one location.

    Attributes:
        location: as it was given.
        endpoint_url: where its requests go; "" where that was never found out.
        profile_path: where the endpoint's profile is kept now; "" where it was not probed.
    """

    location: str
    endpoint_url: str
    findings: tuple[Finding, ...]
    profile: EndpointProfile | None = None
    profile_path: str = ""


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What the doctor says in the end."""

    examinations: tuple[Examination, ...]

    @property
    def level(self) -> Level:
        """The worst of all levels."""
        return worst(finding for examination in self.examinations for finding in examination.findings)


def worst(findings: Iterable[Finding]) -> Level:
    """Return the worst level of some findings, OK of none."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)
