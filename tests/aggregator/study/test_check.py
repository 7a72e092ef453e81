import textwrap

import pytest

from quorum.aggregator.policy.policy import Policy, load_policy, shipped_policies
from quorum.aggregator.study.check import check_policy, turning_points


def problems(rules, head=""):
    body = textwrap.indent(textwrap.dedent(rules), "  ")
    detectors = "  spam: {}\n  violence: {}\n"
    policy = Policy.from_text(
        f"name: test\n{head}caps: {{total: {{removals: 1, per: 1}}}}\n"
        f"detectors:\n{detectors}rules:\n{body}"
    )
    return [(one.severity, one.rule, one.message) for one in check_policy(policy)]


@pytest.mark.parametrize("name", shipped_policies())
def test_the_shipped_policies_have_no_errors(name):
    assert [p for p in check_policy(load_policy(name)) if p.severity == "error"] == []


@pytest.mark.parametrize(
    "when",
    [
        'score("spam") > 0.9 && score("spam") < 0.5',
        'score("spam") > 1.0',
        'status("spam") == "lost"',
        'status("spam") == "failed" && score("spam") > 0.1',
        "false",
    ],
)
def test_a_rule_that_can_never_apply(when):
    found = problems(f"""
        - {{name: r, when: '{when}', action: review, reason: R.}}
        - {{name: v, when: 'score("violence") > 0.5', action: review, reason: R.}}
    """)
    assert [(severity, rule) for severity, rule, _ in found if severity == "error"] == [
        ("error", "r")
    ]
    assert "never apply" in found[0][2]


def test_a_rule_that_can_apply_in_a_narrow_place():
    found = problems("""
        - name: narrow
          when: score("spam") > 0.5 && score("spam") < 0.5001 && score("violence") == 0.3
          action: review
          reason: R.
    """)
    assert [one for one in found if one[0] == "error"] == []


def test_a_rule_that_is_always_shadowed():
    found = problems("""
        - {name: low, when: 'score("spam") > 0.5', action: remove, category: spam, reason: R.}
        - {name: high, when: 'score("spam") > 0.9', action: review, reason: R.}
        - {name: same, when: 'score("spam") > 0.7', action: remove, category: spam, reason: R.}
        - {name: other, when: 'score("violence") > 0.9', action: review, reason: R.}
    """)
    errors = {rule: message for severity, rule, message in found if severity == "error"}
    assert set(errors) == {"high", "same"}
    assert "`low`" in errors["high"]


def test_two_rules_may_shadow_a_third_together():
    found = problems("""
        - {name: a, when: 'score("spam") >= 0.5', action: remove, category: spam, reason: R.}
        - {name: b, when: 'score("spam") < 0.5', action: remove, category: spam, reason: R.}
        - {name: c, when: 'score("spam") > 0.2', action: review, reason: R.}
    """)
    assert [rule for severity, rule, _ in found if severity == "error"] == ["c"]


def test_notes():
    head = "quorum: 0\nlists: {trusted: []}\ncombiners: {risk: {bias: 0, weights: {spam: 1}}}\n"
    found = problems(
        """
        - {name: soft, when: 'score("spam") < 0.1', action: allow, reason: R.}
        - {name: bare, when: 'score("spam") > 0.9', action: restrict, reason: R.}
    """,
        head,
    )
    told = " ".join(message for _, _, message in found)
    for part in ("changes nothing", "without a category", "`violence`", "`trusted`", "`risk`"):
        assert part in told
    assert "quorum of 0" in told


def test_a_removal_without_a_cap_is_noted():
    policy = Policy.from_text(
        "name: x\ndetectors: {spam: {}}\nrules: [{name: r, when: 'score(\"spam\") > 0.9',"
        " action: remove, category: spam, reason: R.}]"
    )
    assert "without a cap" in check_policy(policy)[0].message


def test_turning_points_are_both_sides_of_each_number():
    points = turning_points(load_policy("balanced"))["spam"]
    assert {0.0, 0.5, 0.85, 0.98, 1.0} <= set(points)
    assert any(0.85 < point < 0.8501 for point in points)
