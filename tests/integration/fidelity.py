"""The fidelity matrix: every attribute of an object by every way that it can take, compared with what it should have become.

``python -m tests.integration.fidelity`` writes docs/fidelity.md; ``test_fidelity.py`` fails where it is not what comes out.
The source objects are written, and all objects are looked at, by a plain aioboto3 client: none of our code judges itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aioboto3
import msgspec
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.model.job import DEFAULT_PRESERVE, PRESERVABLE, EndpointOverrides, ObjectAttributes, TransferOptions
from bucket_brigade.settings.values import EngineSettings, RetrySettings, Settings
from tests.integration.fidelity_rows import CARRIED_BY_DEFAULT, CARRIED_ROWS, CUSTOMER_KEY, FILE_ROWS, GROUPS, ROWS, Row
from tests.samples import patterned_bytes
from tests.servers import RunningServer

DOCUMENT = Path(__file__).parents[2] / "docs" / "fidelity.md"

MIB = 1 << 20
SMALL, LARGE = 1000, MIB + 1
"""Below and above the limit of copies, which is set to 1 MiB here and is 5 GiB by default. Uploads and relays go in parts from
another limit on, which is lowered to ``SMALL`` for them: MiniStack takes a quarter of a second for the checksum of a MiB."""

WAYS = ("client", "lane")
SET = ("upload", "upload in parts", "copy", "copy in parts", "relay", "relay in parts")
BY_DEFAULT = ("copy", "copy in parts", "relay", "relay in parts")
CARRIED = (*BY_DEFAULT, "down and up", "down and up in parts")
KEPT, NOTED, REFUSED, LOST, UNKNOWN, NOT_IN_FILES = "yes", "reported", "refused", "LOST", "no", "not in files"
LEFT = "left"
MEANING = {
    KEPT: "the object has it",
    NOTED: "the object does not have it, and the report says so",
    REFUSED: "the transfer fails and says why: the server does not keep what was asked for",
    UNKNOWN: "the server does not keep it at all",
    NOT_IN_FILES: "a file has no such thing: a download leaves it behind, and it has to be named when the file goes up again",
    LEFT: "not carried over by default: `--preserve` has to name it, or `all`",
    LOST: "the object does not have it and nothing says so (a bug)",
}


PLAIN, PLAIN_LOCKED = ROWS[0], next(row for row in ROWS if row.locked)


@dataclass
class Matrix:
    """Server -> way -> (section, column) -> row -> outcome."""

    cells: dict[tuple[str, str, str, str, str], str] = field(default_factory=dict)

    def record(self, server: str, way: str, section: str, column: str, row: str, outcome: str) -> None:
        self.cells[server, way, section, column, row] = outcome

    def outcome(self, server: str, section: str, column: str, row: str) -> str:
        """Return what client and lane agree on."""
        keys = [(server, way, section, column, row) for way in WAYS]
        return " / ".join(sorted({self.cells[key] for key in keys if key in self.cells}))


async def create_open_bucket(client: Any, bucket: str, *, locked: bool = False) -> None:
    """Create a bucket whose objects may have access control lists, public ones too."""
    await client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=locked)
    await client.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    )
    await client.delete_public_access_block(Bucket=bucket)


class Bench:
    """One server, reached one way, with buckets for source and target."""

    def __init__(self, server: RunningServer, way: str, folder: str, client: Any, brigade: Brigade) -> None:
        self.server = server
        self.way = way
        self.folder = folder
        self.client = client
        self.brigade = brigade
        self.refused: set[str] = set()
        """Rows of which the server takes no object from anybody."""
        self._seen: dict[tuple[str, str, tuple[str, ...]], dict[str, Any]] = {}

    def bucket(self, kind: str, row: Row) -> str:
        return f"fidelity-{self.way}-{kind}{'-locked' if row.locked else ''}"

    async def prepare(self) -> None:
        """Make the buckets, and of every row a small and a large object that has it."""
        for kind in ("source", "target"):
            for row in (PLAIN, PLAIN_LOCKED):
                await create_open_bucket(self.client, self.bucket(kind, row), locked=row.locked)
        for size in (SMALL, LARGE):
            for row in (PLAIN, PLAIN_LOCKED):
                await self.client.put_object(Bucket=self.bucket("source", row), Key=f"plain/{size}", Body=bytes(size))
            for row in (*FILE_ROWS, *ROWS):
                try:
                    await self.client.put_object(
                        Bucket=self.bucket("source", row),
                        Key=self.source_key(row, size),
                        Body=patterned_bytes(size, seed=1),
                        **row.stored,
                    )
                except ClientError:
                    self.refused.add(row.name)

    def source_key(self, row: Row, size: int) -> str:
        return f"{'secret' if row.customer_key else 'rich'}/{size}/{row.key}"

    async def look(self, bucket: str, key: str, row: Row, *, secret: bool = False) -> dict[str, Any]:
        """Return what can be asked about an object, as far as it concerns a row. No object changes once it was looked at."""
        beyond = tuple(name for name in ("Tags", "Grants", "Content") if name in row.seen)
        if (bucket, key, beyond) not in self._seen:
            self._seen[bucket, key, beyond] = await self._look(bucket, key, beyond, secret=secret)
        return dict(self._seen[bucket, key, beyond])

    async def _look(self, bucket: str, key: str, beyond: tuple[str, ...], *, secret: bool) -> dict[str, Any]:
        at = {"Bucket": bucket, "Key": key}
        with_key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": CUSTOMER_KEY} if secret else {}
        try:
            head = dict(await self.client.head_object(**at, ChecksumMode="ENABLED", **with_key))
        except Exception:
            return {}
        head |= {name.replace("Checksum", "Has"): True for name in head if name.startswith("Checksum")}
        head |= {f"File {name}": value for name, value in head["Metadata"].items()}
        head["Metadata"].pop("mtime", None)  # which --preserve all adds
        if "Content" in beyond:
            answer = await self.client.get_object(**at)
            head["Content"] = hashlib.sha256(await answer["Body"].read()).hexdigest()
        if "Tags" in beyond:
            tags = (await self.client.get_object_tagging(**at))["TagSet"]
            head["Tags"] = sorted((tag["Key"], tag["Value"]) for tag in tags)
        if "Grants" in beyond:
            head["Grants"] = await self._grants(at)
        return head

    async def _grants(self, at: Mapping[str, str]) -> list[tuple[str, str]]:
        try:
            acl = await self.client.get_object_acl(**at)
        except ClientError as error:
            return [(str(error), "")]
        return sorted(
            (grant["Permission"], grant["Grantee"].get("URI") or grant["Grantee"].get("ID") or "")
            for grant in acl["Grants"]
        )

    async def outcome(self, row: Row, key: str, size: int, told: Mapping[str, str]) -> str:
        """Compare the target with the source that the plain client wrote; ``told`` is what the report says, by target."""
        if row.name in self.refused:
            return {"failed": REFUSED}.get(told.get(key, ""), UNKNOWN)
        home = self.bucket("source", row)
        wanted = await self.look(home, self.source_key(row, size), row, secret=row.customer_key)
        plain = await self.look(home, f"plain/{size}", row)
        if row.carried and all(
            wanted.get(name) == plain.get(name) for name in row.seen if name != "ServerSideEncryption"
        ):
            known = any(name == "ServerSideEncryption" and wanted.get(name) for name in row.seen)
            if not known:
                return REFUSED if told.get(key) == "failed" else UNKNOWN
        found = await self.look(self.bucket("target", row), key, row, secret=row.customer_key)
        if found and all(found.get(name) == wanted.get(name) for name in row.seen):
            return KEPT
        return {"failed": REFUSED, "noted": NOTED}.get(told.get(key, ""), LOST)

    async def run(self, source: str, target: str, **request: Any) -> dict[str, str]:
        """Run a job and return what its report says of single targets: ``failed`` or ``noted``."""
        job = await self.brigade.copy(source, target, **request)
        report = await job.wait()
        return {row.target: "noted" if row.code == "NotCarried" else "failed" for row in report.failures}

    def options(self, column: str, **changes: Any) -> TransferOptions:
        return TransferOptions(
            multipart_threshold_bytes=SMALL if column.endswith("in parts") else MIB,
            copy_limit_bytes=MIB,
            allow_public_acl=True,
            guess_content_type=False,
            **changes,
        )

    # --- what a job sets -------------------------------------------------------------------------------------------

    async def set_all(self, matrix: Matrix) -> None:
        """Set what goes together in one job for each column; where that job fails, one attribute after the other."""
        for column in SET:
            for rows in GROUPS:
                outcomes = await self.set_rows(rows, column)
                if len(rows) > 1 and set(outcomes.values()) != {KEPT}:
                    outcomes = {row: (await self.set_rows((row,), column))[row] for row in rows}
                for row, outcome in outcomes.items():
                    matrix.record(self.server.name, self.way, "set", column, row.name, outcome)

    async def set_rows(self, rows: tuple[Row, ...], column: str) -> dict[Row, str]:
        first = rows[0]
        size = LARGE if column == "copy in parts" else SMALL
        action = column.split()[0]
        key = f"set/{column.replace(' ', '-')}/{len(rows)}{first.key}"
        source = f"here://{self.bucket('source', first)}/plain/{size}"
        if action == "upload":
            source = os.path.join(self.folder, f"file-{size}")
            await asyncio.to_thread(Path(source).write_bytes, bytes(size))
        asked = {name: value for row in rows for name, value in msgspec.structs.asdict(row.asked).items() if value}
        told = await self.run(
            source,
            f"{'other' if action == 'relay' else 'here'}://{self.bucket('target', first)}/{key}",
            options=self.options(column, attributes=ObjectAttributes(**asked)),
            target_endpoint=self.key_of(first),
        )
        return {row: await self.outcome(row, key, size, told) for row in rows}

    def key_of(self, row: Row) -> EndpointOverrides:
        if not row.customer_key:
            return EndpointOverrides()
        path = Path(self.folder, "key")
        path.write_bytes(CUSTOMER_KEY)
        return EndpointOverrides(sse_c_key_file=str(path))

    # --- what is carried over --------------------------------------------------------------------------------------

    async def carry_all(self, matrix: Matrix) -> None:
        """Carry over all, and what is carried over by default."""
        plain = [row for row in CARRIED_ROWS if not row.locked and not row.customer_key]
        locked = [row for row in CARRIED_ROWS if row.locked]
        for column in CARRIED:
            for rows in (plain, locked, [row for row in CARRIED_ROWS if row.customer_key]):
                await self.carry(rows, "carried", column, matrix)
        for column in BY_DEFAULT:
            for rows in (plain, locked):
                await self.carry(rows, "default", column, matrix)

    async def carry(self, rows: list[Row], kind: str, column: str, matrix: Matrix) -> None:
        size = LARGE if column == "copy in parts" else SMALL
        prefix = f"{kind}/{column.replace(' ', '-')}/"
        scheme = "other" if column.startswith("relay") else "here"
        origin = self.source_key(rows[0], size).removesuffix(rows[0].key)
        source = f"here://{self.bucket('source', rows[0])}/{origin}"
        target = f"{scheme}://{self.bucket('target', rows[0])}/{prefix}"
        preserve = PRESERVABLE if kind == "carried" else DEFAULT_PRESERVE
        options, key = self.options(column, preserve=preserve), self.key_of(rows[0])
        through_files = column.startswith("down")
        if through_files:
            files = os.path.join(self.folder, column, rows[0].key, "")
            await self.run(source, files, options=options, source_endpoint=key)
            told = await self.run(files, target, options=options)
        else:
            told = await self.run(source, target, options=options, source_endpoint=key, target_endpoint=key)
        for row in rows:
            outcome = await self.outcome(row, prefix + row.key, size, told)
            if through_files and outcome == LOST and not row.of_file:
                outcome = NOT_IN_FILES
            if kind == "default" and outcome == LOST and row.name not in CARRIED_BY_DEFAULT:
                outcome = LEFT
            matrix.record(self.server.name, self.way, kind, column, row.name, outcome)


def plain_client(server: RunningServer) -> Any:
    """Return aioboto3's own client, to be opened."""
    secret = server.endpoint.secret_access_key
    return aioboto3.Session(
        aws_access_key_id=server.endpoint.access_key_id,
        aws_secret_access_key=None if secret is None else secret.reveal(),
        region_name=server.endpoint.region,
    ).client(
        "s3",
        endpoint_url=server.endpoint.endpoint_url,
        config=AioConfig(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


@contextlib.asynccontextmanager
async def bench_of(server: RunningServer, way: str) -> AsyncIterator[Bench]:
    """Open a server: twice for the program, with settings that differ, so that going from one to the other is a relay."""
    here = msgspec.structs.replace(server.endpoint, name="here")
    other = msgspec.structs.replace(server.endpoint, name="other", read_timeout_s=61.0)
    with tempfile.TemporaryDirectory(prefix="fidelity-") as folder:
        settings = Settings(
            endpoints={"here": here, "other": other},
            state_dir=os.path.join(folder, "state"),
            engine=EngineSettings(
                processes=1, concurrency=4, lane="on" if way == "lane" else "off", retry=RetrySettings(max_attempts=1)
            ),
        )
        async with plain_client(server) as client, Brigade(settings) as brigade:
            yield Bench(server, way, folder, client, brigade)


async def measure(*servers: RunningServer) -> Matrix:
    """Return the matrix of these servers."""
    matrix = Matrix()

    async def one(server: RunningServer, way: str) -> None:
        async with bench_of(server, way) as bench:
            await bench.prepare()
            await bench.set_all(matrix)
            await bench.carry_all(matrix)

    async with asyncio.TaskGroup() as group:
        for server in servers:
            for way in WAYS:
                group.create_task(one(server, way))
    return matrix


# --- the document ------------------------------------------------------------------------------------------------------


HEADING = (
    "# Fidelity: what objects keep",
    "",
    "Generated by `python -m tests.integration.fidelity`, and compared with what comes out by a test: do not edit.",
    "Every object is written and looked at by a plain aioboto3 client (HEAD, tags, ACL, lock), beside the program.",
    "*In parts* means above the limit of a single request: 16 MiB for uploads and relays, 5 GiB for copies (here lowered).",
    "Every cell is the same through the lane and through the client (`--lane off`), or shows both.",
    "By default a copy below the limit is left to the server, which may carry more than S3 does: S3 itself leaves storage class,",
    "redirect and lock.",
    "",
    *(f"- **{outcome}**: {meaning}." for outcome, meaning in MEANING.items() if outcome != LOST),
    "",
)


def document(matrix: Matrix, servers: list[str]) -> str:
    """Return docs/fidelity.md."""
    return "\n".join([*HEADING, *(section(matrix, server) for server in servers)])


def section(matrix: Matrix, server: str) -> str:
    """Return what the document says of one server."""
    lines = []
    for kind, columns, rows, title in (
        ("set", SET, ROWS, "Set by a flag"),
        ("carried", CARRIED, CARRIED_ROWS, "Carried over by `--preserve all`"),
        ("default", BY_DEFAULT, [row for row in CARRIED_ROWS if not row.customer_key], "Carried over by default"),
    ):
        lines += [f"## {title}, on {server}", "", _line(["", *columns]), _line(["---"] * (len(columns) + 1))]
        lines += [
            _line([row.name, *(matrix.outcome(server, kind, column, row.name) for column in columns)]) for row in rows
        ]
        lines.append("")
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Write the document."""
    from tests.servers import start_ministack, start_moto

    with start_ministack() as ministack, start_moto() as moto:
        matrix = asyncio.run(measure(ministack, moto))
    DOCUMENT.write_text(document(matrix, [ministack.name, moto.name]))


if __name__ == "__main__":
    main()
