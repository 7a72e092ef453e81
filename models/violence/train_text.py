"""Train the text head of the violence detector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.models.features.embedding import shared_embedder
from quorum.models.registry.artifacts import TrainingData
from quorum.models.scoring.linear import DenseLogistic
from quorum.models.training.trainer import calibrated, folds_of
from quorum.models.violence.head import TrainedHead

__all__ = ["STRENGTH", "train_text"]

#: Inverse L2 regularisation; the best of 0.3 to 100 in cross-validation.
STRENGTH = 3.0
_REPEATS = 3


def _out_of_fold(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64],
    texts: list[str],
    sources: list[str],
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    odds = np.zeros(len(labels))
    folds = np.full(len(labels), -1)
    for fold, (kept, out) in enumerate(folds_of(texts, labels, sources, seed)):
        model = DenseLogistic.fit(vectors[kept], labels[kept], strength=STRENGTH, balanced=True)
        odds[out] = model.decide(vectors[out])
        folds[out] = fold
    return odds, folds


def _measure(labels: NDArray[np.int64], repeats: list[NDArray[np.float64]]) -> dict[str, Any]:
    from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

    def recall(odds: NDArray[np.float64], rate: float) -> float:
        false_positives, true_positives, _ = roc_curve(labels, odds)
        return float(true_positives[false_positives <= rate].max())

    def mean(values: list[float]) -> float:
        return round(float(np.mean(values)), 4)

    return {
        "rows": len(labels),
        "positives": int(labels.sum()),
        "roc_auc": mean([float(roc_auc_score(labels, odds)) for odds in repeats]),
        "pr_auc": mean([float(average_precision_score(labels, odds)) for odds in repeats]),
        "recall_at_1_percent_false_positives": mean([recall(odds, 0.01) for odds in repeats]),
        "recall_at_5_percent_false_positives": mean([recall(odds, 0.05) for odds in repeats]),
    }


def train_text(
    texts: list[str],
    labels: NDArray[np.int64],
    sources: list[str],
    origins: Sequence[TrainingData],
    seed: int,
    progress: Callable[[str], None],
) -> TrainedHead:
    """Train and cross-validate; texts of one source, or near-duplicates, stay in one fold.

    Args:
        texts: Normalised texts.
        labels: 1 for violence.
        sources: Source of each text.
        origins: Sources of the texts.
        seed: Seed of the folds.
        progress: Called with progress messages.

    Raises:
        InputError: If there are too few examples of a class, or the scores do not increase with
            the labels.
    """
    progress(f"embedding {len(texts)} texts")
    vectors = shared_embedder().embed(texts)
    runs = []
    for repeat in range(_REPEATS):
        runs.append(_out_of_fold(vectors, labels, texts, sources, seed + repeat))
        progress(f"words: folds of seed {seed + repeat} left out")
    odds, folds = runs[0]
    seen = folds >= 0
    calibration, calibration_report = calibrated(odds[seen], labels[seen], folds[seen])
    count = len(set(folds[seen].tolist()))
    by = "source" if len(set(sources)) > 2 else "text"
    metrics = {
        "split": f"{count} folds by {by}, {_REPEATS} seeds",
        **_measure(labels[seen], [odds[seen] for odds, _ in runs]),
        "expected_calibration_error": calibration_report["expected_calibration_error"],
    }
    model = DenseLogistic.fit(vectors, labels, strength=STRENGTH, balanced=True)
    return TrainedHead(
        model, calibration, metrics, tuple(origins), calibration.apply(odds[seen]), labels[seen]
    )
