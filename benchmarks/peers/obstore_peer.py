"""A short script around obstore (Rust), at its best: no journal, no checks, no resume.

usage: obstore_peer.py upload|download|list|delete|copy|relay FROM TO ENDPOINT [TO_ENDPOINT]     (FROM, TO: a folder or a bucket)
"""

import asyncio
import os
import sys
from pathlib import Path

import obstore
import uvloop
from obstore.store import S3Store

IN_FLIGHT = int(os.environ.get("BENCH_IN_FLIGHT", "64"))
PART = 8 << 20


def open_store(bucket: str, endpoint: str) -> S3Store:
    ca_file = os.environ.get("AWS_CA_BUNDLE")
    options = {"root_certificate": Path(ca_file).read_bytes()} if ca_file else {"allow_http": True}
    return S3Store(bucket, endpoint=endpoint, virtual_hosted_style_request=False, client_options=options)


async def fan_out(work, items) -> None:
    """Run `work` for every item (of an iterator shared by all), IN_FLIGHT at a time."""
    shared = iter(items)

    async def worker():
        for item in shared:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(worker())


def listed(store: S3Store):
    return (item for page in obstore.list(store, "k", chunk_size=1000) for item in page)


async def upload(folder: str, bucket: str, endpoint: str) -> None:
    store = open_store(bucket, endpoint)

    async def put(path: str) -> None:
        key = os.path.relpath(path, folder)
        if os.path.getsize(path) > PART:
            await obstore.put_async(store, key, Path(path), chunk_size=PART, max_concurrency=8)
        else:
            with open(path, "rb") as file:
                body = file.read()
            await obstore.put_async(store, key, body, use_multipart=False)

    await fan_out(put, (os.path.join(at, name) for at, _, names in os.walk(folder) for name in names))


async def download(bucket: str, folder: str, endpoint: str) -> None:
    store = open_store(bucket, endpoint)

    async def get(item) -> None:
        answer = await obstore.get_async(store, item["path"])
        with open(os.path.join(folder, os.path.basename(item["path"])), "wb") as file:
            if item["size"] > PART:
                async for chunk in answer.stream(min_chunk_size=PART):
                    file.write(chunk)
            else:
                file.write(await answer.bytes_async())

    await fan_out(get, listed(store))


async def list_(bucket: str, _: str, endpoint: str) -> None:
    sys.stdout.writelines(f"{item['size']} {item['path']}\n" for item in listed(open_store(bucket, endpoint)))


async def delete(bucket: str, _: str, endpoint: str) -> None:
    store = open_store(bucket, endpoint)
    for page in obstore.list(store, "k", chunk_size=10_000):
        await obstore.delete_async(store, [item["path"] for item in page])


async def copy(source: str, _: str, endpoint: str) -> None:
    """Copy within the source bucket: obstore copies inside one store."""
    store = open_store(source, endpoint)
    await fan_out(lambda item: obstore.copy_async(store, item["path"], f"copied/{item['path']}"), listed(store))


async def relay(source: str, target: str, endpoint: str, to_endpoint: str) -> None:
    origin, goal = open_store(source, endpoint), open_store(target, to_endpoint)

    async def move(item) -> None:
        answer = await obstore.get_async(origin, item["path"])
        if item["size"] > PART:
            await obstore.put_async(
                goal, item["path"], answer.stream(min_chunk_size=PART), chunk_size=PART, max_concurrency=8
            )
        else:
            await obstore.put_async(goal, item["path"], await answer.bytes_async(), use_multipart=False)

    await fan_out(move, listed(origin))


VERBS = {"upload": upload, "download": download, "list": list_, "delete": delete, "copy": copy, "relay": relay}

if __name__ == "__main__":
    uvloop.run(VERBS[sys.argv[1]](*sys.argv[2:]))
