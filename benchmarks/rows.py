"""The pieces of work, what proves that each was done, and the goals. All of it is data."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from null_s3 import NullS3

SMALL = 4096
MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much work: objects of 4 KiB, keys to list and delete, and big objects."""

    small_objects: int
    keys: int
    big_objects: int
    big_bytes: int

    @property
    def sizes(self) -> tuple[int, ...]:
        return (SMALL, self.big_bytes)


SCALES = {
    "smoke": Scale(small_objects=2_000, keys=10_000, big_objects=2, big_bytes=64 * MIB),
    "medium": Scale(small_objects=20_000, keys=200_000, big_objects=4, big_bytes=256 * MIB),
    "full": Scale(small_objects=100_000, keys=1_000_000, big_objects=4, big_bytes=256 * MIB),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """The most that brigade may cost, as ratio to the best program or library script. None: no goal."""

    cpu_program: float | None = None
    wall_program: float | None = None
    cpu_library: float | None = None


MEMORY_GOAL_BYTES = 150_000_000
VERSION_GOAL_S = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How many objects of how many bytes one run moves."""

    objects: int
    object_bytes: int

    @property
    def bucket(self) -> str:
        return f"synth-{self.objects}-{self.object_bytes}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What is known after a run. ``stats`` are the server's counters; ``target`` a folder for downloads."""

    stats: dict[str, int]
    target: str
    output: Path
    amount: Amount
    server: NullS3


Check = Callable[[Proof], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        verb: what the commands are asked for.
        from_disk, to_disk: the source (target) is a folder.
        check: returns what is wrong, or None when the work was done.
    """

    name: str
    title: str
    verb: str
    amount: Callable[[Scale], Amount]
    check: Check
    goal: Goal = field(default_factory=Goal)
    from_disk: bool = False
    to_disk: bool = False
    big: bool = False


def _expect(what: str, found: int, wanted: int) -> str | None:
    return None if found == wanted else f"{what}: {found:,} instead of {wanted:,}"


def _uploaded(proof: Proof) -> str | None:
    """Count whole objects by single PUTs and completed uploads; each byte must have arrived, once."""
    objects = proof.stats.get("put", 0) + proof.stats.get("complete_upload", 0)
    wanted = proof.amount.objects
    return _expect("objects put", objects, wanted) or _expect(
        "bytes put", proof.stats.get("bytes_in", 0), wanted * proof.amount.object_bytes
    )


def _downloaded(proof: Proof) -> str | None:
    """Every file must be there with its size, and one in fifty with its content."""
    paths = [os.path.join(folder, name) for folder, _, names in os.walk(proof.target) for name in names]
    wrong = _expect("files", len(paths), proof.amount.objects)
    content = proof.server.object_file(proof.amount.object_bytes).read_bytes()
    for number, path in enumerate(sorted(paths)):
        if os.path.getsize(path) != proof.amount.object_bytes:
            return wrong or f"{path} has {os.path.getsize(path):,} bytes"
        if number % 50 == 0 and Path(path).read_bytes() != content:
            return wrong or f"{path} has another content"
    return wrong


def _listed(proof: Proof) -> str | None:
    """Every key must be named on stdout."""
    names = proof.output.read_bytes().count(b"\n")
    first, last = b"00000000", f"{proof.amount.objects - 1:08d}".encode()
    text = proof.output.read_bytes()
    if first not in text or last not in text:
        return "the first or the last key is missing"
    return None if proof.amount.objects <= names <= proof.amount.objects + 10 else f"{names:,} lines"


def _deleted(proof: Proof) -> str | None:
    return _expect("keys deleted", proof.stats.get("deleted", 0), proof.amount.objects)


def _copied(proof: Proof) -> str | None:
    return _expect("objects copied", proof.stats.get("copy", 0), proof.amount.objects)


def _relayed(proof: Proof) -> str | None:
    return _uploaded(proof) or (
        "bytes read: fewer than written"
        if proof.stats.get("bytes_out", 0) < proof.amount.objects * proof.amount.object_bytes
        else None
    )


def _printed(proof: Proof) -> str | None:
    return None if proof.output.stat().st_size else "nothing was printed"


def _small(scale: Scale) -> Amount:
    return Amount(objects=scale.small_objects, object_bytes=SMALL)


def _keys(scale: Scale) -> Amount:
    return Amount(objects=scale.keys, object_bytes=SMALL)


def _big(scale: Scale) -> Amount:
    return Amount(objects=scale.big_objects, object_bytes=scale.big_bytes)


def _one(_: Scale) -> Amount:
    return Amount(objects=1, object_bytes=SMALL)


ROWS = (
    Row(
        name="upload-small",
        title="upload 4 KiB files",
        verb="upload",
        amount=_small,
        check=_uploaded,
        from_disk=True,
        goal=Goal(cpu_program=0.25, wall_program=0.5, cpu_library=0.4),
    ),
    Row(
        name="download-small",
        title="download 4 KiB objects to files",
        verb="download",
        amount=_small,
        check=_downloaded,
        to_disk=True,
        goal=Goal(cpu_program=0.25, wall_program=0.5, cpu_library=0.45),
    ),
    Row(
        name="upload-big",
        title="upload big files",
        verb="upload",
        amount=_big,
        check=_uploaded,
        from_disk=True,
        big=True,
        goal=Goal(cpu_program=0.4, wall_program=0.8, cpu_library=0.7),
    ),
    Row(
        name="download-big",
        title="download big objects",
        verb="download",
        amount=_big,
        check=_downloaded,
        to_disk=True,
        big=True,
        goal=Goal(cpu_program=0.4, wall_program=0.7, cpu_library=0.6),
    ),
    Row(
        name="list",
        title="list",
        verb="list",
        amount=_keys,
        check=_listed,
        goal=Goal(cpu_program=0.4, wall_program=0.5, cpu_library=1.0),
    ),
    Row(
        name="delete",
        title="delete by prefix",
        verb="delete",
        amount=_keys,
        check=_deleted,
        goal=Goal(cpu_program=0.15, wall_program=0.2, cpu_library=1.0),
    ),
    Row(
        name="copy",
        title="copy server side, 4 KiB",
        verb="copy",
        amount=_small,
        check=_copied,
        goal=Goal(cpu_program=0.25, wall_program=0.4, cpu_library=0.45),
    ),
    Row(
        name="relay-small",
        title="relay endpoint to endpoint, 4 KiB",
        verb="relay",
        amount=_small,
        check=_relayed,
        goal=Goal(cpu_program=0.2, wall_program=0.3, cpu_library=0.35),
    ),
    Row(
        name="relay-big",
        title="relay big objects",
        verb="relay",
        amount=_big,
        check=_relayed,
        big=True,
        goal=Goal(cpu_program=0.3, wall_program=0.5, cpu_library=0.8),
    ),
    Row(name="one", title="upload one 4 KiB file", verb="upload-one", amount=_one, check=_uploaded, from_disk=True),
    Row(name="version", title="print the version", verb="version", amount=_one, check=_printed),
)
