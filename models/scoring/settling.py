"""Where a small model may settle for a costly one that all is well: the cut on its log-odds.

A student of the whole model (of spam: words and signals; of violence: ``scoring.student``) settles
a text whose log-odds lie under the cut. The cut is chosen on texts of sources that the student was
not trained on, such that nearly none of what the whole model puts over the lowest threshold of any
shipped policy lies under it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Outcome", "agreement", "cut_of"]

#: Share of ordinary texts that may be settled wrongly.
_DISAGREED = 0.0005


@dataclass(frozen=True, slots=True)
class Outcome:
    """A left-out text.

    Attributes:
        cheap: Its log-odds by the student alone.
        score: What the whole model says of it.
        ordinary: Whether it is of ordinary traffic; else it is harmful, or resembles harm.
    """

    cheap: float
    score: float
    ordinary: bool


def cut_of(
    outcomes: Sequence[Outcome], floor: float, missed: float = 0.01, margin: float = 0.0
) -> tuple[float, dict[str, Any]]:
    """The cut, and how it agrees with the whole model.

    Args:
        outcomes: Left-out texts.
        floor: The lowest score that a rule of a shipped policy asks for.
        missed: Share of the other texts over the floor that may be settled wrongly.
        margin: How far under what these texts ask for the cut lies, in log-odds: other texts
            will hold one that is lower still.

    Returns:
        The cut on the student's log-odds; minus infinity if there is nothing to choose it by. The
        report is of the same texts.
    """
    usual = [one for one in outcomes if one.ordinary]
    over = [one for one in outcomes if one.score >= floor]
    of_usual = sorted(one.cheap for one in over if one.ordinary)
    of_others = sorted(one.cheap for one in over if not one.ordinary)
    bounds = [
        found[spared]
        for found, spared in (
            (of_usual, int(_DISAGREED * len(usual))),
            (of_others, int(missed * len(of_others))),
        )
        if len(found) > spared
    ]
    cut = min(bounds, default=float("-inf")) - margin
    return cut, agreement(outcomes, cut, floor)


def agreement(outcomes: Sequence[Outcome], cut: float, floor: float) -> dict[str, Any]:
    """How a cut agrees with the whole model on texts."""
    usual = [one for one in outcomes if one.ordinary]
    over = [one for one in outcomes if one.score >= floor]
    missed = [one.ordinary for one in over if one.cheap < cut]
    others = sum(not one.ordinary for one in over)
    return {
        "ordinary": len(usual),
        "ordinary_over_the_floor": len(over) - others,
        "ordinary_missed": sum(missed),
        "agreement": round(1 - sum(missed) / max(1, len(usual)), 5),
        "settled": round(float(np.mean([one.cheap < cut for one in usual] or [False])), 4),
        "harmful_over_the_floor": others,
        "harmful_missed": len(missed) - sum(missed),
    }
