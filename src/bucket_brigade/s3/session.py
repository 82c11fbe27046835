"""From an endpoint's settings to an aioboto3 client that does exactly what it is told: one attempt, one host.

aioboto3 finds credentials, profiles, regions and ``AWS_ENDPOINT_URL`` as it does everywhere; what it would do on its own
afterwards (retry, follow a region redirect, wait for ``100 Continue``, add checksums of its choice) is switched off.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import functools
import hashlib
import os
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import SplitResult, urlsplit

from bucket_brigade.errors import ConfigError
from bucket_brigade.model.location import DEFAULT_ENDPOINT
from bucket_brigade.s3.errors import answered_with_the_object, credentials_error, error_from_exception
from bucket_brigade.settings.addresses import hands_out_credentials, is_loopback
from bucket_brigade.settings.values import EndpointSettings

DEFAULT_REGION = "us-east-1"

RAW_DOCUMENT = "bucket_brigade.document"
"""In the answer to ListObjectVersions: its body as it came."""

_REGION = re.compile(r"\A[a-z0-9-]{1,32}\Z")
_ADDRESSING = ("auto", "path", "virtual")
_CHECKSUMS = ("auto", "crc64nvme", "when_required")
_PAYLOAD_SIGNING = ("auto", "always", "never")

Client = Any
"""An aioboto3 S3 client: ``types_aiobotocore_s3.client.S3Client``, whose typed dictionaries no generic code can fill."""


def check_endpoint(endpoint: EndpointSettings) -> None:
    """Raise ConfigError where the settings of an endpoint are unsafe or contradict themselves. Reads no environment."""
    name = endpoint.name
    if endpoint.region is not None:
        check_region(endpoint.region)
    if endpoint.endpoint_url is not None:
        check_endpoint_url(endpoint.endpoint_url, allow_http=_may_use_http(endpoint))
    if (endpoint.access_key_id is None) != (endpoint.secret_access_key is None):
        raise ConfigError(
            f"The endpoint {name} has only one of access_key_id and secret_access_key.",
            remedy="Give both, or neither and a profile.",
        )
    for field, value, known in (
        ("addressing", endpoint.addressing, _ADDRESSING),
        ("checksum", endpoint.checksum, _CHECKSUMS),
        ("payload_signing", endpoint.payload_signing, _PAYLOAD_SIGNING),
        ("request_payer", endpoint.request_payer or "requester", ("requester",)),
    ):
        if value not in known:
            raise ConfigError(
                f"The endpoint {name} has the unknown {field} {value!r}.", remedy=f"Choose one of {', '.join(known)}."
            )
    if endpoint.ca_bundle is not None:
        _check_ca_bundle(endpoint.ca_bundle)


def _may_use_http(endpoint: EndpointSettings) -> bool:
    """Return whether plain http is allowed to other hosts than loopback: never where requests carry a customer's key."""
    return endpoint.allow_http and endpoint.sse_c_key is None and endpoint.copy_source_sse_c_key is None


def check_region(region: str) -> None:
    """Raise ConfigError unless ``region`` can be the name of one: it becomes part of a host name."""
    if not _REGION.match(region):
        raise ConfigError(
            f"{region[:64]!r} is no name of a region.",
            remedy="Regions are lower-case letters, digits and hyphens, such as eu-central-1.",
        )


def check_endpoint_url(url: str, *, allow_http: bool = False) -> None:
    """Raise ConfigError unless ``url`` is https, or http where that is safe or allowed, to a host we may talk to."""
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_valid = SplitResult("", "", "", "", ""), False
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not host or not port_is_valid:
        raise ConfigError("The endpoint URL is not a URL of http or https.", remedy="Write it as https://host[:port].")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigError(
            f"The endpoint URL for {host} has more in it than scheme, host, port and path.",
            remedy="Give credentials by profile or environment, never in a URL.",
        )
    if hands_out_credentials(host):
        raise ConfigError(
            f"{host} is a link-local or metadata address, never an S3 endpoint.", remedy="Give the store's own address."
        )
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        raise ConfigError(
            f"The endpoint http://{host} would carry everything unencrypted.",
            remedy="Use https, or --allow-http for a network you trust.",
        )


def _check_ca_bundle(path: str) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else "it is no PEM file of certificates"
        raise ConfigError(
            f"The CA bundle {path} cannot be read: {reason}.", remedy="Give a PEM file with --ca-bundle."
        ) from exc


@contextlib.asynccontextmanager
async def open_client(endpoint: EndpointSettings, *, max_connections: int) -> AsyncIterator[Client]:
    """Open the aioboto3 client of an endpoint; its connections are closed at the end.

    The settings are checked, the credentials found and read once, and the address that the environment gives is checked
    too, before the caller gets the client. Raises ConfigError.
    """
    async with contextlib.AsyncExitStack() as stack:
        with guard_opening(endpoint):
            session = make_session(endpoint)
            if not endpoint.no_sign_request:
                await require_credentials(session)
            client = await stack.enter_async_context(_unopened_client(session, endpoint, max_connections))
        make_ours(client, endpoint)
        yield client


@contextlib.contextmanager
def guard_opening(endpoint: EndpointSettings) -> Iterator[None]:
    """Check the settings of an endpoint, and raise ConfigError for what botocore says while its client is made."""
    check_endpoint(endpoint)
    from botocore.exceptions import BotoCoreError

    try:
        yield
    except (BotoCoreError, ValueError) as exc:
        raise _opening_error(exc, endpoint) from exc


def make_ours(client: Client, endpoint: EndpointSettings) -> None:
    """Check where a new client sends to, and take from it what it would do on its own. Raises ConfigError."""
    check_endpoint_url(client.meta.endpoint_url, allow_http=_may_use_http(endpoint))
    make_plain(client)
    if endpoint.payload_signing == "never":
        leave_protected_bodies_unsigned(client)


async def require_credentials(session: Any) -> None:
    """Find the credentials of an aioboto3 session and read them once. Raises ConfigError where there are none."""
    from botocore.exceptions import BotoCoreError

    try:
        credentials = await session.get_credentials()
        if credentials is None:
            raise credentials_error()
        frozen = await credentials.get_frozen_credentials()
    except BotoCoreError as exc:
        raise credentials_error(exc) from exc
    if not frozen.access_key or not frozen.secret_key:
        raise credentials_error()


def _opening_error(exc: Exception, endpoint: EndpointSettings) -> ConfigError:
    if isinstance(exc, ValueError):
        return ConfigError(f"The endpoint {endpoint.name} cannot be opened: its settings do not make a URL.")
    error = error_from_exception(exc, operation="open", location=endpoint.name)
    return error if isinstance(error, ConfigError) else ConfigError(str(error), remedy="Check the AWS configuration.")


def make_session(endpoint: EndpointSettings) -> Any:
    """Return the aioboto3 session of an endpoint: its credentials, profile and region. Raises ConfigError."""
    from bucket_brigade.s3.lean_imports import import_aiohttp

    import_aiohttp()
    import aioboto3

    session = aioboto3.Session()
    core = session._session  # noqa: SLF001 - aioboto3 gives no other way to its botocore session
    _set_up(core, endpoint)
    _leave_out_helpers(core)
    return session


def make_plain_session(endpoint: EndpointSettings) -> Any:
    """Return the same for botocore alone, whose credentials block where they have to be asked for."""
    from botocore.session import Session

    core = Session()
    _set_up(core, endpoint)
    return core


def _set_up(core: Any, endpoint: EndpointSettings) -> None:
    from bucket_brigade.s3.models import read_fewer_models

    if endpoint.profile is not None:
        core.set_config_variable("profile", endpoint.profile)
    if endpoint.access_key_id is not None and endpoint.secret_access_key is not None:
        token = None if endpoint.session_token is None else endpoint.session_token.reveal()
        core.set_credentials(endpoint.access_key_id, endpoint.secret_access_key.reveal(), token)
    # AWS_REGION is what every SDK but botocore reads.
    region = endpoint.region or os.environ.get("AWS_REGION") or core.get_config_variable("region") or DEFAULT_REGION
    check_region(region)
    read_fewer_models(core)
    core.set_config_variable("region", region)
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_timestamp)


def _leave_out_helpers(core: Any) -> None:
    """Let clients be made without boto3's methods for files, whose import takes 20 ms: nobody uses them here."""
    event = "creating-client-class.s3"
    for handler in core.get_component("event_emitter")._emitter._handlers.prefix_search(event):  # noqa: SLF001
        core.unregister(event, handler)


def _unopened_client(session: Any, endpoint: EndpointSettings, max_connections: int) -> Any:
    from aiobotocore.config import AioConfig

    from bucket_brigade.s3.transport import StraightSession

    straight: Any = functools.partial(StraightSession, allow_http=endpoint.allow_http)
    config = AioConfig(
        http_session_cls=straight,
        max_pool_connections=max_connections,
        **config_values(endpoint, session._session.get_scoped_config()),  # noqa: SLF001
    )
    return session.client("s3", endpoint_url=endpoint.endpoint_url, verify=endpoint.ca_bundle, config=config)


def config_values(endpoint: EndpointSettings, profile: dict[str, Any]) -> dict[str, Any]:
    """Return what botocore's Config takes for a client of the endpoint, whatever sends its requests."""
    from botocore import UNSIGNED

    return {
        "connect_timeout": endpoint.connect_timeout_s,
        "read_timeout": endpoint.read_timeout_s,
        "retries": {"total_max_attempts": 1, "mode": "legacy"},
        "parameter_validation": False,
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        "signature_version": UNSIGNED if endpoint.no_sign_request else None,
        # The environment describes the endpoint "s3", and no other.
        "ignore_configured_endpoint_urls": True if endpoint.name != DEFAULT_ENDPOINT else None,
        "s3": _s3_options(endpoint, profile),
    }


def _s3_options(endpoint: EndpointSettings, profile: dict[str, Any]) -> dict[str, Any]:
    """Return what is added to the options of the profile, which botocore reads itself (it knows which are true or false)."""
    own = profile.get("s3")
    options: dict[str, Any] = {}
    if endpoint.addressing != "auto" or not isinstance(own, dict) or "addressing_style" not in own:
        options["addressing_style"] = endpoint.addressing
    if endpoint.payload_signing == "always":
        options["payload_signing_enabled"] = True
    return options


def make_plain(client: Client) -> None:
    """Take from a client what botocore does besides sending one request to one host.

    Unregistered: Expect (a peer that never answers it hangs us for ever), the region redirector (it repeats the request
    elsewhere, with HEADs of its own), the retry handler, and the wrapping of bodies into files (a copy). Added: what
    ``s3.client`` wants on the wire and botocore has no parameter for.
    """
    from botocore import handlers

    events = client.meta.events
    events.unregister("before-call.s3", handlers.add_expect_header)
    events.unregister("needs-retry.s3", unique_id="retry-config-s3")
    for operation in ("PutObject", "UploadPart"):
        events.unregister(f"before-parameter-build.s3.{operation}", handlers.convert_body_to_file_like_object)
    for event, handler in _redirector_handlers(events):
        events.unregister(event, handler)
    events.register("before-call.s3.GetObject", _ask_for_checksums)
    events.register("before-sign.s3.DeleteObjects", _add_content_md5)
    for operation in ("PutObject", "UploadPart"):
        events.register(f"before-call.s3.{operation}", _trust_own_checksum)
    for operation in ("PutObject", "CopyObject", "CreateMultipartUpload"):
        events.register(f"before-parameter-build.s3.{operation}", _set_expires_aside)
        events.register(f"before-call.s3.{operation}", _send_expires)
    events.register("after-call.s3.ListObjectVersions", _keep_document)
    for operation in ("GetObjectTagging", "GetObjectAcl"):
        events.register(f"before-parse.s3.{operation}", _refuse_the_object_itself)


def _refuse_the_object_itself(response_dict: dict[str, Any], operation_model: Any, **_: Any) -> None:
    body = response_dict.get("body") or b""
    known = b"<Tagging" in body or b"<AccessControlPolicy" in body
    if "etag" in response_dict["headers"] and not known:  # whatever the status: botocore makes a 500 of what is no XML
        raise answered_with_the_object(operation_model.name)


async def _keep_document(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
    # botocore's reading loses the order of versions and delete markers among each other.
    parsed[RAW_DOCUMENT] = await http_response.content


def _ask_for_checksums(params: dict[str, Any], **_: Any) -> None:
    # As a header, because botocore's own parameter would hash every body a second time.
    if "Range" not in params["headers"]:
        params["headers"]["x-amz-checksum-mode"] = "ENABLED"


def _trust_own_checksum(params: dict[str, Any], **_: Any) -> None:
    # Over TLS a body with a checksum is not hashed again for the signature, as botocore does it with checksums of its own.
    name = "x-amz-checksum-crc64nvme"
    if name in params["headers"]:
        params["context"]["checksum"] = {"request_algorithm": {"algorithm": "crc64nvme", "in": "header", "name": name}}


def leave_protected_bodies_unsigned(client: Client) -> None:
    """Let a client sign objects and parts as UNSIGNED-PAYLOAD where TLS, or a checksum beside them, protects their bytes.

    Over http too, where botocore never does that by itself. What nothing else protects is hashed for the signature as ever.
    """
    unsigned = copy.copy(client.meta.config)
    unsigned.s3 = {**(unsigned.s3 or {}), "payload_signing_enabled": False}

    def choose(params: dict[str, Any], **_: Any) -> None:
        algorithm = params["context"].get("checksum", {}).get("request_algorithm")
        if isinstance(algorithm, dict) or params["url"].startswith("https:"):
            params["context"]["client_config"] = unsigned

    for operation in ("PutObject", "UploadPart"):
        client.meta.events.register_last(f"before-call.s3.{operation}", choose)


def _set_expires_aside(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    # botocore writes Expires as the date that it reads in it. Sources hold anything ("0", "never"), which is kept as it is.
    if "Expires" in params:
        context["bucket_brigade_expires"] = params.pop("Expires")


def _send_expires(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    if "bucket_brigade_expires" in context:
        params["headers"]["Expires"] = context["bucket_brigade_expires"]


def _add_content_md5(request: Any, **_: Any) -> None:
    # Many stores still demand what botocore no longer sends.
    digest = hashlib.md5(request.data, usedforsecurity=False).digest()
    request.headers["Content-MD5"] = base64.b64encode(digest).decode("ascii")


def _redirector_handlers(events: Any) -> list[tuple[str, Any]]:
    """Return the bound methods of the region redirector that a client has made for itself.

    botocore keeps no reference to it, so it is found where it registered. A test drives a redirect through a real client.
    """
    from botocore.utils import S3RegionRedirectorv2

    emitter = getattr(events, "_emitter", events)
    return [
        (event, handler)
        for event in ("needs-retry.s3", "before-parameter-build.s3", "before-endpoint-resolution.s3")
        for handler in emitter._handlers.prefix_search(event)  # noqa: SLF001
        if isinstance(getattr(handler, "__self__", None), S3RegionRedirectorv2)
    ]


def parse_timestamp(value: Any) -> datetime:
    """Return the aware datetime of S3's ISO dates and of HTTP dates; the rest is left to botocore (dateutil: 60 us)."""
    if isinstance(value, str) and len(value) > 10:
        with contextlib.suppress(ValueError):
            parsed = datetime.fromisoformat(value) if value[4] == "-" else parsedate_to_datetime(value)
            if parsed.tzinfo is not None:
                return parsed
    from botocore.utils import parse_timestamp as parse_slowly

    result: datetime = parse_slowly(value)
    return result
