"""A rule that only compares a feature over time with a number decides as CEL does."""

from __future__ import annotations

import math

import pytest

from quorum.aggregator.decision.rules import _threshold
from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.aggregator.policy.program import Context, Program, evaluate


def _policy(condition: str) -> Policy:
    return Policy.from_text(
        load_policy("balanced").text.rstrip()
        + f"\n  - {{name: busy, when: '{condition}', action: review, reason: Busy.}}\n"
        "features:\n  seen: {kind: count, by: uploader, over: 1 h}\n"
    )


@pytest.mark.parametrize("sign", [">", ">="])
@pytest.mark.parametrize("number", ["20", "2.5", "1e9", "0"])
def test_a_feature_is_compared_as_in_cel(sign: str, number: str) -> None:
    (rule,) = (
        one for one in _policy(f'feature("seen", 0) {sign} {number}').rules if one.name == "busy"
    )
    found = _threshold(rule)
    assert found is not None
    read, least = found
    program = Program(rule.when.compiled)
    limit = float(number)
    for value in (0.0, 1.0, math.nextafter(limit, 0.0), limit, math.nextafter(limit, math.inf)):
        outcome, _ = evaluate(program, Context({read: value}))
        assert (outcome == "true") == (value >= least), value


def test_what_is_more_than_one_comparison_is_left_to_cel() -> None:
    for condition in (
        'feature("seen", 0) > 20 && score("spam") > 0.5',
        'feature("seen", 0) < 20',
        'feature("seen", 0) + 1.0 > 20.0',
    ):
        (rule,) = (one for one in _policy(condition).rules if one.name == "busy")
        assert _threshold(rule) is None, condition
