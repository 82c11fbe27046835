"""How each peer is called for each piece of work: its documented fast settings, 64 requests in flight where it lets one choose.

A peer that cannot do a piece of work has no command for it. What is left out, and why, stands in README.md.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
# The programs themselves: s5cmd's entry in bin/ is a Python wrapper that would cost it 40 ms and 16 MB.
S5CMD = str(Path(sysconfig.get_path("purelib")) / "s5cmd" / "bin" / "s5cmd")
RCLONE = str(BIN / "rclone")
AWS = str(BIN / "aws")


class Kind(StrEnum):
    """What a peer is: goals compare brigade with the best program, and with the best library script."""

    PROGRAM = "program"
    LIBRARY = "library"
    OURS = "ours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One piece of work, as the commands see it. ``source`` and ``target`` are folders or buckets.

    Attributes:
        scaling: throughput over ``in_flight`` is being measured, so exactly so many requests may be in flight.
    """

    verb: str
    source: str
    target: str
    endpoint: str
    to_endpoint: str
    big: bool
    in_flight: int
    scaling: bool
    state: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A program to compare.

    Attributes:
        slow_ms: expected milliseconds per object of the rows it is slow at; the harness skips what takes too long.
    """

    name: str
    kind: Kind
    command: Callable[[Work], list[str] | None]
    slow_ms: dict[str, float]


def s5cmd(work: Work) -> list[str] | None:
    base = [S5CMD, "--endpoint-url", work.endpoint, "--log", "error", "--numworkers", str(work.in_flight)]
    tuned = ["--concurrency", "8", "--part-size", "16"] if work.big else []
    match work.verb:
        case "upload":
            return [*base, "cp", *tuned, f"{work.source}/", f"s3://{work.target}/k/"]
        case "upload-one":
            return [*base, "cp", work.source, f"s3://{work.target}/one"]
        case "download":
            return [*base, "cp", *tuned, f"s3://{work.source}/k/*", f"{work.target}/"]
        case "list":
            return [S5CMD, "--endpoint-url", work.endpoint, "ls", f"s3://{work.source}/k/*"]
        case "delete":
            return [*base, "rm", f"s3://{work.source}/k/*"]
        case "copy":
            return [*base, "cp", f"s3://{work.source}/k/*", f"s3://{work.target}/k/"]
    return None


def rclone(work: Work) -> list[str] | None:
    at_once = str(work.in_flight)
    base = [
        RCLONE,
        "--config",
        "",
        "--transfers",
        "4" if work.big else at_once,
        "--checkers",
        at_once,
        "--stats",
        "0",
    ]
    # No HEAD after each upload, times not read from metadata: faster, and what is uploaded is still checked by its MD5.
    copy = [*base, "--s3-no-head", "--s3-no-check-bucket", "--fast-list", "--no-update-modtime"]
    copy += ["--s3-chunk-size", "8M", "--s3-upload-concurrency", "8", "--multi-thread-streams", "8"] if work.big else []
    match work.verb:
        case "upload":
            return [*copy, "copy", work.source, f"first:{work.target}/k"]
        case "upload-one":
            return [*copy, "copyto", work.source, f"first:{work.target}/one"]
        case "download":
            return [*copy, "copy", f"first:{work.source}/k", work.target]
        case "list":
            return [*base, "--fast-list", "ls", f"first:{work.source}/k"]
        case "delete":
            return [*base, "--fast-list", "delete", f"first:{work.source}/k"]
        case "copy":
            return [*copy, "copy", f"first:{work.source}/k", f"first:{work.target}/k"]
        case "relay":
            return [*copy, "copy", f"first:{work.source}/k", f"second:{work.target}/k"]
    return None


def aws_cli(work: Work) -> list[str] | None:
    base = [AWS, "--endpoint-url", work.endpoint, "s3"]
    quiet = ["--recursive", "--only-show-errors"]
    match work.verb:
        case "upload":
            return [*base, "cp", work.source, f"s3://{work.target}/k/", *quiet]
        case "upload-one":
            return [*base, "cp", work.source, f"s3://{work.target}/one", "--only-show-errors"]
        case "download":
            return [*base, "cp", f"s3://{work.source}/k/", work.target, *quiet]
        case "list":
            return [*base, "ls", f"s3://{work.source}/k/", "--recursive"]
        case "delete":
            return [*base, "rm", f"s3://{work.source}/k/", *quiet]
        case "copy":
            return [*base, "cp", f"s3://{work.source}/k/", f"s3://{work.target}/k/", *quiet]
    return None


def _script(name: str, *, leaves_out: frozenset[tuple[str, bool]] = frozenset()) -> Callable[[Work], list[str] | None]:
    def command(work: Work) -> list[str] | None:
        if work.verb in ("upload-one", "version") or (work.verb, work.big) in leaves_out:
            return None
        argv = [sys.executable, str(HERE / "peers" / name), work.verb, work.source, work.target, work.endpoint]
        return [*argv, work.to_endpoint] if work.verb == "relay" else argv

    return command


def brigade(program: str) -> Callable[[Work], list[str] | None]:
    """Return the command of brigade as users run it: journal on, checks on, its own defaults otherwise."""

    def command(work: Work) -> list[str] | None:
        state = ["--state-dir", str(work.state)]
        endpoint = ["--endpoint-url", work.endpoint]
        job = [*endpoint, *state, "--no-progress"]
        if work.scaling:
            job += ["--concurrency", str(work.in_flight), "--processes", "1"]
        match work.verb:
            case "version":
                return [program, "--version"]
            case "upload":
                return [program, "cp", f"{work.source}/", f"s3://{work.target}/k/", "--recursive", *job]
            case "upload-one":
                return [program, "cp", work.source, f"s3://{work.target}/one", *job]
            case "download":
                return [program, "cp", f"s3://{work.source}/k/", f"{work.target}/", "--recursive", *job]
            case "list":
                return [program, "ls", f"s3://{work.source}/k/", "--recursive", *endpoint]
            case "delete":
                return [program, "rm", f"s3://{work.source}/k/", "--recursive", "--yes", *job]
            case "copy":
                return [program, "cp", f"s3://{work.source}/k/", f"s3://{work.target}/k/", "--recursive", *job]
            case "relay":
                sides = ["--source-endpoint-url", work.endpoint, "--endpoint-url", work.to_endpoint]
                return [
                    program,
                    "cp",
                    f"s3://{work.source}/k/",
                    f"s3://{work.target}/k/",
                    "--recursive",
                    *sides,
                    *job[2:],
                ]
        return None

    return command


def all_peers(brigade_program: str) -> list[Peer]:
    """Return brigade and every peer, by the order of the table."""
    per_object = {"upload-small": 3.2, "download-small": 2.6, "copy": 3.0, "list": 0.09, "delete": 4.0}
    aioboto3 = {
        "upload-small": 1.5,
        "download-small": 1.3,
        "copy": 1.4,
        "relay-small": 3.5,
        "list": 0.1,
        "delete": 0.12,
    }
    crt_leaves_out = frozenset({("relay", True)})
    return [
        Peer(name="brigade", kind=Kind.OURS, command=brigade(brigade_program), slow_ms={}),
        Peer(name="s5cmd", kind=Kind.PROGRAM, command=s5cmd, slow_ms={}),
        Peer(name="rclone", kind=Kind.PROGRAM, command=rclone, slow_ms={"delete": 0.3}),
        Peer(name="aws-cli", kind=Kind.PROGRAM, command=aws_cli, slow_ms=per_object),
        Peer(name="obstore", kind=Kind.LIBRARY, command=_script("obstore_peer.py"), slow_ms={}),
        Peer(name="crt", kind=Kind.LIBRARY, command=_script("crt_peer.py", leaves_out=crt_leaves_out), slow_ms={}),
        Peer(name="aioboto3", kind=Kind.LIBRARY, command=_script("aioboto3_peer.py"), slow_ms=aioboto3),
    ]
