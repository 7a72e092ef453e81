"""Train the frames head of the violence detector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import InputError, MediaRefused
from quorum.models.features.decode import decode
from quorum.models.registry.artifacts import TrainingData, digest_of_file
from quorum.models.scoring.linear import DenseLogistic
from quorum.models.scoring.timeline import smoothed
from quorum.models.training.trainer import calibrated, folds_of
from quorum.models.violence.head import TrainedHead
from quorum.models.violence.vision import describe, scenes, shared_encoder

__all__ = ["SMOOTHING", "Clip", "scene_features", "train_frames"]

#: Inverse L2 regularisation on standardised features; 0.01 to 0.1 give the same metrics.
STRENGTH = 0.03
#: Width of the moving average over scenes.
SMOOTHING = 3
_REPEATS = 5


@dataclass(frozen=True, slots=True)
class Clip:
    """A training clip.

    Attributes:
        scenes: Features of each scene by ``vision.describe``, shape (n, d).
        fight: 1 if it shows a fight.
        source: Its source; clips of one source stay in one fold.
        digest: Digest of the file.
        out_of_domain: Whether it is excluded from the headline metrics.
    """

    scenes: NDArray[np.float32]
    fight: int
    source: str
    digest: str
    out_of_domain: bool = False


def scene_features(path: Path, cache: Path | None = None) -> NDArray[np.float32]:
    """Compute the features of the scenes of a clip.

    Args:
        path: The file.
        cache: Cache folder, keyed by the file's digest.

    Raises:
        InputError: If no frame can be read.
    """
    kept = cache / f"{digest_of_file(path)[:24]}.npy" if cache else None
    if kept and kept.is_file():
        return np.asarray(np.load(kept, allow_pickle=False))
    try:
        made = decode(path, frames=True, audio=False, max_seconds=60.0, max_pixels=40_000_000)
    except MediaRefused as refused:
        msg = f"{path.name}: {refused}"
        raise InputError(msg) from None
    if made.frames is None:
        msg = f"{path.name}: {made.no_frames}"
        raise InputError(msg)
    encoder = shared_encoder()
    frames = made.frames
    features = np.stack([describe(encoder.encode(frames.pixels[one])) for one in scenes(frames)])
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, features, allow_pickle=False)
    return features


def _fit(clips: Sequence[Clip]) -> DenseLogistic:
    """Logistic regression on standardised scenes; the scaling is folded into the weights."""
    features = np.concatenate([clip.scenes for clip in clips]).astype(np.float64)
    labels = np.concatenate([np.full(len(clip.scenes), clip.fight) for clip in clips])
    centre, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    made = DenseLogistic.fit((features - centre) / scale, labels, strength=STRENGTH, balanced=True)
    weights = made.coefficients / scale
    return DenseLogistic(weights, made.intercept - float(weights @ centre))


def _decide(model: DenseLogistic, clip: Clip) -> float:
    return float(smoothed(model.decide(clip.scenes), SMOOTHING).max())


def train_frames(
    clips: Sequence[Clip],
    origins: Sequence[TrainingData],
    seed: int,
    progress: Callable[[str], None],
) -> TrainedHead:
    """Train and cross-validate; clips of one source stay in one fold.

    Args:
        clips: The clips.
        origins: Sources of the clips.
        seed: Seed of the folds.
        progress: Called with progress messages.

    Raises:
        InputError: If there are too few clips of a class, or the scores do not increase with the
            labels.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    labels = np.array([clip.fight for clip in clips])
    sources = [clip.source for clip in clips]
    names = [clip.digest for clip in clips]
    aucs, precisions, runs = [], [], []
    for repeat in range(_REPEATS):
        odds = np.zeros(len(clips))
        folds = np.full(len(clips), -1)
        for fold, (kept, out) in enumerate(folds_of(names, labels, sources, seed + repeat)):
            model = _fit([clips[index] for index in kept])
            odds[out] = [_decide(model, clips[index]) for index in out]
            folds[out] = fold
        measured_clips = (folds >= 0) & ~np.array([clip.out_of_domain for clip in clips])
        aucs.append(float(roc_auc_score(labels[measured_clips], odds[measured_clips])))
        precisions.append(
            float(average_precision_score(labels[measured_clips], odds[measured_clips]))
        )
        runs.append((odds, folds))
        progress(f"frames: folds of seed {seed + repeat} left out, ROC-AUC {aucs[-1]:.3f}")
    odds, folds = runs[0]
    seen = folds >= 0
    calibration, measured = calibrated(odds[seen], labels[seen], folds[seen])
    made, truth = calibration.apply(odds[seen]), labels[seen]
    out_of_domain = np.array([clip.out_of_domain for clip in clips])[seen]
    by = "source" if len(set(sources)) > 2 else "clip"
    metrics: dict[str, Any] = {
        "split": f"{len(set(folds[seen].tolist()))} folds by {by}, {_REPEATS} seeds",
        "rows": len(truth),
        "fights": int(truth.sum()),
        "roc_auc": round(float(np.mean(aucs)), 4),
        "roc_auc_deviation": round(float(np.std(aucs)), 4),
        "pr_auc": round(float(np.mean(precisions)), 4),
        "expected_calibration_error": measured["expected_calibration_error"],
        "recall_at_score_0.5": _share(made[truth == 1]),
        "false_positives_at_score_0.5": _share(made[(truth == 0) & ~out_of_domain]),
    }
    if out_of_domain.any():
        metrics["false_positives_at_score_0.5_other_clips"] = _share(
            made[out_of_domain & (truth == 0)]
        )
    return TrainedHead(_fit(clips), calibration, metrics, tuple(origins))


def _share(scores: NDArray[np.float64]) -> float | None:
    return round(float((scores >= 0.5).mean()), 4) if len(scores) else None
