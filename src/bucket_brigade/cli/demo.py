"""``brigade demo``: a small tree goes up, is copied, comes down, is compared and deleted; on an S3 server inside this process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import click
import msgspec

from bucket_brigade.cli.exits import BUG, INTERRUPTED, OK
from bucket_brigade.cli.invocation import Output, load, output_of, run_async
from bucket_brigade.cli.options import common_options
from bucket_brigade.cli.text import format_count, printable
from bucket_brigade.errors import ConfigError, Interrupted, JobFailed
from bucket_brigade.jobs.brigade import Brigade
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.model.job import LayoutName
from bucket_brigade.model.parts import MIB
from bucket_brigade.settings.units import format_size
from bucket_brigade.settings.values import EndpointSettings, Secret, Settings

_ENDPOINT = "demo"
_FIRST, _SECOND = "brigade-demo", "brigade-demo-copy"
_SMALL_FILES = 240
_BIG_FILE_BYTES = 17 * MIB
_AWKWARD = (
    "plain.txt",
    "with space.txt",
    "plus+percent%20hash#question?.txt",
    "equals=and&semicolon;.txt",
    "größe/ñandú/日本語/🪣.txt",
    "a/b/c/d/e/f/deep.txt",
    ".hidden/.dot",
    "quote'\"s.txt",
    "back\\slash.txt",
    "brackets[1]{2}(3)*.txt",
    "trailing dot.",
    "-leading-dash",
)


class Tree(NamedTuple):
    """What the demo moves: a folder of files and their total size in bytes."""

    folder: str
    files: int
    size: int


@click.command()
@click.option("--no-progress", is_flag=True, help="No progress display.")
@common_options
@click.pass_context
def demo(ctx: click.Context, /, **flags: Any) -> int:
    """Show every step on an embedded S3 server: upload with hashed keys, copy, download, compare, delete."""
    loaded = load(ctx)
    output = output_of(ctx, loaded, flags)
    if loaded.origins.get("log.level", "default") == "default":
        output = msgspec.structs.replace(output, log_level="warning")
    with embedded_server() as url, tempfile.TemporaryDirectory(prefix="brigade-demo-") as folder:
        settings = _settings(loaded.settings, url, folder)
        tree = make_tree(os.path.join(folder, "original"))
        return run_async(lambda: _show(settings, tree, folder, url, output))


@contextlib.contextmanager
def embedded_server() -> Iterator[str]:
    """Run moto's S3 in a thread, on a free port of loopback; give its URL.

    Raises:
        ConfigError: moto is not installed.
    """
    try:
        from moto.server import ThreadedMotoServer
    except ImportError as error:
        remedy = "Install it with `pip install 'bucket-brigade[demo]'`."
        raise ConfigError("the demo needs moto, which is not installed", remedy=remedy) from error
    import logging

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def make_tree(folder: str) -> Tree:
    """Make a folder of awkward names, many small files, an empty one, and one that is big enough to be moved in parts."""
    for number, name in enumerate(_AWKWARD):
        _write(folder, name, f"{number}: {name}\n".encode())
    for number in range(_SMALL_FILES):
        _write(folder, f"many/{number % 12:02}/file-{number:04}.bin", secrets.token_bytes(4096))
    _write(folder, "empty", b"")
    _write(folder, "big.bin", secrets.token_bytes(_BIG_FILE_BYTES))
    files = list(_files(folder))
    return Tree(folder, len(files), sum(os.path.getsize(os.path.join(folder, name)) for name in files))


def _write(folder: str, name: str, content: bytes) -> None:
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def _files(folder: str) -> Iterator[str]:
    for parent, _, names in os.walk(folder):
        yield from (os.path.relpath(os.path.join(parent, name), folder) for name in names)


def _settings(base: Settings, url: str, folder: str) -> Settings:
    endpoint = EndpointSettings(
        name=_ENDPOINT,
        endpoint_url=url,
        region="us-east-1",
        access_key_id="demo",
        secret_access_key=Secret(secrets.token_hex(20)),
        addressing="path",
    )
    # moto answers in one thread of this process: more than a few requests at a time would only wait there.
    engine = msgspec.structs.replace(base.engine, concurrency=16, processes=1)
    return msgspec.structs.replace(
        base,
        endpoints=base.endpoints | {_ENDPOINT: endpoint},
        state_dir=os.path.join(folder, "state"),
        engine=engine,
    )


async def _show(settings: Settings, tree: Tree, folder: str, url: str, output: Output) -> int:
    catalog, returned = os.path.join(folder, "catalog.jsonl.gz"), os.path.join(folder, "returned")
    first, second = f"{_ENDPOINT}://{_FIRST}/photos/", f"{_ENDPOINT}://{_SECOND}/photos/"
    _tell(
        f"An S3 server (moto) runs at {url}. A folder of {format_count(tree.files, 'file')}, {format_size(tree.size)},"
    )
    _tell(f"is in {tree.folder}, with names such as {printable(_AWKWARD[2])!r} and {_AWKWARD[4]!r}.")
    async with Brigade(settings) as brigade:
        store = await brigade.store(_ENDPOINT)
        for bucket in (_FIRST, _SECOND):
            await store.create_bucket(bucket, region=None)
        steps = (
            (
                f"1. Upload it to {first}, with hashed keys and a catalog of the names.",
                JobRequest(
                    verb="cp",
                    source=tree.folder,
                    target=first,
                    recursive=True,
                    layout=LayoutName.HASHED,
                    catalog=catalog,
                ),
            ),
            (
                f"2. Copy everything to {second}, inside the server.",
                JobRequest(verb="cp", source=first, target=second, recursive=True),
            ),
            (
                "3. Download the copy; the catalog brings the original names back.",
                JobRequest(verb="cp", source=second, target=returned, recursive=True, catalog=catalog),
            ),
        )
        for text, request in steps:
            await _run(brigade, text, request, output)
        differences = await asyncio.to_thread(compare, tree.folder, returned)
        _tell("")
        _tell(f"4. Compare byte for byte: {_verdict(tree, differences)}")
        await _run(brigade, f"5. Delete {first}", JobRequest(verb="rm", source=first, recursive=True), output)
        await _run(brigade, f"6. Delete {second}", JobRequest(verb="rm", source=second, recursive=True), output)
        left = [bucket for bucket in (_FIRST, _SECOND) if (await store.list_objects(bucket)).objects]
    _tell("")
    _tell("Both buckets are empty, and the temporary folder goes now." if not left else f"Objects are left in {left}.")
    return BUG if differences or left else OK


async def _run(brigade: Brigade, text: str, request: JobRequest, output: Output) -> None:
    from bucket_brigade.cli.running import run_request

    _tell("")
    _tell(text)
    # Its state directory goes with the demo, so there is nothing to resume.
    code = await run_request(brigade, request, output, lambda _job_id: "")
    if code == INTERRUPTED:
        raise Interrupted("the demo was interrupted, and what it had made is gone")
    if code:
        raise JobFailed("the demo ends here", remedy="The lines above say why.")


def compare(one: str, other: str) -> list[str]:
    """Return the names of files that are not the same in both folders, or are in one only."""
    names = sorted({*_files(one), *_files(other)})
    return [name for name in names if not _equal(os.path.join(one, name), os.path.join(other, name))]


def _equal(one: str, other: str) -> bool:
    if not (os.path.isfile(one) and os.path.isfile(other)):
        return False
    with open(one, "rb") as first, open(other, "rb") as second:
        return first.read() == second.read()


def _verdict(tree: Tree, differences: list[str]) -> str:
    if not differences:
        return f"all {format_count(tree.files, 'file')} are equal."
    return f"{format_count(len(differences), 'file')} differ: " + ", ".join(printable(name) for name in differences[:5])


def _tell(text: str) -> None:
    click.echo(text)
