"""Random mixes of faults and work, decided by a seed alone."""

from __future__ import annotations

import random
from dataclasses import dataclass

import msgspec

from bucket_brigade.model.job import Overwrite, TransferOptions
from tests.faults.hostile import Fault, Rule
from tests.faults.hostile import faults as f
from tests.faults.world import IN_PARTS, PART

READS = ("GetObject",)
WRITES = ("PutObject", "UploadPart")
COPIES = ("CopyObject", "UploadPartCopy")
RECEIPTS = (*WRITES, *COPIES, "CompleteMultipartUpload", "CreateMultipartUpload")
LISTS = ("ListObjectsV2", "ListParts", "ListMultipartUploads")
ANY = ()

PASSING: list[tuple[Fault, tuple[str, ...]]] = [
    (f.RESET_ON_HEAD, ANY),
    (f.RESET_IN_BODY, WRITES),
    (f.LOST_ANSWER, ANY),
    (f.LOST_ANSWER_POLITELY, ANY),
    (f.CUT_ANSWER, ANY),
    (f.SHORT_ANSWER, ANY),
    (f.TRUNCATED, READS),
    (f.SHORT_UNANNOUNCED, READS),
    (f.CLOSE_IDLE, ANY),
    (f.GARBAGE, ANY),
    (f.INTERNAL_ERROR, ANY),
    (f.BAD_GATEWAY, ANY),
    (f.GATEWAY_TIMEOUT, ANY),
    (f.REQUEST_TIMEOUT, ANY),
    (f.CONFLICT, RECEIPTS),
    (f.ERROR_AFTER_EFFECT, ANY),
    (f.ERROR_IN_200, (*COPIES, "CompleteMultipartUpload", "DeleteObjects", *LISTS)),
    (f.ERROR_IN_200_AFTER_EFFECT, (*COPIES, "CompleteMultipartUpload", "DeleteObjects")),
    (f.EMPTY_200, (*RECEIPTS, *LISTS, "DeleteObjects")),
    (f.EMPTY_AFTER_EFFECT, (*RECEIPTS, "DeleteObjects")),
    (f.HTML_200, (*RECEIPTS, *LISTS)),
    (f.HTML_AFTER_EFFECT, RECEIPTS),
    (f.NO_ETAG, WRITES),
    (f.NO_CHECKSUM, RECEIPTS),
    (f.BAD_DIGEST, WRITES),
    (f.FLIPPED_BIT, READS),
    (f.WRONG_RANGE, READS),
    (f.RANGE_IGNORED, READS),
    (f.delay(0.03), ANY),
]
"""What every job must survive; with the operations that it can be done to without being a lie that nobody could notice."""

SLOW: list[tuple[Fault, tuple[str, ...]]] = [
    (f.STALL, ANY),
    (f.STALL_IN_BODY, READS),
    (f.STALL_BEFORE_EFFECT, ANY),
    (f.STOP_READING, WRITES),
    (f.SLOW_DOWN, ANY),
    (f.HTML_503, ANY),
]
"""The same, but each costs a good part of a second."""

LASTING: list[tuple[Fault, tuple[str, ...]]] = [
    (f.ACCESS_DENIED, (*READS, *WRITES, *COPIES, "DeleteObjects", "HeadObject")),
    (f.NO_SUCH_KEY, READS),
    (f.NO_SUCH_UPLOAD, ("UploadPart", "CompleteMultipartUpload", "ListParts")),
    (f.EXPIRED_TOKEN, ANY),
    (f.LENGTH_REQUIRED, WRITES),
    (f.SHORT_HONESTLY, READS),
    (f.OVERLONG, READS),
]
"""What fails objects, or pauses the job."""

OPERATIONS = ("upload", "download", "copy", "relay", "delete", "move up", "move down", "move", "move away")


@dataclass(frozen=True)
class Mix:
    """What one seed decides.

    Attributes:
        operation: one of OPERATIONS.
        way: ``lane`` or ``client``.
        checksums: the store states CRC64NVME.
        stop_after_s: the run is stopped then, and resumed; None lets it be.
        spares: what is at the target stays (``--no-clobber``). Nothing is, so what is found there is our own.
    """

    seed: int
    operation: str
    way: str
    objects: dict[str, bytes]
    rules: list[Rule]
    checksums: bool
    stop_after_s: float | None
    spares: bool

    @property
    def options(self) -> TransferOptions:
        """How the objects are moved."""
        overwrite = Overwrite.NEVER if self.spares and self.verb == "cp" else Overwrite.ALWAYS
        return msgspec.structs.replace(IN_PARTS, overwrite=overwrite)

    @property
    def verb(self) -> str:
        """What the user types."""
        if self.operation == "delete":
            return "rm"
        return "mv" if self.operation.startswith("move") else "cp"

    def __str__(self) -> str:
        rules = ", ".join(f"{rule.fault.name} {rule.operations or 'any'} x{rule.times}" for rule in self.rules)
        return f"seed {self.seed}: {self.operation} over the {self.way} of {len(self.objects)} objects; {rules}"


def mix_of(seed: int) -> Mix:
    """Return what a seed decides."""
    chance = random.Random(f"campaign {seed}")
    rules = _rules(chance)
    flips = any(rule.fault is f.FLIPPED_BIT for rule in rules)
    return Mix(
        seed,
        operation=chance.choice(OPERATIONS),
        way=chance.choice(("lane", "lane", "client")),
        objects=_objects(chance),
        rules=rules,
        # Ranges of an object without a checksum cannot be verified: docs/reliability.md says so.
        checksums=flips or chance.random() < 0.8,
        stop_after_s=chance.choice((None, None, 0.01, 0.05, 0.15)),
        spares=chance.random() < 0.25,
    )


def _objects(chance: random.Random) -> dict[str, bytes]:
    count = chance.choice((1, 3, 12, 30))
    objects = {f"d{chance.randrange(4)}/k{i:03}": chance.randbytes(chance.randrange(3000)) for i in range(count)}
    if chance.random() < 0.5:
        objects["big"] = chance.randbytes(PART + chance.randrange(200_000))
    if chance.random() < 0.3:
        objects["d0/empty"] = b""
    return objects


def _rules(chance: random.Random) -> list[Rule]:
    rules = [
        Rule(fault, operations, times=chance.randrange(1, 9), chance=chance.choice((0.1, 0.3, 1.0)))
        for fault, operations in chance.sample(PASSING, chance.randrange(1, 5))
    ]
    for group, likely, most in ((SLOW, 0.2, 2), (LASTING, 0.4, 6)):
        if chance.random() < likely:
            fault, operations = chance.choice(group)
            rules.append(Rule(fault, operations, times=chance.randrange(1, most + 1), chance=chance.choice((0.2, 1.0))))
    return rules
