import numpy as np
import pytest
from scipy.stats import binom

from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.aggregator.study.record import PastCase
from quorum.aggregator.study.tune import reviewed_scores, tune
from quorum.core.errors import InputError
from quorum.core.messages import Action, Review
from tests.aggregator.aggregator_cases import said, upload

BOUND, CONFIDENCE = 0.05, 0.9


def chance_of_wrong(score, worst):
    """How likely it is wrong to remove at a score: less likely the higher it is."""
    return worst * (1 - score) ** 0.7


def share_of_wrong(threshold, worst):
    """The true share of wrongful removals at a threshold, for scores spread evenly."""
    return worst * (1 - threshold) ** 0.7 / 1.7


@pytest.mark.parametrize("decimals", [None, 2])
@pytest.mark.parametrize("worst", [0.1, 0.3, 0.5])
def test_the_promise_holds_as_often_as_it_says(worst, decimals):
    """A simulation with the truth known: the bound is broken no more often than promised."""
    draw = np.random.default_rng(5)
    rounds, broken, useful = 400, 0, 0
    for _ in range(rounds):
        true_scores = draw.random(1500)
        wrong = draw.random(1500) < chance_of_wrong(true_scores, worst)
        scores = true_scores if decimals is None else np.floor(true_scores * 100) / 100
        made = tune(scores.tolist(), wrong.tolist(), BOUND, CONFIDENCE)
        if made.threshold is not None:
            useful += 1
            broken += share_of_wrong(made.threshold, worst) > BOUND
    assert broken <= binom.ppf(0.999, rounds, 1 - CONFIDENCE)
    assert useful > 0.1 * rounds, "a promise that is never made is kept too easily"


def test_a_promise_needs_labels_and_says_how_many():
    few = tune([0.9] * 30, [False] * 30, 0.02, 0.95)
    assert few.threshold is None
    assert few.labels_needed == 149 - 30
    enough = tune([0.9] * 149, [False] * 149, 0.02, 0.95)
    assert (enough.threshold, enough.removals, enough.wrongful) == (0.9, 149, 0)
    assert enough.upper == pytest.approx(0.0199, abs=1e-3)


def test_what_no_number_of_labels_can_promise():
    scores = [index / 1000 for index in range(1000)]
    wrong = [index % 4 == 0 for index in range(1000)]
    made = tune(scores, wrong, 0.05, 0.95)
    assert (made.threshold, made.labels_needed) == (None, None)


def test_rare_errors_ask_for_more_labels():
    scores = [index / 100 for index in range(100)]
    wrong = [index == 98 for index in range(100)]
    made = tune(scores, wrong, 0.05, 0.95)
    assert made.threshold is None
    assert 1 <= made.labels_needed < 200


def test_the_lowest_threshold_that_can_be_promised():
    scores = [index / 1000 for index in range(1000)]
    wrong = [score < 0.5 for score in scores]
    made = tune(scores, wrong, 0.1, 0.95)
    assert 0.44 < made.threshold < 0.5
    assert made.caught == 1.0
    assert made.upper < 0.1 + 1e-9


@pytest.mark.parametrize(("bound", "confidence"), [(0, 0.9), (1, 0.9), (0.1, 1.0), (-1, 0.5)])
def test_what_cannot_be_meant(bound, confidence):
    with pytest.raises(InputError, match="between 0 and 1"):
        tune([0.5], [True], bound, confidence)


def test_scores_of_reviewed_cases():
    policy = Policy.from_text(
        load_policy("balanced").text + "combiners: {risk: {bias: 0, weights: {spam: 1}}}\n"
    )
    heard = [said("spam", 0.7), said("violence", 0.4, labels={"violence/fight": 0.3})]
    review = Review(upload_id="u1", verdict_id="v", action="remove", reviewer="r", at=heard[0].at)
    case = PastCase.gather(upload(), heard, (), [review])
    assert case.review is Action.REMOVE
    unseen = PastCase.gather(upload("u2"), heard)
    for name, score in (("spam", 0.7), ("violence/fight", 0.3), ("risk", 0.7)):
        scores, wrong = reviewed_scores(policy, [case, unseen], name)
        assert scores == [pytest.approx(score)]
        assert wrong == [False]
    with pytest.raises(InputError, match="nothing can be learned"):
        reviewed_scores(policy, [case], "copyright")


@pytest.mark.parametrize(
    ("right", "wrong", "bound", "confidence", "needed"),
    [
        (30, 0, 0.02, 0.95, 119),
        (30, 30, 0.02, 0.95, 119),
        (10, 3, 0.02, 0.95, 139),
        (20, 20, 0.1, 0.95, 9),
        (20, 1, 0.1, 0.95, 9),
        (1, 0, 0.02, 0.95, 148),
        (0, 1, 0.1, 0.95, 29),
    ],
)
def test_it_asks_for_the_fewest_labels_that_do(right, wrong, bound, confidence, needed):
    """So many right ones above the first wrong one give a guarantee, and one fewer does not."""
    scores = [0.9 - 0.001 * index for index in range(right + wrong)]
    labels = [False] * right + [True] * wrong
    made = tune(scores, labels, bound, confidence)
    assert (made.threshold, made.labels_needed) == (None, needed)
    for more in (needed - 1, needed):
        again = tune([0.95] * more + scores, [False] * more + labels, bound, confidence)
        assert (again.threshold is not None) == (more == needed)


@pytest.mark.parametrize("decimals", [None, 2])
def test_simulated_labels_suffice_where_the_top_is_right(decimals):
    """The truth is known: above 0.8 no removal is wrong, below half of them are."""
    draw = np.random.default_rng(11)
    told_hopeless, rounds = 0, 200
    for _ in range(rounds):
        scores = draw.random(int(draw.integers(10, 120)))
        labels = (draw.random(len(scores)) < 0.5) & (scores < 0.8)
        if decimals is not None:
            scores = np.floor(scores * 100) / 100
        made = tune(scores.tolist(), labels.tolist(), 0.02, 0.95)
        assert made.threshold is None
        if made.labels_needed is None:
            told_hopeless += 1
            continue
        top = max(0.8, made.above or 0.0)
        more = (top + (1 - top) * (0.001 + 0.999 * draw.random(made.labels_needed))).tolist()
        again = tune([*scores, *more], [*labels, *[False] * len(more)], 0.02, 0.95)
        assert again.threshold is not None
        assert again.removals >= 149
    assert told_hopeless < 0.15 * rounds, "in few rounds no label lies above 0.8"


def test_where_half_of_the_top_is_wrong_it_mostly_asks_for_nothing():
    draw = np.random.default_rng(12)
    hopeless = 0
    for _ in range(200):
        scores, labels = draw.random(100), draw.random(100) < 0.5
        made = tune(scores.tolist(), labels.tolist(), 0.02, 0.95)
        hopeless += made.labels_needed is None
    assert hopeless > 130, "three in four begin with at most one right label"
