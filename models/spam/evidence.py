"""Evidence for spam: the words with the largest weight, and their places."""

from __future__ import annotations

import re
from collections.abc import Sequence

from quorum.core.messages import Evidence
from quorum.models.detectors import Text
from quorum.models.features.aligned import Aligned
from quorum.models.features.normalise import align
from quorum.models.features.text import evidence_of

__all__ = ["locate"]

_MOST = 5
#: Placeholders of the normaliser and their meaning.
_STANDS_FOR = {"url": "a link", "mention": "a mention", "longnumber": "a long number"}


def locate(words: Sequence[tuple[str, float]], text: Text) -> list[Evidence]:
    """Find weighted words in the original fields.

    Args:
        words: Normalised words with their contribution to the log-odds, greatest first.
        text: The upload's text.

    Returns:
        At most five, greatest first; ``weight`` is the share of all positive contributions. Words
        in frames are located by the seconds of their line.
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
