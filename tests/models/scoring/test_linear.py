import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from quorum.models.scoring.linear import DenseLogistic

RNG = np.random.default_rng(3)
RAW = np.column_stack([RNG.normal(5, 2, 300), np.zeros(300)])
LABELS = (RAW[:, 0] + RNG.normal(0, 1, 300) > 5).astype(int)
RAW[np.flatnonzero(LABELS == 0)[:3], 1] = 4.0


def fitted(**given):
    return DenseLogistic.fit_scaled(RAW, LABELS, strength=0.3, weights=np.ones(300), **given)


def test_features_are_scaled_within_the_coefficients():
    scaled = (RAW - RAW.mean(axis=0)) / RAW.std(axis=0)
    plain = LogisticRegression(C=0.3).fit(scaled, LABELS)
    assert fitted().decide(RAW) == pytest.approx(plain.decision_function(scaled), abs=0.01)


def test_what_may_not_speak_for_innocence_does_not():
    assert fitted().coefficients[1] < -0.1
    bound = fitted(never_against=[False, True])
    assert bound.coefficients[1] == 0.0
    assert bound.coefficients[0] == pytest.approx(fitted().coefficients[0], rel=0.1)
