"""Which kind of spam it is: the label beside the score."""

from __future__ import annotations

from quorum.models.spam.judge import Judged
from quorum.models.spam.lexicon import hits
from quorum.models.spam.words import FAMILIES

__all__ = ["KINDS", "labels_of"]

#: The labels, and the groups of words that speak for each.
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "scam": ("spam/scam", ("gain", "praise")),
    "gambling": ("spam/gambling", ("gamble",)),
    "promotion": ("spam/promotion", ("goods",)),
    "recovery": ("spam/recovery", ("recovery",)),
    "adult": ("spam/adult", ("adult",)),
    "giveaway": ("spam/giveaway", ("prize",)),
}
#: How much a word of a kind's own counts beside the log-odds of its family.
_WORD = 3.0


def labels_of(judged: Judged) -> dict[str, float]:
    """The kind that is nearest, with the score, and a second one if it is as near.

    The kinds of a family share the log-odds of its words; their own words tell them apart. Without
    any, the first kind of the family stands for it.
    """
    found = hits(judged.worst.part.words)
    points = {}
    for place, kinds in enumerate(FAMILIES.values()):
        for order, kind in enumerate(kinds):
            own = sum(min(2, found.get(group, 0)) for group in KINDS[kind][1])
            points[kind] = float(judged.worst.words[place]) - order + _WORD * own
    ranked = sorted(points, key=lambda kind: -points[kind])
    near = [kind for kind in ranked[:2] if points[kind] >= points[ranked[0]] - 1.0]
    return {KINDS[kind][0]: judged.score for kind in near}
