"""Train the spam detector on custom labelled texts: ``quorum models train spam``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from quorum.models.features.embedding import shared_embedder
from quorum.models.spam.model import SpamModel
from quorum.models.training.dataset import Labelled
from quorum.models.training.evaluation import evaluate
from quorum.models.training.trainer import calibrated, folds_of, normalised

__all__ = ["train_from"]


def train_from(
    data: Labelled, out: Path, seed: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """See ``quorum.models.training.trainer.Trainer``."""
    texts, labels = normalised(data), data.labels
    progress(f"embedding {len(texts)} texts")
    vectors = shared_embedder().embed(texts)
    odds = np.zeros(len(texts))
    folds = np.full(len(texts), -1)
    for fold, (kept, left) in enumerate(folds_of(texts, labels, data.sources, seed)):
        model = SpamModel.fit([texts[index] for index in kept], vectors[kept], labels[kept])
        odds[left] = model.decide([texts[index] for index in left], vectors[left])
        folds[left] = fold
        progress(f"fold {fold + 1} left out")
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
    SpamModel.fit(texts, vectors, labels).write(
        out,
        training_data=[data.origin],
        metrics=metrics,
        calibration=calibration,
        calibration_report=calibration_report,
        licence="as the training data allows",
        seed=seed,
    )
    return {**metrics, "calibration": calibration_report}
