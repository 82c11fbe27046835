"""The Python of the documents is run as it stands there, and the names in the guide's table exist: they cannot rot."""

from __future__ import annotations

import ast
import asyncio
import json
import re
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from bucket_brigade import Brigade, BucketHandle, ObjectHandle
from bucket_brigade.errors import PreconditionFailed
from bucket_brigade.s3.bucket_values import BucketChanges, Versioning
from tests.servers import RunningServer

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "docs/guide.md", "docs/versions.md")
BUCKETS = ("docs-a", "docs-b", "photos", "archive")


def blocks(document: str) -> list[str]:
    """Return the blocks of Python in a document. Buckets called a and b get names that stores accept."""
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    found: list[str] = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [re.sub(r"(?<=://)([ab])(?=/)", r"docs-\1", block) for block in found]


EXAMPLES = [
    pytest.param(block, id=f"{document}-{number}")
    for document in DOCUMENTS
    for number, block in enumerate(blocks(document), start=1)
]


@pytest.fixture
async def documented_world(moto: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what ``Brigade()`` finds in an environment, and the buckets of the documents with something in them."""
    here = moto.endpoint
    assert here.secret_access_key is not None
    secret = here.secret_access_key.reveal()
    for name, value in (
        ("AWS_ENDPOINT_URL", here.endpoint_url),
        ("AWS_ACCESS_KEY_ID", here.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", secret),
        ("BRIGADE_ENDPOINTS__MINIO__ENDPOINT_URL", here.endpoint_url),
        ("BRIGADE_ENDPOINTS__MINIO__ACCESS_KEY_ID", here.access_key_id),
        ("BRIGADE_ENDPOINTS__MINIO__SECRET_ACCESS_KEY", secret),
        ("BRIGADE_STATE_DIR", str(tmp_path / "state")),
    ):
        monkeypatch.setenv(name, str(value))
    monkeypatch.chdir(tmp_path)  # an example downloads into the current folder
    async with Brigade() as brigade:
        for name in BUCKETS:
            await brigade.create_bucket(f"s3://{name}", changes=BucketChanges(versioning=Versioning.ENABLED))
        for name, key in (("docs-a", "x/one"), ("photos", "2026/1.jpg")):
            for content in (b"old", b"new"):
                await brigade.bucket(name).object(key).write(content)
        await brigade.bucket("photos").object("visits.json").write(b'{"visits": 1}')


@pytest.mark.usefixtures("documented_world")
@pytest.mark.parametrize("example", EXAMPLES)
async def test_the_example_runs(example: str) -> None:
    names: dict[str, Any] = {"__name__": "example", "json": json, "PreconditionFailed": PreconditionFailed}
    if "asyncio.run(" in example:  # a whole program
        await asyncio.to_thread(exec, compile(example, "example", "exec"), names)
        return
    async with Brigade() as brigade:
        names |= {"brigade": brigade, "obj": brigade.bucket("photos").object("visits.json")}
        await run(compile(example, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    if "report" in names:
        assert names["report"].counters.done == 1
        assert not names["report"].counters.failed


async def run(code: CodeType, names: dict[str, Any]) -> None:
    result = eval(code, names)
    if result is not None:
        await result


def test_every_document_has_examples() -> None:
    assert all(blocks(document) for document in DOCUMENTS)


def test_the_names_in_the_table_of_the_guide_exist() -> None:
    lines = (REPOSITORY / "docs/guide.md").read_text(encoding="utf-8").splitlines()
    ours = [line.split(" | ", 1)[1] for line in lines if line.startswith("| ") and " | " in line]
    snippets = [snippet for cell in ours for snippet in re.findall(r"`([^`]+)`", cell)]
    kinds = {"obj": ObjectHandle, "bucket": BucketHandle, "brigade": Brigade}
    missing = [
        f"{node.value.id}.{node.attr}"
        for snippet in snippets
        for node in ast.walk(parsed(snippet))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in kinds
        if not hasattr(kinds[node.value.id], node.attr)
    ]
    assert len(snippets) > 20, "the table was not found"
    assert not missing


def parsed(snippet: str) -> ast.Module:
    """Return the tree of a line of the table; an ellipsis stands for whatever belongs there."""
    snippet = snippet.replace('"…"', '"-"').replace("…", "None")
    code = snippet + " pass" if snippet.endswith(":") else snippet
    return compile(code, "table", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
