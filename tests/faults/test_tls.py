"""TLS to the endpoint: what is not to be trusted is a hard stop, on the lane and on the client, and nothing turns it off."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from cryptography import x509

from bucket_brigade.errors import PermanentError, TransferError
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.model.job import JobState
from bucket_brigade.s3.doors import tls_context
from bucket_brigade.settings.values import EndpointSettings, EngineSettings, Settings
from tests.faults.peers import Peer, endpoint_at, peer, store_at, taking_everything
from tests.servers.certificates import Certificates, make_certificates

LANES = ("on", "off")


@contextlib.asynccontextmanager
async def tunnel_to(here: Peer) -> AsyncIterator[str]:
    """Run an HTTP proxy that answers CONNECT with a tunnel to this peer."""
    conversations: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            while data := await reader.read(65536):
                writer.write(data)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"CONNECT ")
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(converse(reader, writer))
        conversations.add(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in conversations:
            task.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(str(tmp_path_factory.mktemp("good")))


@pytest.fixture(scope="module")
def other_host(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    names = [x509.DNSName("other.example")]
    return make_certificates(str(tmp_path_factory.mktemp("other")), names=names)


@pytest.fixture(scope="module")
def expired(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(str(tmp_path_factory.mktemp("expired")), age=dt.timedelta(days=30))


def server_side(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    return context


async def accepted(here: Peer, lane: str, ca: str) -> None:
    async with store_at(endpoint_at(here.url, ca_bundle=ca), lane) as store:
        assert (await store.put_object("bucket", "key", b"body")).etag
    assert len(here.requests) == 1


async def refused(here: Peer, lane: str, ca: str | None) -> TransferError:
    async with store_at(endpoint_at(here.url, ca_bundle=ca), lane) as store:
        with pytest.raises(TransferError) as caught:
            await store.put_object("bucket", "key", b"body")
    assert here.requests == []
    return caught.value


@pytest.mark.parametrize("lane", LANES)
async def test_an_authority_of_ones_own_is_trusted_when_it_is_named(lane: str, good: Certificates) -> None:
    async with peer(taking_everything, tls=server_side(good)) as here:
        await accepted(here, lane, good.ca)


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("kind", ["unknown", "other_host", "expired"])
async def test_a_certificate_that_is_not_to_be_trusted_is_a_hard_stop(
    kind: str, lane: str, good: Certificates, other_host: Certificates, expired: Certificates
) -> None:
    shown = {"unknown": good, "other_host": other_host, "expired": expired}[kind]
    async with peer(taking_everything, tls=server_side(shown)) as here:
        error = await refused(here, lane, None if kind == "unknown" else shown.ca)
    assert isinstance(error, PermanentError)
    assert error.code == "BadCertificate"
    assert "--ca-bundle" in error.remedy


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(
    ("variable", "value"),
    [("AWS_CA_BUNDLE", ""), ("REQUESTS_CA_BUNDLE", ""), ("CURL_CA_BUNDLE", ""), ("PYTHONHTTPSVERIFY", "0")],
)
async def test_no_variable_turns_verification_off(
    variable: str, value: str, lane: str, good: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    async with peer(taking_everything, tls=server_side(good)) as here:
        assert (await refused(here, lane, None)).code == "BadCertificate"


async def test_behind_a_proxy_certificates_are_verified_too(
    good: Certificates, other_host: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with peer(taking_everything, tls=server_side(other_host)) as here, tunnel_to(here) as proxy_url:
        monkeypatch.setenv("HTTPS_PROXY", proxy_url)
        assert (await refused(here, "auto", other_host.ca)).code == "BadCertificate"
    async with peer(taking_everything, tls=server_side(good)) as here, tunnel_to(here) as proxy_url:
        monkeypatch.setenv("HTTPS_PROXY", proxy_url)
        await accepted(here, "auto", good.ca)


# --- protocol versions -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def old_server(certificates: Certificates, version: ssl.TLSVersion) -> Iterator[Peer]:
    """Run a server that speaks this version alone, in a thread: asyncio's own drops the alert that tells the client why."""
    context = server_side(certificates)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLS"):
        context.minimum_version = context.maximum_version = version
    listening = socket.create_server(("127.0.0.1", 0))
    here = Peer("https", listening.getsockname()[1])

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection, contextlib.suppress(OSError):
                    context.wrap_socket(connection, server_side=True).close()
                    here.connections += 1

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield here
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.parametrize("lane", LANES)
async def test_a_server_that_offers_less_than_tls_1_2_is_refused(
    lane: str, version: ssl.TLSVersion, good: Certificates
) -> None:
    with old_server(good, version) as here:
        error = await refused(here, lane, good.ca)
        assert here.connections == 0
        with socket.create_connection(("127.0.0.1", here.port)) as connection:  # one that takes anything gets through
            anything = ssl.create_default_context(cafile=good.ca)
            anything.set_ciphers("ALL:@SECLEVEL=0")
            with pytest.warns(DeprecationWarning, match="TLS"):
                anything.minimum_version = ssl.TLSVersion.TLSv1
            anything.wrap_socket(connection, server_hostname="127.0.0.1").close()
    assert here.connections == 1
    assert error.code == "BadTls"
    assert "1.2" in error.remedy


@pytest.mark.parametrize("lane", LANES)
async def test_tls_1_2_is_enough(lane: str, good: Certificates) -> None:
    just = server_side(good)
    just.maximum_version = ssl.TLSVersion.TLSv1_2
    async with (
        peer(taking_everything, tls=just) as here,
        store_at(endpoint_at(here.url, ca_bundle=good.ca), lane) as store,
    ):
        assert (await store.put_object("bucket", "key", b"body")).etag


def test_every_connection_is_made_with_these_settings() -> None:
    context = tls_context(None)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert tls_context("").verify_mode is ssl.CERT_REQUIRED


# --- in the middle of a job ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", LANES)
async def test_a_certificate_that_turns_bad_stops_the_job_and_fails_no_object(
    lane: str, good: Certificates, other_host: Certificates, tmp_path: Path
) -> None:
    shown = server_side(good)
    taken = 0

    def turning_bad(request: object) -> bytes:
        nonlocal taken
        answer = taking_everything(request)  # type: ignore[arg-type]
        taken += 1
        if taken == 20:
            shown.load_cert_chain(other_host.certificate, other_host.key)
        return answer.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)

    source = tmp_path / "source"
    source.mkdir()
    for number in range(60):
        (source / f"f{number}").write_bytes(b"x")
    async with peer(turning_bad, tls=shown) as here:
        settings = Settings(
            endpoints={"s3": EndpointSettings(), "here": endpoint_at(here.url, ca_bundle=good.ca)},
            state_dir=str(tmp_path / "state"),
            engine=EngineSettings(lane=lane, concurrency=4),
        )
        async with Brigade(settings) as brigade:
            run = await brigade.copy(f"{source}/", "here://bucket/")
            report = await run.wait()
        assert report.state is JobState.INTERRUPTED
        assert "certificate" in report.reason
        assert report.counters.failed == 0
        assert 0 < report.counters.done < 60

        shown.load_cert_chain(good.certificate, good.key)
        async with Brigade(settings) as brigade:
            report = await (await brigade.start(report.job.id)).wait()
        assert report.state is JobState.DONE
        assert report.counters.done == 60
