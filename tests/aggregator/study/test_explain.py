from quorum.aggregator.policy.policy import load_policy
from quorum.aggregator.study.explain import explain
from quorum.aggregator.study.golden import read_golden
from quorum.core.messages import Action

BALANCED = load_policy("balanced")


def told(scores):
    (golden,) = read_golden(BALANCED, f"[{{name: x, scores: {{{scores}}}, expect: allow}}]")
    return explain(BALANCED, golden.case)


def test_the_path_from_predictions_to_action():
    made = told("spam: 0.9, violence: 0.1, copyright: abstained")
    assert made.decision.action is Action.REVIEW
    said = {step.name: step.text for step in made.detectors}
    assert said["spam"] == "scored 0.900"
    assert said["copyright"].endswith("which means nothing")
    outcomes = {step.name: step.outcome for step in made.rules}
    assert outcomes["spam-likely"] == "true"
    assert outcomes["spam-certain"] == "false"
    assert outcomes["copyright-match"] == "unknown"


def test_the_smallest_changes_that_lead_elsewhere():
    made = told("spam: 0.9, violence: 0.1, copyright: 0.0")
    found = {change.action: change for change in made.changes}
    assert set(found) == {Action.ALLOW, Action.RESTRICT, Action.REMOVE}
    ((name, old, new),) = found[Action.REMOVE].scores
    assert (name, old, new) == ("spam", 0.9, 0.98)
    ((name, old, new),) = found[Action.RESTRICT].scores
    assert name == "spam"
    assert 0.849 < new < 0.85


def test_two_scores_change_together_where_one_is_not_enough():
    made = told("spam: 0.6, violence: 0.6, copyright: 0.0")
    allowed = next(change for change in made.changes if change.action is Action.ALLOW)
    assert {name for name, _, _ in allowed.scores} == {"spam", "violence"}


def test_a_silent_detector_could_have_spoken():
    made = told("spam: 0.1, violence: missing, copyright: 0.0")
    allowed = next(change for change in made.changes if change.action is Action.ALLOW)
    ((name, old, _),) = allowed.scores
    assert (name, old) == ("violence", None)
