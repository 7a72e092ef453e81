"""A text while it is written: mistakes at their places, golden cases, what changes."""

from __future__ import annotations

import time

from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.aggregator.study.check import check_policy
from quorum.aggregator.study.checked import check_text, failed_golden
from quorum.aggregator.study.golden import golden_text

BALANCED = load_policy("balanced")
GOLDEN, _ = golden_text(BALANCED)


def test_a_valid_text_with_its_cases_and_changes():
    stricter = BALANCED.text.replace('score("spam") >= 0.98', 'score("spam") >= 0.9')
    found = check_text(stricter, GOLDEN, BALANCED)
    assert found.version == Policy.from_text(stricter).version
    assert found.changes == ("rule spam-certain: threshold 0.98 -> 0.9",)
    assert len(found.golden) == 28
    assert not [one for one in found.mistakes if one.severity == "error"]
    told = found.to_json()
    assert {one["passed"] for one in told["golden"]} <= {True, False}
    assert check_text(BALANCED.text, GOLDEN).failed == 0


def test_every_mistake_is_at_its_line():
    text = BALANCED.text.replace('score("violence")', 'score("violance")', 1)
    text = text.replace("deadline:", "deadlin:", 1)
    found = check_text(text, GOLDEN, BALANCED)
    assert found.version is None
    lines = text.split("\n")
    for one in found.mistakes:
        assert one.line is not None
        assert "deadlin" in lines[one.line - 1] or "violance" in lines[one.line - 1]
    assert [one.line for one in found.mistakes] == sorted(one.line or 0 for one in found.mistakes)
    assert all("did you mean" in one.message for one in found.mistakes)
    found = check_text(BALANCED.text.replace('("spam") >= 0.98', '("spam") >= 1.5'))
    (error,) = [one for one in found.mistakes if one.severity == "error"]
    assert "can never apply" in error.message
    assert "spam-certain" in BALANCED.text.split("\n")[(error.line or 0) - 1]


def test_golden_cases_that_fail_or_cannot_be_read():
    milder = BALANCED.text.replace("action: remove", "action: review")
    assert check_text(milder, GOLDEN).failed > 0
    assert failed_golden(Policy.from_text(milder), GOLDEN)
    assert failed_golden(BALANCED, "") == ()
    for wrong, told in (
        ("- {name: x, scores: {spma: 1}, expect: allow}", "did you mean `spam`"),
        ("- {name: x", "not valid YAML"),
        ("- &a {name: x, expect: allow}\n- *a\n", "anchors and aliases"),
    ):
        found = check_text(BALANCED.text, wrong)
        assert found.golden == ()
        assert told in found.golden_mistakes[0]


def test_a_policy_of_a_thousand_rules_is_checked_in_bounded_time():
    rules = "\n".join(
        f'  - {{name: r{at}, action: review, reason: x, when: \'score("spam") >= 0.{at + 100} && '
        f'score("violence") < 0.{at + 100} && score("nsfw") > 0.{at + 100}\'}}'
        for at in range(400)
    )
    text = f"name: many\ndetectors: {{spam: {{}}, violence: {{}}, nsfw: {{}}}}\nrules:\n{rules}\n"
    policy = Policy.of_draft(text)
    began = time.process_time()
    found = check_policy(policy, 0.2)
    assert time.process_time() - began < 5
    assert any("took too long" in one.message for one in found)
