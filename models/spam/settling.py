"""Which texts need no embedding: the cut under which words and signals settle that all is well.

Words and signals are the student of the whole model: a linear model over n-grams and the cheap
features. A field is settled where its log-odds lie under a cut that was chosen on left-out
sources, such that nearly none of what the whole model puts over the lowest threshold of any
shipped policy lies under it (as ``quorum.models.scoring.student`` does for violence).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["FLOOR", "Outcome", "cut_of"]

#: The lowest score of spam that a rule of a shipped policy asks for.
FLOOR = 0.4
#: Share of ordinary texts, and of spam over the floor, that may be settled wrongly.
_DISAGREED, _MISSED = 0.0005, 0.01


@dataclass(frozen=True, slots=True)
class Outcome:
    """A left-out field.

    Attributes:
        cheap: Its log-odds before any meaning was asked.
        score: What the whole model says of it.
        spam: Whether it is spam.
    """

    cheap: float
    score: float
    spam: bool


def cut_of(outcomes: Sequence[Outcome], margin: float = 0.0) -> tuple[float, dict[str, Any]]:
    """The cut, and how it agrees with the whole model.

    Args:
        outcomes: Left-out fields of one group.
        margin: How far under what these fields ask for the cut lies, in log-odds: other fields
            will hold one that is lower still.

    Returns:
        The cut on the cheap log-odds; minus infinity if there is nothing to choose it by. The
        report is of the same fields.
    """
    usual = [one for one in outcomes if not one.spam]
    over = [one for one in outcomes if one.score >= FLOOR]
    of_usual = sorted(one.cheap for one in over if not one.spam)
    of_spam = sorted(one.cheap for one in over if one.spam)
    bounds = [
        found[spared]
        for found, spared in (
            (of_usual, int(_DISAGREED * len(usual))),
            (of_spam, int(_MISSED * len(of_spam))),
        )
        if len(found) > spared
    ]
    cut = min(bounds, default=float("-inf")) - margin
    report = {
        "ordinary": len(usual),
        "ordinary_over_the_floor": len(of_usual),
        "ordinary_missed": sum(one < cut for one in of_usual),
        "settled": round(float(np.mean([one.cheap < cut for one in usual] or [False])), 4),
        "spam_over_the_floor": len(of_spam),
        "spam_missed": sum(one < cut for one in of_spam),
    }
    return cut, report
