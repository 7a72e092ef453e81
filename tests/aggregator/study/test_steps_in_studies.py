"""Actions that time changes, as golden cases, explanations, backtests and checks see them."""

from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.check import check_policy
from quorum.aggregator.study.difference import differences
from quorum.aggregator.study.explain import explain
from quorum.aggregator.study.golden import read_golden, run_golden
from quorum.aggregator.study.record import PastCase
from quorum.core.messages import Action
from tests.aggregator.aggregator_cases import backtest, said, upload
from tests.aggregator.case.test_steps import HOUR, POLICY, begun


def golden(text):
    return read_golden(POLICY, text)


def test_a_golden_case_decides_later():
    cases = golden(
        """
- {name: At once, scores: {spam: 0.6}, expect: restrict}
- {name: The limits hold, scores: {spam: 0.6}, after: 23 h, expect: restrict}
- {name: They end, scores: {spam: 0.6}, after: 24 h, expect: {action: allow, rule: limited}}
- {name: Others do not, scores: {spam: 0.6, violence: 0.3}, after: 9 d, expect: restrict}
- {name: Nobody looked, scores: {violence: 0.6}, after: 2 h, expect: {action: remove, rule: held}}
"""
    )
    assert [one.wrong for one in run_golden(POLICY, cases)] == [()] * 5
    (wrong,) = run_golden(POLICY, golden("- {name: x, scores: {spam: 0.6}, expect: allow}"))
    assert wrong.wrong


def test_an_explanation_tells_the_plan():
    (case,) = golden("- {name: x, scores: {violence: 0.6, nsfw: 0.6}, expect: review}")
    found = explain(POLICY, case.case)
    assert (found.plan.action, found.plan.at, found.plan.rule) == (Action.REMOVE, 7_200e6, "held")
    (clean,) = golden("- {name: x, scores: {spam: 0.95}, expect: remove}")
    assert explain(POLICY, clean.case).plan is None


def test_a_recorded_case_is_decided_at_its_age():
    """Else each restriction that ended would look like a change."""
    played = begun(("spam", 0.6))
    played.run(25 * HOUR)
    case = PastCase.gather(upload(), [said("spam", 0.6)], played.verdicts)
    assert case.action is Action.ALLOW
    again = PastCase.from_json(case.to_json())
    assert again.ages == case.ages == {"limited": 24 * HOUR}
    assert again.decide(POLICY).action is Action.ALLOW
    assert backtest([again], POLICY).changed == 0


def test_a_backtest_counts_plans():
    played = begun(("violence", 0.6))
    case = PastCase.gather(upload(), [said("violence", 0.6)], played.verdicts)
    found = backtest([case, case], POLICY)
    assert found.changed == 0
    assert found.planned == {("held", "review", "remove"): 2}
    merged = backtest([], POLICY)
    merged.merge(found)
    assert merged.planned == found.planned


def test_a_difference_is_told():
    plain = Policy.from_text(POLICY.text.replace("    then: {after: 24 h, action: allow}\n", ""))
    (told,) = differences(plain, POLICY)
    assert told == (
        "The rule limited turns from restrict into allow after 86400 s without a human's decision."
    )
    (gone,) = differences(POLICY, plain)
    assert gone == "The rule limited keeps its action, however long nothing comes."


def test_a_rule_that_decides_only_with_time_is_no_mistake():
    text = POLICY.text.replace(
        "rules:\n",
        'rules:\n  - {name: a, when: score("violence") >= 0.4, action: review, reason: Held.}\n',
    )
    problems = {
        (one.rule, one.severity): one.message for one in check_policy(Policy.from_text(text))
    }
    assert ("held", "error") not in problems
    assert "removes without a cap" in problems["held", "note"]
