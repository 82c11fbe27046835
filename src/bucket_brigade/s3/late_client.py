"""A client for the lane: botocore alone builds its requests, and aioboto3 with aiohttp is loaded to send the first of them.

They are most of what it costs to begin, and a job whose requests all go through the lane never sends one through the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from bucket_brigade.s3.errors import credentials_error
from bucket_brigade.s3.prepared import is_capturing
from bucket_brigade.s3.session import Client, config_values, guard_opening, make_ours, make_plain_session, open_client
from bucket_brigade.settings.values import EndpointSettings

_ASKED_FOR = frozenset(
    {
        "credential_process",
        "credential_source",
        "login_session",
        "role_arn",
        "source_profile",
        "sso_session",
        "sso_start_url",
        "web_identity_token_file",
    }
)
"""What in a profile means that its credentials are not in it: somebody has to be asked, which aioboto3 does without blocking."""


class LateClient:
    """Stands for the aioboto3 client of an endpoint: requests that are captured are built at once, others open it first.

    Args:
        builder: the botocore client of the endpoint; it sends nothing.
        open_it: opens the aioboto3 client, called once at most.

    Attributes:
        credentials: permanent ones, to be awaited like those of an aioboto3 client; None for anonymous requests.
    """

    def __init__(self, builder: Any, credentials: Any, open_it: Callable[[], Awaitable[Client]]) -> None:
        self.meta = builder.meta
        self.credentials = None if credentials is None else _Permanent(credentials.get_frozen_credentials())
        self._endpoint = builder._endpoint  # noqa: SLF001 - where ``lane_supports`` finds what the configuration says
        self._builder = builder
        self._open_it = open_it
        self._lock = asyncio.Lock()
        self._client: Client = None

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Return the method of an operation."""
        build = getattr(self._builder, name)

        async def call(**params: Any) -> Any:
            if is_capturing():
                return build(**params)
            return await getattr(await self._opened(), name)(**params)

        return call

    async def _opened(self) -> Client:
        async with self._lock:
            if self._client is None:
                self._client = await self._open_it()
            return self._client


class _Permanent:
    def __init__(self, frozen: Any) -> None:
        self._frozen = frozen

    async def get_frozen_credentials(self) -> Any:
        return self._frozen


@contextlib.asynccontextmanager
async def open_late_client(endpoint: EndpointSettings, *, max_connections: int) -> AsyncIterator[Client]:
    """Open the client of an endpoint for a lane; its connections are closed at the end.

    The same is checked as by ``open_client``, which is used at once where credentials have to be asked for.
    Raises ConfigError.
    """
    async with contextlib.AsyncExitStack() as stack:

        def open_it() -> Awaitable[Client]:
            return stack.enter_async_context(open_client(endpoint, max_connections=max_connections))

        with guard_opening(endpoint):
            core = make_plain_session(endpoint)
            if not has_credentials(endpoint, core.get_scoped_config, os.environ):
                builder = None
            else:
                credentials = None if endpoint.no_sign_request else _credentials_in(core)
                builder = _builder(core, endpoint)
                stack.callback(builder.close)
        if builder is None:
            yield await open_it()
        else:
            make_ours(builder, endpoint)
            yield LateClient(builder, credentials, open_it)


def has_credentials(
    endpoint: EndpointSettings, scoped_config: Callable[[], Mapping[str, Any]], environ: Mapping[str, str]
) -> bool:
    """Return whether nobody has to be asked for the credentials of an endpoint: botocore finds them where they are written.

    Args:
        endpoint: its settings.
        scoped_config: reads the profile that is in force from the files of AWS. Raises what botocore raises.
        environ: of the process.
    """
    if endpoint.no_sign_request or endpoint.access_key_id is not None:
        return True
    if endpoint.profile is None and "AWS_ACCESS_KEY_ID" in environ:
        return "AWS_CREDENTIAL_EXPIRATION" not in environ
    if "AWS_WEB_IDENTITY_TOKEN_FILE" in environ:
        return False
    profile = scoped_config()
    return "aws_access_key_id" in profile and not _ASKED_FOR & profile.keys()


def _credentials_in(core: Any) -> Any:
    """Return the credentials of a botocore session that has them at hand. Raises ConfigError where they are incomplete."""
    from botocore.exceptions import BotoCoreError

    try:
        credentials = core.get_credentials()
    except BotoCoreError as exc:
        raise credentials_error(exc) from exc
    if credentials is None or not credentials.access_key or not credentials.secret_key:
        raise credentials_error()
    return credentials


def _builder(core: Any, endpoint: EndpointSettings) -> Any:
    from botocore.config import Config

    config = Config(**config_values(endpoint, core.get_scoped_config()))
    return core.create_client("s3", endpoint_url=endpoint.endpoint_url, verify=endpoint.ca_bundle, config=config)
