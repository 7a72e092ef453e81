import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorum.aggregator.case.cap import REMEMBERED, Cap
from quorum.aggregator.case.case import Case, Emit
from quorum.aggregator.decider import Decider
from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.core.messages import Action, Verdict
from tests.aggregator.aggregator_cases import after, said, upload

TEXT = load_policy("balanced").text
CAPPED = Policy.from_text(
    TEXT.replace("total: {removals: 500, per: 1 h}", "total: {removals: 8, per: 60}").replace(
        "each_rule: {removals: 200, per: 1 h}",
        "each_rule: {removals: 5, per: 60}\n  rules: {spam-certain: {removals: 2, per: 60}}",
    )
)


def removal(number, at=0.0, rule="violence-certain", **changes):
    return Verdict(
        **{
            "id": f"v{number}",
            "upload_id": f"u{number}",
            "action": "remove",
            "revision": 1,
            "policy_version": "p",
            "rule": rule,
            "reasons": ("Certain.",),
            "decided_by": "policy",
            "at": after(at),
            "latency": 0,
            **changes,
        }
    )


def removed(cap, verdicts):
    return [cap.apply(one).verdict.action is Action.REMOVE for one in verdicts]


def test_the_excess_goes_to_a_human_and_says_so():
    cap = Cap(CAPPED)
    assert removed(cap, [removal(n, rule="spam-certain") for n in range(2)]) == [True, True]
    taken = cap.apply(removal(9, rule="spam-certain"))
    assert (taken.capped, taken.bucket) == (True, "spam-certain")
    verdict = taken.verdict
    assert (verdict.action, verdict.decided_by, verdict.rule) == (
        Action.REVIEW,
        "cap",
        "spam-certain",
    )
    assert "2 removals in 60 s" in verdict.reasons[0]
    assert verdict.reasons[1] == "Certain."
    assert verdict.id == "v9", "later revisions name it"


def test_all_rules_together_have_a_cap():
    cap = Cap(CAPPED)
    verdicts = [removal(n, rule=("violence-certain", "copyright-match")[n % 2]) for n in range(12)]
    assert sum(removed(cap, verdicts)) == 8
    assert cap.apply(removal(99)).bucket == "*"


def test_the_bucket_fills_again_with_time():
    cap = Cap(CAPPED)
    assert sum(removed(cap, [removal(n) for n in range(9)])) == 5
    assert removed(cap, [removal(10, 11), removal(11, 13), removal(12, 14)]) == [False, True, False]
    assert sum(removed(cap, [removal(20 + n, 200) for n in range(9)])) == 5


def test_time_that_runs_backwards_gives_no_tokens():
    cap = Cap(CAPPED)
    assert sum(removed(cap, [removal(n, 100) for n in range(9)])) == 5
    assert not any(removed(cap, [removal(20 + n, 50 - n) for n in range(9)]))


def test_what_is_no_removal_by_software_passes_untouched():
    cap = Cap(CAPPED)
    for number in range(20):
        for changes in (
            {"action": "review"},
            {"decided_by": "reviewer"},
        ):
            verdict = removal(number, **changes)
            assert cap.apply(verdict).verdict is verdict


def test_a_removal_in_some_territories_counts():
    cap = Cap(CAPPED)
    verdicts = [removal(n, action="restrict", territories={"DE": "remove"}) for n in range(6)]
    taken = [cap.apply(one) for one in verdicts]
    assert [one.capped for one in taken] == [False] * 5 + [True]
    assert taken[-1].verdict.action is Action.REVIEW
    assert taken[-1].verdict.model_extra["territories"] == {}


def test_the_same_verdict_again_is_answered_as_before():
    cap = Cap(CAPPED)
    for _ in range(20):
        assert not cap.apply(removal(1)).capped
    assert sum(removed(cap, [removal(n) for n in range(2, 9)])) == 4
    for _ in range(3):
        assert cap.apply(removal(8)).capped


def test_a_policy_without_caps_bounds_nothing():
    cap = Cap(Policy.from_text(TEXT[: TEXT.index("caps:")] + TEXT[TEXT.index("rules:\n") :]))
    assert all(removed(cap, [removal(n) for n in range(2000)]))


def test_what_is_kept_is_bounded():
    cap = Cap(CAPPED)
    for number in range(500):
        cap.apply(removal(number, number))
    assert len(cap.snapshot()) < 60 * REMEMBERED


@given(st.lists(st.floats(0, 300), min_size=1, max_size=60), st.booleans())
def test_no_window_holds_more_than_the_budget_allows(times, restart):
    """At most the budget at once, and what fills in the meantime."""
    cap, passed = Cap(CAPPED), []
    for number, at in enumerate(sorted(times)):
        if not cap.apply(removal(number, at)).capped:
            passed.append(at)
        if restart:
            cap = Cap.restore(CAPPED, cap.snapshot())
    for index, first in enumerate(passed):
        for last in range(index, len(passed)):
            window = passed[last] - first
            assert last - index + 1 <= 5 + 5 * window / 60 + 1e-3


def test_a_detector_gone_mad():
    """Everything scores 0.99: removals stop at the cap, and uploads keep flowing."""
    cap, actions = Cap(CAPPED), []
    for number in range(300):
        case = Case(CAPPED)
        name = f"u{number}"
        effects = [*case.on_upload(upload(name), after(number * 0.1))]
        for detector, score in (("violence", 0.99), ("spam", 0.0), ("copyright", 0.0)):
            prediction = said(detector, score, upload_id=name)
            effects += case.on_prediction(prediction, after(number * 0.1))
        (verdict,) = [one.verdict for one in effects if isinstance(one, Emit)]
        actions.append(cap.apply(verdict).verdict.action)
    assert len(actions) == 300
    assert actions.count(Action.REMOVE) == 5 + 30 * 5 // 60
    assert actions.count(Action.REVIEW) == 300 - actions.count(Action.REMOVE)


BOUNDED = Policy.from_text(
    TEXT.replace(
        "each_rule: {removals: 200, per: 1 h}",
        """each_rule: {removals: 1, per: 60}
  reviews:
    total: {reviews: 5, per: 60}
    each_rule: {reviews: 3, per: 60}
    rules: {spam-likely: {reviews: 1, per: 60}, missing:spam: {reviews: 2, per: 60}}""",
    )
)


def held(number, at=0.0, rule="violence-likely", **changes):
    return removal(number, at, rule, **{"action": "review", **changes})


def actions(cap, verdicts):
    return [cap.apply(one).verdict.action.value for one in verdicts]


def test_reviews_over_their_cap_are_restricted_until_a_human_decides():
    cap = Cap(BOUNDED)
    assert actions(cap, [held(n, rule="spam-likely") for n in range(2)]) == ["review", "restrict"]
    assert actions(cap, [held(10 + n) for n in range(4)]) == ["review"] * 3 + ["restrict"]
    others = [held(20 + n, rule="missing:spam") for n in range(2)]
    assert actions(cap, others) == ["review", "restrict"], "the total of five is reached"
    taken = cap.apply(held(30, rule="quorum"))
    assert (taken.capped, taken.bucket, taken.of) == (True, "*", "reviews")
    verdict = taken.verdict
    assert (verdict.decided_by, verdict.rule, verdict.id) == ("cap", "quorum", "v30")
    assert "the cap of all rules (5 reviews in 60 s) is reached" in verdict.reasons[0]
    assert verdict.reasons[1:] == ("Certain.",)
    assert verdict.statement.startswith("We limited who can see your upload.")
    assert actions(cap, [held(31, at=13, rule="quorum")]) == ["review"], "a token has come back"


def test_a_removal_over_its_cap_stays_held_however_many_reviews_there_are():
    cap = Cap(BOUNDED)
    actions(cap, [held(n) for n in range(9)])
    assert actions(cap, [removal(20 + n) for n in range(9)]) == ["remove"] + ["review"] * 8


def test_what_no_cap_on_reviews_makes_milder():
    cap = Cap(BOUNDED)
    assert actions(cap, [held(n) for n in range(5)])[-1] == "restrict"
    assert actions(cap, [held(7, rule="edited-after-review")]) == ["review"]
    assert actions(cap, [held(8, decided_by="reviewer")]) == ["review"]
    assert actions(Cap(CAPPED), [held(n) for n in range(99)]) == ["review"] * 99
    assert actions(cap, [removal(9, action="restrict"), removal(10, action="allow")]) == [
        "restrict",
        "allow",
    ]


def test_the_cap_on_reviews_is_restored_and_repeats_its_result():
    cap = Cap(BOUNDED)
    actions(cap, [held(n) for n in range(3)])
    cap = Cap.restore(BOUNDED, cap.snapshot())
    assert actions(cap, [held(3), held(3), held(2)]) == ["restrict", "restrict", "review"]


@given(st.lists(st.tuples(st.floats(0, 600), st.sampled_from(["a", "spam-likely"])), max_size=60))
def test_never_more_reviews_than_the_cap_says(arrivals):
    cap = Cap(BOUNDED)
    passed = [
        at
        for number, (at, rule) in enumerate(sorted(arrivals))
        if cap.apply(held(number, at, rule)).verdict.action is Action.REVIEW
    ]
    for start in passed:
        assert sum(start <= at < start + 60 for at in passed) <= 2 * 5


@pytest.mark.parametrize(
    ("score", "action"), [(0.0, "allow"), (0.76, None), (0.6, "restrict"), (0.99, "remove")]
)
def test_a_review_that_a_cap_restricted_is_decided_again_as_one(score, action):
    """What the case decided was a review: a removal that comes late is not held back by the cap."""
    text = BOUNDED.text.replace('score("violence") >= 0.75', 'score("violence") >= 0.7')
    policy = Policy.from_text(text)
    event = upload()
    clean = [said("spam", 0.0), said("copyright", 0.0), said("nsfw", 0.0)]
    first = Decider(policy).first(
        event, [*clean, said("violence", 0.8)], arrived=after(0), at=after(0)
    )
    assert first.verdict.action is Action.REVIEW
    capped = first.verdict.model_copy(update={"action": Action.RESTRICT, "decided_by": "cap"})
    now = [*clean, said("violence", score, at=5)]
    made = Decider(policy).again(event, now, [], capped, at=after(9))
    assert (None if made is None else made.action.value) == action
