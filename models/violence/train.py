"""Train the violence detector's text half: ``python -m models.violence.train --texts FILE``.

``FILE`` is JSON lines with the keys ``prompt`` and ``V`` (1 for violence), as in the evaluation
set of OpenAI's moderation paper (Markov et al. 2023). Figures are of five folds by text, repeated
with three seeds; alike texts never stand on both sides of a split.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.artifacts import TrainingData, digest_of_file, write_artifact
from models.calibration import Platt, expected_calibration_error, prevalence_weights
from models.features.embedding import shared_embedder
from models.features.normalise import normalise
from models.linear import DenseLogistic
from models.violence.detector import ARTIFACT

#: Inverse of the L2 regularisation; of 0.3 to 30 the best of the folds.
STRENGTH = 0.3
_FOLDS = 5
_REPEATS = 3


def read(path: Path) -> tuple[list[str], NDArray[np.int64], TrainingData]:
    """Read normalised texts and labels."""
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    texts = [normalise(row["prompt"]) for row in rows]
    labels = np.array([int(row["V"]) for row in rows])
    name = f"openai/moderation-api-release, violence, {path.name}"
    return texts, labels, TrainingData(name, "MIT", len(rows), digest_of_file(path))


def out_of_fold(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Log-odds by models that have not seen the text, and the fold of each."""
    from sklearn.model_selection import StratifiedGroupKFold

    odds = np.zeros(len(labels))
    folds = np.zeros(len(labels), dtype=np.int64)
    splitter = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    for fold, (kept, out) in enumerate(splitter.split(vectors, labels, groups)):
        model = DenseLogistic.fit(vectors[kept], labels[kept], strength=STRENGTH, balanced=True)
        odds[out] = model.decide(vectors[out])
        folds[out] = fold
    return odds, folds


def measure(labels: NDArray[np.int64], repeats: list[NDArray[np.float64]]) -> dict[str, Any]:
    """Means over the repeats of ROC-AUC, PR-AUC and recall at 1 and 5 % false positives."""
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


def train(path: Path, out: Path, seed: int = 0) -> dict[str, Any]:
    """Train, measure and write the artifact; returns the figures."""
    texts, labels, source = read(path)
    known: dict[str, int] = {}
    groups = np.array([known.setdefault(text, len(known)) for text in texts])
    vectors = shared_embedder().embed(texts)
    runs = [out_of_fold(vectors, labels, groups, seed + repeat) for repeat in range(_REPEATS)]
    metrics = measure(labels, [odds for odds, _ in runs])
    odds, folds = runs[0]
    calibration = Platt.fit(odds, labels)
    made = np.zeros(len(labels))
    for fold in range(_FOLDS):
        held = folds == fold
        made[held] = Platt.fit(odds[~held], labels[~held]).apply(odds[held])
    weights = prevalence_weights(labels, calibration.prevalence)
    error = expected_calibration_error(made, labels, weights)
    model = DenseLogistic.fit(vectors, labels, strength=STRENGTH, balanced=True)
    write_artifact(
        out,
        detector="violence",
        tensors={"meaning.safetensors": model.as_tensors()},
        documents={"model.json": {"calibration": calibration.as_document()}},
        training_data=[source],
        metrics=metrics,
        calibration={
            **calibration.as_document(),
            "expected_calibration_error": round(error, 4),
            "split": "out of fold, for the model and for the calibration",
        },
        licence="Apache-2.0; trained on data under MIT",
        seed=seed,
    )
    return {**metrics, "expected_calibration_error": round(error, 4)}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--texts", type=Path, required=True, help="JSON lines with prompt and V")
    parser.add_argument("--out", type=Path, default=ARTIFACT, help="folder of the artifact")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(json.dumps(train(given.texts, given.out, given.seed), indent=2))


if __name__ == "__main__":
    main()
