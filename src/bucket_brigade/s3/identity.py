"""Who we are at an endpoint: where the credentials come from, when they expire, and whose they are.

STS and S3 Control are asked through clients of their own, over the same guarded connections as S3.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from bucket_brigade.errors import PermanentError, TransferError
from bucket_brigade.s3.addresses import is_aws
from bucket_brigade.s3.bucket_values import NOTHING_BLOCKED, Identity, PublicAccessBlock
from bucket_brigade.s3.buckets import public_access_block_of
from bucket_brigade.s3.calls import foreign_errors
from bucket_brigade.s3.errors import credentials_error, error_from_exception
from bucket_brigade.s3.reading import nanoseconds
from bucket_brigade.s3.session import make_session, require_credentials
from bucket_brigade.settings.values import EndpointSettings

_CONNECTIONS = 4

_SOURCES = {
    "explicit": "the configuration of brigade",
    "env": "the environment (AWS_ACCESS_KEY_ID)",
    "shared-credentials-file": "the credentials file of AWS",
    "config-file": "the configuration file of AWS",
    "assume-role": "a role that was assumed",
    "assume-role-with-web-identity": "a role that was assumed with a web identity token",
    "sso": "single sign-on (aws sso login)",
    "container-role": "the role of the container",
    "iam-role": "the role of the instance (IMDS)",
    "custom-process": "a program (credential_process)",
}


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Which credentials are used, without their secrets.

    Attributes:
        method: botocore's name for where they come from, such as ``env`` or ``iam-role``.
        source: the same in words.
        profile: of the AWS files; "" where none is named.
        access_key_id: its first and last four characters.
        temporary: there is a session token.
        expires_ns: when, in nanoseconds since the epoch; None where that is not known.
    """

    method: str
    source: str
    profile: str
    access_key_id: str
    temporary: bool
    expires_ns: int | None


async def find_credentials(endpoint: EndpointSettings) -> Credentials:
    """Return which credentials the endpoint's settings lead to. Raises ConfigError where there are none."""
    session = _session_of(endpoint)
    await require_credentials(session)
    found = await session.get_credentials()
    frozen = await found.get_frozen_credentials()
    profile = endpoint.profile or os.environ.get("AWS_PROFILE", "")
    explicit = endpoint.access_key_id is not None
    source = _SOURCES.get(found.method, found.method)
    return Credentials(
        method=found.method,
        source=f"{source}, profile {profile}" if profile and not explicit and found.method != "env" else source,
        profile="" if explicit else profile,
        access_key_id=masked(frozen.access_key),
        temporary=bool(frozen.token),
        # botocore has no other way to tell; what has no such attribute does not expire by itself.
        expires_ns=nanoseconds(getattr(found, "_expiry_time", None)) or None,
    )


def masked(access_key_id: str) -> str:
    """Return the ends of an access key id: enough to recognize it, too little to use it."""
    return f"{access_key_id[:4]}…{access_key_id[-4:]}" if len(access_key_id) >= 12 else f"{access_key_id[:2]}…"


async def caller_identity(endpoint: EndpointSettings, endpoint_url: str) -> Identity:
    """Return whose credentials they are, as STS says: AWS's own, or what answers at the endpoint's address.

    Raises:
        TransferError: the credentials are refused; or NotSupported and the like where the endpoint has no STS.
    """
    async with _open_service("sts", endpoint, None if is_aws(endpoint_url) else endpoint_url) as client:
        answer = await _call(client.get_caller_identity(), "GetCallerIdentity")
    if not answer.get("Arn"):
        raise PermanentError("The endpoint does not tell whose credentials these are.", code="NoIdentity")
    return Identity(answer.get("Account", ""), answer["Arn"], answer.get("UserId", ""))


async def account_public_access_block(endpoint: EndpointSettings, account: str) -> PublicAccessBlock:
    """Return Block Public Access of a whole account of AWS. Raises TransferError."""
    async with _open_service("s3control", endpoint, None) as client:
        try:
            answer = await _call(client.get_public_access_block(AccountId=account), "GetPublicAccessBlock")
        except TransferError as error:
            if error.code == "NoSuchPublicAccessBlockConfiguration":
                return NOTHING_BLOCKED
            raise
    return public_access_block_of(answer.get("PublicAccessBlockConfiguration", {}))


@contextlib.asynccontextmanager
async def _open_service(name: str, endpoint: EndpointSettings, url: str | None) -> AsyncIterator[Any]:
    from aiobotocore.config import AioConfig

    from bucket_brigade.s3.transport import StraightSession

    straight: Any = functools.partial(StraightSession, allow_http=endpoint.allow_http)
    config = AioConfig(
        http_session_cls=straight,
        max_pool_connections=_CONNECTIONS,
        connect_timeout=endpoint.connect_timeout_s,
        read_timeout=endpoint.read_timeout_s,
        retries={"total_max_attempts": 1, "mode": "legacy"},
        ignore_configured_endpoint_urls=True,
    )
    session = _session_of(endpoint)
    try:
        async with session.client(name, endpoint_url=url, verify=endpoint.ca_bundle, config=config) as client:
            yield client
    except foreign_errors() as exc:
        raise error_from_exception(exc, operation=name, location=endpoint.name) from exc


def _session_of(endpoint: EndpointSettings) -> Any:
    from botocore.exceptions import BotoCoreError

    try:
        return make_session(endpoint)
    except BotoCoreError as exc:
        raise credentials_error(exc) from exc


async def _call(request: Any, operation: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = await request
    except foreign_errors() as exc:
        raise error_from_exception(exc, operation=operation) from exc
    except KeyError as exc:  # what botocore makes of a document without the result of the operation
        raise PermanentError(f"The endpoint answers {operation} with something else.", code="NoIdentity") from exc
    return answer
