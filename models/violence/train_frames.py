"""Train the heads of the violence detector that watch: what is shown, and how it moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quorum.core.errors import InputError, MediaRefused
from quorum.models.features.decode import decode
from quorum.models.features.motion import STATISTICS
from quorum.models.registry.artifacts import TrainingData, digest_of_file
from quorum.models.scoring.calibration import (
    REFERENCE_PREVALENCE,
    Platt,
    expected_calibration_error,
    prevalence_weights,
)
from quorum.models.scoring.linear import DenseLogistic
from quorum.models.training.trainer import folds_of
from quorum.models.violence.fights import Fights, Moving, pairs
from quorum.models.violence.head import TrainedFights
from quorum.models.violence.vision import describe, scenes, shared_encoder

__all__ = ["SMOOTHING", "Clip", "clip_features", "train_frames"]

#: Inverse L2 regularisation of what is shown, on standardised features.
STRENGTH: Final = 0.03
#: The same of movement: one of these is chosen within the folds.
_STRENGTHS: Final = (0.03, 0.1, 0.3, 1.0)
#: Width of the moving average over scenes.
SMOOTHING: Final = 3
_REPEATS: Final = 3
#: Clips of each class whose movement is known, from which it is judged, too.
_FEWEST_MOVING: Final = 20
_DRAWS: Final = 1000

_Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Clip:
    """A training clip.

    Attributes:
        scenes: Features of each scene by ``vision.describe``, shape (n, d).
        fight: 1 if it shows a fight.
        source: Its source; clips of one source stay in one fold.
        digest: Digest of the file.
        out_of_domain: Whether it is excluded from the headline metrics.
        windows: Statistics of each window by ``features.motion``, shape (m, k); m is 0 where no
            movement is known.
    """

    scenes: NDArray[np.float32]
    fight: int
    source: str
    digest: str
    out_of_domain: bool
    windows: NDArray[np.float32]


def clip_features(
    path: Path, cache: Path | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute the features of the scenes of a clip, and the statistics of its windows.

    Args:
        path: The file.
        cache: Cache folder, keyed by the file's digest.

    Raises:
        InputError: If no frame can be read.
    """
    digest = digest_of_file(path)[:24]
    kept = [cache / f"{digest}{end}" for end in (".npy", ".motion.npy")] if cache else []
    if kept and all(one.is_file() for one in kept):
        shown, moves = (np.asarray(np.load(one, allow_pickle=False)) for one in kept)
        return shown, moves
    try:
        made = decode(
            path, frames=True, audio=False, max_seconds=60.0, max_pixels=40_000_000, motion=True
        )
    except MediaRefused as refused:
        msg = f"{path.name}: {refused}"
        raise InputError(msg) from None
    if made.frames is None:
        msg = f"{path.name}: {made.no_frames}"
        raise InputError(msg)
    moves = np.zeros((0, len(STATISTICS)), np.float32)
    if made.motion is not None and made.motion.name == made.frames.name:
        moves = made.motion.statistics
    encoder, frames = shared_encoder(), made.frames
    shown = np.stack([describe(encoder.encode(frames.pixels[one])) for one in scenes(frames)])
    for one, array in zip(kept, (shown, moves), strict=False):
        one.parent.mkdir(parents=True, exist_ok=True)
        np.save(one, array, allow_pickle=False)
    return shown, moves


def _weights(clips: Sequence[Clip]) -> _Array:
    """How much each clip counts: a source by the square root of its clips, both classes alike."""
    count = Counter(clip.source for clip in clips)
    made = np.array([count[clip.source] ** -0.5 for clip in clips])
    fights = np.array([clip.fight == 1 for clip in clips])
    for one in (fights, ~fights):
        made[one] *= len(clips) / 2 / made[one].sum()
    return made


def _fit(
    parts: Sequence[NDArray[np.float32]], clips: Sequence[Clip], strength: float
) -> DenseLogistic:
    """Logistic regression on the parts of clips; the parts of one share its weight."""
    return DenseLogistic.fit_scaled(
        np.concatenate(parts),
        np.concatenate(
            [np.full(len(part), clip.fight) for part, clip in zip(parts, clips, strict=True)]
        ),
        strength=strength,
        weights=np.concatenate(
            [
                np.full(len(part), one / len(part))
                for part, one in zip(parts, _weights(clips), strict=True)
            ]
        ),
    )


def _heads(clips: Sequence[Clip], strengths: Iterable[float]) -> dict[float, Fights]:
    """Heads without a calibration, by the strength of the one of movement."""
    none = Platt(1.0, 0.0)
    head = _fit([clip.scenes for clip in clips], clips, STRENGTH)
    moving = [clip for clip in clips if len(clip.windows)]
    sides = DenseLogistic(np.ones(2), 0.0)
    return {
        strength: Fights(
            head,
            none,
            SMOOTHING,
            Moving(_fit([clip.windows for clip in moving], moving, strength), sides),
        )
        if _enough(moving)
        else Fights(head, none, SMOOTHING)
        for strength in strengths
    }


def _enough(clips: Sequence[Clip]) -> bool:
    fights = sum(clip.fight for clip in clips)
    return min(fights, len(clips) - fights) >= _FEWEST_MOVING


def _folds(clips: Sequence[Clip], seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    labels = np.array([clip.fight for clip in clips])
    try:
        return list(
            folds_of([clip.digest for clip in clips], labels, [clip.source for clip in clips], seed)
        )
    except InputError:  # what is left of few examples is too little for that
        from sklearn.model_selection import StratifiedKFold

        least = int(min(labels.sum(), (1 - labels).sum()))
        split = StratifiedKFold(max(2, least), shuffle=True, random_state=seed)
        return list(split.split(labels, labels)) if least >= 2 else []


def _trained(clips: Sequence[Clip], seed: int) -> Fights:
    """Heads with all that is chosen by folds within these clips: strength, weights, calibration.

    Raises:
        InputError: If there are too few clips, or the scores do not rise with the labels.
    """
    shown = np.full(len(clips), np.nan)
    moves = {strength: shown.copy() for strength in _STRENGTHS}
    for kept, out in _folds(clips, seed):
        for strength, made in _heads([clips[index] for index in kept], _STRENGTHS).items():
            for index in out:
                of_scenes, of_windows = made.odds(clips[index].scenes, clips[index].windows)
                shown[index] = of_scenes.max()
                if of_windows is not None:
                    moves[strength][index] = of_windows.max()
    labels = np.array([clip.fight for clip in clips])
    seen = ~np.isnan(shown)
    try:
        calibration = Platt.fit(shown[seen], labels[seen])
    except ValueError as error:
        raise InputError(str(error)) from None
    found: list[tuple[float, float, DenseLogistic]] = []  # loss, strength, judge of both
    for strength, odds in moves.items():
        known = seen & ~np.isnan(odds)
        chosen = [clips[index] for index in np.flatnonzero(known).tolist()]
        if _enough(chosen):
            loss, together = _together(shown[known], odds[known], chosen)
            found.append((loss, strength, together))
    if not found:
        (made,) = _heads(clips, [STRENGTH]).values()
        return replace(made, calibration=calibration, moving=None)
    _, strength, together = min(found, key=lambda one: one[0])
    (made,) = _heads(clips, [strength]).values()
    moving = None if made.moving is None else replace(made.moving, together=together)
    return replace(made, calibration=calibration, moving=moving)


def _together(shown: _Array, moves: _Array, clips: Sequence[Clip]) -> tuple[float, DenseLogistic]:
    """Judge by both log-odds of clips that were left out; the loss, and the judge."""
    fights = np.array([clip.fight == 1 for clip in clips])
    weights = _weights(clips)
    # Both classes count alike there: here as much as the reference prevalence says.
    weights *= np.where(fights, REFERENCE_PREVALENCE, 1 - REFERENCE_PREVALENCE) * 2
    both = pairs(shown, moves)
    made = DenseLogistic.fit_scaled(both, fights, strength=1.0, weights=weights, never_against=True)
    odds = made.decide(both)
    loss = float(weights @ (np.logaddexp(0.0, odds) - fights * odds))
    return loss, made


def train_frames(
    clips: Sequence[Clip],
    origins: Sequence[TrainingData],
    seed: int,
    progress: Callable[[str], None],
) -> TrainedFights:
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
    labels = np.array([clip.fight for clip in clips])
    sources = [clip.source for clip in clips]
    names = [clip.digest for clip in clips]
    runs: list[tuple[_Array, _Array]] = []
    folds = 0
    for repeat in range(_REPEATS):
        scores, alone = np.full(len(clips), np.nan), np.full(len(clips), np.nan)
        folds = 0
        for kept, out in folds_of(names, labels, sources, seed + repeat):
            made = _trained([clips[index] for index in kept], seed)
            folds += 1
            for index in out:
                scores[index] = made.scores(clips[index].scenes, clips[index].windows)[0].max()
                alone[index] = made.scores(clips[index].scenes, None)[0].max()
        runs.append((scores, alone))
        progress(f"frames: folds of seed {seed + repeat} left out")
    by = "source" if len(set(sources)) > 2 else "clip"
    metrics = {
        "split": f"{folds} folds by {by}, {_REPEATS} seeds; all that is chosen within the folds",
        **_figures(clips, runs),
    }
    return TrainedFights(_trained(clips, seed), metrics, tuple(origins))


def _figures(clips: Sequence[Clip], runs: Sequence[tuple[_Array, _Array]]) -> dict[str, Any]:
    """The metrics of clips left out: scores, and those by what is shown alone, for each seed."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    labels = np.array([clip.fight for clip in clips])
    other = np.array([clip.out_of_domain for clip in clips])
    seen = ~np.isnan(runs[0][0])
    watched = seen & ~other
    truth = labels[watched]
    aucs, alone = (
        [float(roc_auc_score(truth, run[which][watched])) for run in runs] for which in (0, 1)
    )
    scores = runs[0][0]
    metrics: dict[str, Any] = {
        "rows": int(seen.sum()),
        "fights": int(labels[seen].sum()),
        "with_motion": sum(len(clip.windows) > 0 for clip in clips),
        "roc_auc": round(float(np.mean(aucs)), 4),
        "roc_auc_deviation": round(float(np.std(aucs)), 4),
        "roc_auc_without_motion": round(float(np.mean(alone)), 4),
        "pr_auc": round(float(average_precision_score(truth, scores[watched])), 4),
        "expected_calibration_error": round(
            expected_calibration_error(
                scores[seen],
                labels[seen],
                prevalence_weights(labels[seen], REFERENCE_PREVALENCE),
            ),
            4,
        ),
        "recall_at_score_0.5": _share(scores[watched & (labels == 1)]),
        "false_positives_at_score_0.5": _share(scores[watched & (labels == 0)]),
    }
    if (seen & other).any():
        metrics["false_positives_at_score_0.5_other_clips"] = _share(
            scores[seen & other & (labels == 0)]
        )
    drawn = _drawn(
        [clip.source for clip, one in zip(clips, watched, strict=True) if one],
        truth,
        [(run[0][watched], run[1][watched]) for run in runs],
    )
    if drawn is not None:
        metrics["gain_by_motion_95"] = [round(float(one), 4) for one in drawn]
    return metrics


def _drawn(
    sources: Sequence[str], truth: NDArray[np.int64], runs: Sequence[tuple[_Array, _Array]]
) -> _Array | None:
    """95 % interval of the gain of ROC-AUC by movement, over draws of sources with replacement."""
    from sklearn.metrics import roc_auc_score

    rows = {name: np.flatnonzero(np.array(sources) == name) for name in sorted(set(sources))}
    if len(rows) < 5:
        return None
    chance = np.random.default_rng(0)
    both, alone = (np.mean([run[which] for run in runs], axis=0) for which in (0, 1))
    gains = []
    for _ in range(_DRAWS):
        chosen = np.concatenate([rows[one] for one in chance.choice(list(rows), len(rows))])
        if 0 < truth[chosen].sum() < len(chosen):
            gains.append(
                roc_auc_score(truth[chosen], both[chosen])
                - roc_auc_score(truth[chosen], alone[chosen])
            )
    return np.asarray(np.quantile(gains, (0.025, 0.975)))


def _share(scores: _Array) -> float | None:
    return round(float((scores >= 0.5).mean()), 4) if len(scores) else None
