import pytest

from quorum.aggregator.policy.policy import Policy, load_policy, shipped_policies
from quorum.aggregator.study.golden import load_golden, read_golden, run_golden
from quorum.core.errors import PolicyError
from quorum.core.messages import Action

BALANCED = load_policy("balanced")


def test_three_policies_ship():
    assert set(shipped_policies()) == {"cautious", "balanced", "strict"}


@pytest.mark.parametrize("name", shipped_policies())
def test_the_golden_cases_of_each_shipped_policy_hold(name):
    policy = load_policy(name)
    results = run_golden(policy, load_golden(policy))
    assert {r.golden.name: r.wrong for r in results if r.wrong} == {}
    decided = {result.decision.rule for result in results}
    assert {rule.name for rule in policy.rules} <= decided, "each rule is shown"


def test_what_differs_is_told():
    text = "- {name: x, scores: {spam: 0.99, violence: 0, copyright: 0}, expect: review}"
    (result,) = run_golden(BALANCED, read_golden(BALANCED, text))
    assert result.wrong == ("expected review, is remove (by spam-certain)",)
    assert result.decision.action is Action.REMOVE


def test_cases_beside_a_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(BALANCED.text)
    (tmp_path / "mine.cases.yaml").write_text("- {name: x, expect: review}")
    policy = load_policy(file)
    assert len(load_golden(policy)) == 1
    (tmp_path / "mine.cases.yaml").unlink()
    with pytest.raises(PolicyError, match="cannot read the golden cases"):
        load_golden(policy)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- {name: x, scores: {spma: 1}, expect: allow}", "did you mean `spam`"),
        ("- {name: x, scores: {spam: 2}, expect: allow}", "golden case 0"),
        ("- {name: x, expect: delete}", "golden case 0"),
        ("- {name: x", "not valid YAML"),
        ("7", "golden case"),
    ],
)
def test_mistakes_in_golden_cases(text, told):
    with pytest.raises(PolicyError, match=told):
        read_golden(BALANCED, text, "mine.cases.yaml")


def test_a_case_has_only_fields_that_an_upload_can_have():
    text = "- {name: One, upload: {durration: 3}, scores: {spam: 0}, expect: allow}"
    with pytest.raises(PolicyError, match="did you mean `duration`"):
        read_golden(BALANCED, text)
    declared = Policy.from_text(BALANCED.text + "fields: {durration: number}\n")
    assert len(read_golden(declared, text)) == 1


def test_a_case_that_an_error_decides_fails_unless_it_asks_for_that():
    policy = Policy.from_text(
        BALANCED.text + "  - {name: long, when: 'upload.duration > 60.0', action: review, "
        "reason: Long.}\n"
    )
    text = "- {name: x, scores: {spam: 0, violence: 0, copyright: 0, nsfw: 0}, expect: %s}"
    (failed,) = run_golden(policy, read_golden(policy, text % "review"))
    (told,) = failed.wrong
    assert "The rule long could not be evaluated" in told
    assert "expect the rule error:long" in told
    (other,) = run_golden(policy, read_golden(policy, text % "{action: review, rule: long}"))
    assert len(other.wrong) == 1
    (asked,) = run_golden(policy, read_golden(policy, text % "{action: review, rule: error:long}"))
    assert asked.wrong == ()


def test_all_mistakes_of_the_cases_are_told_at_once():
    text = (
        "[{name: a, upload: {x: 1}, scores: {spma: 0}, expect: allow}, "
        "{name: b, expect: allow, scores: {spam: 0, vio: 1}}]"
    )
    with pytest.raises(PolicyError) as caught:
        read_golden(BALANCED, text)
    assert len(caught.value.lines) == 3
    with pytest.raises(PolicyError) as caught:
        read_golden(BALANCED, "[{name: a, expct: allow}, {nam: b, expect: foo}]")
    told = " ".join(caught.value.lines)
    for word in ("0: expct", "0: expect", "1: nam", "1: name"):
        assert word in told
