"""What is read of an upload's words: the whole, what is in frames, and parts."""

from __future__ import annotations

from dataclasses import dataclass

from quorum.models.detectors import Text
from quorum.models.features.accents import with_accents
from quorum.models.violence.words import parts_of

__all__ = ["Readings", "readings_of"]


@dataclass(frozen=True, slots=True)
class Readings:
    """What is read of one upload's words.

    Attributes:
        texts: All, normalised; none if there are no words.
        asked: Those that the student leaves to the embedding.
        free: How many of ``asked``, from the first, count in full.
        parts: How many of ``texts`` are parts.
    """

    texts: tuple[str, ...]
    asked: tuple[str, ...]
    free: int
    parts: int


def readings_of(text: Text | None) -> Readings:
    """What is read of a text; nothing is settled yet."""
    if text is None or not any(one.isalpha() for one in text.normalised):
        return Readings((), (), 0, 0)
    seen = (with_accents(text.joined, text.in_frames),) if text.own and text.in_frames else ()
    parts = parts_of(with_accents(text.joined, text.own))
    texts = (with_accents(text.joined, text.normalised), *seen, *parts)
    return Readings(texts, texts, 1 + len(seen), len(parts))
