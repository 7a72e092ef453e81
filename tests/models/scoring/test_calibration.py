import numpy as np
import pytest

from quorum.models.scoring.calibration import (
    Platt,
    expected_calibration_error,
    fit_log_odds,
    prevalence_weights,
)


def sample(rows=20_000, share=0.5, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.random(rows) < share
    return rng.normal(np.where(labels, 1.0, -1.0), 1.0), labels


def test_probabilities_hold_at_the_reference_prevalence():
    raw, labels = sample(share=0.5)
    fitted = Platt.fit(raw, labels, prevalence=0.2)
    fresh, truth = sample(share=0.2, seed=1)
    assert expected_calibration_error(fitted.apply(fresh), truth) < 0.02
    # Two unit normals 2 apart: log-odds rise by 2 a unit, and are those of the share at 0.
    assert fitted.slope == pytest.approx(2.0, abs=0.1)
    assert fitted.offset == pytest.approx(np.log(0.2 / 0.8), abs=0.1)


def test_order_is_kept_and_the_document_restores_it():
    raw, labels = sample(rows=500)
    fitted = Platt.fit(raw, labels)
    assert (np.diff(fitted.apply(np.sort(raw))) > 0).all()
    assert Platt.from_document(fitted.as_document()) == fitted


def test_scores_that_fall_with_the_labels_cannot_be_calibrated():
    raw, labels = sample(rows=500)
    with pytest.raises(ValueError, match="do not rise"):
        Platt.fit(-raw, labels)
    with pytest.raises(ValueError, match="needs examples"):
        Platt.fit(raw, np.ones(500))


def test_perfect_separation_gives_no_certainty():
    fitted = Platt.fit([-1.0, -1.0, 1.0, 1.0], [0, 0, 1, 1])
    assert 0.5 < fitted.apply([1.0])[0] < 0.95


def test_error_of_known_probabilities():
    assert expected_calibration_error([0.8] * 10, [1] * 8 + [0] * 2) == pytest.approx(0.0)
    assert expected_calibration_error([0.9] * 10, [1] * 5 + [0] * 5) == pytest.approx(0.4)
    assert expected_calibration_error([1.0, 0.0], [0, 1]) == pytest.approx(1.0)
    weights = prevalence_weights([1, 0, 0, 0], 0.5)
    assert weights.tolist() == pytest.approx([2.0, 2 / 3, 2 / 3, 2 / 3])
    assert expected_calibration_error([0.5] * 4, [1, 0, 0, 0], weights) == pytest.approx(0.0)


def test_an_absurd_slope_of_log_odds_is_refused():
    labels = np.arange(200) % 2 == 1
    raw, truth = sample(share=0.5)
    # A model that is sure by half too much: its log-odds are halved.
    made = fit_log_odds(1 / (1 + np.exp(-4 * raw)), truth, 0.2)
    assert (made.slope, made.prevalence) == (pytest.approx(0.5, abs=0.05), 0.2)
    # Scores that hardly differ, and scores that say nothing.
    for scores in (np.where(labels, 0.501, 0.499), np.where(np.arange(200) % 7 < 3, 1e-9, 1.0)):
        with pytest.raises(ValueError, match=r"absurd|do not rise"):
            fit_log_odds(scores, labels, 0.2)
    with pytest.raises(ValueError, match=r"the slope .* which is absurd"):
        fit_log_odds(np.where(labels, 0.501, 0.499), labels, 0.2)
