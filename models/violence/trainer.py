"""Train the violence detector's words on a user's own texts: ``quorum models train violence``.

The half that looks at frames stays as it ships; ``python -m models.violence.train`` makes both.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from models.artifacts import open_artifact, write_artifact
from models.dataset import Labelled
from models.evaluation import evaluate
from models.features.embedding import shared_embedder
from models.linear import DenseLogistic
from models.training import calibrated, folds_of, normalised
from models.violence.detector import ARTIFACT
from models.violence.train_text import STRENGTH

__all__ = ["train_from"]


def train_from(
    data: Labelled, out: Path, seed: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """See ``models.training.Trainer``."""
    texts, labels = normalised(data), data.labels
    shipped = open_artifact(ARTIFACT, "violence")
    progress(f"embedding {len(texts)} texts")
    vectors = shared_embedder().embed(texts)
    odds = np.zeros(len(texts))
    folds = np.full(len(texts), -1)
    for fold, (kept, left) in enumerate(folds_of(texts, labels, data.sources, seed)):
        model = DenseLogistic.fit(vectors[kept], labels[kept], strength=STRENGTH, balanced=True)
        odds[left] = model.decide(vectors[left])
        folds[left] = fold
        progress(f"fold {fold + 1} left out")
    seen = folds >= 0
    calibration, told = calibrated(odds[seen], labels[seen], folds[seen])
    report = evaluate(labels[seen], calibration.apply(odds[seen]).tolist(), seed=seed)
    metrics = {
        "split": f"{len(set(folds[seen].tolist()))} folds, by source where there are several",
        "rows": report.rows,
        "positives": report.positives,
        **{name: round(figure.value, 4) for name, figure in report.figures.items()},
    }
    model = DenseLogistic.fit(vectors, labels, strength=STRENGTH, balanced=True)
    document = shipped.document("model.json")
    document["calibration"]["text"] = calibration.as_document()
    write_artifact(
        out,
        detector="violence",
        tensors={"meaning.safetensors": model.as_tensors()},
        documents={"model.json": document},
        others=[shipped.file("fights.safetensors")],
        training_data=[data.origin, *shipped.manifest.training_data[1:]],
        metrics={"text": metrics, "frames": shipped.manifest.metrics.get("frames", {})},
        calibration={"text": told},
        licence="as the training data allows",
        seed=seed,
    )
    return {**metrics, "calibration": told}
