import pytest

from quorum.aggregator.policy.policy import Policy, load_policy, shipped_policies
from quorum.aggregator.study.difference import differences

BALANCED = load_policy("balanced")


@pytest.mark.parametrize("name", shipped_policies())
def test_a_policy_does_not_differ_from_itself(name):
    policy = load_policy(name)
    assert differences(policy, Policy.from_text(policy.text + "\n# a comment\n")) == ()


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("deadline: 30 s", "deadline: 20 s", "after at most 20 s instead of 30 s"),
        ("quorum: 1", "quorum: 2", "At least 2 detectors"),
        ('score("spam") >= 0.98', 'score("spam") >= 0.9', "The rule spam-certain applies when"),
        ("missing: review", "missing: 0.5", "a score of 0.5 instead of review"),
        ("action: review", "action: remove", "remove instead of review (more severe)"),
        ("action: remove", "action: restrict", "restrict instead of remove (milder)"),
        ("total: {removals: 500", "total: {removals: 5", "caps on removals change"),
        ("- name: spam-likely", "- name: spam-perhaps", "The rule spam-perhaps is new"),
        ("- name: spam-likely", "- name: spam-perhaps", "The rule spam-likely (review"),
    ],
)
def test_each_change_is_told_in_words(before, after, told):
    changed = Policy.from_text(BALANCED.text.replace(before, after, 1))
    assert any(told in sentence for sentence in differences(BALANCED, changed))
