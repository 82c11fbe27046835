"""Prove that the null S3 server answers as S3 does, with boto3 as the judge, over http and TLS. Run before the benchmarks.

usage: .bench/bin/python benchmarks/check_null_s3.py
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from null_s3 import ACCESS_KEY, SECRET_KEY, NullS3, NullS3Error

MIB = 1 << 20
BIG = 20 * MIB
BUCKET = "synth-2500-4096"
KEYS = [f"k/{index:08d}" for index in range(2500)]
PARTS = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)


class Wrong(Exception):
    """The server answered otherwise than S3."""


def require(holds: bool, what: str) -> None:
    if not holds:
        raise Wrong(what)


def require_status(status: int, call: Callable[[], Any], what: str) -> None:
    try:
        call()
    except ClientError as error:
        require(error.response["ResponseMetadata"]["HTTPStatusCode"] == status, f"{what}: {error}")
        return
    raise Wrong(f"{what}: no error")


def check_listing(s3: Any) -> None:
    def keys(operation: str = "list_objects_v2", **arguments: Any) -> list[str]:
        pages = s3.get_paginator(operation).paginate(Bucket=BUCKET, **arguments)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    require(keys() == KEYS, "all keys")
    require(keys("list_objects") == KEYS, "all keys, version 1")
    require(keys("list_objects", Marker=KEYS[99]) == KEYS[100:], "marker")
    require(keys(Prefix="k/000012") == KEYS[1200:1300], "prefix inside the digits")
    require(keys(Prefix="a") == keys(Prefix="x") == [], "prefixes before and behind all keys")
    require(keys(StartAfter=KEYS[99]) == KEYS[100:], "start-after a key")
    require(keys(StartAfter=KEYS[99] + "x") == KEYS[100:], "start-after between two keys")
    require(keys(StartAfter="a") == KEYS and keys(StartAfter="z") == [], "start-after outside")
    require(keys(Prefix="k/", PaginationConfig={"PageSize": 7}) == KEYS, "small pages")
    folded = s3.list_objects_v2(Bucket=BUCKET, Delimiter="/")
    require(folded["CommonPrefixes"] == [{"Prefix": "k/"}] and "Contents" not in folded, "delimiter")
    page = s3.list_objects_v2(Bucket=BUCKET, MaxKeys=2)
    require(page["IsTruncated"] and page["KeyCount"] == 2, "max-keys")


def check_reading(s3: Any, server: NullS3) -> None:
    listed = s3.list_objects_v2(Bucket=BUCKET, MaxKeys=1)["Contents"][0]
    key, etag, content = listed["Key"], listed["ETag"], server.object_file(4096).read_bytes()
    head = s3.head_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED")
    require(
        (head["ETag"], head["ContentLength"], head["LastModified"]) == (etag, 4096, listed["LastModified"]),
        "HEAD as listed",
    )
    require(bool(head["ChecksumCRC64NVME"]), "checksum on request")
    # boto3 verifies the checksum while it reads.
    require(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == content, "whole object")
    require(s3.get_object(Bucket=BUCKET, Key=key, IfMatch=etag)["Body"].read() == content, "If-Match that holds")
    part = s3.get_object(Bucket=BUCKET, Key=key, Range="bytes=100-199")
    require(part["Body"].read() == content[100:200] and part["ContentRange"] == "bytes 100-199/4096", "range")
    require_status(412, lambda: s3.get_object(Bucket=BUCKET, Key=key, IfMatch='"x"'), "If-Match that fails")
    require_status(404, lambda: s3.get_object(Bucket=BUCKET, Key="k/00002500"), "GET of a missing key")
    require_status(404, lambda: s3.head_object(Bucket="sink", Key="missing"), "HEAD of a missing key")
    whole = io.BytesIO()
    s3.download_fileobj(f"synth-2-{BIG}", KEYS[0], whole, Config=PARTS)
    require(whole.getvalue() == server.object_file(BIG).read_bytes(), "big object by ranges")


def check_writing(s3: Any) -> None:
    def size(key: str) -> int:
        return s3.head_object(Bucket="sink", Key=key)["ContentLength"]

    for key, length in (("small ü +%", 5_000), ("beyond the buffer", 300_000)):
        answer = s3.put_object(Bucket="sink", Key=key, Body=b"x" * length)
        require(bool(answer["ChecksumCRC32"]) and size(key) == length, f"PUT of {length} bytes")
    s3.upload_fileobj(io.BytesIO(b"z" * BIG), "sink", "multipart", Config=PARTS)
    require(size("multipart") == BIG, "multipart upload")
    copied = s3.copy_object(Bucket="sink", Key="copied", CopySource={"Bucket": BUCKET, "Key": KEYS[3]})[
        "CopyObjectResult"
    ]
    require(bool(copied["ETag"] and copied["ChecksumCRC64NVME"]) and size("copied") == 4096, "copy")
    upload = {
        "Bucket": "sink",
        "Key": "parts",
        "UploadId": s3.create_multipart_upload(Bucket="sink", Key="parts")["UploadId"],
    }
    source = {"Bucket": f"synth-2-{BIG}", "Key": KEYS[0]}
    part = s3.upload_part_copy(**upload, PartNumber=1, CopySource=source, CopySourceRange=f"bytes=0-{8 * MIB - 1}")
    parts = [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    require(size("parts") == 8 * MIB, "copy of a part")


def check_deleting(s3: Any) -> None:
    answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in KEYS[:1000]]})
    require([item["Key"] for item in answer["Deleted"]] == KEYS[:1000], "delete of 1,000 keys")
    answer = s3.delete_objects(Bucket="sink", Delete={"Objects": [{"Key": "a&<\r"}]})
    require(answer["Deleted"] == [{"Key": "a&<\r"}], "delete of an awkward key")
    answer = s3.delete_objects(Bucket="sink", Delete={"Quiet": True, "Objects": [{"Key": "a"}]})
    require("Deleted" not in answer, "quiet delete")
    s3.put_object(Bucket="sink", Key="gone", Body=b"")
    s3.delete_object(Bucket="sink", Key="gone")
    require_status(404, lambda: s3.head_object(Bucket="sink", Key="gone"), "HEAD after a delete")


def check_buckets(s3: Any) -> None:
    s3.create_bucket(Bucket="new")
    s3.head_bucket(Bucket=BUCKET)
    require(s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] is None, "bucket location")
    require(s3.list_buckets()["Buckets"] == [], "list of buckets")


def main() -> int:
    for tls in (False, True):
        with NullS3(sizes=(4096, BIG), tls=tls) as server:
            s3 = boto3.client(
                "s3",
                endpoint_url=server.endpoints[0],
                aws_access_key_id=ACCESS_KEY,
                aws_secret_access_key=SECRET_KEY,
                region_name="us-east-1",
                verify=str(server.ca_file) if server.ca_file else None,
                config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
            )
            check_listing(s3)
            check_reading(s3, server)
            check_writing(s3)
            check_deleting(s3)
            check_buckets(s3)
    print("the null S3 server answers as S3 does, over http and TLS")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Wrong, NullS3Error) as error:
        sys.exit(f"null S3: {error}")
