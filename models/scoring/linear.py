"""Logistic regression over dense features, such as a sentence embedding, kept without pickle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["DenseLogistic"]


@dataclass(frozen=True, eq=False, slots=True)
class DenseLogistic:
    """A linear classifier.

    Attributes:
        coefficients: Shape (d,).
        intercept: Log-odds of the harm where all features are zero.
    """

    coefficients: NDArray[np.float64]
    intercept: float

    @classmethod
    def fit(
        cls, features: ArrayLike, labels: ArrayLike, *, strength: float, balanced: bool = False
    ) -> Self:
        """Train.

        Args:
            features: Shape (n, d).
            labels: 1 for the harm, else 0.
            strength: Inverse of the L2 regularisation, scikit-learn's ``C``.
            balanced: Whether both classes count alike, however many examples each has.
        """
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(
            C=strength, max_iter=3000, tol=1e-6, class_weight="balanced" if balanced else None
        ).fit(features, labels)
        return cls(np.asarray(model.coef_[0], dtype=np.float64), float(model.intercept_[0]))

    @classmethod
    def fit_scaled(
        cls,
        features: ArrayLike,
        labels: ArrayLike,
        *,
        strength: float,
        weights: ArrayLike,
        never_against: ArrayLike = False,
    ) -> Self:
        """Train on features of unlike sizes: each is brought to mean 0 and deviation 1 for that.

        The scaling becomes part of the coefficients. A feature that hardly varies stays small.

        Args:
            features: Shape (n, d).
            labels: 1 for the harm, else 0.
            strength: Inverse of the L2 regularisation, scikit-learn's ``C``.
            weights: How much each example counts, shape (n,).
            never_against: Of each feature, whether its coefficient may not be below zero: what no
                innocent has for a reason is no evidence of innocence, whatever few examples say.
        """
        from scipy.optimize import minimize

        raw, truth = np.asarray(features, dtype=np.float64), np.asarray(labels)
        middle = raw.mean(axis=0)
        spread = np.maximum(raw.std(axis=0), 0.02)
        scaled = (raw - middle) / spread
        counts = strength * np.asarray(weights)

        def loss(given: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            own, odds = given[:-1], scaled @ given[:-1] + given[-1]
            wrong = counts * (0.5 * (1.0 + np.tanh(0.5 * odds)) - truth)
            fit = float(counts @ (np.logaddexp(0.0, odds) - truth * odds))
            return fit + 0.5 * float(own @ own), np.append(scaled.T @ wrong + own, wrong.sum())

        bounds = [
            (0.0 if one else None, None) for one in np.broadcast_to(never_against, middle.shape)
        ]
        found = minimize(
            loss, np.zeros(len(middle) + 1), jac=True, method="L-BFGS-B",
            bounds=[*bounds, (None, None)], options={"maxiter": 1000},
        ).x  # fmt: skip
        coefficients = np.asarray(found[:-1] / spread, dtype=np.float64)
        return cls(coefficients, float(found[-1] - middle @ coefficients))

    def decide(self, features: ArrayLike) -> NDArray[np.float64]:
        """Log-odds of the harm, shape (n,)."""
        return np.asarray(features, dtype=np.float64) @ self.coefficients + self.intercept

    def as_tensors(self) -> dict[str, NDArray[Any]]:
        """The numbers that an artifact keeps."""
        return {
            "coefficients": self.coefficients.astype(np.float32),
            "intercept": np.array([self.intercept], dtype=np.float32),
        }

    @classmethod
    def restore(cls, tensors: dict[str, NDArray[Any]]) -> Self:
        """Make the classifier again of what ``as_tensors`` gave."""
        return cls(tensors["coefficients"].astype(np.float64), float(tensors["intercept"][0]))
