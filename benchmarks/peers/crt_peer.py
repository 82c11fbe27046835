"""A short script around the S3 client of the AWS Common Runtime (C), at its best: no journal, no resume.

usage: crt_peer.py upload|download|list|delete|copy|relay FROM TO ENDPOINT [TO_ENDPOINT]     (FROM, TO: a folder or a bucket)
"""

import os
import re
import sys
import threading
from io import BytesIO
from urllib.parse import urlsplit

from awscrt.auth import AwsCredentialsProvider
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.io import ClientTlsContext, TlsConnectionOptions, TlsContextOptions
from awscrt.s3 import S3Client, S3RequestTlsMode, S3RequestType, create_default_s3_signing_config

IN_FLIGHT = int(os.environ.get("BENCH_IN_FLIGHT", "64"))
# The client opens a connection for each 0.4 Gbit/s of its target: at its default of 10 it would never have 64 in flight.
TARGET_GBPS = max(10.0, 0.4 * IN_FLIGHT)
REGION = "us-east-1"
KEY_AND_SIZE = re.compile(rb"<Key>(.*?)</Key>.*?<Size>(\d+)</Size>")
NEXT_TOKEN = re.compile(rb"<NextContinuationToken>(.*?)</NextContinuationToken>")


def make_client() -> S3Client:
    credentials = AwsCredentialsProvider.new_static(
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    )
    signing = create_default_s3_signing_config(region=REGION, credential_provider=credentials)
    ca_file = os.environ.get("AWS_CA_BUNDLE")
    if not ca_file:
        return S3Client(
            region=REGION,
            signing_config=signing,
            tls_mode=S3RequestTlsMode.DISABLED,
            part_size=8 << 20,
            throughput_target_gbps=TARGET_GBPS,
        )
    options = TlsContextOptions()
    options.override_default_trust_store_from_path(None, ca_file)
    connection = TlsConnectionOptions(ClientTlsContext(options))
    return S3Client(
        region=REGION,
        signing_config=signing,
        tls_connection_options=connection,
        part_size=8 << 20,
        throughput_target_gbps=TARGET_GBPS,
    )


CLIENT = make_client()
SLOTS = threading.BoundedSemaphore(IN_FLIGHT)
FAILURES: list[BaseException] = []


def http_request(method: str, endpoint: str, path: str, headers=(), body: bytes | None = None) -> HttpRequest:
    head = [("host", urlsplit(endpoint).netloc), *headers]
    if body is not None:
        head.append(("content-length", str(len(body))))
    return HttpRequest(method, path, HttpHeaders(head), BytesIO(body) if body is not None else None)


def submit(then=None, **arguments) -> None:
    """Start a request, waiting while IN_FLIGHT are under way; `then` starts its follower in the same slot."""
    SLOTS.acquire()
    start(then, **arguments)


def start(then=None, **arguments) -> None:
    def finished(error, **_) -> None:
        if then and not error:
            then()
            return
        if error:
            FAILURES.append(error)
        SLOTS.release()

    CLIENT.make_request(on_done=finished, **arguments)


def drain() -> None:
    for _ in range(IN_FLIGHT):
        SLOTS.acquire()
    if FAILURES:
        sys.exit(f"{len(FAILURES)} failed, the first: {FAILURES[0]}")


def fetch(operation: str, request: HttpRequest) -> bytes:
    out = bytearray()
    CLIENT.make_request(
        type=S3RequestType.DEFAULT,
        operation_name=operation,
        request=request,
        on_body=lambda chunk, **_: out.extend(chunk),
    ).finished_future.result()
    return bytes(out)


def pages(bucket: str, endpoint: str):
    """Yield [(key, size), …] page by page."""
    token = ""
    while True:
        page = fetch("ListObjectsV2", http_request("GET", endpoint, f"/{bucket}?list-type=2&prefix=k%2F{token}"))
        yield [(key.decode(), int(size)) for key, size in KEY_AND_SIZE.findall(page)]
        found = NEXT_TOKEN.search(page)
        if not found:
            return
        token = f"&continuation-token={found[1].decode()}"


def upload(folder: str, bucket: str, endpoint: str) -> None:
    for at, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(at, name)
            size = ("content-length", str(os.path.getsize(path)))
            request = http_request("PUT", endpoint, f"/{bucket}/{os.path.relpath(path, folder)}", [size])
            submit(type=S3RequestType.PUT_OBJECT, request=request, send_filepath=path)


def download(bucket: str, folder: str, endpoint: str) -> None:
    for page in pages(bucket, endpoint):
        for key, _ in page:
            path = os.path.join(folder, os.path.basename(key))
            submit(
                type=S3RequestType.GET_OBJECT,
                request=http_request("GET", endpoint, f"/{bucket}/{key}"),
                recv_filepath=path,
            )


def list_(bucket: str, _: str, endpoint: str) -> None:
    for page in pages(bucket, endpoint):
        sys.stdout.writelines(f"{size} {key}\n" for key, size in page)


def delete(bucket: str, _: str, endpoint: str) -> None:
    for page in pages(bucket, endpoint):
        keys = "".join(f"<Object><Key>{key}</Key></Object>" for key, _ in page)
        body = f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>{keys}</Delete>'.encode()
        submit(
            type=S3RequestType.DEFAULT,
            operation_name="DeleteObjects",
            request=http_request("POST", endpoint, f"/{bucket}?delete", body=body),
        )


def copy(source: str, target: str, endpoint: str) -> None:
    for page in pages(source, endpoint):
        for key, _ in page:
            headers = [("x-amz-copy-source", f"/{source}/{key}"), ("content-length", "0")]
            request = http_request("PUT", endpoint, f"/{target}/{key}", headers)
            submit(type=S3RequestType.DEFAULT, operation_name="CopyObject", request=request)


def relay(source: str, target: str, endpoint: str, to_endpoint: str) -> None:
    """Carry whole objects through memory: for small ones only."""

    def move(key: str) -> None:
        body = bytearray()

        def put() -> None:
            request = http_request("PUT", to_endpoint, f"/{target}/{key}", body=bytes(body))
            start(type=S3RequestType.DEFAULT, operation_name="PutObject", request=request)

        submit(
            put,
            type=S3RequestType.DEFAULT,
            operation_name="GetObject",
            request=http_request("GET", endpoint, f"/{source}/{key}"),
            on_body=lambda chunk, **_: body.extend(chunk),
        )

    for page in pages(source, endpoint):
        for key, _ in page:
            move(key)


VERBS = {"upload": upload, "download": download, "list": list_, "delete": delete, "copy": copy, "relay": relay}

if __name__ == "__main__":
    VERBS[sys.argv[1]](*sys.argv[2:])
    drain()
