"""Spam in an upload's description, composed: there is no such data that may be used.

A spam comment of a source is put between the lines of an honest description of a channel, both of
which the model of the fold has not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quorum.models.spam.folds import FOLDS, Examples
from quorum.models.spam.reading import FieldKind, Unit, units_of
from quorum.models.spam.sources import Row

__all__ = ["Composed", "composed"]

#: How many are made for each fold.
_EACH = 100


@dataclass(frozen=True, slots=True)
class Composed:
    """A description with spam in it.

    Attributes:
        unit: The field.
        fold: Which fold left both out.
        source: Where the spam is from.
    """

    unit: Unit
    fold: int
    source: str


def composed(examples: Examples, seed: int) -> list[Composed]:
    """Honest descriptions with a line of spam each."""
    rng = np.random.default_rng(seed)
    made = []
    for fold in range(FOLDS):
        honest: list[Row] = []
        spam: list[Row] = []
        for row, of_row in zip(examples.rows, examples.folds, strict=True):
            if of_row == fold and row.kind is FieldKind.DESCRIPTION and not row.composed:
                (spam if row.label else honest).append(row)
        honest = [row for row in honest if row.source == "youtube_uploads"]
        spam = [row for row in spam if row.source != "made"]
        if not honest or not spam:
            continue
        for _ in range(_EACH):
            lines = honest[int(rng.integers(len(honest)))].text.splitlines()
            chosen = spam[int(rng.integers(len(spam)))]
            lines.insert(int(rng.integers(len(lines) + 1)), chosen.text)
            (unit,) = units_of({"description": "\n".join(lines)})
            made.append(Composed(unit, fold, chosen.source))
    return made
