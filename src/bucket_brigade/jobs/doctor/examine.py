"""Examines one location after the other: what is asked, in which order, and when it is no use to ask on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from bucket_brigade.errors import AccessDenied, BrigadeError, ConfigError, TransferError
from bucket_brigade.jobs.doctor.configuration import configuration_findings
from bucket_brigade.jobs.doctor.explain import Place, ends_it, finding_of
from bucket_brigade.jobs.doctor.findings import Diagnosis, Examination, Finding, Level
from bucket_brigade.jobs.doctor.permissions import (
    capability_findings,
    leftover_finding,
    listing_finding,
    permission_findings,
)
from bucket_brigade.jobs.doctor.probing import Prober
from bucket_brigade.jobs.doctor.surroundings import connection_findings, credentials_finding, identity_finding
from bucket_brigade.jobs.sides import same_service
from bucket_brigade.model.location import S3Location
from bucket_brigade.s3.addresses import is_aws
from bucket_brigade.s3.bucket_values import BucketInfo, Identity
from bucket_brigade.s3.buckets import BucketControl, open_bucket_control
from bucket_brigade.s3.client import ClientStore
from bucket_brigade.s3.identity import account_public_access_block, caller_identity, find_credentials
from bucket_brigade.s3.profile import EndpointProfile, write_profile
from bucket_brigade.s3.reach import proxy_for, reach
from bucket_brigade.s3.session import open_client
from bucket_brigade.settings.values import EndpointSettings, RetrySettings

_ONE_ATTEMPT = RetrySettings(max_attempts=1)
_CONNECTIONS = 8


class Patient(NamedTuple):
    """A location, and its endpoint as flags change it."""

    location: S3Location
    endpoint: EndpointSettings


async def diagnose(patients: Sequence[Patient], *, state_dir: str, read_only: bool = False) -> Diagnosis:
    """Examine each location; with ``read_only`` nothing is written, not even a probe.

    What an endpoint was found to do is kept as its profile in ``state_dir``.
    """
    examinations = [await Examiner(patient, state_dir, read_only=read_only).run() for patient in patients]
    if len(patients) == 2:
        examinations[1] = msgspec.structs.replace(
            examinations[1], findings=(*examinations[1].findings, _between(patients[0], patients[1]))
        )
    return Diagnosis(examinations=tuple(examinations))


def _between(one: Patient, other: Patient) -> Finding:
    if same_service(one.endpoint, other.endpoint):
        return Finding(
            subject="between",
            level=Level.OK,
            found="the same service and credentials: objects are copied on the server",
        )
    return Finding(
        subject="between",
        level=Level.OK,
        found="two services, or two identities: objects go through this machine's memory",
        meaning="Each object is read from the one and written to the other, which takes the bandwidth of both.",
    )


class _Over(Exception):
    """There is no use in asking on."""


class Examiner:
    """One examination: it asks, in order, and gathers findings until there is no use in asking on."""

    def __init__(self, patient: Patient, state_dir: str, *, read_only: bool) -> None:
        self._location, self._endpoint = patient
        self._state_dir = state_dir
        self._read_only = read_only
        self._findings: list[Finding] = []
        self._place = Place(bucket=self._location.bucket)
        self._profile: EndpointProfile | None = None
        self._profile_path = ""

    async def run(self) -> Examination:
        """Return all that was found out."""
        try:
            await self._examine()
        except _Over:
            pass
        except BrigadeError as error:
            if str(error) not in {one.found for one in self._findings}:  # a profile that does not exist is met twice
                self._findings.append(finding_of(error, "endpoint", self._place))
        return Examination(
            location=str(self._location),
            endpoint_url=self._place.url,
            findings=tuple(self._findings),
            profile=self._profile,
            profile_path=self._profile_path,
        )

    async def _examine(self) -> None:
        has_credentials = await self._look_at_credentials()
        opened = self._endpoint
        if not has_credentials:  # the connection can be looked at all the same
            opened = msgspec.structs.replace(opened, no_sign_request=True)
        async with open_bucket_control(opened, retry=_ONE_ATTEMPT) as control:
            self._place = msgspec.structs.replace(self._place, url=control.endpoint_url)
            await self._look_at_connection(control)
            if not has_credentials:
                raise _Over
            identity = await self._look_at_identity(control.endpoint_url)
            async with open_client(self._endpoint, max_connections=_CONNECTIONS) as client:
                plain = ClientStore(client, msgspec.structs.replace(self._endpoint, checksum="when_required"))
                strict = ClientStore(client, msgspec.structs.replace(self._endpoint, checksum="crc64nvme"))
                if not self._location.bucket:
                    await self._look_at_account(plain)
                    return
                await self._look_at_access(plain)
                info = await self._look_at_bucket(control, identity)
                if not self._read_only and not _keeps_everything(info):
                    await self._probe(plain, strict, identity)

    async def _look_at_credentials(self) -> bool:
        if self._endpoint.no_sign_request:
            self._findings.append(Finding(subject="credentials", level=Level.OK, found="none: requests are anonymous"))
            return True
        try:
            found = await find_credentials(self._endpoint)
        except (ConfigError, TransferError) as error:
            self._findings.append(finding_of(error, "credentials", self._place))
            return False
        self._place = msgspec.structs.replace(self._place, profile=found.profile)
        self._findings.append(credentials_finding(found, now_ns=time.time_ns()))
        return True

    async def _look_at_connection(self, control: BucketControl) -> None:
        url = control.endpoint_url
        proxy = proxy_for(url)
        if proxy:
            self._findings.append(
                Finding(
                    subject="connection",
                    level=Level.UNKNOWN,
                    found=f"{url} through the proxy {proxy}",
                    meaning="Certificate and clock are not looked at behind a proxy.",
                )
            )
            return
        try:
            reached = await reach(url, self._endpoint, authorities=control.authorities)
        except TransferError as error:
            self._findings.append(finding_of(error, "connection", self._place))
            raise _Over from error
        self._findings += connection_findings(url, reached, now_ns=time.time_ns())

    async def _look_at_identity(self, url: str) -> Identity | None:
        if self._endpoint.no_sign_request:
            return None
        try:
            identity = await caller_identity(self._endpoint, url)
        except TransferError as error:
            # Only S3's own answer decides: another service may not even know how the request is signed.
            self._findings.append(identity_finding(error))
            return None
        self._findings.append(identity_finding(identity))
        return identity

    async def _look_at_account(self, store: ClientStore) -> None:
        try:
            buckets = await store.list_buckets()
        except TransferError as error:
            self._findings.append(finding_of(error, "buckets", self._place))
            return
        words = f"{len(buckets):,} can be listed; name one to find out what is allowed in it"
        self._findings.append(Finding(subject="buckets", level=Level.OK, found=words))

    async def _look_at_access(self, store: ClientStore) -> None:
        """List one key: unlike that to a HEAD, its answer says why it is refused."""
        error: TransferError | None = None
        try:
            await store.list_objects(self._location.bucket, prefix=self._location.key, page_size=1)
        except TransferError as refused:
            if ends_it(refused) or not isinstance(refused, AccessDenied):
                cause = finding_of(refused, "list", self._place)
                # What was seen already (a clock that is off) is replaced by the endpoint's own words.
                self._findings = [*(one for one in self._findings if one.subject != cause.subject), cause]
                raise _Over from refused
            error = refused
        if self._read_only or error is not None:
            self._findings.append(listing_finding(error, self._place, self._location.key))

    async def _look_at_bucket(self, control: BucketControl, identity: Identity | None) -> BucketInfo | None:
        try:
            info = await control.info(self._location.bucket)
        except TransferError as error:
            self._findings.append(
                Finding(subject="bucket", level=Level.UNKNOWN, found=f"may not be asked for ({error.code})")
            )
            return None
        account = None
        if identity is not None and is_aws(control.endpoint_url):
            try:
                account = await account_public_access_block(self._endpoint, identity.account)
            except TransferError as error:
                words = f"its Block Public Access may not be read ({error.code})"
                self._findings.append(Finding(subject="account", level=Level.UNKNOWN, found=words))
        if info.region:
            self._findings.append(Finding(subject="region", level=Level.OK, found=info.region))
        self._findings += configuration_findings(info, account)
        return info

    async def _probe(self, plain: ClientStore, strict: ClientStore, identity: Identity | None) -> None:
        key = self._location.key
        prefix = key[: key.rfind("/") + 1]
        probed = await Prober(plain, strict, self._location.bucket, prefix).run()
        user = identity.arn if identity is not None else ""
        listed = {finding.subject for finding in self._findings}
        permissions = permission_findings(probed, self._place, prefix, user=user)
        self._findings += [finding for finding in permissions if finding.subject not in listed]
        profile = msgspec.structs.replace(probed.profile, endpoint_url=self._place.url)
        if not plain.deletes_many:
            profile = msgspec.structs.replace(profile, multi_delete=False)
        self._profile = profile
        self._findings += capability_findings(profile)
        self._findings += leftover_finding(probed, self._place)
        try:
            self._profile_path = write_profile(self._state_dir, self._endpoint, profile)
        except OSError as error:
            words = f"cannot be kept in {self._state_dir}: {error.strerror}"
            remedy = "Give a folder that can be written: --state-dir."
            self._findings.append(Finding(subject="profile", level=Level.WARNING, found=words, remedy=remedy))


def _keeps_everything(info: BucketInfo | None) -> bool:
    """Tell whether what is written could not be deleted again."""
    return info is not None and info.object_lock is not None and bool(info.object_lock.mode)
