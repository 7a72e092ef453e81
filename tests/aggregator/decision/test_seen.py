"""A policy may ask how much of the media a detector has seen."""

import pytest

from quorum.aggregator.case.case import Case, Emit
from quorum.aggregator.decision.compact import CompactPrediction
from quorum.aggregator.decision.evaluate import decide
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.record import _parse_prediction, _prediction_json
from quorum.core.messages import SEEN, Action, Evidence, Status
from tests.aggregator.aggregator_cases import START, after, said, upload

POLICY = Policy.from_text(
    """
name: looks
detectors:
  violence: {}
rules:
  - name: too-little
    when: seen("violence") < 0.5
    action: review
    reason: Most of it was not looked at.
  - name: strict
    when: seen("violence", 1.0) < 0.1
    action: restrict
    reason: Hardly any of it was looked at.
"""
)


def looked(share, score=0.1):
    told = (Evidence(kind="video", field=SEEN, what="x", start=0, end=9, weight=share),)
    return said("violence", score, evidence=told if share is not None else ())


@pytest.mark.parametrize(
    ("share", "action", "rules"),
    [
        (1.0, Action.ALLOW, ()),
        (0.5, Action.ALLOW, ()),
        (0.4, Action.REVIEW, ("too-little",)),
        (0.05, Action.REVIEW, ("too-little", "strict")),
        (None, Action.ALLOW, ()),
    ],
)
@pytest.mark.parametrize("form", [lambda one: one, CompactPrediction.of])
def test_the_share_decides_in_every_form(share, action, rules, form):
    decision = decide(POLICY, upload(), {"violence": form(looked(share))}, {})
    assert decision.action is action
    assert set(decision.matched) == set(rules)


def test_what_failed_has_seen_nothing_that_a_rule_may_read():
    decision = decide(POLICY, upload(), {"violence": said("violence", status=Status.FAILED)}, {})
    assert decision.rule == "failed:violence"


def test_a_record_keeps_the_share():
    compact = CompactPrediction.of(looked(0.25))
    assert _parse_prediction(_prediction_json(compact)).seen == 0.25
    assert _parse_prediction(looked(0.25).model_dump(mode="json")).seen == 0.25
    old = list(compact)[:9]
    assert CompactPrediction(*old).seen is None


def test_an_outstanding_detector_is_waited_for():
    decision = decide(POLICY, upload(), {}, {"violence": "no answer"})
    assert decision.rule == "missing:violence"


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_the_share_outlives_the_state_of_an_engine(share):
    both = Policy.from_text(
        POLICY.text.replace("  violence: {}\n", "  violence: {}\n  spam: {}\n").replace(
            'seen("violence") < 0.5', 'seen("violence") < 0.5 && score("spam") > 0.05'
        )
    )
    case = Case(both)
    case.on_upload(upload(), START)
    assert case.on_prediction(looked(share), after(1)) == ()
    case = Case.restore(both, case.snapshot())
    (made,) = [
        effect.verdict
        for effect in case.on_prediction(said("spam", 0.1), after(2))
        if isinstance(effect, Emit)
    ]
    assert (made.action, made.rule) == (Action.REVIEW, "too-little")
