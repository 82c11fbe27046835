"""The event loop that the command and its worker processes run on: uvloop where there is one."""

from __future__ import annotations

import asyncio
import atexit
import gc
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

COLLECT_AFTER = (100_000, 20, 50)
"""Thresholds of the cyclic collector: its defaults cost a twentieth of the time of a small upload, and find nothing.

The models of botocore are 70,000 objects, which a first threshold below would have looked through when they are read: 10 ms."""


def run_loop(main: Coroutine[Any, Any, Result]) -> Result:
    """Run ``main`` to its end on a fresh loop, like ``asyncio.run``, in a program of our own."""
    gc.freeze()  # what was imported stays
    gc.set_threshold(*COLLECT_AFTER)
    gc.enable()
    atexit.register(gc.freeze)  # the interpreter's last collections need not look through all modules: 90 ms
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if sys.platform != "win32":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)
