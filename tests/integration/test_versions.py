"""Versions end to end, through the program, on a server that keeps them: copied, thinned out, brought back, removed."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import random
import signal
from collections.abc import AsyncIterator, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.model.job import ObjectAttributes
from bucket_brigade.s3.listing import iterate_versions
from bucket_brigade.s3.session import open_client
from bucket_brigade.s3.store import ListedVersion, Pin, Store
from bucket_brigade.settings.values import Settings
from tests.integration.buckets import bucket_name, read_all, store_of
from tests.integration.program import Ended, Program
from tests.samples import patterned_bytes, read_tree
from tests.servers import RunningServer, start_ministack

SOME_FAILED, USAGE, INTERRUPTED = 3, 2, 130
History = list[tuple[str, object]]
"""Of one key, the oldest first: ("version", what it is) or ("marker", None)."""


@pytest.fixture(scope="session")
def second_ministack() -> Iterator[RunningServer]:
    with start_ministack() as server:
        yield server


@pytest.fixture
async def second(second_ministack: RunningServer) -> AsyncIterator[Store]:
    async with store_of(second_ministack) as store:
        yield store


@pytest.fixture
def brigade(program: Program, ministack: RunningServer, second_ministack: RunningServer) -> Program:
    program.configure({"mini": ministack, "second": second_ministack})
    return program


async def make_versioned(server: RunningServer, *buckets: str) -> None:
    async with open_client(server.endpoint, max_connections=1) as client:
        for bucket in buckets:
            await client.create_bucket(Bucket=bucket)
            await client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


@pytest.fixture
async def versioned(request: pytest.FixtureRequest, ministack: RunningServer) -> str:
    name = bucket_name(request.node.name) + "-v"
    await make_versioned(ministack, name)
    return name


async def versions_in(store: Store, bucket: str, prefix: str = "") -> list[ListedVersion]:
    return [one async for page in iterate_versions(store, bucket, prefix=prefix) for one in page]


async def histories(store: Store, bucket: str, prefix: str = "") -> dict[str, History]:
    """Return every key's history, with content, attributes and tags of each version."""
    at_once = asyncio.Semaphore(16)

    async def look(version: ListedVersion) -> tuple[str, object]:
        if version.is_delete_marker:
            return "marker", None
        body = bytearray(version.size)
        async with at_once:
            head = await store.get_object(bucket, version.key, memoryview(body), pin=Pin(version_id=version.version_id))
            tags = await store.get_object_tags(bucket, version.key, version_id=version.version_id)
        kept = head.attributes
        return "version", (bytes(body), kept.content_type, kept.metadata, kept.cache_control, tuple(sorted(tags)))

    found: dict[str, History] = {}
    for key, group in groupby(await versions_in(store, bucket, prefix), key=lambda one: one.key):
        found[key.removeprefix(prefix)] = list(await asyncio.gather(*map(look, group)))[::-1]
    return found


async def make_histories(store: Store, bucket: str, prefix: str, keys: int, length: int) -> None:
    """Write keys of ``length`` versions and markers each, as fast as they go: many in the same millisecond."""
    rules = random.Random(4)
    kinds = {f"{prefix}d{n % 5}/k {n:02}+ü": [rules.random() for _ in range(length)] for n in range(keys)}
    for history in kinds.values():
        history[-1] = max(history[-1], 0.3)  # a version: behind a latest marker MiniStack hides the tags of the others

    async def make(key: str, history: list[float]) -> None:
        for number, kind in enumerate(history):
            if kind < 0.25:
                await store.delete_object(bucket, key)
                continue
            body = patterned_bytes(int(kind * 3000), seed=number) if kind < 0.9 else b"the same again"
            attributes = ObjectAttributes(
                content_type="text/x-history",
                cache_control="no-store" if kind < 0.5 else None,
                metadata=(("number", str(number)),),
                tagging=(("kind", f"{kind:.3f}"),) if kind > 0.6 else None,
            )
            await store.put_object(bucket, key, body, attributes=attributes)

    await asyncio.gather(*(make(key, history) for key, history in kinds.items()))


async def test_fifty_histories_are_relayed_and_none_is_doubled_by_a_kill(
    brigade: Program, versioned: str, mini: Store, second: Store, second_ministack: RunningServer
) -> None:
    await make_versioned(second_ministack, versioned)
    await make_histories(mini, versioned, "p/", keys=50, length=10)
    expected = await histories(mini, versioned, "p/")
    assert sum(map(len, expected.values())) == 500

    words = ("cp", f"mini://{versioned}/p/", f"second://{versioned}/q/", "--all-versions", "--concurrency", "4")
    process = brigade.start(*words)
    while process.poll() is None and len(await versions_in(second, versioned)) < 150:
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(25)
    there = len(await versions_in(second, versioned))
    assert 150 <= there < 500, brigade.tail()

    [job_id] = brigade.job_ids()
    ended = brigade("resume", job_id, "--json").document
    assert (ended["counters"]["done"], ended["counters"]["failed"]) == (50, 0)
    assert await histories(second, versioned, "q/") == expected

    again = brigade(*words, "--json").document  # a second job finds nothing left to do
    assert again["counters"]["done"] == 50
    assert await histories(second, versioned, "q/") == expected


async def test_what_is_deleted_is_relayed_with_its_marker(
    program: Program, moto: RunningServer, second_ministack: RunningServer, second: Store, bucket: str
) -> None:
    program.configure({"moto": moto, "second": second_ministack})
    for server in (moto, second_ministack):
        await make_versioned(server, bucket)
    async with store_of(moto) as source:
        for key in ("p/a", "p/b"):
            await source.put_object(bucket, key, b"1", attributes=ObjectAttributes(tagging=(("a", "1"),)))
            await source.delete_object(bucket, key)
    program("cp", f"moto://{bucket}/p/", f"second://{bucket}/", "--all-versions")
    assert [(one.key, one.is_delete_marker) for one in await versions_in(second, bucket)] == [
        (key, is_marker) for key in ("a", "b") for is_marker in (True, False)
    ]
    program("undelete", f"second://{bucket}/")
    assert await read_all(second, bucket) == {"a": b"1", "b": b"1"}
    assert await second.get_object_tags(bucket, "a") == (("a", "1"),)


async def test_histories_are_copied_on_the_server_and_continued(brigade: Program, versioned: str, mini: Store) -> None:
    await make_histories(mini, versioned, "p/", keys=6, length=5)
    await mini.put_object(versioned, "p/multipart", patterned_bytes(12 << 20))
    words = ("cp", f"mini://{versioned}/p/", f"mini://{versioned}/q/", "--all-versions")
    brigade(*words, "--quiet")
    assert await histories(mini, versioned, "q/") == await histories(mini, versioned, "p/")

    await make_histories(mini, versioned, "p/", keys=3, length=2)
    await mini.put_object(versioned, "q/d4/k 04+ü", b"of its own")
    document = brigade(*words, "--json", code=SOME_FAILED).document
    assert [failure["code"] for failure in document["failures"]] == ["TargetHasHistory"]
    here, there = await histories(mini, versioned, "p/"), await histories(mini, versioned, "q/")
    assert {key for key in here if here[key] != there[key]} == {"d4/k 04+ü"}


async def test_a_history_needs_a_target_that_keeps_it(
    brigade: Program, versioned: str, bucket: str, mini: Store
) -> None:
    await mini.put_object(versioned, "p/k", b"1")
    await mini.create_bucket(bucket)
    ended = brigade("cp", f"mini://{versioned}/p/", f"mini://{bucket}/", "--all-versions", code=USAGE)
    assert f"brigade bucket set mini://{bucket} --versioning on" in ended.err
    ended = brigade("cp", f"mini://{bucket}/", "there/", "--as-of", "1d", code=USAGE)
    assert "keeps no versions" in ended.err
    ended = brigade("rm", "mini://no-such-bucket/k", "--all-versions", "--yes", code=USAGE)
    assert "does not exist" in ended.err
    assert brigade.job_ids() == []
    assert await versions_in(mini, bucket) == []


async def test_a_thousand_versions_are_emptied_although_it_is_killed_and_the_bucket_removed(
    brigade: Program, versioned: str, mini: Store, ministack: RunningServer
) -> None:
    brigade.configure({"mini": ministack}, engine={"batch_size": 20, "checkpoint_interval_s": 0.05})
    await make_histories(mini, versioned, "", keys=100, length=12)
    words = ("rm", f"mini://{versioned}/", "--all-versions", "--yes", "--concurrency", "1", "--processes", "1")
    process = brigade.start(*words)
    assert brigade.wait_until_said("batch finished", process)
    process.send_signal(signal.SIGKILL)
    process.wait(25)

    [job_id] = brigade.job_ids()
    counters = brigade("resume", job_id, "--json").document["counters"]
    assert (counters["done"], counters["failed"]) == (1200, 0)
    assert await versions_in(mini, versioned) == []
    brigade("rb", f"mini://{versioned}")


@pytest.mark.slow
async def test_ten_thousand_versions_are_emptied_and_the_bucket_removed(
    brigade: Program, versioned: str, mini: Store
) -> None:
    await make_histories(mini, versioned, "", keys=500, length=20)
    document = brigade("rm", f"mini://{versioned}/", "--all-versions", "--yes", "--json").document
    assert (document["counters"]["done"], document["counters"]["failed"]) == (10_000, 0)
    brigade("rb", f"mini://{versioned}")


async def test_one_version_is_moved(brigade: Program, versioned: str, mini: Store) -> None:
    first = await mini.put_object(versioned, "k", b"first")
    await mini.put_object(versioned, "k", b"second")
    assert first.version_id is not None
    brigade("mv", f"mini://{versioned}/k", f"mini://{versioned}/old/k", "--version-id", first.version_id)
    assert await read_all(mini, versioned) == {"k": b"second", "old/k": b"first"}
    assert [one.size for one in await versions_in(mini, versioned, "k")] == [6]


async def test_one_key_is_emptied_and_not_its_namesakes(brigade: Program, versioned: str, mini: Store) -> None:
    for key in ("k", "k", "k/1", "k2", "j"):
        await mini.put_object(versioned, key, b"1")
    brigade("rm", f"mini://{versioned}/k", "--all-versions", code=USAGE)  # nobody said yes
    brigade("rm", f"mini://{versioned}/k", "--all-versions", "--yes")
    assert [one.key for one in await versions_in(mini, versioned)] == ["j", "k/1", "k2"]


async def test_noncurrent_versions_are_thinned_out(brigade: Program, versioned: str, mini: Store) -> None:
    for body in (b"1", b"22", b"333", b"4444"):
        await mini.put_object(versioned, "p/k", body)
    await mini.delete_object(versioned, "p/k")
    await mini.put_object(versioned, "p/k", b"55555")
    words = ("rm", f"mini://{versioned}/p/", "--noncurrent", "--yes")
    assert "nothing" in brigade(*words, "--older-than", "1d", code=USAGE).err
    lines = brigade(*words, "--keep-last", "3", "--dryrun").out.decode().splitlines()
    assert len(lines) == 1
    assert "?versionId=" in lines[0]
    brigade(*words, "--keep-last", "2")
    left = await versions_in(mini, versioned)
    assert [(one.size, one.is_delete_marker) for one in left] == [(5, False), (0, True), (4, False), (3, False)]
    brigade(*words)
    assert [one.size for one in await versions_in(mini, versioned)] == [5]


async def test_what_was_deleted_is_undeleted(brigade: Program, versioned: str, mini: Store) -> None:
    tree = {f"f{n}": str(n).encode() for n in range(20)}
    for name, body in tree.items():
        await mini.put_object(versioned, f"p/{name}", body)
    brigade("rm", f"mini://{versioned}/p/", "--recursive", "--yes")
    await mini.delete_object(versioned, "p/f7")  # once more: two markers
    await mini.put_object(versioned, "p/f3", b"again")
    assert await read_all(mini, versioned, "p/") == {"f3": b"again"}
    document = brigade("undelete", f"mini://{versioned}/p/", "--json").document
    assert document["counters"]["done"] == 20
    assert await read_all(mini, versioned, "p/") == tree | {"f3": b"again"}


async def test_a_prefix_is_read_and_brought_back_as_it_was(brigade: Program, versioned: str, mini: Store) -> None:
    before = {"changed": b"old", "deleted": b"was here", "same": b"same", "d/changed": b"old too"}
    for name, body in before.items():
        await mini.put_object(versioned, f"p/{name}", body, attributes=ObjectAttributes(metadata=(("old", "1"),)))
    await asyncio.sleep(0.02)
    then = max(one.modified_ns for one in await versions_in(mini, versioned)) // 1_000_000
    instant = f"{_iso(then // 1000)}.{then % 1000:03}Z"
    for name, body in {"changed": b"new", "d/changed": b"newer", "created": b"did not exist"}.items():
        await mini.put_object(versioned, f"p/{name}", body)
    await mini.delete_object(versioned, "p/deleted")
    now = await read_all(mini, versioned, "p/")
    here = f"mini://{versioned}/p/"

    brigade("cp", here, "there/", "--as-of", instant)
    assert read_tree(brigade.folder / "there") == before
    brigade("cp", here, f"mini://{versioned}/q/", "--as-of", instant)
    assert await read_all(mini, versioned, "q/") == before
    brigade("cp", here + "changed", "one", "--as-of", instant)
    assert (brigade.folder / "one").read_bytes() == b"old"
    assert brigade("cat", here + "deleted", "--as-of", instant).out == b"was here"
    assert "did not exist" in brigade("cat", here + "created", "--as-of", instant, code=USAGE).err
    assert await read_all(mini, versioned, "p/") == now

    document = brigade("restore", here, "--as-of", instant, "--json").document
    assert (document["counters"]["done"], document["counters"]["skipped"]) == (3, 1)
    assert brigade.status(document["job_id"])["versions"] == f"as of {_iso(then // 1000)}Z"
    assert [(one["source"], one["code"]) for one in document["failures"]] == [("p/created", "DidNotExist")]
    assert await read_all(mini, versioned, "p/") == before | {"created": b"did not exist"}
    assert (await mini.head_object(versioned, "p/changed")).attributes.metadata == (("old", "1"),)

    brigade("restore", here, "--as-of", instant, "--delete-newer")
    assert await read_all(mini, versioned, "p/") == before
    count = len(await versions_in(mini, versioned))
    brigade("restore", here, "--as-of", instant, "--delete-newer")  # nothing differs, and that is a success
    brigade("restore", here + "same", "--as-of", instant)
    brigade("cp", here, here, "--as-of", instant)
    assert len(await versions_in(mini, versioned)) == count


def _iso(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")


async def test_versions_are_listed_and_measured(brigade: Program, versioned: str, mini: Store) -> None:
    for key, body in (("p/a", b"1"), ("p/a", b"22"), ("p/d/b", b"333"), ("p/d/c", b"4444")):
        await mini.put_object(versioned, key, body)
        await asyncio.sleep(0.005)  # instants are told in milliseconds
    await mini.delete_object(versioned, "p/d/b")
    here = f"mini://{versioned}/p/"

    rows = _lines(brigade("ls", here, "--versions", "--recursive", "--json"))
    listed = await versions_in(mini, versioned)
    assert [(row["key"], row["version_id"], row["is_latest"], row["size"]) for row in rows] == [
        (one.key, one.version_id, one.is_latest, None if one.is_delete_marker else one.size) for one in listed
    ]
    assert [row["is_delete_marker"] for row in rows] == [False, False, True, False, False]
    assert [row.get("prefix") or row["key"] for row in _lines(brigade("ls", here, "--versions", "--json"))] == [
        "a",
        "a",
        "d/",
    ]
    text = brigade("ls", here + "d/", "--versions").out.decode().splitlines()
    assert [line.split()[2] for line in text] == ["marker", "3", "4"]
    assert "--as-of" in brigade("ls", here, "--versions", "--as-of", "1d", code=USAGE).err

    then = listed[3].modified_ns  # p/d/b, before it was deleted
    instant = f"{_iso(then // 10**9)}.{then // 10**6 % 1000:03}Z"
    assert [row["key"] for row in _lines(brigade("ls", here, "--as-of", instant, "--recursive", "--json"))] == [
        "p/a",
        "p/d/b",
    ]

    with brigade.config.open("a") as config:
        config.write('[prices]\ncurrency = "EUR"\ngb_month = { STANDARD = 1073741824 }\n')  # so that a byte costs one
    *folders, total = _lines(brigade("du", here, "--versions", "--depth", "1", "--json"))
    assert [(one["location"], one["bytes"]) for one in folders] == [(here + "d/", 7)]
    assert (total["objects"], total["bytes"], total["delete_markers"]) == (4, 10, 1)
    assert total["current"] == {"STANDARD": {"objects": 2, "bytes": 6}}
    assert total["noncurrent"] == {"STANDARD": {"objects": 2, "bytes": 4}}
    assert total["cost_per_month"] == {"amount": 10.0, "currency": "EUR", "unpriced": []}
    assert _lines(brigade("du", here, "--as-of", instant, "--json"))[0]["bytes"] == 5
    out = brigade("du", here, "--versions", "--bytes").out.decode()
    assert out.splitlines()[0].split() == ["10", "4", here]
    assert "10.00 EUR" in out
    assert "1  delete markers" in out


async def test_the_facade_knows_versions(ministack: RunningServer, versioned: str, mini: Store, tmp_path: Path) -> None:
    for body in (b"1", b"22"):
        await mini.put_object(versioned, "p/k", body)
    here = f"ministack://{versioned}/p/"
    settings = Settings(endpoints={"ministack": ministack.endpoint}, state_dir=str(tmp_path))
    async with Brigade(settings) as brigade:
        await (await brigade.delete(here)).wait()
        assert [one.is_delete_marker async for one in brigade.versions(here)] == [True, False, False]
        assert (await brigade.du(here, versions=True)).total.bytes == 3
        assert (await brigade.du(here)).total.objects == 0
        assert (await (await brigade.undelete(here)).wait()).counters.done == 1
        assert [one.size async for one in brigade.versions(here, as_of="0s")] == [2]
        await (await brigade.copy(here, f"ministack://{versioned}/q/", all_versions=True)).wait()
        assert [one.size async for one in brigade.versions(f"ministack://{versioned}/q/")] == [2, 1]
        await (await brigade.delete(here, noncurrent=True)).wait()
        assert [one.size async for one in brigade.versions(here)] == [2]
        oldest = [one async for one in brigade.versions(f"ministack://{versioned}/q/")][-1].modified_ns
        instant = f"{_iso(oldest // 10**9)}.{oldest // 10**6 % 1000:03}Z"
        await (await brigade.restore(f"ministack://{versioned}/q/", as_of=instant)).wait()
    assert (await read_all(mini, versioned, "q/")) == {"k": b"1"}


def _lines(ended: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ended.out.splitlines()]
