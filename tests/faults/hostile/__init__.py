"""An S3 server that lies, stalls and breaks off on a script: real semantics in memory, and a log of all that took effect.

::

    wire       HTTP/1.1: reads requests, writes answers, and breaks off where a fault says so
    messages   requests and answers as values; which operation a request is
    state      buckets, objects, uploads
    semantics  what each operation does when nothing is wrong
    listing    pages of a listing, in any order
    faults     what can be done to one request; scripts that choose
    throttle   token buckets for each key range, that split under load as S3's partitions do
    effects    the order of what really happened: the oracle for "nothing lost"
    server     all of it together, on this loop, in a thread or as a process
"""

from __future__ import annotations

from tests.faults.hostile.effects import Effect
from tests.faults.hostile.faults import Fault, Rule, Script
from tests.faults.hostile.messages import Answer, Request
from tests.faults.hostile.semantics import Semantics
from tests.faults.hostile.server import HostileS3, in_thread, serving

__all__ = ["Answer", "Effect", "Fault", "HostileS3", "Request", "Rule", "Script", "Semantics", "in_thread", "serving"]
