"""Jobs run under exactly the policy that ``iam-policy`` prints for them, and fail without any part of it.

MiniStack enforces identity policies. Two users, one for each side, have nothing but the policy of the job at hand.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bucket_brigade.errors import BrigadeError
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.jobs.build import build_job
from bucket_brigade.jobs.policy import Statement, least_policy, policy_document
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.jobs.sides import job_endpoints
from bucket_brigade.model.job import ObjectAttributes, Overwrite, TransferOptions
from bucket_brigade.s3.store import ListedVersion, Store
from bucket_brigade.settings.values import EndpointSettings, EngineSettings, RetrySettings, Secret, Settings
from tests.integration.program import Program
from tests.samples import make_tree
from tests.servers import RunningServer
from tests.servers.ministack import User, create_user, put_policy

NOTHING: dict[str, object] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Deny", "Action": "iam:ListUsers", "Resource": "*"}],
}
UNSEEN = {
    "Write s3:AbortMultipartUpload": "needed where an upload fails",
    "Write s3:ListMultipartUploadParts": "needed where an upload is continued",
    "Write s3:PutObjectTagging": "AWS asks for it where a write carries tags, MiniStack does not",
    "Write s3:PutObjectAcl": "the same",
    "Change s3:AbortMultipartUpload": "as above",
    "Change s3:ListMultipartUploadParts": "as above",
    "WriteMarkers s3:DeleteObjectVersion": "needed where a request's answer was lost and it made two versions",
    "LookAtTarget s3:GetObjectVersion": "needed where a history is continued",
    "LookAtTarget s3:GetObjectAcl": "a wish that was kept is not looked at again",
    "TellAbsence s3:ListBucket": "AWS answers 403 in place of 404 without it, MiniStack does not",
}
"""What no job here needs, because all goes well and MiniStack asks for less than AWS."""

PROVEN = {"LookAtTarget s3:GetObject", "LookAtTarget s3:GetObjectTagging"}
"""These small objects are proven by their ETag or checksum; others need a look."""

COPIED = {"Read s3:GetObjectTagging", "Change s3:PutObjectTagging", "Change s3:PutObjectAcl", "Read s3:GetObjectAcl"}
"""AWS asks for these where CopyObject carries tags and more; MiniStack does not."""

MIB = 1 << 20
FILES = {"a": b"1", "d/b": b"22"}


@dataclass
class World:
    """The administrator's store, and settings in which each side has its own user."""

    admin: Store
    settings: Settings
    bucket: str
    folder: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def fill(self, prefix: str, *, tags: tuple[tuple[str, str], ...] = ()) -> None:
        for name, body in FILES.items():
            await self.admin.put_object(
                self.bucket, prefix + name, body, attributes=ObjectAttributes(tagging=tags or None)
            )

    async def keys(self, prefix: str) -> list[str]:
        page = await self.admin.list_objects(self.bucket, prefix=prefix)
        return [entry.key.removeprefix(prefix) for entry in page.objects]

    async def versions(self, prefix: str) -> list[ListedVersion]:
        return (await self.admin.list_object_versions(self.bucket, prefix=prefix)).versions


Check = Callable[[], Awaitable[bool]]
Case = Callable[[World, str], Awaitable[tuple[JobRequest, Check]]]
"""Prepares a job below a fresh prefix, and tells whether it did what it was to do."""


@pytest.fixture(scope="module")
def users(ministack: RunningServer) -> dict[str, User]:
    url = str(ministack.endpoint.endpoint_url)
    return {name: create_user(url, name=f"policy-{name}", policy=NOTHING) for name in ("source", "target")}


@pytest.fixture
async def world(
    ministack: RunningServer, users: dict[str, User], tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[World]:
    def as_user(name: str) -> EndpointSettings:
        return msgspec.structs.replace(
            ministack.endpoint,
            name=name,
            access_key_id=users[name].access_key_id,
            secret_access_key=Secret(users[name].secret_access_key),
        )

    engine = EngineSettings(processes=1, concurrency=2, retry=RetrySettings(max_attempts=1))
    settings = Settings(
        endpoints={"source": as_user("source"), "target": as_user("target"), "admin": ministack.endpoint},
        state_dir=str(tmp_path / "state"),
        engine=engine,
    )
    bucket = f"policy-{abs(hash(request.node.name)) % 10**12}"
    async with Brigade(msgspec.structs.replace(settings, state_dir=str(tmp_path / "admin"))) as brigade:
        await brigade.create_bucket(f"admin://{bucket}")
        control = await brigade.control("admin")
        if "versions" in request.node.name:
            from bucket_brigade.s3.bucket_values import Versioning

            await control.set_versioning(bucket, Versioning.ENABLED)
        yield World(await brigade.store("admin"), settings, bucket, tmp_path)


# --- the jobs --------------------------------------------------------------------------------------------------------


async def upload(world: World, prefix: str) -> tuple[JobRequest, Check]:
    return await _upload(world, prefix, TransferOptions())


async def upload_in_parts_with_tags(world: World, prefix: str) -> tuple[JobRequest, Check]:
    attributes = ObjectAttributes(tagging=(("a", "b"),))
    return await _upload(world, prefix, TransferOptions(multipart_threshold_bytes=MIB, attributes=attributes), MIB + 1)


async def upload_without_clobbering(world: World, prefix: str) -> tuple[JobRequest, Check]:
    return await _upload(world, prefix, TransferOptions(overwrite=Overwrite.NEVER))


async def _upload(world: World, prefix: str, options: TransferOptions, size: int = 1) -> tuple[JobRequest, Check]:
    tree = make_tree(world.folder / f"tree-{prefix.strip('/')}", {**FILES, "large": bytes(size)})

    async def arrived() -> bool:
        return await world.keys(prefix) == ["a", "d/b", "large"]

    request = JobRequest(verb="cp", source=f"{tree}/", target=f"target://{world.bucket}/{prefix}", options=options)
    return request, arrived


async def download(world: World, prefix: str) -> tuple[JobRequest, Check]:
    await world.fill(prefix)
    folder = world.folder / f"down-{prefix.strip('/')}"

    async def arrived() -> bool:
        return (folder / "d" / "b").read_bytes() == FILES["d/b"]

    return JobRequest(verb="cp", source=f"source://{world.bucket}/{prefix}", target=f"{folder}/"), arrived


async def copy(world: World, prefix: str) -> tuple[JobRequest, Check]:
    return await _between(world, prefix, "target", TransferOptions())


async def copy_in_parts(world: World, prefix: str) -> tuple[JobRequest, Check]:
    attributes = ObjectAttributes(tagging=(("k", "v"),))
    await world.admin.put_object(world.bucket, f"{prefix}from/z", bytes(MIB + 1), attributes=attributes)
    return await _between(world, prefix, "target", TransferOptions(copy_limit_bytes=MIB), ("z",))


async def relay(world: World, prefix: str) -> tuple[JobRequest, Check]:
    return await _between(world, prefix, "source", TransferOptions())


async def relay_with_acl(world: World, prefix: str) -> tuple[JobRequest, Check]:
    attributes = ObjectAttributes(acl="bucket-owner-full-control")
    return await _between(world, prefix, "source", TransferOptions(attributes=attributes))


async def _between(
    world: World, prefix: str, source: str, options: TransferOptions, more: tuple[str, ...] = ()
) -> tuple[JobRequest, Check]:
    tags = (("k", "v"),)
    await world.fill(f"{prefix}from/", tags=tags)

    async def arrived() -> bool:
        if await world.keys(f"{prefix}to/") != ["a", "d/b", *more]:
            return False
        last = (await world.keys(f"{prefix}to/"))[-1]
        return await world.admin.get_object_tags(world.bucket, f"{prefix}to/{last}") == tags

    request = JobRequest(
        verb="cp",
        source=f"{source}://{world.bucket}/{prefix}from/",
        target=f"target://{world.bucket}/{prefix}to/",
        options=options,
    )
    return request, arrived


async def move(world: World, prefix: str) -> tuple[JobRequest, Check]:
    request, copied = await _between(world, prefix, "source", TransferOptions())

    async def moved() -> bool:
        return await copied() and await world.keys(f"{prefix}from/") == []

    return msgspec.structs.replace(request, verb="mv"), moved


async def delete(world: World, prefix: str) -> tuple[JobRequest, Check]:
    await world.fill(prefix)

    async def gone() -> bool:
        return await world.keys(prefix) == []

    return JobRequest(verb="rm", source=f"source://{world.bucket}/{prefix}"), gone


async def delete_one(world: World, prefix: str) -> tuple[JobRequest, Check]:
    await world.fill(prefix)

    async def gone() -> bool:
        return await world.keys(prefix) == ["d/b"]

    return JobRequest(verb="rm", source=f"source://{world.bucket}/{prefix}a"), gone


async def delete_all_versions(world: World, prefix: str) -> tuple[JobRequest, Check]:
    await world.fill(prefix)
    await world.fill(prefix)

    async def gone() -> bool:
        return await world.versions(prefix) == []

    return JobRequest(verb="rm", source=f"source://{world.bucket}/{prefix}", all_versions=True), gone


async def copy_all_versions(world: World, prefix: str) -> tuple[JobRequest, Check]:
    tags = (("k", "v"),)
    await world.fill(f"{prefix}from/", tags=tags)
    await world.admin.delete_object(world.bucket, f"{prefix}from/a")
    await world.fill(f"{prefix}from/", tags=tags)

    async def arrived() -> bool:
        if len(await world.versions(f"{prefix}to/")) != 5:
            return False
        return await world.admin.get_object_tags(world.bucket, f"{prefix}to/a") == tags

    request = JobRequest(
        verb="cp",
        source=f"source://{world.bucket}/{prefix}from/",
        target=f"target://{world.bucket}/{prefix}to/",
        all_versions=True,
    )
    return request, arrived


async def set_tags(world: World, prefix: str) -> tuple[JobRequest, Check]:
    return await _set(world, prefix, ObjectAttributes(tagging=(("new", "tag"),)))


async def set_metadata(world: World, prefix: str) -> tuple[JobRequest, Check]:
    return await _set(world, prefix, ObjectAttributes(metadata=(("new", "item"),)))


async def _set(world: World, prefix: str, attributes: ObjectAttributes) -> tuple[JobRequest, Check]:
    await world.fill(prefix)

    async def changed() -> bool:
        head = await world.admin.head_object(world.bucket, f"{prefix}a")
        tags = await world.admin.get_object_tags(world.bucket, f"{prefix}a")
        return tags == (attributes.tagging or ()) and head.attributes.metadata == attributes.metadata

    options = TransferOptions(attributes=attributes)
    return JobRequest(verb="set", source=f"source://{world.bucket}/{prefix}", options=options), changed


CASES: dict[Case, set[str]] = {
    upload: PROVEN,
    upload_in_parts_with_tags: {"LookAtTarget s3:GetObjectTagging"},
    upload_without_clobbering: set(),
    download: set(),
    copy: PROVEN | COPIED,
    copy_in_parts: set(),
    relay: PROVEN,
    relay_with_acl: PROVEN,
    move: PROVEN,
    delete: set(),
    delete_one: set(),
    delete_all_versions: set(),
    copy_all_versions: PROVEN,
    set_tags: set(),
    set_metadata: COPIED,
}
"""The jobs, and what MiniStack does not need for them though they may need it."""


# --- running them ----------------------------------------------------------------------------------------------------


Sides = dict[str, list[Statement]]


def statements_of(world: World, request: JobRequest) -> Sides:
    job = build_job(request, world.settings)
    policy = least_policy(job, *job_endpoints(world.settings, job))
    return {"source": list(policy.source), "target": list(policy.target)}


async def succeeds(world: World, case: Case, change: Callable[[Sides], None] = lambda sides: None) -> bool:
    """Run the job under its policy, changed; return whether it did all that it was to do, and nothing was left out."""
    prefix = f"p{next(world.numbers)}/"
    request, check = await case(world, prefix)
    sides = statements_of(world, request)
    change(sides)
    url = str(world.settings.endpoints["source"].endpoint_url)
    for name, statements in sides.items():
        put_policy(url, f"policy-{name}", policy_document(statements) if statements else NOTHING)
    async with Brigade(world.settings) as brigade:
        try:
            run = await brigade.start((await brigade.submit(request)).id)
            report = await run.wait()
        except BrigadeError as error:
            print(type(error), error)
            return False
    counters = report.counters
    print(counters, *report.failures, sep="\n")
    return counters.done == counters.planned > 0 and not counters.failed and await check()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_a_job_runs_under_exactly_its_policy_and_fails_without_any_of_it(world: World, case: Case) -> None:
    assert await succeeds(world, case)

    sides = statements_of(world, (await case(world, "look/"))[0])
    unseen = UNSEEN.keys() | CASES[case]
    kept: list[str] = []
    for name, statements in sides.items():
        for index, statement in enumerate(statements):
            for action in statement.actions:
                if f"{statement.sid} {action}" in unseen:
                    continue
                if await succeeds(world, case, lambda sides: without(sides[name], index, action)):  # noqa: B023
                    kept += [f"{name} {statement.sid} {action}"]
    assert kept == []


def without(statements: list[Statement], index: int, action: str) -> None:
    """Take one action out of one statement; the last one takes the statement with it."""
    left = tuple(one for one in statements[index].actions if one != action)
    if left:
        statements[index] = msgspec.structs.replace(statements[index], actions=left)
    else:
        del statements[index]


@pytest.mark.parametrize("case", [copy, relay, delete_all_versions], ids=lambda case: case.__name__)
async def test_a_job_fails_without_any_statement(world: World, case: Case) -> None:
    sides = statements_of(world, (await case(world, "look/"))[0])
    for name, statements in sides.items():
        for index in range(len(statements)):

            def remove(sides: Sides, name: str = name, index: int = index) -> None:
                del sides[name][index]

            if statements[index].sid not in ("LookAtTarget", "TellAbsence"):
                assert not await succeeds(world, case, remove), statements[index]


async def test_no_policy_lets_a_job_delete_that_neither_moves_nor_deletes(world: World) -> None:
    for case in CASES:
        request, _ = await case(world, f"{case.__name__}/")
        statements = [one for side in statements_of(world, request).values() for one in side]
        deletes = any("Delete" in action for one in statements for action in one.actions)
        assert deletes is (request.verb in ("mv", "rm") or request.all_versions), case.__name__
        assert not any("*" in action for one in statements for action in one.actions)


def test_the_command_prints_it_for_a_job_that_is_not_yet_run(capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from bucket_brigade.cli.main import main

    monkeypatch.setenv("BRIGADE_CONFIG", "/dev/null")
    assert main(["iam-policy", "cp", "s3://a/p*x/", "s3://b/q/", "--recursive"]) == 0
    document = msgspec.json.decode(capfd.readouterr().out)
    by_sid = {one["Sid"]: one for one in document["Statement"]}
    assert by_sid["List"]["Condition"] == {"StringLike": {"s3:prefix": "p*"}}
    assert by_sid["Read"]["Resource"] == "arn:aws:s3:::a/p*"
    assert main(["iam-policy", "--side", "source", "rm", "s3://a/[*]/x", "--region", "cn-north-1"]) == 0
    document = msgspec.json.decode(capfd.readouterr().out)
    assert document["Statement"][-1]["Resource"] == "arn:aws-cn:s3:::a/${*}/x"
    assert main(["iam-policy", "--side", "target", "rm", "s3://a/x"]) == 2


@pytest.mark.parametrize(
    ("flags", "looks"), [((), False), (("--storage-class", "STANDARD_IA"), True), (("--content-type", "a/b"), False)]
)
def test_what_only_a_look_at_what_was_written_proves_needs_leave_to_look(
    flags: tuple[str, ...], looks: bool, capfd: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from bucket_brigade.cli.main import main

    monkeypatch.setenv("BRIGADE_CONFIG", "/dev/null")
    (tmp_path / "f").touch()
    assert main(["iam-policy", "cp", str(tmp_path / "f"), "s3://b/f", *flags]) == 0
    assert ("s3:GetObject" in capfd.readouterr().out) is looks


def test_the_command_prints_it_for_a_job_that_was_run(program: Program, ministack: RunningServer) -> None:
    program.configure({"mini": ministack})
    (program.folder / "f").write_bytes(b"content")
    program("mb", "mini://policy-of-a-job")
    job_id = program("cp", "f", "mini://policy-of-a-job/f", "--json").document["job_id"]
    (statement, *_) = program("iam-policy", job_id).document["Statement"]
    assert statement["Resource"] == "arn:aws:s3:::policy-of-a-job/f"
    assert statement["Action"] == ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
