"""An uploader whose past cannot be looked up is never treated mildly in silence."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.aggregator.case.case import Case
from quorum.aggregator.decision.evaluate import Uploader, decide
from quorum.aggregator.policy.policy import Policy, load_policy, shipped_policies
from quorum.aggregator.policy.program import UNKNOWN_HISTORY
from quorum.core.messages import Action
from tests.aggregator.aggregator_cases import START, said, three_detectors, upload

UNKNOWN = Uploader(known=False)
ODD = Policy.from_text("""
name: odd
deadline: 30 s
retention: 1 h
orphan_wait: 10 min
detectors: {spam: {required: false}, violence: {required: false}}
rules:
  - {name: either, when: 'uploader.strikes >= 3.0 || score("spam") > 0.9', action: remove,
     category: spam, reason: Either.}
  - {name: newcomer, when: 'uploader.verdicts < 3 && score("spam") > 0.5', action: restrict,
     category: spam, reason: New.}
  - {name: trusted, when: 'score("violence") > 0.8', action: remove, category: violence,
     unless: 'uploader.verdicts > 100 && uploader.removals == 0', reason: Not trusted.}
""")

pasts = st.builds(
    Uploader,
    strikes=st.sampled_from([0.0, 1.0, 1.6, 4.0]),
    removals=st.integers(0, 4),
    verdicts=st.sampled_from([0, 1, 5, 200]),
)


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from([ODD, *map(load_policy, shipped_policies())]),
    st.tuples(*[st.none() | st.floats(0, 1)] * 3),
    pasts,
)
def test_unknown_is_never_milder_than_a_human_would_be_asked_to_be(policy, values, past):
    names = ("spam", "violence", "copyright")
    heard = {n: said(n, v) for n, v in zip(names, values, strict=True) if v is not None}
    known = decide(policy, upload(), heard, {}, past)
    unknown = decide(policy, upload(), heard, {}, UNKNOWN)
    least = min(known.action.severity, Action.REVIEW.severity)
    assert unknown.action.severity >= least


@pytest.mark.parametrize(
    ("heard", "action", "rule"),
    [
        ({"spam": 0.95}, "remove", "either"),
        ({"spam": 0.6}, "review", "error:either"),
        ({"spam": 0.1}, "review", "error:either"),
        ({}, "review", "error:either"),
    ],
)
def test_a_score_that_decides_alone_does_so(heard, action, rule):
    made = decide(ODD, upload(), {n: said(n, v) for n, v in heard.items()}, {}, UNKNOWN)
    assert (made.action, made.rule) == (action, rule)


def test_what_no_history_could_change_stays_as_it_is():
    cautious = three_detectors("cautious")
    heard = {n: said(n, 0.01) for n in ("spam", "violence", "copyright")}
    assert decide(cautious, upload(), heard, {}, UNKNOWN).action is Action.ALLOW
    heard["spam"] = said("spam", 0.6)
    made = decide(cautious, upload(), heard, {}, UNKNOWN)
    assert (made.action, made.rule) == (Action.REVIEW, "error:repeated-offence")
    assert UNKNOWN_HISTORY in made.reasons[0]


def test_a_case_remembers_that_it_is_unknown():
    cautious = three_detectors("cautious")
    case = Case(cautious)
    case.on_upload(upload(), START, uploader=UNKNOWN)
    for name, score in (("violence", 0.0), ("copyright", 0.0), ("spam", 0.6)):
        case = Case.restore(cautious, case.snapshot())
        effects = case.on_prediction(said(name, score), START)
    assert effects[0].verdict.rule == "error:repeated-offence"
