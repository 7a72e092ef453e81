"""Evidence for spam: the words with the largest weight, and their places."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from quorum.core.messages import Evidence
from quorum.models.detectors import Text
from quorum.models.features.aligned import Aligned
from quorum.models.features.normalise import align, as_read
from quorum.models.features.text import evidence_of
from quorum.models.spam.judge import Judged
from quorum.models.spam.links import LinkKind
from quorum.models.spam.reading import FieldKind
from quorum.models.spam.words import WordHeads

__all__ = ["evidence_for", "locate"]

_MOST = 5
#: Placeholders of the normaliser and their meaning.
_STANDS_FOR = {"url": "a link", "mention": "a mention", "longnumber": "a long number"}


_NAMES = {
    LinkKind.SHORTENER: "a link that hides where it leads",
    LinkKind.MESSENGER: "a link to a chat",
    LinkKind.ODD: "an odd address",
    LinkKind.LURE: "a link that promises something",
    LinkKind.OTHER: "a link",
}


def evidence_for(heads: WordHeads, judged: Judged, text: Text) -> list[Evidence]:
    """What led to a score: the suspicious part, its links, and its words.

    Args:
        heads: The models of words.
        judged: The upload.
        text: Its text.

    Returns:
        The part that decided with its kinds of evidence, then at most five words and links.
    """
    part = judged.worst.part
    comment = part.kind is FieldKind.COMMENT
    words = heads.explain(part.told, comment, judged.worst.family)
    within = {
        name: value
        for name, value in text.fields.items()
        if name == part.field or name.partition("[")[0] == part.field.partition("[")[0]
    }
    found = locate(words, text, within)
    whole = text.fields.get(part.field, "")
    there = part.raw in whole
    if there or part.raw in as_read(whole):
        start = whole.index(part.raw, min(part.start, len(whole))) if there else 0
        end = start + len(part.raw) if there else len(whole)
        told = ", ".join(sorted(judged.signs)) or "the whole"
        links = [
            evidence_of(text, part.field, start + link.start, start + link.end,
                        f"{_NAMES[link.kind]}: {part.raw[link.start : link.end]}"[:200], 0.2)
            for link in part.contacts.links
            if there and link.kind in _NAMES
        ]  # fmt: skip
        if part.field not in text.seen and part.field not in text.heard:
            suspicious = f"suspicious: {told}"
            found = [
                evidence_of(text, part.field, start, end, suspicious, judged.score),
                *found,
            ]
        known = {(one.field, one.start) for one in found}
        found += [one for one in links[:2] if (one.field, one.start) not in known]
    return found


def locate(
    words: Sequence[tuple[str, float]], text: Text, within: Mapping[str, str] | None = None
) -> list[Evidence]:
    """Find weighted words in the original fields.

    Args:
        words: Normalised words with their contribution to the log-odds, greatest first.
        text: The upload's text.
        within: The fields to look in; all if None.

    Returns:
        At most five, greatest first; ``weight`` is the share of all positive contributions. Words
        in frames are located by the seconds of their line.
    """
    total = sum(weight for _, weight in words if weight > 0)
    aligned = {field: align(value) for field, value in
               (text.fields if within is None else within).items()}  # fmt: skip
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
