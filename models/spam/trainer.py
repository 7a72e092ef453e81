"""Train the spam detector on custom labelled uploads: ``quorum models train spam``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.models.features.text import text_of
from quorum.models.scoring.calibration import Platt
from quorum.models.spam.judge import judge
from quorum.models.spam.model import GROUPS, Heads, SpamModel, Stack
from quorum.models.spam.reading import Part, units_of
from quorum.models.spam.vectors import CachedVectors, vectors_of
from quorum.models.training.dataset import Labelled
from quorum.models.training.evaluation import evaluate
from quorum.models.training.trainer import calibrated, folds_of, normalised

__all__ = ["train_from"]

#: Parts of a long field that are trained on.
_PARTS = 3
#: What a head's log-odds must reach to count as evidence of its own.
_CLEAR = {"words": 1.0, "meaning": 1.0}


def train_from(
    data: Labelled, out: Path, seed: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """See ``quorum.models.training.trainer.Trainer``.

    The label of an upload is that of each of its fields: which one holds the spam is not known.
    """
    texts, labels = normalised(data), data.labels
    fields = [units_of(text_of(one)[0].fields, one.uploader) for one in data.uploads]
    owners: list[int] = []
    parts: list[Part] = []
    for index, units in enumerate(fields):
        for unit in units:
            parts += unit.trained[:_PARTS]
            owners += [index] * len(unit.trained[:_PARTS])
    owner = np.array(owners)
    embed = CachedVectors()
    progress(f"embedding {len(parts)} parts of {len(texts)} texts")
    vectors = vectors_of(parts, embed)
    of_part = labels[owner]
    folds = np.full(len(texts), -1)
    columns = np.zeros((len(parts), Stack.width()))
    held: list[tuple[NDArray[np.int64], Heads]] = []
    for fold, (kept, left) in enumerate(folds_of(texts, labels, data.sources, seed)):
        heads = _fit(parts, of_part, vectors, np.flatnonzero(np.isin(owner, kept)))
        places = np.flatnonzero(np.isin(owner, left))
        if len(places):
            chosen = [parts[place] for place in places]
            words, signals = heads.cheap(chosen)
            meaning = heads.means(chosen, np.nan_to_num(vectors[places]))
            columns[places] = Stack.columns(words, signals, meaning)
        folds[left] = fold
        held.append((left, heads))
        progress(f"fold {fold + 1} left out")
    told = folds[owner] >= 0
    stack = Stack.fit(columns[told], of_part[told], np.ones(int(told.sum())))
    stacks = dict.fromkeys(GROUPS, stack)
    odds = np.full(len(texts), -stack.most_of_meaning)
    plain = dict.fromkeys(GROUPS, Platt(1.0, 0.0))
    for left, heads in held:
        model = SpamModel(heads, stacks, plain, _CLEAR)
        for index, one in zip(left, judge(model, [fields[i] for i in left], embed), strict=True):
            if one is not None:
                odds[index] = one.raw
    seen = folds >= 0
    calibration, calibration_report = calibrated(odds[seen], labels[seen], folds[seen])
    report = evaluate(labels[seen], calibration.apply(odds[seen]).tolist(), seed=seed)
    metrics = {
        "split": f"{len(set(folds[seen].tolist()))} folds, by source where there are several",
        "rows": report.rows,
        "positives": report.positives,
        **{name: round(figure.value, 4) for name, figure in report.figures.items()},
    }
    progress("training on all")
    heads = _fit(parts, of_part, vectors, np.arange(len(parts)))
    SpamModel(heads, stacks, dict.fromkeys(GROUPS, calibration), _CLEAR).write(
        out,
        training_data=[data.origin],
        metrics=metrics,
        calibration_report=calibration_report,
        licence="as the training data allows",
        seed=seed,
    )
    return {**metrics, "calibration": calibration_report}


def _fit(
    parts: list[Part],
    labels: NDArray[np.int64],
    vectors: NDArray[np.float32],
    chosen: NDArray[np.int64],
) -> Heads:
    of_chosen = labels[chosen]
    return Heads.fit(
        [parts[index] for index in chosen],
        of_chosen,
        ["promotion" if one else "" for one in of_chosen],
        [""] * len(chosen),
        np.ones(len(chosen)),
        vectors[chosen],
    )
