"""What really happened, in order, whatever was answered: the oracle for "nothing lost"."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """One kind of effect."""

    WRITTEN = "written"
    """An object has new content: by a PUT, a copy or a completed upload."""
    DELETED = "deleted"
    """An object that was there is gone."""
    BEGUN = "begun"
    """A multipart upload was created."""
    PART = "part"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Effect:
    """One change.

    Attributes:
        order: counts from 1.
        digest: MD5 of the content that was written, or deleted.
        request: the number of the request that did it.
    """

    order: int
    kind: Kind
    bucket: str
    key: str
    size: int = 0
    digest: str = ""
    request: int = 0


class EffectLog:
    """All effects of a server, oldest first."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []

    def add(self, kind: Kind, bucket: str, key: str, *, size: int = 0, digest: str = "", request: int = 0) -> None:
        """Note one."""
        self.effects.append(Effect(len(self.effects) + 1, kind, bucket, key, size, digest, request))

    def of(self, kind: Kind, key: str | None = None) -> list[Effect]:
        """Return the effects of one kind, of one key if it is named."""
        return [one for one in self.effects if one.kind is kind and key in (None, one.key)]

    def deleted_before_written(self, pairs: dict[tuple[str, str], tuple[str, str]]) -> list[Effect]:
        """Return the deletes of a source whose target did not hold the same content at that moment.

        Args:
            pairs: (bucket, key) of each source -> (bucket, key) of its target.
        """
        holds: dict[tuple[str, str], str] = {}
        wrong = []
        for effect in self.effects:
            place = (effect.bucket, effect.key)
            if effect.kind is Kind.WRITTEN:
                holds[place] = effect.digest
            elif effect.kind is Kind.DELETED:
                if place in pairs and holds.get(pairs[place]) != effect.digest:
                    wrong.append(effect)
                holds.pop(place, None)
        return wrong
