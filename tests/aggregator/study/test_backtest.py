import json
import random

import pytest

from quorum.aggregator.case.case import Case, Emit
from quorum.aggregator.decision.compact import CompactPrediction
from quorum.aggregator.decision.evaluate import decide
from quorum.aggregator.policy.policy import load_policy
from quorum.aggregator.study.backtest import SAMPLES, backtest_lines
from quorum.aggregator.study.record import PastCase
from quorum.core.errors import InputError
from quorum.core.messages import Action
from tests.aggregator.aggregator_cases import after, backtest, reviewed, said, upload

BALANCED, STRICT = load_policy("balanced"), load_policy("strict")


def past(number, spam, *, action=Action.ALLOW, review=None, **facts):
    made = upload(f"u{number}", title=f"Upload {number}", **facts)
    answers = tuple(
        CompactPrediction.of(said(name, score, upload_id=made.id))
        for name, score in (("spam", spam), ("violence", 0.0), ("copyright", 0.0))
    )
    facts = json.loads(made.model_dump_json())
    return PastCase(facts, answers, action=action, rule="x", review=review)


CASES = [
    past(1, 0.01),
    past(2, 0.96, action=Action.REVIEW, review=Action.ALLOW, territories=("DE", "FR")),
    past(3, 0.99, action=Action.REMOVE, review=Action.REMOVE),
    past(4, 0.45),
]


def test_changes_are_counted_by_all_that_matters():
    found = backtest(CASES, STRICT)
    assert found.cases == 4
    assert dict(found.changes) == {
        ("allow", "allow"): 1,
        ("review", "remove"): 1,
        ("remove", "remove"): 1,
        ("allow", "restrict"): 1,
    }
    assert found.changed == 2
    assert found.by_rule["spam-certain", "review", "remove"] == 1
    assert found.by_category["spam", "allow", "restrict"] == 1
    assert found.by_territory["DE", "review", "remove"] == 1
    assert found.by_group["new", "review", "remove"] == 1
    assert found.wrongful_removals(candidate=False) == (0, 1)
    assert found.wrongful_removals(candidate=True) == (1, 2)
    (sample,) = found.samples["review", "remove"]
    assert (sample.upload_id, sample.title, sample.review) == ("u2", "Upload 2", "allow")


def test_against_another_policy():
    found = backtest(CASES, STRICT, BALANCED)
    assert found.changes["review", "remove"] == 1
    assert backtest(CASES, BALANCED, BALANCED).changed == 0


def test_lines_in_one_process_or_several_give_the_same():
    draw = random.Random(3)
    lines = [past(n, round(draw.random(), 2)).to_json().encode() for n in range(300)]
    lines.insert(10, b"not a case\n")
    one = backtest_lines(lines, STRICT, workers=1)
    several = backtest_lines(iter(lines), STRICT, workers=2)
    assert one.unreadable == 1
    assert one == several
    assert all(len(kept) <= SAMPLES for kept in one.samples.values())


def test_a_case_survives_its_line():
    case = CASES[1]
    again = PastCase.from_json(case.to_json())
    assert again.decide(STRICT).rule == case.decide(STRICT).rule
    assert (again.action, again.review, again.upload) == (case.action, case.review, case.upload)


@pytest.mark.parametrize(
    "line",
    [
        "x",
        "[]",
        "{}",
        '{"upload": {"id": "a"}, "predictions": []}',
        '{"upload": {"id": "a", "uploader": "b"}, "predictions": [{"score": 2}]}',
        '{"upload": {"id": "a", "uploader": "b"}, "predictions": [], "action": "x"}',
    ],
)
def test_what_is_no_case_is_refused(line):
    with pytest.raises(InputError, match="not a past case"):
        PastCase.from_json(line)


def test_the_stream_and_the_backtest_decide_alike():
    """On random cases, with silence and late reviews: one decision function."""
    draw = random.Random(11)
    for number in range(300):
        made = upload(f"u{number}")
        heard = []
        for name in ("spam", "violence", "copyright"):
            kind = draw.random()
            if kind < 0.7:
                heard.append(said(name, round(draw.random(), 2), upload_id=made.id))
            elif kind < 0.85:
                heard.append(said(name, upload_id=made.id))
        case = Case(STRICT)
        effects = [*case.on_upload(made, after(0))]
        for prediction in heard:
            effects += case.on_prediction(prediction, after(1))
        effects += case.on_deadline(after(STRICT.deadline))
        (verdict,) = [one.verdict for one in effects if isinstance(one, Emit)]
        gathered = PastCase.gather(made, heard, [verdict], [reviewed("allow")])
        again = gathered.decide(STRICT)
        batch = decide(STRICT, made, {one.detector: one for one in heard})
        assert (verdict.action, verdict.rule) == (again.action, again.rule)
        assert (batch.action, batch.rule) == (again.action, again.rule)
        assert gathered.review is Action.ALLOW


def test_a_candidate_version_of_a_detector():
    heard = [
        said("spam", 0.1, version="v1", at=1),
        said("spam", 0.99, version="v2", at=0),
        said("violence", 0.0),
        said("copyright", 0.0),
    ]
    case = PastCase.gather(upload(), heard, versions={"spam": "v2"})
    assert case.decide(BALANCED).action is Action.ALLOW
    assert case.under({"spam": "v2"}).decide(BALANCED).action is Action.REMOVE
    assert case.under({"spam": "v3"}) is case
    lines = [case.to_json().encode(), past(1, 0.01).to_json().encode()]
    found = backtest_lines(lines, BALANCED, BALANCED, workers=1, versions={"spam": "v2"})
    assert (found.retried, found.changes["allow", "remove"]) == (1, 1)
