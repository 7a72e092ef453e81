"""Train the half of the violence detector that reads words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.artifacts import TrainingData, digest_of_file
from models.calibration import Platt, expected_calibration_error, prevalence_weights
from models.features.embedding import shared_embedder
from models.features.normalise import normalise
from models.linear import DenseLogistic

__all__ = ["TextHalf", "train_text"]

#: Inverse of the L2 regularisation; of 0.3 to 30 the best of the folds.
STRENGTH = 0.3
_FOLDS = 5
_REPEATS = 3


@dataclass(frozen=True, slots=True)
class TextHalf:
    """What training gave.

    Attributes:
        model: Trained on all texts.
        calibration: Fitted on log-odds out of fold.
        metrics: Figures out of fold.
        source: What it was trained on.
        probabilities: Of each text, by models and a calibration that have not seen it.
        labels: 1 for violence.
    """

    model: DenseLogistic
    calibration: Platt
    metrics: dict[str, Any]
    source: TrainingData
    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]


def _read(path: Path) -> tuple[list[str], NDArray[np.int64], TrainingData]:
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    texts = [normalise(row["prompt"]) for row in rows]
    labels = np.array([int(row["V"]) for row in rows])
    name = f"openai/moderation-api-release, violence, {path.name}"
    return texts, labels, TrainingData(name, "MIT", len(rows), digest_of_file(path))


def _out_of_fold(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    from sklearn.model_selection import StratifiedGroupKFold

    odds = np.zeros(len(labels))
    folds = np.zeros(len(labels), dtype=np.int64)
    splitter = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    for fold, (kept, out) in enumerate(splitter.split(vectors, labels, groups)):
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
        "split": f"{_FOLDS} folds by text, {_REPEATS} seeds, same source",
        "rows": len(labels),
        "positives": int(labels.sum()),
        "roc_auc": mean([float(roc_auc_score(labels, odds)) for odds in repeats]),
        "pr_auc": mean([float(average_precision_score(labels, odds)) for odds in repeats]),
        "recall_at_1_percent_false_positives": mean([recall(odds, 0.01) for odds in repeats]),
        "recall_at_5_percent_false_positives": mean([recall(odds, 0.05) for odds in repeats]),
    }


def train_text(path: Path, seed: int) -> TextHalf:
    """Train and measure; alike texts never stand on both sides of a split.

    Args:
        path: JSON lines with the keys ``prompt`` and ``V`` (1 for violence), as in the evaluation
            set of OpenAI's moderation paper (Markov et al. 2023).
        seed: Of the folds.
    """
    texts, labels, source = _read(path)
    known: dict[str, int] = {}
    groups = np.array([known.setdefault(text, len(known)) for text in texts])
    vectors = shared_embedder().embed(texts)
    runs = [_out_of_fold(vectors, labels, groups, seed + repeat) for repeat in range(_REPEATS)]
    metrics = _measure(labels, [odds for odds, _ in runs])
    odds, folds = runs[0]
    calibration = Platt.fit(odds, labels)
    made = np.zeros(len(labels))
    for fold in range(_FOLDS):
        held = folds == fold
        made[held] = Platt.fit(odds[~held], labels[~held]).apply(odds[held])
    weights = prevalence_weights(labels, calibration.prevalence)
    error = expected_calibration_error(made, labels, weights)
    metrics["expected_calibration_error"] = round(error, 4)
    model = DenseLogistic.fit(vectors, labels, strength=STRENGTH, balanced=True)
    return TextHalf(model, calibration, metrics, source, made, labels)
