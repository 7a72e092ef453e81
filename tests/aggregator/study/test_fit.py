import numpy as np
import pytest

from quorum.aggregator.decision.compact import CompactPrediction
from quorum.aggregator.study.fit import fit
from quorum.aggregator.study.record import PastCase
from quorum.core.errors import InputError
from quorum.core.messages import Action
from tests.aggregator.aggregator_cases import upload

FACTS = {"id": "u", "uploader": "a", "published_at": "2026-01-01T00:00:00Z"}


def cases(count=800, seed=1):
    """Harm shows in two scores, each a weak sign; a third knows nothing."""
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        harmful = draw.random() < 0.4
        answers = []
        for name, strength in (("spam", 1.2), ("violence", 1.2), ("noise", 0.0)):
            if name == "violence" and draw.random() < 0.2:
                continue
            logit = draw.normal() + strength * (1 if harmful else -1)
            score = float(1 / (1 + np.exp(-logit)))
            answers.append(CompactPrediction(name, name, "1", 0, "scored", score, {}))
        review = Action.REMOVE if harmful else Action.ALLOW
        made.append(PastCase(FACTS, tuple(answers), review=review))
    return made


NAMES = ("spam", "violence", "noise")


def test_two_weak_signs_together_rank_better_than_each():
    fitted = fit("risk", NAMES, cases())
    weights = fitted.combiner.weights
    assert min(weights["spam"], weights["violence"]) > 0.5
    assert weights["noise"] < 0.3
    assert fitted.roc_auc > fitted.best_single[1] + 0.01
    assert set(fitted.combiner.absent) == {"violence"}
    assert fitted.labels == 800


def test_no_weight_is_negative():
    flipped = []
    for case in cases():
        answers = tuple(
            one._replace(score=1 - one.score) if one.detector == "noise" else one
            for one in case.predictions
        )
        harmful = case.review is Action.REMOVE
        lowered = tuple(
            one._replace(score=0.2 if harmful else 0.8) if one.detector == "noise" else one
            for one in answers
        )
        flipped.append(PastCase(FACTS, lowered, review=case.review))
    fitted = fit("risk", NAMES, flipped)
    assert fitted.combiner.weights["noise"] == 0
    assert all(weight >= 0 for weight in fitted.combiner.weights.values())


def test_a_higher_score_never_lowers_the_result():
    combiner = fit("risk", NAMES, cases()).combiner
    before = {"spam": 0.3, "violence": None, "noise": 0.5}
    for name in NAMES:
        for score in (0.6, 0.9, 1.0):
            higher = {**before, name: max(score, before[name] or 0.0)}
            if before[name] is not None:
                assert combiner.combine(higher) >= combiner.combine(before)


def test_too_few_labels_are_refused():
    with pytest.raises(InputError, match="at least 20 of each"):
        fit("risk", NAMES, cases(30))
    with pytest.raises(InputError, match="0 removed"):
        fit("risk", NAMES, [PastCase.gather(upload(), [])])
