"""Fit a combiner: stacked logistic regression over scores, with no negative weight."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

from quorum.aggregator.decision.facts import number_of
from quorum.aggregator.policy.combiner import CLIP, Combiner
from quorum.aggregator.study.record import PastCase
from quorum.core.errors import InputError
from quorum.core.messages import Action

__all__ = ["Fitted", "fit"]

#: With fewer cases of either class, the weights are noise.
FEWEST: Final = 20
_FOLDS: Final = 5
_RIDGE: Final = 1.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted combiner with its quality.

    Attributes:
        combiner: The combiner, for a policy.
        labels: Reviewed cases that it was fitted on.
        harmful: Those of them that the reviewers removed.
        roc_auc: Area under the ROC curve on held-out cases (5-fold cross-validation).
        best_single: The name of the best score alone, and its area under the ROC curve.
    """

    combiner: Combiner
    labels: int
    harmful: int
    roc_auc: float
    best_single: tuple[str, float]


def fit(name: str, names: Sequence[str], cases: Iterable[PastCase], seed: int = 0) -> Fitted:
    """Fit a combiner on reviewed cases.

    An absent score is imputed by the mean of that score. Weights are bounded below by zero, so
    that the result is monotone, and have a ridge penalty.

    Args:
        name: The name of the combiner.
        names: Detectors and labels to combine.
        cases: Past cases; those without a review or without any of the scores are skipped.
        seed: For the assignment to folds.

    Raises:
        InputError: If there are too few reviewed cases of either class.
    """
    rows, truths = [], []
    for case in cases:
        if case.review is None:
            continue
        live = {one.detector: one for one in case.predictions if not one.shadow}
        row = [number_of(one, live) for one in names]
        if any(value is not None for value in row):
            rows.append([np.nan if value is None else value for value in row])
            truths.append(case.review is Action.REMOVE)
    harmful = sum(truths)
    if min(harmful, len(truths) - harmful) < FEWEST:
        msg = (
            f"{harmful} removed and {len(truths) - harmful} other reviewed cases have these "
            f"scores; it takes at least {FEWEST} of each"
        )
        raise InputError(msg)
    scores = np.array(rows, dtype=np.float64)
    truth = np.array(truths, dtype=np.float64)
    absent = np.array([_mean(scores[:, column]) for column in range(len(names))])
    features = _features(scores, absent)
    bias, weights = _solve(features, truth)
    combiner = Combiner(
        name=name,
        bias=round(bias, 4),
        weights={one: round(float(w), 4) for one, w in zip(names, weights, strict=True)},
        absent={
            one: round(float(value), 4)
            for one, value, column in zip(names, absent, scores.T, strict=True)
            if np.isnan(column).any()
        },
    )
    area, best = max(
        (float(roc_auc_score(truth, features[:, column])), one) for column, one in enumerate(names)
    )
    return Fitted(combiner, len(truths), harmful, _held_out(features, truth, seed), (best, area))


def _mean(column: Floats) -> float:
    known = column[~np.isnan(column)]
    return float(known.mean()) if len(known) else 0.5


def _features(scores: Floats, absent: Floats) -> Floats:
    filled = np.where(np.isnan(scores), absent, scores)
    clipped = np.clip(filled, CLIP, 1.0 - CLIP)
    return np.asarray(np.log(clipped / (1.0 - clipped)), dtype=np.float64)


def _solve(features: Floats, truth: Floats) -> tuple[float, Floats]:
    """The bias and the non-negative weights of least loss."""
    signs = 2.0 * truth - 1.0

    def loss(point: Floats) -> tuple[float, Floats]:
        margins = signs * (point[0] + features @ point[1:])
        pull = -signs / (1.0 + np.exp(np.clip(margins, -500, 500)))
        gradient = np.concatenate(([pull.sum()], features.T @ pull + _RIDGE * point[1:]))
        value = np.logaddexp(0.0, -margins).sum() + 0.5 * _RIDGE * (point[1:] ** 2).sum()
        return float(value), gradient

    start = np.zeros(features.shape[1] + 1)
    bounds = [(None, None), *[(0.0, None)] * features.shape[1]]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return float(found.x[0]), np.asarray(found.x[1:], dtype=np.float64)


def _held_out(features: Floats, truth: Floats, seed: int) -> float:
    """The area under the ROC curve of out-of-fold predictions."""
    draw = np.random.default_rng(seed)
    folds = draw.permutation(len(truth)) % _FOLDS
    predicted = np.empty(len(truth))
    for fold in range(_FOLDS):
        outside = folds != fold
        if len(set(truth[outside])) < 2:
            return float(roc_auc_score(truth, features.sum(axis=1)))
        bias, weights = _solve(features[outside], truth[outside])
        predicted[~outside] = bias + features[~outside] @ weights
    return float(roc_auc_score(truth, predicted))
