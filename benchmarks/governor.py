"""How programs deal with an endpoint that throttles, is far away, or is shared: against the null S3 with a token bucket.

usage: .bench/bin/python benchmarks/governor.py [--limit 3500] [--seconds 20] [--parts limit,double,distance,share] …

Each program copies 4 KiB objects on the server, which costs it one request for each object. What the server took and refused is
read from it four times a second; what brigade had in flight, from its log.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from commands import Peer, Work, all_peers
from harness import environment
from null_s3 import NullS3

ROOT = Path(__file__).resolve().parent.parent
PEERS = ("brigade", "s5cmd", "rclone")
IN_FLIGHT = 64
SAMPLE_S = 0.25
DELAYS_MS = (5, 20, 50, 200)
FIXED = (16, 64, 256, 1024)
DISTANT_OBJECTS = 60_000
TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What the server had answered ``at_s`` seconds after the start; ``taken`` is by the bucket that was written to."""

    at_s: float
    requests: int
    refused: int
    taken: dict[str, int]


@dataclass(slots=True)
class Seen:
    """One run of one program."""

    program: str
    part: str
    setting: float
    objects: int
    wall_s: float = 0.0
    returncode: int = 0
    copied: int = 0
    samples: list[Sample] = field(default_factory=list)
    concurrency: list[tuple[float, int]] = field(default_factory=list)

    def rate(self, first_s: float, last_s: float, bucket: str = "") -> float:
        """Return the requests per second that were taken between two moments."""
        inside = [sample for sample in self.samples if first_s <= sample.at_s <= last_s]
        if len(inside) < 2:
            return 0.0
        first, last = inside[0], inside[-1]
        return (_taken(last, bucket) - _taken(first, bucket)) / (last.at_s - first.at_s)

    @property
    def busy(self) -> tuple[float, float]:
        """When the first request was taken, and the last one."""
        last = self.samples[-1].requests
        ends = next(sample.at_s for sample in self.samples if sample.requests == last)
        begins = next(sample.at_s for sample in self.samples if sample.requests - sample.refused > 1)
        return begins, ends

    @property
    def refused(self) -> float:
        """Which part of all answers was 503."""
        return self.samples[-1].refused / max(1, self.samples[-1].requests)


def _taken(sample: Sample, bucket: str) -> int:
    return sample.taken.get(bucket, 0) if bucket else sample.requests - sample.refused


def main() -> int:
    options = parse_arguments()
    peers = [peer for peer in all_peers(str(options.brigade)) if peer.name in options.peers]
    runs: list[Seen] = []
    for part in options.parts:
        runs += PARTS[part](peers, options)
    options.output.mkdir(parents=True, exist_ok=True)
    text = describe(runs, options)
    (options.output / "governor.md").write_text(text)
    (options.output / "governor.json").write_text(json.dumps([asdict(run) for run in runs]) + "\n")
    draw(options.output / "governor.png", runs, options)
    print(text)
    return 0


# --- the parts -------------------------------------------------------------------------------------------------------


def under_a_limit(peers: Sequence[Peer], options: argparse.Namespace) -> Iterator[Seen]:
    """Everybody under the same limit."""
    for peer in peers:
        with opened(options, limit=options.limit) as place:
            yield place.run(peer, "limit", options.limit, int(options.limit * options.seconds))


def doubled(peers: Sequence[Peer], options: argparse.Namespace) -> Iterator[Seen]:
    """The limit doubles after ``--seconds`` / 2."""
    for peer in peers:
        with opened(options, limit=options.limit) as place:
            after_s = options.seconds / 2
            timer = threading.Timer(after_s, place.server.set_limit, (2 * options.limit,))
            timer.start()
            objects = int(options.limit * (after_s + 2 * options.seconds))
            yield place.run(peer, "double", options.limit, objects)
            timer.cancel()


def at_a_distance(peers: Sequence[Peer], options: argparse.Namespace) -> Iterator[Seen]:
    """Without a limit: brigade by itself, and with fixed numbers in flight; the others as they come."""
    for delay_ms in options.delays:
        objects = int(DISTANT_OBJECTS * options.seconds / 20)
        for _ in range(options.rounds):
            for peer in peers:
                with opened(options, delay_ms=delay_ms) as place:
                    yield place.run(peer, "distance", delay_ms, objects)
                if peer.name != "brigade":
                    continue
                for fixed in FIXED:
                    if objects * delay_ms / 1000 / fixed > 4 * options.seconds:
                        continue  # hopelessly slow
                    with opened(options, delay_ms=delay_ms) as place:
                        flags = ["--concurrency", str(fixed)]
                        yield place.run(peer, "distance", delay_ms, objects, flags, name=f"brigade {fixed}")


def shared(peers: Sequence[Peer], options: argparse.Namespace) -> Iterator[Seen]:
    """Two of the same program beside each other; those of brigade have one state directory, as on one machine."""
    for peer in peers:
        with opened(options, limit=options.limit) as place:
            objects = int(options.limit * options.seconds)
            other = threading.Thread(target=place.start_other, args=(peer, objects))
            other.start()
            seen = place.run(peer, "share", options.limit, objects)
            other.join()
            yield seen


PARTS = {"limit": under_a_limit, "double": doubled, "distance": at_a_distance, "share": shared}


class Place:
    """A server, and a folder for state and output."""

    def __init__(self, server: NullS3, folder: Path) -> None:
        self.server = server
        self._folder = folder
        self._env = environment(server, folder)

    def run(
        self, peer: Peer, part: str, setting: float, objects: int, flags: Sequence[str] = (), *, name: str = ""
    ) -> Seen:
        """Run a program to its end and watch the server meanwhile."""
        seen = Seen(name or peer.name, part, setting, objects)
        over = threading.Event()
        watch = threading.Thread(target=self._watch, args=(seen, over))
        began = time.monotonic()
        watch.start()
        ended = self._call(peer, objects, "sink-a", flags)
        seen.wall_s = time.monotonic() - began
        over.set()
        watch.join()
        seen.returncode = ended.returncode
        seen.copied = self.server.stats().get("copy", 0)
        if peer.name == "brigade":
            seen.concurrency = _concurrency_of(ended.stderr)
        print(
            f"{part:<9} {setting:<6g} {seen.program:<13} {seen.wall_s:6.1f} s, exit {seen.returncode}", file=sys.stderr
        )
        return seen

    def start_other(self, peer: Peer, objects: int) -> None:
        """Run another one of the same program, to another bucket."""
        self._call(peer, objects, "sink-b", ())

    def _call(self, peer: Peer, objects: int, target: str, flags: Sequence[str]) -> subprocess.CompletedProcess[str]:
        work = Work(
            verb="copy",
            source=f"synth-{objects}-4096",
            target=target,
            endpoint=self.server.endpoints[0],
            to_endpoint=self.server.endpoints[1],
            big=False,
            in_flight=IN_FLIGHT,
            scaling=False,
            state=self._folder / "state",
        )
        argv = peer.command(work)
        if argv is None:
            raise SystemExit(f"{peer.name} does not copy on the server")
        if peer.name == "brigade":
            argv = [*argv, "--log-format", "json", "--log-interval", "0.5s", *flags]
        return subprocess.run(argv, env=self._env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)

    def _watch(self, seen: Seen, over: threading.Event) -> None:
        began = time.monotonic()
        while True:
            last = over.wait(SAMPLE_S)
            stats = self.server.stats()
            taken = {name.split()[1]: n for name, n in stats.items() if name.startswith("admitted ")}
            seen.samples.append(
                Sample(time.monotonic() - began, stats.get("requests", 0), stats.get("refused", 0), taken)
            )
            if last:
                return


@contextmanager
def opened(options: argparse.Namespace, *, limit: float = 0.0, delay_ms: float | None = None) -> Iterator[Place]:
    """Start a server as this part needs it."""
    with NullS3(sizes=(4096,)) as server, tempfile.TemporaryDirectory(prefix="brigade-governor-") as folder:
        server.set_delay(options.delay_ms if delay_ms is None else delay_ms)
        server.set_limit(limit)
        yield Place(server, Path(folder))


def _concurrency_of(log: str) -> list[tuple[float, int]]:
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [(event["elapsed_s"], event["concurrency"]) for event in events if event["event"] == "progress"]


# --- the results -----------------------------------------------------------------------------------------------------


def describe(runs: Sequence[Seen], options: argparse.Namespace) -> str:
    """Return the results as Markdown."""
    lines = [
        f"# Governor: limit {options.limit:g} requests/s, {options.delay_ms:g} ms of delay, load {os.getloadavg()[0]:.1f}",
        "",
    ]
    for part, head, row in (
        ("limit", "| under a limit | of the limit | refused | copied | exit |", _limit_row),
        (
            "double",
            "| after it doubled | seconds to 95 % | of the new limit after 10 s | refused | exit |",
            _double_row,
        ),
        ("share", "| two of them | shares | of the limit | refused |", _share_row),
    ):
        found = [run for run in runs if run.part == part]
        if found:
            lines += [head, "|" + "---|" * head.count(" |"), *(row(run, options) for run in found), ""]
    return "\n".join([*lines, *_distance_lines([run for run in runs if run.part == "distance"])])


def _limit_row(run: Seen, options: argparse.Namespace) -> str:
    begins, ends = run.busy
    part = run.samples[-1].requests - run.samples[-1].refused
    return (
        f"| {run.program} | {part / (ends - begins) / options.limit:.1%} | {run.refused:.2%} "
        f"| {run.copied:,} of {run.objects:,} | {run.returncode} |"
    )


def _double_row(run: Seen, options: argparse.Namespace) -> str:
    at_s = options.seconds / 2
    wanted = 0.95 * 2 * options.limit
    steps = [at_s + step * SAMPLE_S for step in range(int(options.seconds / SAMPLE_S))]
    reached = next((step - at_s for step in steps if run.rate(step - 1.0, step) >= wanted), None)
    later = run.rate(at_s + 10, min(run.busy[1], at_s + 2 * options.seconds)) / (2 * options.limit)
    took = "never" if reached is None else f"{reached:.1f}"
    return f"| {run.program} | {took} | {later:.1%} | {run.refused:.2%} | {run.returncode} |"


def _share_row(run: Seen, options: argparse.Namespace) -> str:
    middle = (options.seconds / 2, options.seconds * 1.6)
    shares = [run.rate(*middle, bucket) for bucket in ("sink-a", "sink-b")]
    total = sum(shares) or 1.0
    return f"| {run.program} | {shares[0] / total:.0%} : {shares[1] / total:.0%} | {total / options.limit:.1%} | {run.refused:.2%} |"


def _distance_lines(runs: Sequence[Seen]) -> list[str]:
    if not runs:
        return []
    names = list(dict.fromkeys(run.program for run in runs))
    delays = sorted({run.setting for run in runs})
    lines = ["| objects/s at a delay of | " + " | ".join(f"{delay:g} ms" for delay in delays) + " |"]
    lines.append("|" + "---|" * (len(delays) + 1))
    for name in names:
        cells = []
        for delay in delays:
            rates = [run.objects / run.wall_s for run in runs if (run.program, run.setting) == (name, delay)]
            cells.append(f"{statistics.median(rates):,.0f}" if rates else "")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def draw(path: Path, runs: Sequence[Seen], options: argparse.Namespace) -> None:
    """Draw what the server took and refused over time, and what brigade had in flight, as its limit doubles."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    drawn = [run for run in runs if run.part == "double"]
    if not drawn:
        return
    figure, axes = plt.subplots(
        len(drawn), 1, figsize=(10, 2.6 * len(drawn)), sharex=True, sharey=True, layout="constrained"
    )
    for axis, run in zip([axes] if len(drawn) == 1 else axes, drawn, strict=True):
        pairs = list(zip(run.samples, run.samples[1:], strict=False))
        at_s = [later.at_s for _, later in pairs]
        took_s = [later.at_s - earlier.at_s for earlier, later in pairs]
        taken = [(_taken(b, "") - _taken(a, "")) / s for (a, b), s in zip(pairs, took_s, strict=True)]
        refused = [(b.refused - a.refused) / s for (a, b), s in zip(pairs, took_s, strict=True)]
        steps = (0, options.seconds / 2, options.seconds / 2, 2.5 * options.seconds)
        axis.plot(steps, [factor * options.limit for factor in (1, 1, 2, 2)], color="black", linestyle=":", linewidth=1)
        axis.plot(at_s, taken, color="tab:blue", label="taken")
        axis.plot(at_s, refused, color="tab:red", label="refused")
        axis.set_ylabel("requests/s")
        axis.set_title(run.program, loc="left", fontsize="medium")
        if run.concurrency:
            twin = axis.twinx()
            twin.plot(*zip(*run.concurrency, strict=True), color="tab:green", label="slots")
            twin.set_ylim(bottom=0)
            twin.set_ylabel("slots", color="tab:green")
        axis.legend(loc="lower right", fontsize="small")
    figure.supxlabel("seconds; dotted: the limit")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, default=3500, help="requests per second")
    parser.add_argument("--seconds", type=float, default=20, help="about how long one run under the limit takes")
    parser.add_argument(
        "--delay-ms", type=float, default=5, help="of every answer, where the limit is what is looked at"
    )
    parser.add_argument("--delays", type=lambda text: [int(word) for word in text.split(",")], default=DELAYS_MS)
    parser.add_argument("--parts", type=lambda text: text.split(","), default=tuple(PARTS), help=",".join(PARTS))
    parser.add_argument("--peers", type=lambda text: text.split(","), default=PEERS, help=",".join(PEERS))
    parser.add_argument("--rounds", type=int, default=1, help="of the part distance")
    parser.add_argument("--brigade", type=Path, default=ROOT / ".venv/bin/brigade", help="the command to measure")
    parser.add_argument("--output", type=Path, default=ROOT / ".bench/results", help="folder for the results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
