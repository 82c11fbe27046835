"""Which of the known names was meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that looks most like ``name``, or None where none comes near."""
    import difflib  # only the way to an error needs it

    candidates = sorted(known)
    by_folded = {candidate.casefold(): candidate for candidate in reversed(candidates)}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.5)
    return by_folded[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the sentence that helps after an unknown name: the nearest known one, else all of them."""
    candidates = sorted(known)
    guess = nearest(name, candidates)
    if guess is not None:
        return f"Did you mean {guess}?"
    return f"Known are: {', '.join(candidates)}." if candidates else ""
