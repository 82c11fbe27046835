"""Give the same work to several programs in turn, and prove after each run that it was done."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import measure
from commands import Peer, Work
from null_s3 import ACCESS_KEY, SECRET_KEY, NullS3
from rows import Amount, Proof, Row, Scale

TIMEOUT_S = 900.0
FILES_PER_FOLDER = 1_000
AWS_CONFIG = """\
[default]
region = us-east-1
s3 =
  max_concurrent_requests = 64
  max_queue_size = 10000
  addressing_style = path
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of one peer at one row.

    Attributes:
        error: what was not done, or empty.
        requests: all that the server answered; refused: those it answered with an error.
        server_cpu_s: what the server spent on this run.
    """

    row: str
    peer: str
    round: int
    in_flight: int
    objects: int
    wall_s: float
    cpu_s: float
    peak_bytes: int
    peak_sum_bytes: int
    server_cpu_s: float
    requests: int
    refused: int
    bytes_in: int
    bytes_out: int
    error: str


class Bench:
    """A server, a place for files in memory and one on disk for journals; runs one peer at a time."""

    def __init__(self, server: NullS3, memory: Path, disk: Path) -> None:
        self._server = server
        self._memory = memory
        self._disk = disk
        self._sources: dict[Amount, Path] = {}
        self._env = environment(server, disk)

    def measure(
        self, peer: Peer, row: Row, amount: Amount, *, round_number: int, in_flight: int, scaling: bool = False
    ) -> Run | None:
        """Run a peer once; None when it has no command for this row. ``scaling``: exactly ``in_flight`` requests at once."""
        with self._folder(self._memory) as scratch, self._folder(self._disk) as state:
            work = self._work(row, amount, scratch, state, in_flight=in_flight, scaling=scaling)
            argv = peer.command(work)
            if argv is None:
                return None
            self._server.reset()
            server_before = self._server.cpu_s()
            env = {**self._env, "BENCH_IN_FLIGHT": str(in_flight)}
            output = scratch / "stdout"
            usage = measure.run(argv, env=env, output=output, cwd=scratch, timeout_s=TIMEOUT_S)
            stats = self._server.stats()
            proof = Proof(stats=stats, target=work.target, output=output, amount=amount, server=self._server)
            error = _failure(usage.returncode, output) or row.check(proof) or ""
            return Run(
                row=row.name,
                peer=peer.name,
                round=round_number,
                in_flight=in_flight,
                objects=amount.objects,
                wall_s=usage.wall_s,
                cpu_s=usage.cpu_s,
                peak_bytes=usage.peak_bytes,
                peak_sum_bytes=usage.peak_sum_bytes,
                server_cpu_s=self._server.cpu_s() - server_before,
                requests=stats.get("requests", 0),
                refused=stats.get("refused", 0),
                bytes_in=stats.get("bytes_in", 0),
                bytes_out=stats.get("bytes_out", 0),
                error=error,
            )

    def _work(self, row: Row, amount: Amount, scratch: Path, state: Path, *, in_flight: int, scaling: bool) -> Work:
        target = scratch / "target"
        if row.to_disk:
            target.mkdir()
        source = str(self._source(amount)) if row.from_disk else amount.bucket
        if row.verb == "upload-one":
            source = next(str(path) for path in self._source(amount).rglob("*") if path.is_file())
        return Work(
            verb=row.verb,
            source=source,
            target=str(target) if row.to_disk else "sink",
            endpoint=self._server.endpoints[0],
            to_endpoint=self._server.endpoints[1],
            big=row.big,
            in_flight=in_flight,
            scaling=scaling,
            state=state,
        )

    def _source(self, amount: Amount) -> Path:
        """Return a folder with the files to upload; made once."""
        folder = self._sources.get(amount)
        if folder is None:
            folder = self._memory / f"files-{amount.objects}-{amount.object_bytes}"
            _make_files(folder, amount)
            self._sources[amount] = folder
        return folder

    @contextmanager
    def _folder(self, parent: Path) -> Iterator[Path]:
        path = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def open_bench(sizes: Sequence[int], *, tls: bool, delay_ms: float) -> Iterator[Bench]:
    """Start the server and make the folders; all of it is gone afterwards."""
    measure.become_subreaper()
    in_memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with (
        tempfile.TemporaryDirectory(prefix="brigade-bench-", dir=in_memory) as memory,
        tempfile.TemporaryDirectory(prefix="brigade-bench-") as disk,
        NullS3(sizes=tuple(sizes), tls=tls) as server,
    ):
        server.set_delay(delay_ms)
        yield Bench(server, Path(memory), Path(disk))


def in_turn(peers: Sequence[Peer], rounds: int) -> Iterator[tuple[int, Peer]]:
    """Yield every peer once a round, starting with another one each round."""
    for number in range(rounds):
        shift = number % len(peers)
        for peer in (*peers[shift:], *peers[:shift]):
            yield number, peer


def too_slow(peer: Peer, row: Row, scale: Scale, patience_s: float) -> float | None:
    """Return the seconds that one run is expected to take when that is more than ``patience_s``."""
    expected_s = peer.slow_ms.get(row.name, 0.0) * row.amount(scale).objects / 1e3
    return expected_s if expected_s > patience_s else None


def _make_files(folder: Path, amount: Amount) -> None:
    """Write files of pseudo-random bytes: small ones all different, in folders of a thousand."""
    generator = random.Random(amount.objects)
    block = generator.randbytes(1 << 20)
    for number in range(amount.objects):
        parent = folder / f"{number // FILES_PER_FOLDER:04d}"
        if number % FILES_PER_FOLDER == 0:
            parent.mkdir(parents=True)
        with open(parent / f"{number:08d}", "wb") as file:
            left = amount.object_bytes
            stamp = number.to_bytes(8, "big")
            while left:
                piece = (stamp + block)[: min(left, len(block))]
                file.write(piece)
                left -= len(piece)


def _failure(returncode: int, output: Path) -> str | None:
    if returncode == 0:
        return None
    said = Path(f"{output}.err").read_text(errors="replace").strip().splitlines() or [""]
    # A Python traceback ends with its reason; everything else begins with it.
    reason = said[-1] if said[0].startswith("Traceback") else said[0]
    return f"exit {returncode}: {reason[:300]}"


def environment(server: NullS3, disk: Path) -> dict[str, str]:
    """Return what every program gets: the same credentials, no configuration of this user, no metadata service."""
    home = disk / "home"
    home.mkdir()
    config = home / "aws-config"
    config.write_text(AWS_CONFIG)
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(config),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, endpoint in (("FIRST", server.endpoints[0]), ("SECOND", server.endpoints[1])):
        options = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": endpoint, "REGION": "us-east-1", "ENV_AUTH": "true"}
        env |= {f"RCLONE_CONFIG_{name}_{option}": value for option, value in options.items()}
    if server.ca_file:
        env |= {"AWS_CA_BUNDLE": str(server.ca_file), "SSL_CERT_FILE": str(server.ca_file)}
    return env
