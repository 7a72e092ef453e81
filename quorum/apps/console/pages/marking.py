"""The words of an upload in parts, those that led detectors to their scores marked.

Nothing here makes HTML: a template prints each part, escaped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from quorum.core.messages import Prediction, Upload

__all__ = ["Field", "Part", "marked_fields"]

#: Marks of one field; a hostile detector could otherwise make a page that no browser opens.
MAX_MARKS = 500


@dataclass(frozen=True, slots=True)
class Part:
    """A run of characters, and what marks it.

    Attributes:
        text: The characters.
        detectors: Whose evidence lies here; empty for none.
        why: What the evidence says.
    """

    text: str
    detectors: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the upload: ``title``, ``tags[0]``, and its parts."""

    name: str
    parts: tuple[Part, ...]


def marked_fields(upload: Upload, predictions: Iterable[Prediction]) -> list[Field]:
    """The upload's texts that are not empty, in order, with the evidence on them."""
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
    return [Field(name, _parts(text, spans.get(name, ()))) for name, text in texts if text]


def _parts(text: str, spans: Sequence[tuple[int, int, str, str]]) -> tuple[Part, ...]:
    size = len(text)
    inside = [(max(0, a), min(size, b), who, why) for a, b, who, why in spans if a < min(size, b)]
    edges = sorted({0, size, *(edge for a, b, _, _ in inside for edge in (a, b))})
    parts = []
    for start, end in pairwise(edges):
        here = [one for one in inside if one[0] <= start and end <= one[1]]
        detectors = tuple(dict.fromkeys(one[2] for one in here))
        why = "; ".join(dict.fromkeys(f"{one[2]}: {one[3]}" for one in here))
        parts.append(Part(text[start:end], detectors, why))
    return tuple(parts)
