"""The best hand-written aioboto3 loop against ``brigade cp``: N files of 4 KiB to ``rclone serve s3``, in alternation.

usage: .venv/bin/python benchmarks/aioboto3_loop.py [--objects 5000] [--rounds 3] [--lane auto|off]

The loop has one client, 64 requests in flight, a sufficient connection pool, no parameter validation, no retries, checksums only
when required, and no journal, no verification, no report. Both are measured as whole programs, and without what the same program
takes for a single file (imports, client, and for brigade the job's folder). CPU is of the client process and its children alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SIZE = 4096
IN_FLIGHT = 64
BUCKET = "loop"
SERVER_READY_S = 10.0


@dataclass(frozen=True)
class Cost:
    wall_s: float
    cpu_s: float

    def minus(self, other: Cost) -> Cost:
        return Cost(self.wall_s - other.wall_s, self.cpu_s - other.cpu_s)


# --- the loop ----------------------------------------------------------------------------------------------------------


async def upload_all(endpoint_url: str, folder: str, prefix: str) -> None:
    import aioboto3
    from aiobotocore.config import AioConfig

    config = AioConfig(
        max_pool_connections=IN_FLIGHT,
        parameter_validation=False,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
    )
    paths = sorted(os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names)
    waiting = iter(paths)
    async with aioboto3.Session().client("s3", endpoint_url=endpoint_url, config=config) as client:

        async def work() -> None:
            for path in waiting:
                with open(path, "rb") as file:
                    body = file.read()
                key = prefix + os.path.relpath(path, folder)
                answer = await client.put_object(Bucket=BUCKET, Key=key, Body=body)
                if answer["ResponseMetadata"]["HTTPStatusCode"] != 200:
                    raise RuntimeError(key)

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))


# --- the measurement ---------------------------------------------------------------------------------------------------


def write_files(folder: Path, count: int) -> None:
    body = secrets.token_bytes(SIZE)
    for number in range(count):
        path = folder / f"{number // 200:04d}" / f"{number:07d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def run(command: list[str], environment: dict[str, str]) -> Cost:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def start_server(folder: Path, key: tuple[str, str]) -> tuple[subprocess.Popen[bytes], str]:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    rclone = Path(sys.executable).with_name("rclone")
    process = subprocess.Popen(
        [rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--config", folder / "rclone.conf", ":memory:"],
        env={**os.environ, "RCLONE_AUTH_KEY": f'"{key[0]},{key[1]}"'},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + SERVER_READY_S
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return process, f"http://127.0.0.1:{port}"
    process.kill()
    raise RuntimeError("rclone did not start")


def measure(options: argparse.Namespace, folder: Path) -> None:
    many, one = folder / "many", folder / "one"
    write_files(many, options.objects)
    write_files(one, 1)
    key = ("AKIALOOP", secrets.token_hex(20))
    server, url = start_server(folder, key)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BRIGADE_"))} | {
        "AWS_ACCESS_KEY_ID": key[0],
        "AWS_SECRET_ACCESS_KEY": key[1],
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
        "BRIGADE_STATE_DIR": str(folder / "state"),
        "BRIGADE_ENGINE__LANE": options.lane,
    }
    brigade = [sys.executable, "-m", "bucket_brigade"]
    try:
        run([*brigade, "mb", f"s3://{BUCKET}"], environment)
        costs: dict[str, list[tuple[Cost, Cost]]] = {"loop": [], "brigade": []}
        for number in range(options.rounds + 1):
            for name in costs:

                def command(source: Path, what: str, name: str = name, number: int = number) -> list[str]:
                    prefix = f"{name}{number}{what}/"
                    if name == "loop":
                        return [sys.executable, __file__, "--worker", url, str(source), prefix]
                    words = ["cp", f"{source}/", f"s3://{BUCKET}/{prefix}", "--processes", "1", "--quiet"]
                    return [*brigade, *words]

                whole = run(command(many, "many"), environment)
                start = run(command(one, "one"), environment)
                if number:  # the first round warms caches and byte code
                    costs[name].append((whole, start))
    finally:
        server.kill()
        server.wait()
    print_table(costs, options.objects)


def print_table(costs: dict[str, list[tuple[Cost, Cost]]], count: int) -> None:
    print(f"{count:,} files of {SIZE} bytes, medians of {len(costs['loop'])} alternating rounds\n")
    print("| program | whole: wall s | CPU s | objects/s | without start-up: wall s | CPU ms/object | objects/s |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    rates: dict[str, tuple[float, float]] = {}
    for name, rounds in costs.items():
        wall, cpu = (statistics.median(getattr(whole, what) for whole, _ in rounds) for what in ("wall_s", "cpu_s"))
        net = [whole.minus(start) for whole, start in rounds]
        net_wall, net_cpu = (statistics.median(getattr(cost, what) for cost in net) for what in ("wall_s", "cpu_s"))
        rates[name] = (count / wall, count / net_wall)
        print(
            f"| {name} | {wall:.2f} | {cpu:.2f} | {count / wall:,.0f} "
            f"| {net_wall:.2f} | {net_cpu / count * 1e3:.3f} | {count / net_wall:,.0f} |"
        )
    whole, net_ratio = (rates["brigade"][i] / rates["loop"][i] for i in (0, 1))
    print(f"\nbrigade / loop: {whole:.2f} as whole programs, {net_ratio:.2f} without start-up (the goal is 0.85)")


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(upload_all(*sys.argv[2:5]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lane", choices=["auto", "off"], default="auto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aioboto3-loop-") as folder:
        measure(options, Path(folder))


if __name__ == "__main__":
    main()
