"""The loop people write around aioboto3, tuned by hand: pool of 64, no validation, checksums when required, uvloop.

usage: aioboto3_peer.py upload|download|list|delete|copy|relay FROM TO ENDPOINT [TO_ENDPOINT]     (FROM, TO: a folder or a bucket)
"""

import asyncio
import os
import sys

import aioboto3
import uvloop
from aiobotocore.config import AioConfig
from boto3.s3.transfer import TransferConfig

IN_FLIGHT = int(os.environ.get("BENCH_IN_FLIGHT", "64"))
PART = 8 << 20
CONFIG = AioConfig(
    max_pool_connections=IN_FLIGHT,
    parameter_validation=False,
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
    s3={"addressing_style": "path"},
)
TRANSFER = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=16)


def open_client(endpoint: str):
    return aioboto3.Session().client("s3", endpoint_url=endpoint, config=CONFIG)


async def fan_out(work, items, in_flight: int = IN_FLIGHT) -> None:
    """Run `work` for every item of an async iterator, `in_flight` at a time."""
    queue = asyncio.Queue(2 * in_flight)

    async def worker():
        while (item := await queue.get()) is not None:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(worker())
        async for item in items:
            await queue.put(item)
        for _ in range(in_flight):
            await queue.put(None)


async def pages(s3, bucket: str):
    async for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="k/"):
        yield page.get("Contents", [])


async def objects(s3, bucket: str):
    async for page in pages(s3, bucket):
        for item in page:
            yield item


async def files(folder: str):
    for at, _, names in os.walk(folder):
        for name in names:
            yield os.path.join(at, name)


async def upload(folder: str, bucket: str, endpoint: str) -> None:
    async with open_client(endpoint) as s3:

        async def put(path: str) -> None:
            key = os.path.relpath(path, folder)
            if os.path.getsize(path) > PART:
                await s3.upload_file(path, bucket, key, Config=TRANSFER)
            else:
                with open(path, "rb") as file:
                    body = file.read()
                await s3.put_object(Bucket=bucket, Key=key, Body=body)

        await fan_out(put, files(folder))


async def download(bucket: str, folder: str, endpoint: str) -> None:
    async with open_client(endpoint) as s3:

        async def get(item) -> None:
            path = os.path.join(folder, os.path.basename(item["Key"]))
            if item["Size"] > PART:
                await s3.download_file(bucket, item["Key"], path, Config=TRANSFER)
                return
            answer = await s3.get_object(Bucket=bucket, Key=item["Key"])
            with open(path, "wb") as file:
                file.write(await answer["Body"].read())

        await fan_out(get, objects(s3, bucket))


async def list_(bucket: str, _: str, endpoint: str) -> None:
    async with open_client(endpoint) as s3:
        async for page in pages(s3, bucket):
            sys.stdout.writelines(f"{item['Size']} {item['Key']}\n" for item in page)


async def delete(bucket: str, _: str, endpoint: str) -> None:
    async with open_client(endpoint) as s3:

        async def remove(page) -> None:
            await s3.delete_objects(
                Bucket=bucket, Delete={"Quiet": True, "Objects": [{"Key": item["Key"]} for item in page]}
            )

        await fan_out(remove, pages(s3, bucket), in_flight=8)


async def copy(source: str, target: str, endpoint: str) -> None:
    async with open_client(endpoint) as s3:

        async def copy_one(item) -> None:
            await s3.copy_object(Bucket=target, Key=item["Key"], CopySource={"Bucket": source, "Key": item["Key"]})

        await fan_out(copy_one, objects(s3, source))


async def relay(source: str, target: str, endpoint: str, to_endpoint: str) -> None:
    async with open_client(endpoint) as origin, open_client(to_endpoint) as goal:

        async def move(item) -> None:
            answer = await origin.get_object(Bucket=source, Key=item["Key"])
            if item["Size"] > PART:
                await goal.upload_fileobj(answer["Body"], target, item["Key"], Config=TRANSFER)
            else:
                await goal.put_object(Bucket=target, Key=item["Key"], Body=await answer["Body"].read())

        await fan_out(move, objects(origin, source))


VERBS = {"upload": upload, "download": download, "list": list_, "delete": delete, "copy": copy, "relay": relay}

if __name__ == "__main__":
    uvloop.run(VERBS[sys.argv[1]](*sys.argv[2:]))
