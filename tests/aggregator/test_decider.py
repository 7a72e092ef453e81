"""One decider: every way gives the same action and verdict id, and all are under one cap."""

import ast
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.aggregator.case.cap import Cap
from quorum.aggregator.decider import Decider, Emit
from quorum.aggregator.policy.policy import Policy
from quorum.aggregator.study.record import PastCase
from quorum.core.messages import Action, Status, Verdict
from tests.aggregator.aggregator_cases import START, after, reviewed, said, three_detectors, upload

DETECTORS = ("spam", "violence", "copyright")
POLICIES = [three_detectors(name) for name in ("balanced", "strict", "cautious")]
STRICT = POLICIES[1]
REMOVE_ALL = """
name: remove-all
deadline: 30 s
retention: 1 h
orphan_wait: 10 min
detectors: {spam: {required: true, missing: review}}
caps:
  total: {removals: 3, per: 1 h}
rules:
  - {name: spam, when: 'score("spam") >= 0.5', action: remove, category: spam, reason: Spam.}
"""
CAPPED = Policy.from_text(REMOVE_ALL)

scores = st.sampled_from([0.0, 0.45, 0.55, 0.8, 0.9, 0.96, 0.99, 1.0])
statuses = st.sampled_from([Status.FAILED, Status.ABSTAINED])


@st.composite
def answers(draw):
    """A prediction of each detector, scored, failed or abstained."""
    made = []
    for name in DETECTORS:
        score = draw(st.none() | scores)
        made.append(said(name, score, status=draw(statuses) if score is None else None))
    return made


def emitted(effects):
    return [effect.verdict for effect in effects if isinstance(effect, Emit)]


def by_events(decider, events, *, restart=False):
    """All verdicts of a case that is driven event by event, as a stream does."""
    case, verdicts = decider.case(), []
    for event, at in events:
        if event == "upload":
            verdicts += emitted(case.on_upload(upload(), after(at), arrived=START))
        elif event == "deadline":
            verdicts += emitted(case.on_deadline(after(at)))
        elif event == "end":
            verdicts += emitted(case.on_end(after(at)))
        else:
            verdicts += emitted(case.on_prediction(event, after(at)))
        if restart:
            case = decider.restore(case.snapshot())
    return [decider.bounded(one).verdict for one in verdicts]


def at_once(decider, predictions):
    """The verdict where the upload arrives with all predictions, as in a fused stream."""
    (verdict,) = emitted(decider.case().on_arrival(upload(), predictions, after(1), arrived=START))
    return decider.bounded(verdict).verdict


def known(verdict):
    return (verdict.id, verdict.revision, verdict.action, verdict.rule, verdict.supersedes)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(POLICIES), answers(), st.permutations(range(3)), st.booleans())
def test_every_way_gives_the_same_first_verdict(policy, predictions, order, restart):
    decider = Decider(policy)
    shuffled = [predictions[index] for index in order]
    first = decider.first(upload(), predictions, arrived=START, at=after(1)).verdict
    assert first.revision == 1
    expected = known(first)
    assert known(decider.first(upload(), shuffled, arrived=START, at=after(2)).verdict) == expected
    assert known(at_once(decider, shuffled)) == expected
    orphans = [*((one, 0.5) for one in shuffled), ("upload", 1)]
    assert [known(one) for one in by_events(decider, orphans, restart=restart)] == [expected]
    bounded = [(shuffled[0], 0), ("upload", 0), *((one, 0) for one in shuffled[1:]), ("end", 1)]
    (only,) = by_events(decider, bounded, restart=restart)
    assert (only.action, only.rule, only.revision) == (first.action, first.rule, 1)
    replayed = decider.again(upload(), shuffled, (), None, at=after(99))
    assert known(replayed) == expected
    past = PastCase.gather(upload(), shuffled, [first])
    assert past.decide(policy).action is first.action
    assert decider.again(upload(), shuffled, (), first, at=after(99)) is None, "nothing changes"


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(POLICIES), answers(), st.integers(0, 2), st.booleans())
def test_every_way_gives_the_same_second_verdict(policy, predictions, held_back, restart):
    """A late prediction: by event, by the late case, by a replay, by a bounded input."""
    late = predictions[held_back]
    rest = [one for one in predictions if one is not late]
    decider = Decider(policy)
    end = policy.deadline
    events = [("upload", 0), *((one, 1) for one in rest), ("deadline", end), (late, end + 1)]
    streamed = by_events(decider, events, restart=restart)
    expected = [known(one) for one in streamed]

    decided = decider.first(upload(), rest, arrived=START, at=after(end))
    ways = [
        decider.late(decided.case, late, after(end + 1)),
        decider.again(upload(), predictions, (), decided.verdict, at=after(end + 2)),
        decider.again(upload(), predictions[::-1], (), decided.verdict, at=after(9999)),
    ]
    together = decider.case()
    begun = emitted(together.on_arrival(upload(), rest, after(end), arrived=START))
    begun += emitted(together.on_arrival(upload(), [late], after(end + 1), arrived=START))
    assert [known(one) for one in begun] == expected
    for second in ways:
        found = [decided.verdict, *([] if second is None else [second])]
        assert [known(one) for one in found] == expected


@settings(max_examples=100, deadline=None)
@given(answers(), st.permutations(range(3)))
def test_another_policy_gives_one_second_verdict(predictions, order):
    """A replay under another policy, and a restored case under it, name the same revision 2."""
    first = Decider(POLICIES[0]).first(upload(), predictions, arrived=START, at=after(1))
    case = Decider(POLICIES[0]).restore(first.case.snapshot())
    assert case.snapshot() == first.case.snapshot()
    strict = Decider(STRICT)
    shuffled = [predictions[index] for index in order]
    replayed = strict.again(upload(), shuffled, (), first.verdict, at=after(99))
    nudge = predictions[0].model_copy(update={"at": after(50)})
    streamed = emitted(strict.restore(first.case.snapshot()).on_prediction(nudge, after(98)))
    assert [known(one) for one in streamed] == ([] if replayed is None else [known(replayed)])
    if replayed is not None:
        assert replayed.supersedes == first.verdict.id
        assert strict.again(upload(), shuffled, (), replayed, at=after(100)) is None


WAYS = st.sampled_from(["first", "again", "late", "stream", "replay"])


def removed_by(way, decider, name):
    """A verdict of an upload that the policy removes, made in one of the ways."""
    event = upload(name)
    bad = said("spam", 0.99, upload_id=name, at=5)
    if way == "first":
        return decider.first(event, [bad], arrived=START, at=after(1)).verdict
    if way == "stream":
        (verdict,) = emitted(decider.case().on_arrival(event, [bad], after(1)))
        return decider.bounded(verdict).verdict
    mild = said("spam", 0.0, upload_id=name)
    first = decider.first(event, [mild], arrived=START, at=after(1))
    assert first.verdict.action is Action.ALLOW
    if way == "late":
        return decider.late(first.case, bad, after(2))
    predictions = [mild, bad] if way == "again" else [bad]
    return decider.again(event, predictions, (), first.verdict, at=after(3))


@settings(max_examples=100, deadline=None)
@given(st.lists(WAYS, min_size=1, max_size=12), st.booleans())
def test_no_mix_of_ways_removes_more_than_the_cap(ways, restart):
    decider = Decider(CAPPED)
    verdicts = []
    for number, way in enumerate(ways):
        verdicts.append(removed_by(way, decider, f"u{number}"))
        if restart:
            decider = Decider(CAPPED, cap=Cap.restore(CAPPED, decider.cap_snapshot()))
    removed = [one for one in verdicts if one.action is Action.REMOVE]
    rest = [one for one in verdicts if one.action is not Action.REMOVE]
    assert len(removed) == min(3, len(ways))
    assert all((one.action, one.decided_by) == (Action.REVIEW, "cap") for one in rest)


def capped():
    """A removal that the cap turned into a review, and the decider that did it."""
    decider = Decider(CAPPED)
    for number in range(3):
        removed_by("first", decider, f"full-{number}")
    return removed_by("first", decider, "u1")


def test_a_capped_removal_stays_a_review_until_a_human_decides():
    verdict = capped()
    bad = said("spam", 0.99)
    fresh = Decider(CAPPED)
    assert verdict.decided_by == "cap"
    assert fresh.again(upload(), [bad], (), verdict, at=after(9)) is None
    review = reviewed("remove", of=verdict)
    removal = fresh.again(upload(), [bad], (), verdict, at=after(200), review=review)
    assert (removal.action, removal.decided_by) == (Action.REMOVE, "reviewer")
    assert (removal.revision, removal.supersedes) == (2, verdict.id)


@pytest.mark.parametrize("recorded", [True, False], ids=["review recorded", "review not recorded"])
def test_software_never_supersedes_a_reviewer(recorded):
    decider = Decider(STRICT)
    bad = [said("spam", 0.99), said("violence", 0.0), said("copyright", 0.0)]
    first = decider.first(upload(), bad, arrived=START, at=after(1)).verdict
    assert first.action is Action.REMOVE
    review = reviewed("allow", of=first, at=50)
    second = decider.again(upload(), bad, (), first, at=after(60), review=review)
    assert (second.action, second.decided_by) == (Action.ALLOW, "reviewer")
    reviews = [review] if recorded else []
    worse = [*bad, said("violence", 1.0, at=90)]
    assert decider.again(upload(), worse, reviews, second, at=after(100)) is None
    forged = reviewed("remove", of="x", at=110)
    assert decider.again(upload(), worse, reviews, second, at=after(130), review=forged) is None
    later = reviewed("restrict", of=second, at=120)
    third = decider.again(upload(), worse, reviews, second, at=after(130), review=later)
    assert (third.action, third.revision, third.supersedes) == (Action.RESTRICT, 3, second.id)


def test_a_second_verdict_lists_the_policies_in_shadow():
    decider = Decider(POLICIES[0], [STRICT])
    clean = [said(name, 0.0) for name in DETECTORS]
    first = decider.first(upload(), clean, arrived=START, at=after(1)).verdict
    worse = [*clean[1:], said("spam", 0.96, at=3)]
    second = decider.again(upload(), worse, (), first, at=after(9))
    assert second.action is Action.REVIEW
    assert second.shadow_policies == [
        {"policy_version": STRICT.version, "action": "remove", "rule": "spam-certain"}
    ]


def test_the_id_of_a_verdict_is_stable():
    """Consumers deduplicate by it, across versions of this software."""
    decider = Decider(CAPPED)
    for predictions in permutations([said("spam", 0.99), said("other", 0.1)]):
        verdict = decider.first(upload(), predictions, arrived=START, at=after(1)).verdict
        assert isinstance(verdict, Verdict)
        assert verdict.policy_version == CAPPED.version
        assert known(verdict)[0] == FIRST_ID


#: Of this version and later ones: the content is among the inputs (docs/upgrade.md).
FIRST_ID = "2c9e9703ab98f8ee10ab2d14dfca4327"

ROOT = Path(__file__).parents[2]
#: Where a decision is made: nothing else may import these.
DECIDING = {
    "quorum.aggregator.case.case": {"Case"},
    "quorum.aggregator.decision.evaluate": {"evaluate", "decide"},
    "quorum.aggregator.decision.verdicts": {"make_verdict"},
}

#: Judges what was decided, and so must not ask who decided it.
ORACLE = ROOT / "benchmarks" / "soak" / "checker.py"


def test_nothing_else_decides():
    """Outside of the aggregator only ``quorum.aggregator.decider`` is imported to decide."""
    offenders = []
    for folder in ("quorum", "pipeline", "models", "benchmarks", "examples"):
        for path in (ROOT / folder).rglob("*.py"):
            if "aggregator" in path.parts or path == ORACLE:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom):
                    names = {alias.name for alias in node.names}
                    decides = names & DECIDING.get(node.module or "", set())
                else:
                    decides = isinstance(node, ast.Import) and any(
                        alias.name in DECIDING for alias in node.names
                    )
                if decides:
                    offenders.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert offenders == []
