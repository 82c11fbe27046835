"""Where requests go, and where they never go: redirects, names that lead elsewhere, plain http, the owner of a bucket."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bucket_brigade.cli.main import main
from bucket_brigade.errors import ConfigError, PermanentError, TransferError
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.model.job import PRESERVABLE, EndpointOverrides, ObjectAttributes, TransferOptions
from bucket_brigade.s3.buckets import open_bucket_control
from bucket_brigade.s3.doors import guarded, permitted
from bucket_brigade.s3.session import open_client
from bucket_brigade.settings.values import EndpointSettings, EngineSettings, Settings
from tests.faults.peers import (
    ACCESS_KEY,
    ONCE,
    SECRET_KEY,
    Answer,
    Peer,
    Request,
    endpoint_at,
    http,
    peer,
    store_at,
    taking_everything,
)
from tests.faults.store_calls import METHODS, call

LANES = ("on", "off")
REDIRECTS = ("301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect")
OWNER = "123456789012"


def to(location: str, status: str) -> Answer:
    return lambda _: http(status, Location=location)


# --- redirects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("status", REDIRECTS)
async def test_a_redirect_to_another_host_is_an_error_that_names_it_and_the_host_hears_nothing(
    status: str, lane: str
) -> None:
    async with peer(taking_everything) as trap, peer(to(f"{trap.url}/bucket/key", status)) as store_peer:
        async with store_at(endpoint_at(store_peer.url), lane) as store:
            for method in METHODS:
                with pytest.raises(TransferError) as caught:
                    await call(store, method)
                assert caught.value.status == int(status[:3]), method
                if method not in {"delete_objects"}:
                    assert trap.host in str(caught.value), method
        assert (trap.connections, trap.requests) == (0, [])
        assert len(store_peer.requests) == len(METHODS)


@pytest.mark.parametrize("lane", LANES)
async def test_neither_is_one_to_the_same_host_followed(lane: str) -> None:
    async with peer(lambda _: http("307 Temporary Redirect", Location="/bucket/elsewhere")) as store_peer:
        async with store_at(endpoint_at(store_peer.url), lane) as store:
            for method in METHODS:
                with pytest.raises(TransferError):
                    await call(store, method)
        assert len(store_peer.requests) == len(METHODS)


@pytest.mark.parametrize("lane", LANES)
async def test_a_bucket_whose_redirect_names_no_region_is_asked_once(lane: str) -> None:
    async with peer(lambda _: http("307 Temporary Redirect")) as store_peer:
        async with store_at(endpoint_at(store_peer.url), lane) as store:
            with pytest.raises(TransferError):
                await store.head_bucket("bucket")
        assert len(store_peer.requests) == 1


# --- names and addresses ---------------------------------------------------------------------------------------------

FORBIDDEN = ("169.254.169.254", "169.254.170.2", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "100.100.100.200")
IN_DISGUISE = ("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1")


@pytest.mark.parametrize("address", [*FORBIDDEN, *IN_DISGUISE])
def test_a_name_that_leads_to_a_metadata_address_is_refused(address: str) -> None:
    with pytest.raises(PermanentError, match="metadata") as caught:
        permitted("store.example", [address], loopback_only=False)
    assert caught.value.code == "ForbiddenAddress"
    assert caught.value.remedy


def test_of_several_addresses_the_forbidden_ones_are_passed_over() -> None:
    assert permitted("nas.local", ["fe80::1", "192.168.1.5"], loopback_only=False) == ["192.168.1.5"]


def test_plain_http_that_may_not_leave_this_machine_does_not_by_a_name_either() -> None:
    assert permitted("a.localhost", ["::1", "10.0.0.1"], loopback_only=True) == ["::1"]
    with pytest.raises(PermanentError, match="unencrypted"):
        permitted("a.localhost", ["10.0.0.1"], loopback_only=True)


async def test_a_resolver_is_asked_anew_each_time_and_checked_each_time() -> None:
    answers = itertools.chain([["127.0.0.1"]], itertools.repeat(["169.254.169.254"]))

    async def rebinding(_host: str, _port: int) -> list[str]:
        return next(answers)

    resolve = guarded(rebinding, loopback_only=False)
    assert await resolve("store.example", 443) == ["127.0.0.1"]
    with pytest.raises(PermanentError):
        await resolve("store.example", 443)


def can_give_hosts() -> bool:
    """Whether a process can be shown an /etc/hosts of its own (user and mount namespaces)."""
    if not shutil.which("unshare"):
        return False
    tried = subprocess.run(
        ["unshare", "-rm", "mount", "--bind", "/etc/hosts", "/etc/hosts"], check=False, capture_output=True
    )
    return tried.returncode == 0


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(
    ("address", "url", "reason"),
    [
        ("169.254.169.254", "https://store.example", "metadata"),
        ("169.254.169.254", "http://store.example", "metadata"),
        ("192.0.2.1", "http://store.localhost", "unencrypted"),
    ],
)
def test_the_command_connects_to_no_such_address(
    address: str, url: str, reason: str, lane: str, tmp_path: Path
) -> None:
    if not can_give_hosts():
        pytest.skip("needs user and mount namespaces")
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{address} store.example store.localhost\n")
    words = [sys.executable, "-m", "bucket_brigade", "ls", "s3://bucket/", "--lane", lane, "--endpoint-url", url]
    words += ["--allow-http"] if url == "http://store.example" else []
    ended = subprocess.run(
        ["unshare", "-rm", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "-", *words],
        env=os.environ | {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    assert reason in ended.stderr, ended.stderr


# --- what the environment says ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://store.example", "http://169.254.169.254", "https://169.254.169.254"])
@pytest.mark.parametrize("source", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "profile", "services"])
async def test_an_endpoint_of_the_aws_environment_is_checked_like_any_other(
    source: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    lines = {
        "profile": f"[default]\nendpoint_url = {url}\n",
        "services": f"[default]\nservices = here\n[services here]\ns3 =\n  endpoint_url = {url}\n",
    }
    config.write_text(lines.get(source, ""))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    if source.startswith("AWS_"):
        monkeypatch.setenv(source, url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    with pytest.raises(ConfigError):
        async with open_client(EndpointSettings(), max_connections=1):
            pass


async def test_a_manifest_can_name_no_endpoint(tmp_path: Path) -> None:
    manifest = tmp_path / "list.csv"
    async with peer(taking_everything) as trap, peer(lambda _: http("403 Forbidden")) as store_peer:
        settings = Settings(
            endpoints={"s3": EndpointSettings(), "here": endpoint_at(store_peer.url)}, state_dir=str(tmp_path)
        )
        manifest.write_text(f"bucket,key,endpoint_url,region\nbucket,{trap.url}/bucket/a,{trap.url},evil.example/\n")
        async with Brigade(settings) as brigade:
            run = await brigade.delete("here://bucket/", manifest=str(manifest))
            report = await run.wait()
        assert report.counters.failed == 1
        assert trap.connections == 0
        assert store_peer.requests
        assert all(request.headers["host"] == store_peer.host for request in store_peer.requests)


async def test_a_manifest_of_json_lines_that_names_one_is_refused(tmp_path: Path) -> None:
    manifest = tmp_path / "list.jsonl"
    manifest.write_text('{"bucket": "bucket", "key": "a", "endpoint_url": "https://evil.example"}\n')
    settings = Settings(
        endpoints={"s3": EndpointSettings(), "here": endpoint_at("http://127.0.0.1:9")}, state_dir=str(tmp_path)
    )
    async with Brigade(settings) as brigade:
        with pytest.raises(ConfigError, match="endpoint_url"):
            await brigade.delete("here://bucket/", manifest=str(manifest))


# --- the owner of a bucket -------------------------------------------------------------------------------------------

OWNERLESS = frozenset({"list_buckets", "create_bucket"})
"""S3 knows no expected owner for them: the account's own list, and a bucket that is not there yet."""


@pytest.mark.parametrize("lane", LANES)
async def test_the_expected_owner_goes_with_every_request_for_both_sides(lane: str) -> None:
    async with peer(lambda _: http("403 Forbidden")) as store_peer:
        async with store_at(endpoint_at(store_peer.url, expected_bucket_owner=OWNER), lane) as store:
            for method in METHODS:
                if method in OWNERLESS:
                    continue
                with pytest.raises(TransferError):
                    await call(store, method)
                sent = store_peer.requests[-1].headers
                assert sent.get("x-amz-expected-bucket-owner") == OWNER, method
                if "x-amz-copy-source" in sent:
                    assert sent.get("x-amz-source-expected-bucket-owner") == OWNER, method
        assert sum("x-amz-copy-source" in request.headers for request in store_peer.requests) == 2


def holding_one_object(request: Request) -> bytes:
    """Answer like a store that has the one object that everybody asks for, and copies it."""
    if request.method == "HEAD":
        return (
            b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 4\r\nLast-Modified: Sun, 22 Nov 2026 12:00:00 GMT\r\n\r\n'
        )
    return http("200 OK", b'<CopyObjectResult><ETag>"e"</ETag></CopyObjectResult>', Content_Type="application/xml")


@pytest.mark.parametrize(
    ("of_source", "of_target"), [(OWNER, "210987654321"), (OWNER, None), (None, OWNER), (OWNER, OWNER), (None, None)]
)
async def test_a_copy_on_the_server_expects_the_owner_of_each_side(
    of_source: str | None, of_target: str | None, tmp_path: Path
) -> None:
    async with peer(holding_one_object) as store_peer:
        settings = Settings(
            endpoints={"s3": EndpointSettings(), "here": endpoint_at(store_peer.url)}, state_dir=str(tmp_path)
        )
        async with Brigade(settings) as brigade:
            run = await brigade.copy(
                "here://source/key",
                "here://target/key",
                source_endpoint=EndpointOverrides(expected_bucket_owner=of_source),
                target_endpoint=EndpointOverrides(expected_bucket_owner=of_target),
            )
            assert (await run.wait()).counters.done == 1
        (copy,) = [request for request in store_peer.requests if "x-amz-copy-source" in request.headers]
        assert copy.headers.get("x-amz-expected-bucket-owner") == of_target
        assert copy.headers.get("x-amz-source-expected-bucket-owner") == of_source
        for request in store_peer.requests:
            wanted = of_source if request.path.startswith("/source") else of_target
            assert request.headers.get("x-amz-expected-bucket-owner") == wanted, request.path


# --- access control --------------------------------------------------------------------------------------------------


def acl_headers(requests: list[Request]) -> set[str]:
    return {name for request in requests for name in request.headers if name.startswith(("x-amz-acl", "x-amz-grant"))}


async def upload(store_peer: Peer, folder: Path, lane: str, **options: object) -> None:
    (folder / "source").mkdir(exist_ok=True)
    (folder / "source" / "file").write_bytes(b"content")
    settings = Settings(
        endpoints={"s3": EndpointSettings(), "here": endpoint_at(store_peer.url)},
        state_dir=str(folder / "state"),
        engine=EngineSettings(lane=lane),
    )
    async with Brigade(settings) as brigade:
        run = await brigade.copy(f"{folder}/source/", "here://bucket/", **options)  # type: ignore[arg-type]
        await run.wait()


@pytest.mark.parametrize("lane", LANES)
async def test_no_acl_is_sent_unless_it_is_asked_for(lane: str, tmp_path: Path) -> None:
    async with peer(taking_everything) as store_peer:
        await upload(store_peer, tmp_path, lane)
        assert any(request.method == "PUT" for request in store_peer.requests)
        assert acl_headers(store_peer.requests) == set()


ALL_USERS = 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'
PUBLIC = (
    ObjectAttributes(acl="public-read"),
    ObjectAttributes(acl="public-read-write"),
    ObjectAttributes(acl="authenticated-read"),
    ObjectAttributes(grant_read=ALL_USERS),
    ObjectAttributes(grant_full_control='uri="http://acs.amazonaws.com/groups/global/AuthenticatedUsers"'),
    ObjectAttributes(grant_read_acp='uri="http%3A//acs.amazonaws.com/groups/global/AllUsers"'),
    ObjectAttributes(grant_write_acp=f'id="abc", {ALL_USERS}'),
)


@pytest.mark.parametrize("attributes", PUBLIC, ids=repr)
async def test_opening_objects_to_everybody_must_be_said_twice(attributes: ObjectAttributes, tmp_path: Path) -> None:
    async with peer(taking_everything) as store_peer:
        with pytest.raises(ConfigError, match="everybody") as caught:
            await upload(store_peer, tmp_path, "on", options=TransferOptions(attributes=attributes))
        assert "--allow-public-acl" in caught.value.remedy
        assert store_peer.connections == 0
        assert not (tmp_path / "state").exists()


async def test_said_twice_it_is_sent(tmp_path: Path) -> None:
    options = TransferOptions(attributes=ObjectAttributes(acl="public-read"), allow_public_acl=True)
    async with peer(taking_everything) as store_peer:
        await upload(store_peer, tmp_path, "on", options=options)
        (put,) = [request for request in store_peer.requests if request.method == "PUT"]
        assert put.headers["x-amz-acl"] == "public-read"


@pytest.mark.parametrize("acl", ["private", "bucket-owner-full-control", "bucket-owner-read", "log-delivery-write"])
async def test_other_acls_need_no_permission(acl: str, tmp_path: Path) -> None:
    async with peer(taking_everything) as store_peer:
        await upload(store_peer, tmp_path, "on", options=TransferOptions(attributes=ObjectAttributes(acl=acl)))
        assert acl_headers(store_peer.requests) == {"x-amz-acl"}


def test_the_command_refuses_a_public_acl_and_names_the_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    words = ["cp", f"{tmp_path}/file", "s3://bucket/key", "--acl", "public-read", "--state-dir", f"{tmp_path}/state"]
    assert main([*words, "--endpoint-url", "http://127.0.0.1:9"]) == 2
    assert "--allow-public-acl" in capsys.readouterr().err


def holding_a_public_object(request: Request) -> bytes:
    if "acl" in request.path.partition("?")[2] and request.method == "GET":
        grantee = f"<URI>{ALL_USERS[5:-1]}</URI>"
        grant = f"<Grant><Grantee>{grantee}</Grantee><Permission>READ</Permission></Grant>"
        public = grant if request.path.startswith("/source") else ""
        owner = "<Owner><ID>me</ID></Owner>"
        body = f"<AccessControlPolicy>{owner}<AccessControlList>{public}</AccessControlList></AccessControlPolicy>"
        return http("200 OK", body.encode(), Content_Type="application/xml")
    return holding_one_object(request)


@pytest.mark.parametrize("named", [True, False])
async def test_an_acl_that_is_carried_over_opens_nothing_to_everybody_either(named: bool, tmp_path: Path) -> None:
    async with peer(holding_a_public_object) as store_peer:
        settings = Settings(
            endpoints={"s3": EndpointSettings(), "here": endpoint_at(store_peer.url)}, state_dir=str(tmp_path)
        )
        async with Brigade(settings) as brigade:
            options = TransferOptions(preserve=("acl",) if named else PRESERVABLE, must_preserve=named)
            run = await brigade.copy("here://source/key", "here://target/key", options=options)
            report = await run.wait()
        assert report.counters.failed == named
        assert "--allow-public-acl" in report.failures[0].message
        sent = [request for request in store_peer.requests if request.method == "PUT" and "acl" in request.path]
        assert not any(b"AllUsers" in request.body for request in sent)


# --- the control port ------------------------------------------------------------------------------------------------

READINGS = ("info", "versioning", "ownership", "public_access_block", "encryption", "object_lock", "tags")


@pytest.mark.parametrize("status", [403, 307])
async def test_questions_about_a_bucket_go_to_its_endpoint_alone_and_expect_its_owner(status: int) -> None:
    async with peer(taking_everything) as trap, peer(to(f"{trap.url}/bucket", f"{status} No")) as store_peer:
        endpoint = endpoint_at(store_peer.url, expected_bucket_owner=OWNER)
        async with open_bucket_control(endpoint, retry=ONCE) as control:
            for name in READINGS:
                with pytest.raises(TransferError):
                    await getattr(control, name)("bucket")
        assert trap.connections == 0
        assert len(store_peer.requests) == len(READINGS)
        assert all(sent.headers["x-amz-expected-bucket-owner"] == OWNER for sent in store_peer.requests)
