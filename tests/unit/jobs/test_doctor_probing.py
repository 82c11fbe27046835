"""The probes of the doctor, over the store in memory: what they find out, and that they leave nothing behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.fakes.faulty_store import Fault, FaultyStore, When, hang
from tests.fakes.memory_store import MemoryStore

from bucket_brigade.errors import AccessDenied, ConnectionLost, NotSupported, StoreUnavailable, TransferError
from bucket_brigade.jobs.doctor.explain import Place
from bucket_brigade.jobs.doctor.findings import Finding, Level, worst
from bucket_brigade.jobs.doctor.permissions import capability_findings, leftover_finding, permission_findings
from bucket_brigade.jobs.doctor.probing import Prober
from bucket_brigade.jobs.doctor.surroundings import clock_finding, credentials_finding
from bucket_brigade.s3.identity import Credentials, masked

PLACE = Place(url="https://s3.example", bucket="b")


def bucket_of(*, versioned: bool = False) -> MemoryStore:
    store = MemoryStore("b")
    store.buckets["b"].versioned = versioned
    return store


def prober(store: Any, *faults: Fault) -> Prober:
    faulty = FaultyStore(store, faults).as_store
    return Prober(faulty, faulty, "b", "p/")


async def left_in(store: MemoryStore) -> list[str]:
    versions = [entry.key for entry in (await store.list_object_versions("b")).versions]
    return versions + [upload.key for upload in (await store.list_multipart_uploads("b")).uploads]


@pytest.mark.parametrize("versioned", [False, True])
async def test_everything_is_allowed_and_nothing_is_left(versioned: bool) -> None:
    store = bucket_of(versioned=versioned)
    probed = await prober(store).run()
    assert set(probed.allowed.values()) == {None}
    assert probed.profile.conditional_writes is True
    assert probed.left == {}
    assert await left_in(store) == []


@pytest.mark.parametrize(
    "operation",
    [
        "put_object",
        "copy_object",
        "create_multipart_upload",
        "upload_part",
        "complete_multipart_upload",
        "delete_objects",
    ],
)
@pytest.mark.parametrize("when", list(When))
@pytest.mark.parametrize("error", [ConnectionLost("gone"), RuntimeError("a bug")], ids=["lost", "bug"])
async def test_nothing_is_left_after_an_error_at_any_request(operation: str, when: When, error: BaseException) -> None:
    store = bucket_of(versioned=True)
    probing = prober(store, Fault(operation=operation, does=error, when=when, skip=1))
    try:
        probed = await probing.run()
    except RuntimeError:
        assert isinstance(error, RuntimeError)
    else:
        assert probed.left == {}
    assert await left_in(store) == []


async def test_nothing_is_left_after_an_interruption() -> None:
    store = bucket_of(versioned=True)
    task = asyncio.create_task(prober(store, Fault(operation="copy_object", does=hang)).run())
    while "copy_object" not in store.requests and len(await left_in(store)) < 9:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await left_in(store) == []


async def test_who_may_not_delete_leaves_one_object_which_is_named() -> None:
    store = bucket_of()
    denied = AccessDenied("no", code="AccessDenied")
    probed = await prober(store, Fault(operation="delete_object", does=denied, times=None)).run()

    assert await left_in(store) == [probed.base]
    assert probed.left == {probed.base: "AccessDenied"}
    (finding,) = leftover_finding(probed, PLACE)
    assert probed.base in finding.found
    assert probed.base in finding.command


async def test_who_may_not_write_is_asked_no_further() -> None:
    store = bucket_of()
    denied = AccessDenied("no", code="AccessDenied")
    probed = await prober(store, Fault(operation="put_object", does=denied, times=None)).run()

    assert list(probed.allowed) == ["put", "list"]
    findings = {finding.subject: finding for finding in permission_findings(probed, PLACE, "p/", user="arn:user/me")}
    assert findings["put"].command == '{"Effect":"Allow","Action":["s3:PutObject"],"Resource":"arn:aws:s3:::b/p/*"}'
    assert "arn:user/me" in findings["put"].remedy
    assert findings["list"].level is Level.OK


@pytest.mark.parametrize(
    ("error", "expected"),
    [(NotSupported("no"), False), (StoreUnavailable("later"), None)],
)
async def test_what_fails_for_a_moment_stays_unknown(error: TransferError, expected: bool | None) -> None:
    probed = await prober(bucket_of(), Fault(operation="list_object_versions", does=error)).run()
    assert probed.profile.versions is expected


async def test_a_store_that_ignores_a_condition_is_found_out() -> None:
    class Careless(MemoryStore):
        async def put_object(self, *args: Any, **options: Any) -> Any:
            options.pop("condition", None)
            return await super().put_object(*args, **options)

    probed = await prober(Careless("b")).run()
    assert (probed.profile.put_if_absent, probed.profile.put_if_match) == (False, False)
    assert probed.profile.conditional_writes is False
    codes = {finding.code for finding in capability_findings(probed.profile) if finding.level is Level.WARNING}
    assert {"put_if_absent", "put_if_match"} <= codes


@pytest.mark.parametrize(
    ("offset_s", "level", "words"),
    [
        (None, Level.UNKNOWN, "no time"),
        (0.5, Level.OK, "the same"),
        (-30.0, Level.OK, "30 s ahead of"),
        (120.0, Level.WARNING, "2m 00s behind"),
        (901.0, Level.ERROR, "15m 01s behind"),
        (-86_400.0, Level.ERROR, "1d 00h ahead of"),
    ],
)
def test_the_clock_is_wrong_by_degrees(offset_s: float | None, level: Level, words: str) -> None:
    finding = clock_finding(offset_s)
    assert (finding.level, words in finding.found) == (level, True)


@pytest.mark.parametrize(
    ("method", "left_s", "level"),
    [("env", None, Level.OK), ("env", 600, Level.WARNING), ("sso", 600, Level.OK), ("env", -1, Level.ERROR)],
)
def test_credentials_are_as_good_as_the_time_that_is_left(method: str, left_s: int | None, level: Level) -> None:
    expires_ns = None if left_s is None else (1_000 + left_s) * 1_000_000_000
    found = Credentials(
        method=method, source=method, profile="", access_key_id="ASIA…WXYZ", temporary=True, expires_ns=expires_ns
    )
    assert credentials_finding(found, now_ns=1_000 * 1_000_000_000).level is level


def test_keys_are_shown_in_part() -> None:
    assert masked("AKIAIOSFODNN7EXAMPLE") == "AKIA…MPLE"
    assert masked("short") == "sh…"


def test_the_worst_level_counts() -> None:
    findings = [Finding(subject="x", level=level, found="") for level in (Level.OK, Level.WARNING, Level.UNKNOWN)]
    assert worst(findings) is Level.WARNING
    assert worst([]) is Level.OK
