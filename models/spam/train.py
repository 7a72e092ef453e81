"""Train the spam detector: ``python -m quorum.models.spam.train --data FOLDER``.

``FOLDER`` holds the YouTube Spam Collection (UCI 380): one CSV per video with the columns
``CONTENT`` and ``CLASS``. Metrics are by leave-one-video-out cross-validation, and the
probabilities are calibrated on the out-of-fold scores.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.models.features.embedding import shared_embedder
from quorum.models.features.normalise import normalise
from quorum.models.registry.artifacts import TrainingData, digest_of_file
from quorum.models.scoring.calibration import Platt, expected_calibration_error, prevalence_weights
from quorum.models.spam.detector import ARTIFACT
from quorum.models.spam.model import SpamModel, weighted_mean


@dataclass(frozen=True)
class Comments:
    """Labelled comments.

    Attributes:
        texts: Normalised.
        labels: 1 for spam.
        videos: Index of the video of each comment.
        names: Names of the videos.
    """

    texts: list[str]
    labels: NDArray[np.int64]
    videos: NDArray[np.int64]
    names: list[str]


def read_comments(folder: Path) -> tuple[Comments, list[TrainingData]]:
    """Read the files of the collection."""
    texts: list[str] = []
    labels: list[int] = []
    videos: list[int] = []
    sources = []
    files = sorted(folder.glob("*.csv"))
    for index, path in enumerate(files):
        with path.open(encoding="utf-8", newline="") as file:
            rows = [(normalise(row["CONTENT"]), int(row["CLASS"])) for row in csv.DictReader(file)]
        texts.extend(text for text, _ in rows)
        labels.extend(label for _, label in rows)
        videos.extend([index] * len(rows))
        sources.append(
            TrainingData(
                f"YouTube Spam Collection (UCI 380), {path.name}",
                "CC BY 4.0",
                len(rows),
                digest_of_file(path),
            )
        )
    names = [path.stem for path in files]
    return Comments(texts, np.array(labels), np.array(videos), names), sources


def cross_validate(data: Comments, vectors: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """Out-of-fold log-odds of each comment, by models that have not seen its video."""
    odds = {name: np.zeros(len(data.texts)) for name in ("words", "meaning", "both")}
    for video in range(len(data.names)):
        out = data.videos == video
        kept = [text for text, leave in zip(data.texts, out, strict=True) if not leave]
        left = [text for text, leave in zip(data.texts, out, strict=True) if leave]
        model = SpamModel.fit(kept, vectors[~out], data.labels[~out])
        odds["words"][out] = model.words.decide(left)
        odds["meaning"][out] = model.meaning.decide(vectors[out])
    odds["both"] = weighted_mean(odds["words"], odds["meaning"])
    return odds


def measure(data: Comments, odds: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    """ROC-AUC per held-out video and on average, PR-AUC, and recall at 1 % false positives."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    def by_video(scores: NDArray[np.float64]) -> list[float]:
        return [
            float(roc_auc_score(data.labels[data.videos == video], scores[data.videos == video]))
            for video in range(len(data.names))
        ]

    of_both = by_video(odds["both"])
    innocent = np.sort(odds["both"][data.labels == 0])
    threshold = innocent[int(np.ceil(0.99 * len(innocent))) - 1]
    return {
        "split": "leave one video out",
        "rows": len(data.texts),
        "roc_auc": round(float(np.mean(of_both)), 4),
        "roc_auc_by_video": {
            name: round(value, 4) for name, value in zip(data.names, of_both, strict=True)
        },
        "roc_auc_words_only": round(float(np.mean(by_video(odds["words"]))), 4),
        "roc_auc_embedding_only": round(float(np.mean(by_video(odds["meaning"]))), 4),
        "pr_auc": round(float(average_precision_score(data.labels, odds["both"])), 4),
        "recall_at_1_percent_false_positives": round(
            float((odds["both"][data.labels == 1] > threshold).mean()), 4
        ),
    }


def calibrate(odds: NDArray[np.float64], data: Comments) -> tuple[Platt, dict[str, Any]]:
    """Fit the calibration on all out-of-fold scores; measure it by leave-one-video-out."""
    made = np.zeros(len(odds))
    for video in range(len(data.names)):
        out = data.videos == video
        made[out] = Platt.fit(odds[~out], data.labels[~out]).apply(odds[out])
    final = Platt.fit(odds, data.labels)
    weights = prevalence_weights(data.labels, final.prevalence)
    error = expected_calibration_error(made, data.labels, weights)
    return final, {
        **final.as_document(),
        "expected_calibration_error": round(error, 4),
        "split": "leave one video out, for the model and for the calibration",
    }


def train(folder: Path, out: Path) -> dict[str, Any]:
    """Train, evaluate and write the artifact; returns the metrics."""
    data, sources = read_comments(folder)
    vectors = shared_embedder().embed(data.texts)
    odds = cross_validate(data, vectors)
    metrics = measure(data, odds)
    calibration, calibration_report = calibrate(odds["both"], data)
    SpamModel.fit(data.texts, vectors, data.labels).write(
        out,
        training_data=sources,
        metrics=metrics,
        calibration=calibration,
        calibration_report=calibration_report,
        licence="Apache-2.0; trained on data under CC BY 4.0",
        seed=0,
    )
    return {**metrics, "calibration": calibration_report}


def main() -> None:
    """Command-line entry point."""
    import json

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True, help="folder of the collection")
    parser.add_argument("--out", type=Path, default=ARTIFACT, help="folder of the artifact")
    given = parser.parse_args()
    print(json.dumps(train(given.data, given.out), indent=2))


if __name__ == "__main__":
    main()
