"""What is wrong is named rightly: each case breaks one thing, on MiniStack or on a small server of its own."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from email.utils import format_datetime
from pathlib import Path

import aioboto3
import msgspec
import pytest
from aiobotocore.config import AioConfig
from cryptography import x509

from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.jobs.doctor.findings import Diagnosis, Finding, Level
from bucket_brigade.s3.bucket_values import NOTHING_BLOCKED, BucketChanges, Ownership, Versioning
from bucket_brigade.s3.listing import iterate_uploads
from bucket_brigade.s3.profile import read_profile
from bucket_brigade.s3.store import Store
from bucket_brigade.settings.values import EndpointSettings, Secret, Settings
from tests.integration.program import Program
from tests.servers import RunningServer
from tests.servers.certificates import make_certificates
from tests.servers.ministack import create_user

SECRET = "this-is-a-secret-that-nobody-may-see"


@pytest.fixture
def settings(ministack: RunningServer, rclone: RunningServer, tmp_path: Path) -> Settings:
    endpoints = {"mini": ministack.endpoint, "other": rclone.endpoint}
    return Settings(endpoints=endpoints, state_dir=str(tmp_path / "state"))


@pytest.fixture
async def brigade(settings: Settings) -> AsyncIterator[Brigade]:
    async with Brigade(settings) as brigade:
        yield brigade


async def examined(
    settings: Settings, endpoint: EndpointSettings, location: str = "mini://bucket/", *, read_only: bool = False
) -> tuple[Diagnosis, dict[str, Finding]]:
    """Return the diagnosis, and its findings by subject; of several the worst."""
    changed = msgspec.structs.replace(settings, endpoints={**settings.endpoints, "mini": endpoint})
    async with Brigade(changed) as brigade:
        diagnosis = await brigade.doctor(location, read_only=read_only)
    order = list(Level)
    findings = sorted(diagnosis.examinations[0].findings, key=lambda finding: order.index(finding.level))
    shown = msgspec.json.encode(diagnosis).decode()
    assert endpoint.secret_access_key is None or endpoint.secret_access_key.reveal() not in shown
    return diagnosis, {finding.subject: finding for finding in findings}


def errors(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """Return (subject, code) of every error; each must say what it means and what to do."""
    found = [finding for finding in diagnosis.examinations[0].findings if finding.level is Level.ERROR]
    for finding in found:
        assert finding.meaning
        assert finding.remedy
        assert finding.command
    return [(finding.subject, finding.code) for finding in found]


async def probes_left(store: Store, bucket: str) -> list[str]:
    page = await store.list_object_versions(bucket)
    uploads = [upload.key async for uploads in iterate_uploads(store, bucket) for upload in uploads]
    return [entry.key for entry in page.versions] + uploads


# --- all is well -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("versioning", [None, Versioning.ENABLED])
async def test_all_is_well_and_nothing_stays_behind(
    settings: Settings, brigade: Brigade, bucket: str, versioning: Versioning | None
) -> None:
    name = f"{bucket[:50]}-{versioning or 'never'}"
    await brigade.create_bucket(f"mini://{name}", changes=BucketChanges(versioning=versioning, abort_uploads_days=7))
    endpoint = settings.endpoints["mini"]

    diagnosis, findings = await examined(settings, endpoint, f"mini://{name}/p/")

    assert errors(diagnosis) == []
    for action in ("list", "put", "get", "delete", "copy", "multipart", "tag"):
        assert findings[action].found == "allowed"
    assert "BlockPublicAcls" in findings["public ACL"].found
    assert "BucketOwnerEnforced" in findings["acl"].found
    assert findings["identity"].found.startswith("arn:aws:iam::000000000000:user/brigade")
    assert findings["region"].found == "us-east-1"
    assert endpoint.access_key_id not in findings["credentials"].found
    profile = read_profile(settings.state_dir, endpoint)
    assert profile == msgspec.structs.replace(profile, endpoint_url=endpoint.endpoint_url)
    assert profile.conditional_writes is True
    assert (profile.checksums, profile.multi_delete, profile.ordered_listings, profile.versions) == (True,) * 4
    assert (profile.copy_source_if_match, profile.copy_if_absent) == (True, False)
    assert await probes_left(await brigade.store("mini"), name) == []


async def test_an_endpoint_that_ignores_conditions_is_found_out(
    settings: Settings, brigade: Brigade, bucket: str
) -> None:
    await brigade.create_bucket(f"other://{bucket}")

    diagnosis = await brigade.doctor(f"other://{bucket}/")

    profile = read_profile(settings.state_dir, settings.endpoints["other"])
    assert profile.conditional_writes is False
    assert (profile.versions, profile.ordered_listings, profile.checksums) == (False, True, False)
    warned = {finding.code: finding for finding in diagnosis.examinations[0].findings if finding.level is Level.WARNING}
    assert "--no-clobber" in warned["put_if_absent"].meaning
    assert [e.key for e in (await (await brigade.store("other")).list_objects(bucket)).objects] == []


async def test_read_only_writes_nothing(settings: Settings, brigade: Brigade, bucket: str) -> None:
    await brigade.create_bucket(f"mini://{bucket}", changes=BucketChanges(versioning=Versioning.ENABLED))

    diagnosis, findings = await examined(settings, settings.endpoints["mini"], f"mini://{bucket}/", read_only=True)

    assert findings["list"].found == "allowed"
    assert "put" not in findings
    assert diagnosis.examinations[0].profile_path == ""
    assert not Path(settings.state_dir).exists()
    assert await probes_left(await brigade.store("mini"), bucket) == []


async def test_both_sides_and_what_is_between_them(brigade: Brigade, bucket: str) -> None:
    for endpoint in ("mini", "other"):
        await brigade.create_bucket(f"{endpoint}://{bucket}")

    diagnosis = await brigade.doctor(f"mini://{bucket}/", other=f"other://{bucket}/", read_only=True)
    assert diagnosis.examinations[1].findings[-1].found.startswith("two services")
    diagnosis = await brigade.doctor(f"mini://{bucket}/", other=f"mini://{bucket}/x/", read_only=True)
    assert "copied on the server" in diagnosis.examinations[1].findings[-1].found


# --- credentials -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"secret_access_key": Secret(SECRET)}, ("credentials", "SignatureDoesNotMatch")),
        (
            {"access_key_id": "AKIANOBODYKNOWSTHIS", "secret_access_key": Secret(SECRET)},
            ("credentials", "InvalidAccessKeyId"),
        ),
        ({"region": "eu-central-1"}, ("region", "PermanentRedirect")),
    ],
    ids=["wrong secret", "unknown access key", "wrong region"],
)
async def test_what_is_wrong_with_the_settings_is_named(
    settings: Settings, brigade: Brigade, changes: dict[str, object], expected: tuple[str, str]
) -> None:
    with contextlib.suppress(Exception):  # one bucket for all cases
        await brigade.create_bucket("mini://doctor-settings")
    endpoint = msgspec.structs.replace(settings.endpoints["mini"], **changes)

    diagnosis, findings = await examined(settings, endpoint, "mini://doctor-settings/")

    assert errors(diagnosis) == [expected]
    assert diagnosis.level is Level.ERROR
    if expected[0] == "region":
        assert "us-east-1" in findings["region"].found
        assert "--region us-east-1" in findings["region"].remedy


async def test_an_expired_token_is_named(settings: Settings, brigade: Brigade, bucket: str) -> None:
    await brigade.create_bucket(f"mini://{bucket}")
    endpoint = settings.endpoints["mini"]
    assert endpoint.secret_access_key is not None
    session = aioboto3.Session(endpoint.access_key_id, endpoint.secret_access_key.reveal(), region_name="us-east-1")
    lax = AioConfig(parameter_validation=False)  # MiniStack takes less than AWS's fifteen minutes
    async with session.client("sts", endpoint_url=endpoint.endpoint_url, config=lax) as sts:
        issued = (await sts.get_session_token(DurationSeconds=1))["Credentials"]
    temporary = msgspec.structs.replace(
        endpoint,
        access_key_id=issued["AccessKeyId"],
        secret_access_key=Secret(issued["SecretAccessKey"]),
        session_token=Secret(issued["SessionToken"]),
    )
    await asyncio.sleep(1.2)

    diagnosis, findings = await examined(settings, temporary, f"mini://{bucket}/")

    assert errors(diagnosis) == [("credentials", "ExpiredToken")]
    assert issued["SessionToken"] not in msgspec.json.encode(diagnosis).decode()
    assert "new ones" in findings["credentials"].remedy


async def test_missing_credentials_and_profiles_are_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nobody = msgspec.structs.replace(settings.endpoints["mini"], access_key_id=None, secret_access_key=None)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for endpoint, words in (
        (nobody, "No credentials were found"),
        (msgspec.structs.replace(nobody, profile="no-such-profile"), "no-such-profile"),
    ):
        diagnosis, _ = await examined(settings, endpoint)
        (finding,) = [one for one in diagnosis.examinations[0].findings if one.level is Level.ERROR]
        assert finding.subject == "credentials"
        assert words in finding.found
        assert finding.remedy


# --- permissions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "subjects"),
    [
        ("s3:ListBucket", {"list"}),
        ("s3:PutObject", {"put"}),
        ("s3:GetObject", {"get"}),
        ("s3:DeleteObject", {"delete", "probe"}),
        ("s3:AbortMultipartUpload", {"multipart", "probe"}),
        ("s3:PutObjectTagging", {"tag"}),
    ],
)
async def test_a_missing_permission_is_named_with_the_statement_that_grants_it(
    settings: Settings, brigade: Brigade, missing: str, subjects: set[str]
) -> None:
    bucket = f"doctor-{missing[3:].lower()}"
    await brigade.create_bucket(f"mini://{bucket}")
    endpoint = settings.endpoints["mini"]
    assert endpoint.endpoint_url is not None
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": missing, "Resource": "*"},
        ],
    }
    user = create_user(endpoint.endpoint_url, name=f"without-{missing[3:]}", policy=policy)
    limited = msgspec.structs.replace(
        endpoint, access_key_id=user.access_key_id, secret_access_key=Secret(user.secret_access_key)
    )

    diagnosis, findings = await examined(settings, limited, f"mini://{bucket}/in/")

    refused = {
        finding.subject
        for finding in diagnosis.examinations[0].findings
        if finding.code in ("AccessDenied", "Forbidden", "ProbeLeft") and finding.level is not Level.UNKNOWN
    }
    assert refused == subjects
    for subject in subjects - {"probe"}:
        assert missing in findings[subject].command
        assert f"arn:aws:s3:::{bucket}" in findings[subject].command
        assert findings[subject].level is (Level.WARNING if subject == "tag" else Level.ERROR)
    left = await probes_left(await brigade.store("mini"), bucket)
    assert bool(left) is ("probe" in subjects)
    if left:  # who may not delete is told what is left, and how to find it
        assert findings["probe"].command.endswith(left[0][: len("in/.brigade-doctor-") + 12])


@pytest.mark.parametrize(
    ("changes", "reason", "undone_by"),
    [
        (BucketChanges(ownership=Ownership.WRITER), "BlockPublicAcls", "--no-block-public-access"),
        (BucketChanges(public_access_block=NOTHING_BLOCKED), "BucketOwnerEnforced", "--ownership preferred"),
        (BucketChanges(ownership=Ownership.WRITER, public_access_block=NOTHING_BLOCKED), "", "--block-public-access"),
    ],
    ids=["blocked", "ownership enforced", "open"],
)
async def test_why_a_public_acl_would_be_refused_is_told(
    settings: Settings, brigade: Brigade, changes: BucketChanges, reason: str, undone_by: str
) -> None:
    bucket = f"doctor-public-{reason.lower() or 'open'}"
    await brigade.create_bucket(f"mini://{bucket}", changes=changes)

    _, findings = await examined(settings, settings.endpoints["mini"], f"mini://{bucket}/", read_only=True)

    finding = findings["public ACL"]
    assert reason in finding.found
    assert finding.level is (Level.OK if reason else Level.WARNING)
    assert undone_by in finding.command


async def test_a_missing_bucket_is_named(settings: Settings) -> None:
    diagnosis, _ = await examined(settings, settings.endpoints["mini"], "mini://there-is-no-such-bucket/")
    assert errors(diagnosis) == [("bucket", "NoSuchBucket")]


async def test_a_default_retention_keeps_the_doctor_from_writing(
    settings: Settings, brigade: Brigade, bucket: str
) -> None:
    await brigade.create_bucket(f"mini://{bucket}", object_lock=True)
    control = await brigade.control("mini")
    lock = {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
    }
    await control._client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)

    _, findings = await examined(settings, settings.endpoints["mini"], f"mini://{bucket}/")

    assert "locked for 1 days" in findings["object lock"].found
    assert "put" not in findings
    assert await probes_left(await brigade.store("mini"), bucket) == []


# --- connection ------------------------------------------------------------------------------------------------------

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@contextlib.asynccontextmanager
async def answering(answer: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve one answer to every request, on a free port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


def denial(code: str, *, ahead: dt.timedelta = dt.timedelta(0)) -> bytes:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    date = format_datetime(dt.datetime.now(dt.UTC) + ahead, usegmt=True)
    head = f"HTTP/1.1 403 Forbidden\r\nDate: {date}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def at(settings: Settings, url: str, **changes: object) -> EndpointSettings:
    return msgspec.structs.replace(
        settings.endpoints["mini"], endpoint_url=url, connect_timeout_s=3.0, read_timeout_s=3.0, **changes
    )


@pytest.mark.parametrize("hours", [-2, 2])
async def test_a_skewed_clock_is_named_with_its_offset(settings: Settings, hours: int) -> None:
    async with answering(denial("RequestTimeTooSkewed", ahead=dt.timedelta(hours=hours))) as port:
        diagnosis, _ = await examined(settings, at(settings, f"http://127.0.0.1:{port}"))
    assert errors(diagnosis) == [("clock", "RequestTimeTooSkewed")]


async def test_a_clock_that_is_off_is_seen_where_the_endpoint_does_not_mind(settings: Settings) -> None:
    async with answering(denial("AccessDenied", ahead=dt.timedelta(hours=2))) as port:
        _, findings = await examined(settings, at(settings, f"http://127.0.0.1:{port}"), read_only=True)
    assert findings["clock"].level is Level.ERROR
    assert findings["clock"].found.startswith("2h 00m behind") or findings["clock"].found.startswith("1h 59m behind")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:1", ("connection", "ConnectionRefused")),
        ("https://no-such-host.invalid", ("connection", "NameNotResolved")),
        ("https://127.0.0.1:{mini}", ("certificate", "NoTls")),
    ],
)
async def test_an_endpoint_that_cannot_be_reached_is_named(
    settings: Settings, url: str, expected: tuple[str, str]
) -> None:
    port = str(settings.endpoints["mini"].endpoint_url).rpartition(":")[2]
    diagnosis, _ = await examined(settings, at(settings, url.replace("{mini}", port)))
    assert errors(diagnosis) == [expected]


@pytest.mark.parametrize(
    ("names", "age", "trusted", "expected"),
    [
        (None, dt.timedelta(hours=1), False, "CertificateUntrusted"),
        (None, dt.timedelta(days=9), True, "CertificateExpired"),
        (None, dt.timedelta(days=-1), True, "CertificateNotYetValid"),
        ([x509.DNSName("another.example")], dt.timedelta(hours=1), True, "CertificateWrongHost"),
    ],
    ids=["unknown authority", "expired", "not yet valid", "wrong host"],
)
async def test_a_bad_certificate_is_named(
    settings: Settings,
    tmp_path: Path,
    names: list[x509.GeneralName] | None,
    age: dt.timedelta,
    trusted: bool,
    expected: str,
) -> None:
    certificates = make_certificates(str(tmp_path), names=names, age=age)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificates.certificate, certificates.key)
    async with answering(denial("AccessDenied"), tls) as port:
        endpoint = at(settings, f"https://127.0.0.1:{port}", ca_bundle=certificates.ca if trusted else None)
        diagnosis, _ = await examined(settings, endpoint)
    assert errors(diagnosis) == [("certificate", expected)]


async def test_a_certificate_that_signs_itself_is_named(settings: Settings, tmp_path: Path) -> None:
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("there is no openssl here")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    async with answering(denial("AccessDenied"), tls) as port:
        diagnosis, _ = await examined(settings, at(settings, f"https://127.0.0.1:{port}"))
    assert errors(diagnosis) == [("certificate", "CertificateSelfSigned")]


@pytest.mark.parametrize("by_environment", [False, True])
async def test_a_good_certificate_is_told(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_environment: bool
) -> None:
    certificates = make_certificates(str(tmp_path))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificates.certificate, certificates.key)
    async with answering(denial("AccessDenied"), tls) as port:
        if by_environment:
            monkeypatch.setenv("AWS_CA_BUNDLE", certificates.ca)
        endpoint = at(settings, f"https://127.0.0.1:{port}", ca_bundle=None if by_environment else certificates.ca)
        _, findings = await examined(settings, endpoint, read_only=True)
    assert findings["certificate"].found.startswith("TLSv1.3, localhost, issued by bucket-brigade test authority")
    assert findings["certificate"].level is Level.WARNING  # two days are not long


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_shows_it_and_ends_with_3_where_something_is_wrong(
    program: Program, ministack: RunningServer, bucket: str
) -> None:
    program.configure({"mini": ministack})
    missing = program("doctor", f"mini://{bucket}", code=3)
    text = missing.out.decode()
    assert "NoSuchBucket" in text
    assert "aws s3api create-bucket" in text
    assert max(len(line) for line in text.splitlines() if "aws " not in line) <= 100
    document = program("doctor", "mini://", "--json").document
    assert document["level"] == "ok"
    assert {finding["subject"] for finding in document["examinations"][0]["findings"]} >= {"clock", "buckets"}


FAKETIME = os.environ.get("FAKETIME_LIBRARY", "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


@pytest.mark.skipif(not os.path.exists(FAKETIME), reason="libfaketime is not installed")
def test_a_machine_whose_clock_is_off_is_told_so(program: Program, ministack: RunningServer) -> None:
    program.configure({"mini": ministack})
    done = subprocess.run(
        [sys.executable, "-m", "bucket_brigade", "doctor", "mini://any-bucket", "--json"],
        env={**program.environment, "LD_PRELOAD": FAKETIME, "FAKETIME": "-2h", "FAKETIME_DONT_FAKE_MONOTONIC": "1"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    findings = msgspec.json.decode(done.stdout)["examinations"][0]["findings"]
    assert ("clock", "RequestTimeTooSkewed") in {(one["subject"], one["code"]) for one in findings}
