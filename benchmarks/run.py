"""Run brigade and its peers on the same work and write one table, the goals, the raw runs and a chart.

usage: .bench/bin/python benchmarks/run.py [--scale smoke|medium|full] [--rows a,b] [--peers a,b] [--tls] …
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import report
from commands import Peer, all_peers
from harness import Bench, Run, in_turn, open_bench, too_slow
from null_s3 import NullS3Error
from rows import ROWS, SCALES, Amount, Row, Scale

ROOT = Path(__file__).resolve().parent.parent
IN_FLIGHT = 64
SCALING_ROW = "scaling"
SCALING_PEERS = ("brigade", "s5cmd", "obstore", "crt")


def main() -> int:
    options = parse_arguments()
    # As an exception, so that the server and its folders in memory do not stay behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    scale = SCALES[options.scale]
    peers = chosen_peers(options.peers, options.brigade)
    rows = [row for row in ROWS if options.rows is None or row.name in options.rows]
    started = time.time()
    try:
        with open_bench(scale.sizes, tls=options.tls, delay_ms=options.delay_ms) as bench:
            runs = [run for row in rows for run in measure_row(bench, row, scale, peers, options)]
        scaling: list[Run] = []
        if options.rows is None or SCALING_ROW in options.rows:
            scaling = measure_scaling(scale, peers, options)
    except NullS3Error as error:
        print(error, file=sys.stderr)
        return 2
    write_results(options, peers, runs, scaling, time.time() - started)
    return 1 if any(run.error for run in (*runs, *scaling)) else 0


def measure_row(bench: Bench, row: Row, scale: Scale, peers: Sequence[Peer], options: argparse.Namespace) -> list[Run]:
    runs: list[Run] = []
    willing = []
    for peer in peers:
        expected_s = too_slow(peer, row, scale, options.patience)
        if expected_s:
            tell(f"{row.name:<15} {peer.name:<9} left out: about {expected_s:,.0f} s a run (raise --patience)")
        else:
            willing.append(peer)
    for number, peer in in_turn(willing, options.rounds):
        run = bench.measure(peer, row, row.amount(scale), round_number=number, in_flight=IN_FLIGHT)
        if run:
            tell_run(run)
            runs.append(run)
    return runs


def measure_scaling(scale: Scale, peers: Sequence[Peer], options: argparse.Namespace) -> list[Run]:
    """Upload 4 KiB files with a delay at the server, as many as keep every level busy for a few seconds."""
    upload = next(row for row in ROWS if row.name == "upload-small")
    runs: list[Run] = []
    with open_bench(scale.sizes, tls=options.tls, delay_ms=options.scaling_delay_ms) as bench:
        for in_flight in options.concurrency:
            amount = Amount(objects=min(scale.small_objects, 150 * in_flight), object_bytes=4096)
            for number, peer in in_turn([peer for peer in peers if peer.name in SCALING_PEERS], options.rounds):
                run = bench.measure(peer, upload, amount, round_number=number, in_flight=in_flight, scaling=True)
                if run:
                    tell_run(run)
                    runs.append(dataclasses.replace(run, row=SCALING_ROW))
    return runs


def write_results(
    options: argparse.Namespace, peers: Sequence[Peer], runs: Sequence[Run], scaling: Sequence[Run], took_s: float
) -> None:
    cells = report.summarize(runs)
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    )
    title = f"{options.scale}, {'TLS' if options.tls else 'http'}, {options.rounds} rounds"
    parts = [f"# Benchmark: {title}", f"{machine}; {took_s:.0f} s in all. Medians.", report.table(cells, peers)]
    reached = report.goals(cells, peers)
    if reached:
        parts += ["## Goals", reached]
    if scaling:
        parts += [
            f"## Scaling: uploads, {options.scaling_delay_ms:g} ms of delay per request",
            report.scaling_table(scaling, peers),
        ]
    text = "\n\n".join(parts) + "\n"
    options.output.mkdir(parents=True, exist_ok=True)
    name = f"{options.scale}-{'tls' if options.tls else 'http'}"
    (options.output / f"{name}.md").write_text(text)
    raw = {"title": title, "machine": machine, "runs": [dataclasses.asdict(run) for run in (*runs, *scaling)]}
    (options.output / f"{name}.json").write_text(json.dumps(raw, indent=1) + "\n")
    report.draw_chart(options.output / f"{name}.png", cells, peers, title)
    print(f"\n{text}\nwritten to {options.output}/{name}.md, .json and .png")


def chosen_peers(names: Sequence[str] | None, brigade: Path) -> list[Peer]:
    peers = all_peers(str(brigade))
    unknown = set(names or ()) - {peer.name for peer in peers}
    if unknown:
        raise SystemExit(
            f"unknown peer {', '.join(sorted(unknown))}; there are {', '.join(peer.name for peer in peers)}"
        )
    return [peer for peer in peers if names is None or peer.name in names]


def parse_arguments() -> argparse.Namespace:
    def names(text: str) -> list[str]:
        return text.split(",")

    def numbers(text: str) -> list[int]:
        return [int(word) for word in text.split(",")]

    known = [*(row.name for row in ROWS), SCALING_ROW]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--scale", choices=SCALES, default="smoke", help="full: 100,000 objects, 1,000,000 keys, 4 x 256 MiB"
    )
    parser.add_argument("--rows", type=names, help=f"some of {','.join(known)}")
    parser.add_argument("--peers", type=names, help="some of brigade,s5cmd,rclone,aws-cli,obstore,crt,aioboto3")
    parser.add_argument("--rounds", type=int, default=3, help="how often each peer runs, in rotating order")
    parser.add_argument("--tls", action="store_true", help="talk TLS, with a certificate authority made for this run")
    parser.add_argument("--delay-ms", type=float, default=0, help="delay of every answer, in all rows but scaling")
    parser.add_argument("--scaling-delay-ms", type=float, default=20, help="delay of every answer in the scaling row")
    parser.add_argument("--concurrency", type=numbers, default=[16, 64, 256, 1024], help="levels of the scaling row")
    parser.add_argument(
        "--patience", type=float, default=120, help="leave out peers expected to need more seconds for one run"
    )
    parser.add_argument("--brigade", type=Path, default=ROOT / ".venv/bin/brigade", help="the command to measure")
    parser.add_argument("--output", type=Path, default=ROOT / ".bench/results", help="folder for the results")
    options = parser.parse_args()
    unknown = set(options.rows or ()) - set(known)
    if unknown:
        parser.error(f"unknown row {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return options


def tell_run(run: Run) -> None:
    result = (
        run.error
        or f"{run.wall_s:7.2f} s wall {run.cpu_s:7.2f} s CPU {run.peak_sum_bytes / 1e6:6.0f} MB {run.requests:9,} requests"
    )
    tell(f"{run.row:<15} {run.peer:<9} {run.in_flight:>5} {result}")


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
