"""Which words of an upload weighed most for spam, and where they stand."""

from __future__ import annotations

import re
from collections.abc import Sequence

from quorum.core.messages import Evidence
from quorum.models.detectors import Text
from quorum.models.features.normalise import Aligned, align
from quorum.models.features.text import evidence_of

__all__ = ["locate"]

_MOST = 5
#: What the normaliser puts for a link, a mention and a long number stands for what was there.
_STANDS_FOR = {"url": "a link", "mention": "a mention", "longnumber": "a long number"}


def locate(words: Sequence[tuple[str, float]], text: Text) -> list[Evidence]:
    """Find weighed words in the original fields.

    Args:
        words: Normalised words with their part in the log-odds, greatest first.
        text: The upload's text.

    Returns:
        At most five, greatest first; ``weight`` is the word's share of all that spoke for spam.
        Words seen in frames are told by the seconds of their line.
    """
    total = sum(weight for _, weight in words if weight > 0)
    aligned = {field: align(value) for field, value in text.fields.items()}
    found: list[Evidence] = []
    taken: set[tuple[str, int, int]] = set()
    for word, weight in words:
        if weight <= 0 or len(found) == _MOST:
            break
        place = _place(word, aligned)
        if place is None or place in taken:
            continue
        taken.add(place)
        field, start, end = place
        original = " ".join(text.fields[field][start:end].split())
        kind = _STANDS_FOR.get(word)
        found.append(
            evidence_of(
                text, field, start, end, f"{kind}: {original}" if kind else original, weight / total
            )
        )
    return found


def _place(word: str, aligned: dict[str, Aligned]) -> tuple[str, int, int] | None:
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    for field, made in aligned.items():
        match = pattern.search(made.text)
        if match:
            return field, *made.span(*match.span())
    return None
