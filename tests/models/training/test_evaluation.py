import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from quorum.models.training.evaluation import compare, evaluate, recall_at


def sample(rows=400, gap=1.5, seed=0):
    rng = np.random.default_rng(seed)
    labels = (rng.random(rows) < 0.3).astype(int)
    return labels, 1 / (1 + np.exp(-rng.normal(gap * labels - 1, 1.0)))


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.1, 0.3, 0.5, 0.9])), min_size=2))
def test_roc_auc_is_that_of_scikit_learn(rows):
    labels, scores = [one for one, _ in rows], [one for _, one in rows]
    made = evaluate(labels, scores, draws=2).figures["roc_auc"].value
    if len(set(labels)) == 2:
        assert made == pytest.approx(roc_auc_score(labels, scores))
    else:
        assert np.isnan(made)


def test_intervals_hold_the_value_and_shrink_with_rows():
    widths = []
    for rows in (100, 2000):
        figure = evaluate(*sample(rows)).figures["roc_auc"]
        assert figure.low <= figure.value <= figure.high
        widths.append(figure.high - figure.low)
    assert widths[1] < widths[0] / 2


def test_recall_at_a_rate_of_false_positives():
    labels = np.array([0] * 100 + [1] * 4)
    scores = np.concatenate([np.arange(100) / 100, [0.5, 0.985, 0.995, 1.0]])
    assert recall_at(0.01)(labels, scores) == 0.75
    assert recall_at(0.0)(labels, scores) == 0.5
    flat = np.ones(104)
    assert recall_at(0.01)(labels, flat) == 0.0


def test_what_was_not_scored_is_counted_and_slices_are_told():
    labels, scores = sample()
    given_scores = [None if index % 10 == 0 else score for index, score in enumerate(scores)]
    languages = ["en"] * 250 + ["de"] * 145 + ["fr"] * 5
    report = evaluate(labels, given_scores, {"language": languages})
    many = evaluate(
        *sample(700), {"source": [f"channel {one % 60}" for one in range(700)]}, draws=5
    )
    assert len(many.slices) == 51
    assert report.unscored == 40
    assert report.rows == 360
    assert set(report.slices) == {"language=en", "language=de", "language=other"}
    assert sum(rows for rows, _, _ in report.slices.values()) == 360
    assert report.errors.keys() == report.slices.keys()
    kept = np.arange(400) % 10 > 0
    german = kept & (np.array(languages) == "de")
    flagged = np.array(scores) >= 0.5
    told = report.errors["language=de"]
    assert told.recall == pytest.approx(flagged[german & (labels == 1)].mean())
    assert told.false_positives == pytest.approx(flagged[german & (labels == 0)].mean())
    assert told.calibration is not None
    assert 0 < told.calibration < 1


def test_errors_that_nothing_can_be_measured_on_are_none():
    report = evaluate([0] * 12 + [1], [0.6, *[0.1] * 11, 0.9], {"kind": ["joke"] * 12 + ["threat"]})
    (joke,) = (each for name, each in report.errors.items() if name == "kind=joke")
    assert (joke.recall, joke.calibration) == (None, None)
    assert joke.false_positives == pytest.approx(1 / 12)


def test_nothing_scored_and_lengths_that_differ_are_errors():
    with pytest.raises(ValueError, match="none"):
        evaluate([0, 1], [None, None])
    with pytest.raises(ValueError, match="2 labels and 1 scores"):
        evaluate([0, 1], [0.5])


def test_the_same_seed_gives_the_same_report():
    labels, scores = sample()
    assert evaluate(labels, scores, seed=3) == evaluate(labels, scores, seed=3)


def test_compare_says_whether_to_ship():
    labels, weak = sample(gap=0.5)
    _, strong = sample(gap=2.5)
    better = compare(labels, weak, strong, draws=300)
    assert better.ship
    assert better.p_value < 0.05
    assert better.difference.low > 0
    worse = compare(labels, strong, weak, draws=300)
    assert not worse.ship
    assert "worse beyond chance" in worse.why
    same = compare(labels, strong, strong, draws=300)
    assert same.ship
    assert same.p_value == 1.0
    rng = np.random.default_rng(1)
    few = compare(labels[:60], strong[:60], strong[:60] + rng.normal(0, 0.3, 60), draws=300)
    assert not few.ship
    with pytest.raises(ValueError, match="with the harm and without"):
        compare([1, 1], [0.1, 0.2], [0.1, 0.2])
