"""One id, two contents: an edit is decided anew, and what belongs to the earlier content is not."""

from __future__ import annotations

import itertools

import pytest

from quorum.aggregator.case.case import Case, Discard, Emit, Forget
from quorum.aggregator.decider import Decider
from quorum.aggregator.decision.compact import CompactPrediction
from quorum.core.messages import Action, Prediction, Review, Upload
from tests.aggregator.aggregator_cases import START, after, said, three_detectors, upload

BALANCED = three_detectors("balanced")
NAMES = ("spam", "violence", "copyright")

FIRST = upload(title="a walk in the park")
EDIT = upload(title="buy followers now", published_at=after(100))
AGAIN = upload(title="a walk in the park", published_at=after(200))


def of(content: Upload, at: float = 0.0, **scores: float) -> list[Prediction]:
    """A prediction of each detector of a content; harmless where no score is given."""
    made = [said(name, scores.get(name, 0.0), at=at) for name in NAMES]
    return [one.of_content(content.digest) for one in made]


def verdicts(effects):
    return [effect.verdict for effect in effects if isinstance(effect, Emit)]


def decided(first=FIRST, **scores):
    case = Case(BALANCED)
    (verdict,) = verdicts(case.on_arrival(first, of(first, **scores), after(1)))
    return case, verdict


def restored(case):
    return Case.restore(BALANCED, case.snapshot())


def test_an_edit_is_decided_anew_and_supersedes_even_with_the_same_action():
    case, first = decided()
    assert (first.action, first.digest, first.revision) == (Action.ALLOW, FIRST.digest, 1)
    assert first.published_at == FIRST.published_at
    (second,) = verdicts(case.on_arrival(EDIT, of(EDIT, at=101), after(101), arrived=after(100.5)))
    assert (second.action, second.revision, second.supersedes) == (Action.ALLOW, 2, first.id)
    assert (second.digest, second.published_at) == (EDIT.digest, EDIT.published_at)
    assert second.latency == 0.5
    assert {one.id for one in second.predictions}.isdisjoint(one.id for one in first.predictions)
    assert second.order > first.order


def test_an_edit_waits_for_its_own_predictions_and_has_its_own_deadline():
    case, first = decided(spam=0.99)
    assert first.action is Action.REMOVE
    case = restored(case)
    assert case.on_upload(EDIT, after(100)) == ()
    assert not case.decided
    case = restored(case)
    assert case.notify_at() == after(130)
    (second,) = verdicts(case.on_deadline(after(130)))
    assert (second.action, second.decided_by) == (Action.REVIEW, "deadline")
    assert (second.digest, second.revision, second.supersedes) == (EDIT.digest, 2, first.id)
    assert second.predictions == ()
    late = [CompactPrediction.of(one) for one in of(EDIT, at=140)]
    third = verdicts(itertools.chain(*(case.on_prediction(one, after(140)) for one in late)))[-1]
    assert (third.action, third.digest, third.revision) == (Action.ALLOW, EDIT.digest, 3)


def test_late_predictions_of_the_earlier_content_decide_nothing():
    case, _ = decided()
    (edited,) = verdicts(case.on_arrival(EDIT, of(EDIT, at=101), after(101)))
    before = case.snapshot()
    for name in NAMES:
        worse = said(name, 1.0, at=500).of_content(FIRST.digest)
        for form in (worse, CompactPrediction.of(worse)):
            assert case.on_prediction(form, after(102)) == ()
    assert case.snapshot() == before
    assert edited.action is Action.ALLOW


def test_a_prediction_that_names_no_content_counts_for_the_first_one_only():
    nameless = said("copyright", 0.99)
    case = Case(BALANCED)
    case.on_upload(FIRST, START)
    (verdict,) = verdicts(case.on_prediction(nameless, after(1)))
    assert verdict.action is Action.REMOVE
    case, _ = decided()
    case.on_arrival(EDIT, of(EDIT, at=101), after(101))
    assert case.on_prediction(said("copyright", 0.99, at=500), after(102)) == ()


def test_predictions_ahead_of_their_edit_wait_for_it():
    case, first = decided()
    for one in of(EDIT, at=101, violence=0.99):
        assert case.lacks(one.digest)
        assert case.on_prediction(one, after(101)) == ()
        case = restored(case)
    (second,) = verdicts(case.on_upload(EDIT, after(102)))
    assert (second.action, second.digest) == (Action.REMOVE, EDIT.digest)
    assert second.supersedes == first.id
    assert case.notify_at() == after(102 + BALANCED.retention)


def test_predictions_whose_edit_never_comes_are_dead_letters_and_the_verdict_holds():
    case, _ = decided()
    ahead = of(EDIT, at=101)
    for one in ahead:
        case.on_prediction(one, after(101))
    case = restored(case)
    due = after(101 + BALANCED.orphan_wait)
    assert case.notify_at() == due
    effects = case.on_deadline(due)
    assert [one.message for one in effects if isinstance(one, Discard)] == ahead
    assert not verdicts(effects)
    assert case.notify_at() == after(1 + BALANCED.retention)
    assert case.on_deadline(after(1 + BALANCED.retention)) == (Forget(),)
    case, _ = decided()
    case.on_prediction(ahead[0], after(1))
    kinds = [type(one) for one in case.on_end(after(2))]
    assert kinds == [Discard, Forget]


def test_an_earlier_content_that_arrives_late_does_not_win():
    case, verdict = decided(EDIT)
    assert case.on_arrival(FIRST, of(FIRST, spam=1.0), after(150)) == ()
    assert case.on_prediction(said("spam", 1.0, at=900).of_content(FIRST.digest), after(151)) == ()
    assert restored(case).on_arrival(FIRST, of(FIRST, spam=1.0), after(160)) == ()
    assert verdict.digest == EDIT.digest


def test_predictions_of_a_content_that_turns_out_to_be_earlier_are_dropped():
    case, _ = decided(EDIT)
    for one in of(FIRST, spam=1.0):
        assert case.on_prediction(one, after(150)) == ()
    assert case.on_upload(FIRST, after(151)) == ()
    assert case.on_deadline(after(1 + BALANCED.retention)) == (Forget(),)


def test_of_two_contents_of_one_time_the_one_that_arrives_later_holds():
    case, _ = decided()
    other = upload(title="another")
    (second,) = verdicts(case.on_arrival(other, of(other), after(5)))
    assert second.digest == other.digest


def test_the_first_content_published_again_is_an_edit_and_its_predictions_count():
    case, _ = decided()
    case.on_arrival(EDIT, of(EDIT, spam=0.99), after(101))
    (third,) = verdicts(case.on_arrival(AGAIN, of(AGAIN), after(201)))
    assert (third.action, third.digest, third.revision) == (Action.ALLOW, FIRST.digest, 3)
    # Delivered again, the edit in between is the earlier one now.
    assert case.on_arrival(EDIT, of(EDIT, spam=0.99), after(202)) == ()


def test_the_same_content_published_again_is_a_duplicate_and_no_older_edit_wins():
    case, _ = decided()
    assert case.on_arrival(AGAIN, of(AGAIN), after(201)) == ()
    assert case.on_arrival(EDIT, of(EDIT, spam=0.99), after(202)) == ()


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_whatever_the_order_the_newest_content_is_decided_with_its_own_predictions(order):
    case = Case(BALANCED)
    worse, clean = of(FIRST, violence=0.99), of(EDIT)
    events = [
        lambda at: case.on_upload(FIRST, at),
        lambda at: case.on_upload(EDIT, at),
        lambda at: [e for one in worse for e in case.on_prediction(one, at)],
        lambda at: [e for one in clean for e in case.on_prediction(one, at)],
    ]
    made = []
    for step, index in enumerate(order):
        made += verdicts(events[index](after(200 + step)))
        case = restored(case)
    last = made[-1]
    assert (last.action, last.digest) == (Action.ALLOW, EDIT.digest)
    assert {one.id for one in last.predictions} == {one.id for one in clean}
    assert [one.revision for one in made] == list(range(1, len(made) + 1))
    assert max(made, key=lambda one: one.order) is last


def review_of(verdict, action, at):
    return Review(
        upload_id="u1", verdict_id=verdict.id, action=action, reviewer="rita", at=after(at)
    )


def test_a_review_of_the_earlier_content_does_not_decide_the_edit():
    case, first = decided(spam=0.6)
    assert first.action is Action.RESTRICT
    (edited,) = verdicts(case.on_arrival(EDIT, of(EDIT, spam=0.99), after(101)))
    assert edited.action is Action.REMOVE
    case = restored(case)
    assert case.on_review(review_of(first, "allow", 102), after(102)) == ()
    (third,) = verdicts(case.on_review(review_of(edited, "allow", 103), after(103)))
    assert (third.action, third.decided_by, third.digest) == (
        Action.ALLOW,
        "reviewer",
        EDIT.digest,
    )


def test_an_edit_does_not_undo_what_a_reviewer_decided_without_a_reviewer():
    case, first = decided()
    (removed,) = verdicts(case.on_review(review_of(first, "remove", 50), after(50)))
    assert removed.decided_by == "reviewer"
    case = restored(case)
    (edited,) = verdicts(case.on_arrival(EDIT, of(EDIT), after(101)))
    assert (edited.action, edited.rule) == (Action.REVIEW, "edited-after-review")
    case = restored(case)
    (allowed,) = verdicts(case.on_review(review_of(edited, "allow", 110), after(110)))
    assert allowed.action is Action.ALLOW
    (again,) = verdicts(case.on_arrival(AGAIN, of(AGAIN), after(201)))
    assert (again.action, again.rule) == (Action.ALLOW, "default")


@pytest.mark.parametrize("known", [True, False], ids=["all verdicts", "the last alone"])
def test_a_case_from_a_record_tells_the_contents_apart(known):
    case, first = decided(spam=0.99)
    effects = case.on_arrival(EDIT, of(EDIT, at=101), after(101))
    (second,) = verdicts(effects)
    recorded = [*of(FIRST, spam=0.99), *of(EDIT, at=101)]
    decider = Decider(BALANCED)
    earlier = [first] if known else []
    again = decider.resume(EDIT, recorded, (), second, earlier=earlier)
    assert again.on_replay(after(300)) == ()
    assert again.on_prediction(said("spam", 0.99, at=400), after(301)) == ()
    # The verdict on the earlier content is not one on the edit: it is decided, and superseded.
    (made,) = verdicts(decider.resume(EDIT, recorded, (), first).on_replay(after(300)))
    assert (made.action, made.digest, made.revision) == (Action.ALLOW, EDIT.digest, 2)
    assert made.id == second.id
    late = review_of(first, "remove", 400)
    held = decider.again(EDIT, recorded, (), second, at=after(401), review=late, earlier=earlier)
    assert (held is not None) is known
    if held is not None:
        assert (held.action, held.rule) == (Action.REVIEW, "edited-after-review")
    told = decider.resume(EDIT, recorded, (), second).on_review(late, after(401), recorded=first)
    assert [one.rule for one in verdicts(told)] == ["edited-after-review"]


def test_a_verdict_without_a_content_is_on_the_one_that_was_there():
    case, first = decided()
    old = first.model_copy(update={"digest": None, "published_at": None})
    decider = Decider(BALANCED)
    nameless = [said(name, 0.0) for name in NAMES]
    assert decider.resume(FIRST, nameless, (), old).on_replay(after(9)) == ()
    (made,) = verdicts(decider.resume(EDIT, nameless, (), old).on_replay(after(300)))
    assert (made.digest, made.revision, made.action) == (EDIT.digest, 2, Action.REVIEW)
    assert made.predictions == ()
    assert case.decided
