"""Train the violence detector.

``python -m models.violence.train --texts FILE --fights FOLDER [--innocent FOLDER]``. See
``train_text`` and ``train_frames`` for what the files hold and how each half is measured.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from models.artifacts import write_artifact
from models.calibration import expected_calibration_error, prevalence_weights
from models.violence.detector import ARTIFACT, fused
from models.violence.train_frames import SMOOTHING, FramesHalf, train_frames
from models.violence.train_text import TextHalf, train_text


def fusion(text: TextHalf, frames: FramesHalf, seed: int) -> dict[str, Any]:
    """Measure the fused score on texts paired with clips by chance, violent if either is.

    No data has both. Each half's probabilities are those out of fold.
    """
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(seed)
    # Nine texts of ten and nine clips of ten are innocent, so that about one pair in five is not.
    drawn = []
    for half in (text, frames):
        guilty = rng.random(20_000) < 0.1056
        places = [np.flatnonzero(half.labels == kind) for kind in (0, 1)]
        drawn.append(np.where(guilty, rng.choice(places[1], 20_000), rng.choice(places[0], 20_000)))
    scores = fused(text.probabilities[drawn[0]], frames.probabilities[drawn[1]])
    labels = text.labels[drawn[0]] | frames.labels[drawn[1]]
    weights = prevalence_weights(labels, 0.2)
    return {
        "split": "20,000 pairs by chance of a text and a clip, each scored out of fold",
        "roc_auc": round(float(roc_auc_score(labels, scores)), 4),
        "expected_calibration_error": round(expected_calibration_error(scores, labels, weights), 4),
    }


def train(
    texts: Path, fights: Path, innocent: Path | None, out: Path, seed: int, cache: Path | None
) -> dict[str, Any]:
    """Train, measure and write the artifact; returns the figures."""
    text = train_text(texts, seed)
    frames = train_frames(fights, innocent, seed, cache, lambda told: print(told, flush=True))
    metrics = {"text": text.metrics, "frames": frames.metrics, "both": fusion(text, frames, seed)}
    calibrations = {
        "text": text.calibration.as_document(),
        "frames": frames.calibration.as_document(),
    }
    write_artifact(
        out,
        detector="violence",
        tensors={
            "meaning.safetensors": text.model.as_tensors(),
            "fights.safetensors": frames.model.as_tensors(),
        },
        documents={"model.json": {"calibration": calibrations, "smoothing": SMOOTHING}},
        training_data=[text.source, *frames.sources],
        metrics=metrics,
        calibration=calibrations,
        licence="Apache-2.0; trained on data under MIT, CC BY 4.0, BSD, CC0 and Apache-2.0",
        seed=seed,
    )
    return metrics


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--texts", type=Path, required=True, help="JSON lines with prompt and V")
    parser.add_argument("--fights", type=Path, required=True, help="folder with clips.csv")
    parser.add_argument("--innocent", type=Path, help="folder of clips without fights")
    parser.add_argument("--out", type=Path, default=ARTIFACT, help="folder of the artifact")
    parser.add_argument("--cache", type=Path, help="where encoded clips are kept")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    made = train(given.texts, given.fights, given.innocent, given.out, given.seed, given.cache)
    print(json.dumps(made, indent=2))


if __name__ == "__main__":
    main()
