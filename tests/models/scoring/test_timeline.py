import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quorum.models.scoring.timeline import runs, smoothed, spread


@given(st.integers(0, 500), st.integers(1, 64))
def test_spread_keeps_both_ends(count, most):
    made = spread(count, most)
    assert len(made) <= max(1, min(count, most)) or count == 0
    assert len(set(made.tolist())) == len(made)
    if count > 0 and most > 1:
        assert made[0] == 0
        assert made[-1] == count - 1


@given(st.lists(st.floats(0, 1), max_size=40), st.integers(1, 7))
def test_smoothing_stays_within_the_scores(values, window):
    scores = np.array(values)
    made = smoothed(scores, window)
    assert made.shape == scores.shape
    if values:
        assert made.min() >= scores.min() - 1e-9
        assert made.max() <= scores.max() + 1e-9


def test_one_odd_frame_does_not_count():
    scores = np.zeros(9)
    scores[4] = 0.9
    assert smoothed(scores, 3).max() == 0.3


def test_runs_tell_seconds_and_the_highest_first():
    scores = np.array([0.1, 0.6, 0.7, 0.2, 0.9])
    times = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    assert runs(scores, times, 0.5) == [(4.0, 5.0, 0.9), (1.0, 3.0, 0.7)]
    assert runs(scores, times, 0.95) == []
    assert runs(np.array([0.9]), np.array([0.0]), 0.5) == [(0.0, 0.0, 0.9)]
