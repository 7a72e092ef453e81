"""Measure a detector's scores: ranking, thresholds, calibration; with intervals, and by slice.

Intervals are percentile bootstrap intervals of 95 % (Efron and Tibshirani 1993). Two versions are
compared on the same examples by a paired bootstrap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quorum.models.scoring.calibration import (
    REFERENCE_PREVALENCE,
    expected_calibration_error,
    prevalence_weights,
)

__all__ = ["Comparison", "Errors", "Figure", "Report", "compare", "evaluate", "recall_at"]

_Metric = Callable[[NDArray[np.int64], NDArray[np.float64]], float]


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured number with its interval of 95 %; NaN if it cannot be measured."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True, slots=True)
class Errors:
    """How wrong the scores of one slice are; None where there is nothing to measure it on.

    Attributes:
        recall: Share of the harmful examples that score 0.5 or more.
        false_positives: The same share of the others.
        calibration: Expected calibration error at the reference prevalence.
    """

    recall: float | None
    false_positives: float | None
    calibration: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """The result of an evaluation.

    Attributes:
        rows: Examples that were scored.
        positives: Of these with the harm.
        unscored: Examples on which the detector abstained or failed.
        figures: By metric.
        slices: By the name of a slice, such as ``language=de``: its rows, positives and ROC-AUC.
        errors: Of the same slices: errors at the score 0.5, and of the calibration.
    """

    rows: int
    positives: int
    unscored: int
    figures: Mapping[str, Figure]
    slices: Mapping[str, tuple[int, int, Figure]]
    errors: Mapping[str, Errors] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of a comparison of two versions.

    Attributes:
        old: ROC-AUC of the version in use.
        new: ROC-AUC of the candidate.
        difference: New less old, with its paired interval.
        p_value: Two-sided, of the paired bootstrap: the chance of a difference as large.
        ship: Whether the candidate is better beyond chance, or no worse than the margin.
        why: The reason.
    """

    old: Figure
    new: Figure
    difference: Figure
    p_value: float
    ship: bool
    why: str


def _roc_auc(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores)) if _has_both(labels) else float("nan")


def _has_both(labels: NDArray[np.int64]) -> bool:
    return bool(0 < labels.sum() < len(labels))


def _pr_auc(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    from sklearn.metrics import average_precision_score

    if labels.sum() == 0:
        return float("nan")
    return float(average_precision_score(labels, scores))


def recall_at(rate: float) -> _Metric:
    """The metric: the highest recall at a false positive rate of at most ``rate``."""

    def metric(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
        from sklearn.metrics import roc_curve

        if not _has_both(labels):
            return float("nan")
        false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
        return float(true[false <= rate].max())

    return metric


def _error_at_reference(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    """The calibration error that the same examples would show at the reference prevalence."""
    if not _has_both(labels):
        return float("nan")
    weights = prevalence_weights(labels, REFERENCE_PREVALENCE)
    return expected_calibration_error(scores, labels, weights)


#: Score from which an example counts as flagged.
_FLAGGED = 0.5
#: Examples of a value that has a row of its own, and how many values have one.
_FEWEST, _MOST_VALUES = 10, 50

_METRICS: Mapping[str, _Metric] = {
    "roc_auc": _roc_auc,
    "pr_auc": _pr_auc,
    "recall_at_1_percent_false_positives": recall_at(0.01),
    "expected_calibration_error": lambda labels, scores: expected_calibration_error(scores, labels),
    f"expected_calibration_error_at_{100 * REFERENCE_PREVALENCE:.0f}_percent_prevalence": (
        _error_at_reference
    ),
}


def _draws(labels: NDArray[np.int64], count: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Bootstrap samples, drawn within each class so that both are always there.

    One at a time: all samples of many examples would fill the memory.
    """
    rng = np.random.default_rng(seed)
    kinds = [np.flatnonzero(labels == kind) for kind in (0, 1)]
    for _ in range(count):
        yield np.concatenate([rng.choice(kind, len(kind)) for kind in kinds if len(kind)])


def _figures(
    metrics: Mapping[str, _Metric],
    labels: NDArray[np.int64],
    scores: NDArray[np.float64],
    draws: Iterator[NDArray[np.int64]],
) -> dict[str, Figure]:
    values = {name: metric(labels, scores) for name, metric in metrics.items()}
    known = [name for name, value in values.items() if not np.isnan(value)]
    made = [[metrics[name](labels[draw], scores[draw]) for name in known] for draw in draws]
    if not known or not made:
        return {name: Figure(value, float("nan"), float("nan")) for name, value in values.items()}
    bounds = dict(zip(known, np.nanpercentile(made, [2.5, 97.5], axis=0).T, strict=True))
    return {
        name: Figure(value, *map(float, bounds.get(name, (float("nan"), float("nan")))))
        for name, value in values.items()
    }


def evaluate(
    labels: ArrayLike,
    scores: Sequence[float | None],
    slices: Mapping[str, Sequence[str]] | None = None,
    *,
    draws: int = 500,
    seed: int = 0,
) -> Report:
    """Measure scores against labels.

    Args:
        labels: 1 for the harm, else 0.
        scores: From 0 to 1; None if the detector did not score it.
        slices: By name (``language``): the value of each example. Values of fewer than ten
            examples, and all but the fifty most frequent, are put together as ``other``.
        draws: Bootstrap samples.
        seed: Of the samples.

    Raises:
        ValueError: If nothing was scored, or lengths differ.
    """
    truth = np.asarray(labels, dtype=np.int64)
    if len(truth) != len(scores):
        msg = f"{len(truth)} labels and {len(scores)} scores"
        raise ValueError(msg)
    scored = np.array([score is not None for score in scores], dtype=bool)
    if not scored.any():
        msg = "the detector scored none of the examples"
        raise ValueError(msg)
    values = np.array([score for score in scores if score is not None], dtype=np.float64)
    kept = truth[scored]
    figures = _figures(_METRICS, kept, values, _draws(kept, draws, seed))
    measured: dict[str, tuple[int, int, Figure]] = {}
    errors: dict[str, Errors] = {}
    for name, of_each in (slices or {}).items():
        group = np.array(of_each, dtype=object)[scored]
        counts = Counter(group.tolist()).most_common(_MOST_VALUES)
        named = {one for one, count in counts if count >= _FEWEST}
        group = np.array([one if one in named else "other" for one in group], dtype=object)
        for value in sorted(set(group.tolist()), key=_by_number):
            inside = group == value
            inner = _draws(kept[inside], draws // 5, seed)
            measured[f"{name}={value}"] = (
                int(inside.sum()),
                int(kept[inside].sum()),
                _figures({"roc_auc": _roc_auc}, kept[inside], values[inside], inner)["roc_auc"],
            )
            errors[f"{name}={value}"] = _errors(kept[inside], values[inside])
    return Report(len(kept), int(kept.sum()), int((~scored).sum()), figures, measured, errors)


def _errors(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> Errors:
    flagged = scores >= _FLAGGED

    def share(label: int) -> float | None:
        chosen = flagged[labels == label]
        return float(chosen.mean()) if len(chosen) else None

    both = _has_both(labels)
    return Errors(share(1), share(0), _error_at_reference(labels, scores) if both else None)


def _by_number(value: str) -> tuple[int, str]:
    """``6 to 20`` comes before ``21 to 60``; words come after numbers."""
    first = value.split(" ")[0]
    return (int(first), value) if first.isdigit() else (1_000_000, value)


def compare(
    labels: ArrayLike,
    old: ArrayLike,
    new: ArrayLike,
    *,
    margin: float = 0.002,
    draws: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare two versions on the same examples.

    The candidate ships if it is better beyond chance, or if with 97.5 % certainty it is worse by
    no more than the margin.

    Args:
        labels: 1 for the harm, else 0.
        old: Scores of the version in use.
        new: Scores of the candidate, of the same examples.
        margin: How much ROC-AUC may be lost without notice.
        draws: Bootstrap samples.
        seed: Of the samples.

    Raises:
        ValueError: If only one class is there.
    """
    truth = np.asarray(labels, dtype=np.int64)
    first, second = np.asarray(old, dtype=np.float64), np.asarray(new, dtype=np.float64)
    if len({len(truth), len(first), len(second)}) != 1 or not _has_both(truth):
        msg = "a comparison needs the same examples for both, with the harm and without"
        raise ValueError(msg)
    drawn = np.array([
        [_roc_auc(truth[one], scores[one]) for scores in (first, second)]
        for one in _draws(truth, draws, seed)
    ])  # fmt: skip
    gaps = drawn[:, 1] - drawn[:, 0]
    bounds = np.percentile(drawn, [2.5, 97.5], axis=0).T.tolist()
    before, after = _roc_auc(truth, first), _roc_auc(truth, second)
    gap = after - before
    low, high = (float(one) for one in np.percentile(gaps, [2.5, 97.5]))
    tail = min((np.sum(gaps <= 0) + 1) / (draws + 1), (np.sum(gaps >= 0) + 1) / (draws + 1))
    p_value = float(min(1.0, 2 * tail))
    if low > 0:
        ship, why = True, "ship: better beyond chance"
    elif low >= -margin:
        ship, why = True, f"ship: no worse than {margin:g}, with 97.5 % certainty"
    elif high < 0:
        ship, why = False, "do not ship: worse beyond chance"
    else:
        ship, why = False, f"do not ship yet: it may be worse by {-low:.3f}; more data would decide"
    return Comparison(
        Figure(before, *bounds[0]),
        Figure(after, *bounds[1]),
        Figure(gap, low, high),
        p_value,
        ship,
        why,
    )
