"""Train the text head of the violence detector on a user's own texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.models.features.embedding import shared_embedder
from quorum.models.registry.artifacts import TrainingData
from quorum.models.training.trainer import calibrated, folds_of
from quorum.models.violence.head import TrainedWords
from quorum.models.violence.network import Network, Recipe, train_network
from quorum.models.violence.words import features_of

__all__ = ["RECIPE", "measured", "recall_at", "train_binary", "train_text"]

#: Chosen over sources left out (the card tells which).
RECIPE = Recipe()
_REPEATS = 3


def train_binary(features: NDArray[np.float32], labels: NDArray[np.int64], seed: int) -> Network:
    """A network that tells violence from the rest; both count alike, however many there are."""
    positive = labels == 1
    weights = np.where(positive, 1 / max(1, positive.sum()), 1 / max(1, (~positive).sum()))
    kinds = ["violence" if one else "other" for one in positive]
    return train_network(features, kinds, weights, RECIPE, seed)


def _out_of_fold(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    texts: list[str],
    sources: list[str],
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    odds = np.zeros(len(labels))
    folds = np.full(len(labels), -1)
    for fold, (kept, out) in enumerate(folds_of(texts, labels, sources, seed)):
        odds[out] = train_binary(features[kept], labels[kept], seed).answer(features[out]).odds
        folds[out] = fold
    return odds, folds


def recall_at(labels: NDArray[np.int64], odds: NDArray[np.float64], rate: float) -> float:
    """Highest recall at a share of false positives of at most ``rate``."""
    from sklearn.metrics import roc_curve

    false_positives, true_positives, _ = roc_curve(labels, odds)
    return float(true_positives[false_positives <= rate].max())


def measured(labels: NDArray[np.int64], repeats: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
    """Ranking metrics, the mean over repeats of log-odds of the same examples."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    def mean(values: list[float]) -> float:
        return round(float(np.mean(values)), 4)

    return {
        "rows": len(labels),
        "positives": int(labels.sum()),
        "roc_auc": mean([float(roc_auc_score(labels, odds)) for odds in repeats]),
        "pr_auc": mean([float(average_precision_score(labels, odds)) for odds in repeats]),
        "recall_at_1_percent_false_positives": mean(
            [recall_at(labels, odds, 0.01) for odds in repeats]
        ),
        "recall_at_5_percent_false_positives": mean(
            [recall_at(labels, odds, 0.05) for odds in repeats]
        ),
    }


def train_text(
    texts: list[str],
    labels: NDArray[np.int64],
    sources: list[str],
    origins: Sequence[TrainingData],
    seed: int,
    progress: Callable[[str], None],
) -> TrainedWords:
    """Train and cross-validate; texts of one source, or near-duplicates, stay in one fold.

    Args:
        texts: Normalised texts.
        labels: 1 for violence.
        sources: Source of each text.
        origins: Sources of the texts.
        seed: Seed of the folds and of the network.
        progress: Called with progress messages.

    Raises:
        InputError: If there are too few examples of a class, or the scores do not increase with
            the labels.
    """
    progress(f"embedding {len(texts)} texts")
    features = features_of(texts, shared_embedder().embed_layers(texts))
    runs = []
    for repeat in range(_REPEATS):
        runs.append(_out_of_fold(features, labels, texts, sources, seed + repeat))
        progress(f"words: folds of seed {seed + repeat} left out")
    odds, folds = runs[0]
    seen = folds >= 0
    calibration, calibration_report = calibrated(odds[seen], labels[seen], folds[seen])
    count = len(set(folds[seen].tolist()))
    by = "source" if len(set(sources)) > 2 else "text"
    metrics = {
        "split": f"{count} folds by {by}, {_REPEATS} seeds",
        **measured(labels[seen], [odds[seen] for odds, _ in runs]),
        "expected_calibration_error": calibration_report["expected_calibration_error"],
    }
    network = train_binary(features, labels, seed)
    return TrainedWords(network, None, calibration, None, metrics, tuple(origins))
