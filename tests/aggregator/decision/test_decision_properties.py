"""Properties of decisions under the shipped policies, which are all monotone."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.aggregator.case.case import Case, Emit
from quorum.aggregator.decision.compact import CompactPrediction
from quorum.aggregator.decision.evaluate import Uploader, decide
from quorum.aggregator.decision.facts import Facts
from quorum.aggregator.decision.rules import compiled
from quorum.aggregator.policy.policy import Policy, load_policy, shipped_policies
from quorum.aggregator.study.backtest import backtest_lines
from quorum.aggregator.study.record import PastCase
from quorum.core.messages import Status
from tests.aggregator.aggregator_cases import START, after, said, upload

NAMES = ("spam", "violence", "copyright")
COMBINED = Policy.from_text(
    load_policy("balanced").text
    + "  - {name: both, when: 'combined(\"risk\") > 0.6', action: review, reason: Both.}\n"
    "combiners: {risk: {bias: -1, weights: {spam: 1, violence: 0.7}, absent: {spam: 0.1}}}\n"
)
POLICIES = [*map(load_policy, shipped_policies()), COMBINED]

scores = st.floats(0, 1)
strikes = st.sampled_from([0.0, 1.0, 2.0, 5.0])


def answers(values):
    return {
        name: said(name, value) if value is not None else said(name, status=Status.ABSTAINED)
        for name, value in zip(NAMES, values, strict=True)
    }


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(POLICIES), st.tuples(scores, scores, scores), st.data(), strikes, strikes)
def test_more_severe_evidence_never_gives_a_milder_action(policy, low, data, few, many):
    high = tuple(data.draw(st.floats(value, 1)) for value in low)
    milder = decide(policy, upload(), answers(low), {}, Uploader(strikes=min(few, many)))
    harsher = decide(policy, upload(), answers(high), {}, Uploader(strikes=max(few, many)))
    assert harsher.action.severity >= milder.action.severity


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(POLICIES), st.tuples(*[st.none() | scores] * 3), st.sampled_from(NAMES))
def test_a_detector_that_fails_or_is_missing_never_makes_it_milder_than_allow_with_it(
    policy, values, name
):
    """Silence is not innocence: what was allowed only with an answer is not allowed without."""
    heard = answers(values)
    without = {key: one for key, one in heard.items() if key != name}
    failed = without | {name: said(name)}
    for silent in (without, failed):
        assert decide(policy, upload(), silent, {}).action.severity >= 2


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(POLICIES), st.tuples(scores, scores, scores), st.randoms())
def test_order_and_names_of_the_keys_change_nothing(policy, values, draw):
    heard = list(answers(values).values())
    one = decide(policy, upload(), {p.detector: p for p in heard})
    draw.shuffle(heard)
    assert decide(policy, upload(), {str(n): p for n, p in enumerate(heard)}) == one


@pytest.mark.parametrize("name", shipped_policies())
def test_stream_batch_and_backtest_decide_alike(name):
    """On 10,000 random cases in all, with silence of every kind."""
    policy, draw = load_policy(name), random.Random(name)
    lines, expected = [], []
    for number in range(3400):
        made = upload(f"u{number}")
        heard = []
        for detector in NAMES:
            kind = draw.random()
            if kind < 0.8:
                score = round(draw.betavariate(0.4, 0.8), 3)
                heard.append(said(detector, score, upload_id=made.id))
            elif kind < 0.9:
                status = draw.choice([Status.FAILED, Status.ABSTAINED])
                heard.append(said(detector, status=status, upload_id=made.id))
        known = Uploader(strikes=draw.choice([0.0, 2.5]))
        batch = decide(policy, made, {p.detector: p for p in heard}, {}, known)
        case = Case(policy)
        effects = [*case.on_upload(made, START, uploader=known)]
        for prediction in draw.sample(heard, len(heard)):
            effects += case.on_prediction(prediction, after(1))
        effects += case.on_deadline(after(policy.deadline))
        (verdict,) = [one.verdict for one in effects if isinstance(one, Emit)]
        assert (verdict.action, verdict.rule) == (batch.action, batch.rule)
        facts = json.loads(made.model_dump_json())
        past = PastCase(
            facts,
            tuple(CompactPrediction.of(p) for p in heard),
            uploader=known,
            action=verdict.action,
        )
        lines.append(past.to_json().encode())
        expected.append(verdict.action.value)
    found = backtest_lines(lines, policy, workers=1)
    assert found.cases == len(expected)
    assert found.changed == 0


LIMITS = st.sampled_from([0.5, 0.55, 0.6, 0.75, 0.85, 0.9, 0.95, 0.97, 0.98])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(POLICIES), st.tuples(*[st.none() | scores | LIMITS] * 3), strikes)
def test_comparisons_without_cel_agree_with_cel(policy, values, past):
    """Rules that compare one score with one number are not always evaluated by CEL."""
    facts = Facts(answers(values), frozenset(), {}, upload, Uploader(strikes=past))
    rules = compiled(policy)
    matched = {one.name for one in rules.match(facts)[0]}
    assert matched == {rule.name for rule, outcome, _ in rules.outcomes(facts) if outcome == "true"}
