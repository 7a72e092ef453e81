"""What a cascade does not ask cannot change an action, whatever it would have said."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.aggregator.decision.evaluate import Uploader, decide
from quorum.aggregator.decision.settling import settled
from quorum.aggregator.policy.policy import Policy, load_policy, shipped_policies
from quorum.aggregator.study.drift import Profiles
from quorum.core.messages import NOT_ASKED, Action, Status
from tests.aggregator.aggregator_cases import said, upload

NAMES = ("spam", "violence", "copyright", "nsfw")

ODD = Policy.from_text("""
name: odd
deadline: 30 s
retention: 1 h
orphan_wait: 10 min
quorum: 2
detectors:
  spam: {missing: 0.9, failed: restrict, abstained: ignore}
  violence: {required: false, missing: 0.4, abstained: restrict}
  copyright: {required: false, failed: review}
combiners: {risk: {bias: -1, weights: {spam: 1, violence: 0.7}, absent: {violence: 0.1}}}
rules:
  - {name: there, when: 'score("violence") > 0.7', action: remove, territories: [DE],
     category: violence, reason: There.}
  - {name: both, when: 'combined("risk") > 0.6', action: review, category: spam, reason: Both.}
  - {name: calm, when: 'score("spam") > 0.8 && score("violence") < 0.3', action: remove,
     category: spam, reason: Calm.}
  - {name: silent, when: 'status("copyright") == "missing"', action: restrict, reason: Silent.}
  - {name: newcomer, when: 'uploader.verdicts < 3 && score("spam") > 0.5', action: restrict,
     category: spam, reason: New.}
  - {name: regular, when: 'score("spam") > 0.9', unless: 'uploader.verdicts > 100',
     action: remove, category: spam, reason: Spam.}
""")
PLAIN = Policy.from_text("""
name: plain
detectors: {spam: {required: false}, violence: {required: false}}
rules:
  - {name: much, when: 'score("spam") > 0.9', action: remove, category: spam, reason: Much.}
  - {name: more, when: 'score("spam") > 0.5', action: review, category: spam, reason: More.}
  - {name: fight, when: 'score("violence") > 0.9', action: review, category: violence,
     reason: Fight.}
  - {name: some, when: 'score("spam") > 0.3', action: restrict, category: spam, reason: Some.}
""")
POLICIES = [ODD, PLAIN, *map(load_policy, shipped_policies())]

scores = st.sampled_from([0.0, 0.3, 0.45, 0.6, 0.75, 0.9, 0.97, 0.99, 1.0]) | st.floats(0, 1)
answers = scores | st.sampled_from([Status.FAILED, Status.ABSTAINED, None])
pasts = st.builds(
    Uploader,
    strikes=st.sampled_from([0.0, 1.6, 4.0]),
    removals=st.integers(0, 4),
    verdicts=st.sampled_from([0, 5, 200]),
    known=st.booleans(),
)
places = st.sampled_from([(), ("DE",), ("DE", "FR"), ("FR",)])


def answer(name, told):
    labels = {} if name != "copyright" else {"copyright/restrict": 0.99}
    if isinstance(told, Status):
        return said(name, status=told)
    return said(name, told, labels=labels)


def spared(name, reason):
    made = said(name, status=Status.ABSTAINED)
    return made.model_copy(update={"reason": reason})


@settings(max_examples=1500, deadline=None)
@given(
    st.lists(st.sampled_from(POLICIES), min_size=1, max_size=2),
    st.tuples(*[answers] * 4),
    st.integers(1, 3),
    pasts,
    places,
)
def test_no_action_changes(policies, told, first, past, shown):
    made = upload(territories=shown)
    full = {n: answer(n, t) for n, t in zip(NAMES, told, strict=True) if t is not None}
    asked = {name: full[name] for name in NAMES[:first] if name in full}
    reason = settled(policies, made, asked.values())
    if reason is None:
        return
    assert reason.startswith(NOT_ASKED)
    less = asked | {name: spared(name, reason) for name in NAMES[first:]}
    for policy in policies:
        with_all = decide(policy, made, full, {}, past)
        with_less = decide(policy, made, less, {}, past)
        assert with_less.action is with_all.action
        assert with_less.territories == with_all.territories


def test_a_certain_removal_is_settled_by_words_alone():
    balanced = load_policy("balanced")
    reason = settled([balanced], upload(), [said("spam", 0.99)])
    assert reason == "not asked: spam-certain had settled the action (remove)"
    assert settled([balanced], upload(), [said("spam", 0.9)]) is None
    assert settled([balanced], upload(), []) is None
    assert settled([], upload(), [said("spam", 0.99)]) is None


def test_a_review_is_settled_where_software_never_removes():
    cautious = load_policy("cautious")
    assert settled([cautious], upload(), [said("spam", 0.96)]) is not None
    # A policy in shadow that would still learn something keeps the question open.
    assert settled([cautious, load_policy("balanced")], upload(), [said("spam", 0.96)]) is None


def test_an_exemption_by_history_keeps_the_question_open():
    assert settled([ODD], upload(), [said("spam", 0.95), said("violence", 0.5)]) is None


def test_a_shadow_score_settles_nothing():
    assert settled([load_policy("balanced")], upload(), [said("spam", 0.99, shadow=True)]) is None


@pytest.mark.parametrize("name", ["violence", "copyright"])
def test_what_was_spared_is_no_innocence_under_another_policy(name):
    """Decided again by a policy to which the removal is none, the upload is not let through."""
    why = settled([PLAIN], upload(), [said("spam", 0.95)])
    heard = {n: said(n, 0.0) for n in NAMES} | {"spam": said("spam", 0.2)}
    assert decide(load_policy("balanced"), upload(), heard, {}).action is Action.ALLOW
    heard[name] = spared(name, why)
    made = decide(load_policy("balanced"), upload(), heard, {})
    assert (made.action, made.rule) == (Action.REVIEW, f"missing:{name}")
    assert "not asked" in made.reasons[0]


def test_a_spared_detector_is_not_a_silent_one_in_the_drift():
    profiles = Profiles()
    one = spared("violence", f"{NOT_ASKED}x")
    profiles.add([one, said("spam", 0.99)], [], at_deadline=False)
    assert {name for name, _ in profiles.by_version} == {"spam"}
