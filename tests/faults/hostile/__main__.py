"""``python -m tests.faults.hostile``: the server as a process, for benchmarks and for looking at things by hand.

Prints its URL on one line, and a line of counts every second while requests come.
"""

from __future__ import annotations

import argparse
import asyncio

import uvloop

from tests.faults.hostile.faults import Rule, Script, delay
from tests.faults.hostile.semantics import Semantics
from tests.faults.hostile.server import HostileS3
from tests.faults.hostile.state import State
from tests.faults.hostile.throttle import Throttle


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.hostile", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bucket", action="append", default=[], help="made at the start; may be repeated")
    parser.add_argument("--writes-per-s", type=float, help="of each partition; beyond it SlowDown")
    parser.add_argument("--reads-per-s", type=float)
    parser.add_argument("--split-after-s", type=float, help="a partition under load for so long is split")
    parser.add_argument("--raise-after-s", type=float, help="all limits double after so long")
    parser.add_argument("--delay-s", type=float, default=0.0, help="of every request")
    parser.add_argument("--verify", action="store_true", help="check digests and state checksums")
    return parser.parse_args()


async def serve(options: argparse.Namespace) -> None:
    """Serve until interrupted."""
    state = State()
    for name in options.bucket:
        state.create_bucket(name)
    throttles = [
        None if per_s is None else Throttle(per_s, split_after_s=options.split_after_s)
        for per_s in (options.writes_per_s, options.reads_per_s)
    ]
    rules = [Rule(delay(options.delay_s), times=None)] if options.delay_s else []
    semantics = Semantics(state, verify=options.verify, checksums=options.verify)
    s3 = HostileS3(Script(rules), state, semantics, writes=throttles[0], reads=throttles[1])
    await s3.start(options.port)
    print(s3.url, flush=True)
    told, elapsed_s = 0, 0
    while True:
        await asyncio.sleep(1)
        elapsed_s += 1
        if options.raise_after_s is not None and elapsed_s == int(options.raise_after_s):
            for throttle in throttles:
                if throttle is not None:
                    throttle.per_s *= 2
        begun = s3.requests.total()
        if begun != told:
            refused = sum(one.refused for one in throttles if one is not None)
            print(f"{elapsed_s} s: {begun - told} requests, {refused} refused in all", flush=True)
            told = begun


if __name__ == "__main__":
    uvloop.run(serve(parse()))
