"""Splits an upload's texts into parts, marking those that detectors gave as evidence.

This module creates no HTML: a template prints each part, escaped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from quorum.core.messages import Prediction, Upload

__all__ = ["HighlightedField", "HighlightedPart", "highlighted_fields"]

#: Per field; a hostile detector could otherwise create a page that no browser can show.
MAX_MARKS = 500


@dataclass(frozen=True, slots=True)
class HighlightedPart:
    """A part of a text with the same evidence throughout.

    Attributes:
        text: The characters.
        detectors: The detectors whose evidence covers it; empty if it is not highlighted.
        why: The descriptions of the evidence.
    """

    text: str
    detectors: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class HighlightedField:
    """One text field of the upload, for example ``title`` or ``tags[0]``, in parts."""

    name: str
    parts: tuple[HighlightedPart, ...]


def highlighted_fields(upload: Upload, predictions: Iterable[Prediction]) -> list[HighlightedField]:
    """Return the upload's non-empty text fields in order, with the evidence in them."""
    spans: dict[str, list[tuple[int, int, str, str]]] = defaultdict(list)
    for prediction in predictions:
        for one in prediction.evidence:
            if one.kind == "text" and one.field and one.start is not None and one.end is not None:
                found = spans[one.field]
                if len(found) < MAX_MARKS:
                    place = (int(min(one.start, 1e9)), int(min(one.end, 1e9)))
                    found.append((*place, prediction.detector, one.what))
    texts = [("title", upload.title), ("description", upload.description)]
    texts += [(f"tags[{index}]", tag) for index, tag in enumerate(upload.tags)]
    texts += [(f"comments[{index}]", text) for index, text in enumerate(upload.comments)]
    return [
        HighlightedField(name, _parts(text, spans.get(name, ()))) for name, text in texts if text
    ]


def _parts(text: str, spans: Sequence[tuple[int, int, str, str]]) -> tuple[HighlightedPart, ...]:
    size = len(text)
    inside = [(max(0, a), min(size, b), who, why) for a, b, who, why in spans if a < min(size, b)]
    edges = sorted({0, size, *(edge for a, b, _, _ in inside for edge in (a, b))})
    parts = []
    for start, end in pairwise(edges):
        here = [one for one in inside if one[0] <= start and end <= one[1]]
        detectors = tuple(dict.fromkeys(one[2] for one in here))
        why = "; ".join(dict.fromkeys(f"{one[2]}: {one[3]}" for one in here))
        parts.append(HighlightedPart(text[start:end], detectors, why))
    return tuple(parts)
