import json

import pytest

from quorum.aggregator.case.case import Case, Discard, Emit, Forget
from quorum.aggregator.case.evidence import MAX_STRANGERS
from quorum.aggregator.case.orphans import MAX_ORPHAN_BYTES, MAX_ORPHANS
from quorum.aggregator.case.state import MAX_EARLIER
from quorum.aggregator.decision.evaluate import Uploader
from quorum.aggregator.policy.policy import Policy
from quorum.core.messages import Action, Status
from tests.aggregator.aggregator_cases import START, after, reviewed, said, three_detectors, upload

BALANCED = three_detectors("balanced")
CLEAN = [said("spam", 0.01), said("violence", 0.01), said("copyright", 0.0)]


def verdicts(effects):
    return [effect.verdict for effect in effects if isinstance(effect, Emit)]


def opened(policy=BALANCED):
    case = Case(policy)
    assert case.on_upload(upload(), START) == ()
    return case


def test_all_answers_give_one_verdict_at_once():
    case = opened()
    assert case.notify_at() == after(30)
    assert case.on_prediction(CLEAN[0], after(1)) == ()
    assert case.on_prediction(CLEAN[1], after(2)) == ()
    (verdict,) = verdicts(case.on_prediction(CLEAN[2], after(3)))
    assert (verdict.action, verdict.revision, verdict.supersedes) == (Action.ALLOW, 1, None)
    assert (verdict.decided_by, verdict.rule, verdict.latency) == ("policy", "default", 3.0)
    assert verdict.policy_version == BALANCED.version
    assert {used.detector for used in verdict.predictions} == {"spam", "violence", "copyright"}
    assert case.notify_at() == after(3 + 3600)
    assert case.on_deadline(after(3600)) == ()
    assert case.on_deadline(after(3 + 3600)) == (Forget(),)
    assert case.notify_at() is None


def test_a_removal_is_early():
    case = opened()
    (verdict,) = verdicts(case.on_prediction(said("copyright", 0.99), after(1)))
    assert (verdict.action, verdict.decided_by) == (Action.REMOVE, "policy")
    assert all("not waited for" in one.why for one in verdict.missing)


def test_the_deadline_decides_with_what_is_there():
    case = opened()
    case.on_prediction(CLEAN[0], after(1))
    assert case.on_deadline(after(29.999999)) == ()
    (verdict,) = verdicts(case.on_deadline(after(30)))
    assert (verdict.action, verdict.decided_by) == (Action.REVIEW, "deadline")
    assert verdict.rule == "missing:violence"
    assert {one.detector for one in verdict.missing} == {"violence", "copyright"}


def test_a_late_prediction_that_changes_the_action_supersedes():
    case = opened()
    case.on_prediction(CLEAN[0], after(1))
    case.on_prediction(CLEAN[1], after(1))
    (first,) = verdicts(case.on_deadline(after(31)))
    (second,) = verdicts(case.on_prediction(CLEAN[2], after(40)))
    assert (first.action, second.action) == (Action.REVIEW, Action.ALLOW)
    assert (second.revision, second.supersedes) == (2, first.id)
    assert second.id != first.id
    assert case.on_prediction(CLEAN[2], after(41)) == ()
    assert case.on_prediction(said("spam", 0.02, at=9), after(42)) == ()


def test_a_detector_with_its_own_deadline_is_not_waited_for_longer():
    text = BALANCED.text.replace("  copyright:\n", "  copyright:\n    deadline: 2 s\n")
    case = opened(Policy.from_text(text))
    case.on_prediction(CLEAN[0], after(1))
    case.on_prediction(CLEAN[1], after(1))
    assert case.notify_at() == after(2)
    (verdict,) = verdicts(case.on_deadline(after(2)))
    assert (verdict.rule, verdict.decided_by) == ("missing:copyright", "deadline")


def test_a_review_wins_over_all_predictions():
    case = opened()
    for prediction in CLEAN:
        first = case.on_prediction(prediction, after(1))
    (seen,) = verdicts(first)
    (verdict,) = verdicts(case.on_review(reviewed("remove", of=seen), after(100)))
    assert (verdict.action, verdict.decided_by, verdict.rule) == (
        Action.REMOVE,
        "reviewer",
        "review",
    )
    assert (verdict.revision, len(verdict.predictions)) == (2, 3)
    assert case.on_prediction(said("violence", 0.99, at=200), after(200)) == ()
    assert case.on_review(reviewed("allow", of=seen, at=50), after(210)) == ()
    (third,) = verdicts(case.on_review(reviewed("restrict", of=seen, at=150), after(220)))
    assert (third.revision, third.supersedes) == (3, verdict.id)


def test_a_reply_goes_with_the_verdict_of_its_review_alone():
    case = opened()
    for prediction in CLEAN:
        first = case.on_prediction(prediction, after(1))
    (seen,) = verdicts(first)
    review = reviewed("remove", of=seen).model_copy(update={"reply": "It is spam."})
    (verdict,) = verdicts(case.on_review(review, after(100)))
    assert (verdict.reply, seen.reply) == ("It is spam.", None)
    (third,) = verdicts(case.on_review(reviewed("restrict", of=seen, at=150), after(220)))
    assert third.reply is None


def test_a_review_that_agrees_changes_nothing_but_holds():
    case = opened()
    for prediction in CLEAN:
        effects = case.on_prediction(prediction, after(1))
    assert case.on_review(reviewed("allow", of=verdicts(effects)[0]), after(100)) == ()
    assert case.on_prediction(said("violence", 0.99, at=200), after(200)) == ()


def test_duplicates_change_nothing():
    case = opened()
    case.on_prediction(CLEAN[0], after(1))
    before = case.snapshot()
    assert case.on_prediction(CLEAN[0], after(2)) == ()
    assert case.on_upload(upload(), after(3)) == ()
    assert case.snapshot() == before


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_score_counts_more_than_a_failure_of_the_same_version(order):
    case = opened()
    both = [said("violence", 0.0, at=1), said("violence", at=5)]
    for index in order:
        case.on_prediction(both[index], after(6))
    case.on_prediction(CLEAN[0], after(7))
    (verdict,) = verdicts(case.on_prediction(CLEAN[2], after(8)))
    assert verdict.action is Action.ALLOW


def test_predictions_before_the_upload_wait_for_it():
    case = Case(BALANCED)
    for prediction in CLEAN:
        assert case.on_prediction(prediction, after(0)) == ()
    assert case.notify_at() == after(600)
    (verdict,) = verdicts(case.on_upload(upload(), after(10)))
    assert (verdict.action, verdict.latency) == (Action.ALLOW, 0)


def test_orphans_end_as_dead_letters():
    case = Case(BALANCED)
    case.on_prediction(CLEAN[0], after(0))
    case.on_prediction(CLEAN[0], after(1))
    case.on_review(reviewed("remove"), after(2))
    assert case.on_deadline(after(599)) == ()
    effects = case.on_deadline(after(600))
    assert [type(effect) for effect in effects] == [Discard, Discard, Forget]
    assert effects[0].message == CLEAN[0]
    assert "upload" in effects[0].error


def test_the_end_of_bounded_input_decides_at_once():
    case = opened()
    case.on_prediction(CLEAN[0], after(1))
    effects = case.on_end(after(2))
    (verdict,) = verdicts(effects)
    assert (verdict.action, verdict.decided_by, verdict.latency) == (Action.REVIEW, "deadline", 2)
    assert effects[-1] == Forget()
    orphan = Case(BALANCED)
    orphan.on_prediction(CLEAN[0], after(1))
    assert [type(effect) for effect in orphan.on_end(after(2))] == [Discard, Forget]
    done = opened()
    for prediction in CLEAN:
        done.on_prediction(prediction, after(1))
    assert done.on_end(after(2)) == (Forget(),)


def test_redelivery_in_another_order_gives_the_same_verdict():
    predictions = [said("spam", 0.99), said("violence", 0.99), said("copyright", 0.99)]
    ids = set()
    for order in [(0, 1, 2), (2, 1, 0), (1, 2, 0)]:
        case = opened()
        found = []
        for index in order:
            found += verdicts(case.on_prediction(predictions[index], after(1)))
        ids.add((found[0].id, found[0].rule))
        assert len(found) == 1
    assert len(ids) == 1


def test_a_shadow_prediction_is_listed_and_does_not_decide():
    case = opened()
    case.on_prediction(said("spam", 1.0, shadow=True, version="v2"), after(1))
    for prediction in CLEAN[:2]:
        case.on_prediction(prediction, after(1))
    (verdict,) = verdicts(case.on_prediction(CLEAN[2], after(1)))
    assert verdict.action is Action.ALLOW
    assert [used.shadow for used in verdict.predictions] == [False, False, False, True]


def test_an_abstention_is_kept_with_its_reason():
    case = opened()
    for prediction in CLEAN[:2]:
        case.on_prediction(prediction, after(1))
    abstained = said("copyright", status=Status.ABSTAINED)
    (verdict,) = verdicts(case.on_prediction(abstained, after(1)))
    assert verdict.action is Action.ALLOW
    assert [u.reason for u in verdict.predictions if u.detector == "copyright"] == ["out of order"]


def test_a_reviewer_who_upholds_a_removal_says_so_once():
    """A cap behind the case may have turned the removal into a review."""
    case = opened()
    (first,) = verdicts(case.on_prediction(said("copyright", 0.99), after(1)))
    (second,) = verdicts(case.on_review(reviewed("remove", of=first), after(50)))
    assert (second.action, second.decided_by, second.supersedes) == (
        Action.REMOVE,
        "reviewer",
        first.id,
    )
    assert case.on_review(reviewed("remove", of=second, at=200), after(200)) == ()


def test_what_is_known_of_the_uploader_is_kept():
    text = BALANCED.text + (
        "  - {name: repeat, when: 'uploader.strikes >= 2.0 && score(\"spam\") > 0.3',"
        " action: review, reason: A repeated offender.}\n"
    )
    policy = Policy.from_text(text)
    case = Case(policy)
    case.on_upload(upload(), START, uploader=Uploader(strikes=2.5, removals=3, verdicts=9))
    found = []
    for prediction in [said("spam", 0.4), *CLEAN[1:]]:
        case = Case.restore(policy, case.snapshot())
        found += verdicts(case.on_prediction(prediction, after(1)))
    assert [verdict.rule for verdict in found] == ["repeat"]


def test_territories_of_a_verdict():
    text = BALANCED.text + (
        "  - {name: banned-there, when: 'score(\"violence\") > 0.3', action: remove,"
        " territories: [DE], reason: Forbidden there., category: violence}\n"
    )
    policy = Policy.from_text(text)

    def verdict_for(**fields):
        case = Case(policy)
        case.on_upload(upload(**fields), START)
        found = []
        for prediction in [CLEAN[0], said("violence", 0.4), CLEAN[2]]:
            found += verdicts(case.on_prediction(prediction, after(1)))
        (verdict,) = found
        return verdict

    everywhere = verdict_for()
    assert everywhere.action is Action.RESTRICT
    assert everywhere.territories == {"DE": "remove"}
    assert verdict_for(territories=("DE",)).action is Action.REMOVE
    assert verdict_for(territories=("FR",)).action is Action.ALLOW


def test_a_policy_in_shadow_is_told_and_does_not_decide():
    strict = three_detectors("strict")
    case = Case(BALANCED, [strict])
    case.on_upload(upload(), START)
    found = []
    for prediction in [said("spam", 0.45), *CLEAN[1:]]:
        case = Case.restore(BALANCED, case.snapshot(), [strict])
        found += verdicts(case.on_prediction(prediction, after(1)))
    (verdict,) = found
    assert verdict.action is Action.ALLOW
    assert verdict.shadow_policies == [
        {"policy_version": strict.version, "action": "restrict", "rule": "spam-hinted"}
    ]


def test_a_policy_in_shadow_that_is_asked_too_early_tells_whom_it_waits_for():
    spam_first = Policy.from_text("""
name: spam-first
deadline: 30 s
retention: 1 h
orphan_wait: 10 min
detectors: {spam: {required: true}, copyright: {required: true}}
rules:
  - {name: spam, when: 'score("spam") >= 0.9', action: remove, category: spam, reason: Spam.}
""")
    case = Case(BALANCED, [spam_first])
    case.on_upload(upload(), START)
    (verdict,) = verdicts(case.on_prediction(said("copyright", 0.99), after(1)))
    assert verdict.action is Action.REMOVE
    (told,) = verdict.shadow_policies
    assert told["waiting_for"] == "spam"
    case = Case(BALANCED, [spam_first])
    case.on_upload(upload(), START)
    case.on_prediction(said("spam", 0.95), after(1))
    (verdict,) = verdicts(case.on_prediction(said("copyright", 0.99), after(1)))
    (told,) = verdict.shadow_policies
    assert (told["action"], told["rule"]) == ("remove", "spam")
    assert "waiting_for" not in told


def test_a_restrictive_verdict_tells_its_uploader_why():
    case = Case(BALANCED)
    case.on_upload(upload(language="de-AT", title="Zorbanax"), START)
    (verdict,) = verdicts(case.on_prediction(said("copyright", 0.99), after(1)))
    assert verdict.statement.startswith("Wir haben Ihren Upload entfernt.")
    assert "Zorbanax" not in verdict.statement
    case = opened()
    for prediction in CLEAN[:2]:
        case.on_prediction(prediction, after(1))
    (verdict,) = verdicts(case.on_prediction(CLEAN[2], after(1)))
    assert verdict.statement is None


def test_a_flood_of_invented_detectors_does_not_fill_the_state():
    names = [f"invented-{number:04}" for number in range(500)]
    kept = []
    for order in (names, names[::-1]):
        case = opened()
        for name in order:
            case.on_prediction(said(name, 0.5), after(1))
        for prediction in CLEAN[:2]:
            case.on_prediction(prediction, after(1))
        (verdict,) = verdicts(case.on_prediction(CLEAN[2], after(1)))
        assert verdict.action is Action.ALLOW
        kept.append([used.detector for used in verdict.predictions])
    assert kept[0] == kept[1]
    assert len(kept[0]) == 3 + MAX_STRANGERS


def test_a_flood_before_the_upload_ends_as_dead_letters():
    case = Case(BALANCED)
    effects = []
    for number in range(MAX_ORPHANS + 5):
        effects += case.on_prediction(said(f"invented-{number}", 0.5), after(1))
    assert [type(effect) for effect in effects] == [Discard] * 5
    assert len(case.on_deadline(after(601))) == MAX_ORPHANS + 1


def test_large_messages_before_the_upload_have_a_bound_in_bytes():
    case = Case(BALANCED)
    effects = []
    for number in range(20):
        large = said(f"invented-{number}", 0.5).model_copy(update={"reason": "x" * 100_000})
        effects += case.on_prediction(large, after(1))
    assert {type(effect) for effect in effects} == {Discard}
    assert 9 <= len(effects) <= 11
    assert len(case.snapshot()) < MAX_ORPHAN_BYTES + 1_000


def test_a_case_resumed_under_another_policy_revises_once():
    case = opened()
    said_now = [said("spam", 0.96), *CLEAN[1:]]
    found = []
    for prediction in said_now:
        found += verdicts(case.on_prediction(prediction, after(1)))
    (first,) = found
    strict = three_detectors("strict")
    resumed = Case.resume(strict, upload(), said_now, (), first)
    (second,) = verdicts(resumed.on_replay(after(9000)))
    assert (first.action, second.action) == (Action.REVIEW, Action.REMOVE)
    assert (second.revision, second.supersedes) == (2, first.id)
    assert second.policy_version == strict.version
    assert Case.resume(strict, upload(), said_now, (), second).on_replay(after(9999)) == ()
    again = Case.resume(strict, upload(), said_now[::-1], (), first)
    assert verdicts(again.on_replay(after(9001)))[0].id == second.id
    held = Case.resume(strict, upload(), said_now, [reviewed("review")], first)
    assert held.on_replay(after(9000)) == ()


def test_a_review_names_the_harm_and_not_the_reviewer():
    case = opened()
    for prediction in [said("spam", 0.9), *CLEAN[1:]]:
        effects = case.on_prediction(prediction, after(1))
    (first,) = verdicts(effects)
    held = reviewed("remove", of=first).model_copy(update={"note": "I know them"})
    (verdict,) = verdicts(case.on_review(held, after(100)))
    assert verdict.category == "spam", "what it was held for"
    named = reviewed("restrict", of=first, at=200).model_copy(
        update={"labels": ("violence/fight",)}
    )
    case = Case.restore(BALANCED, case.snapshot())
    (verdict,) = verdicts(case.on_review(named, after(200)))
    assert verdict.category == "violence"
    assert "rita" not in verdict.model_dump_json()
    (verdict,) = verdicts(case.on_review(reviewed("allow", of=verdict, at=300), after(300)))
    assert verdict.category is None


def decided(policy=BALANCED, predictions=CLEAN):
    """A case with its first verdict, and that verdict."""
    case, effects = opened(policy), []
    for prediction in predictions:
        effects += case.on_prediction(prediction, after(1))
    (verdict,) = verdicts(effects)
    return case, verdict


def test_a_review_of_a_verdict_that_there_is_not_decides_nothing():
    case, _ = decided()
    before = case.snapshot()
    forged = reviewed("remove", of="nonsense", at=2)
    (effect,) = case.on_review(forged, after(2))
    assert effect == Discard(forged, "it names no verdict on its upload")
    assert case.snapshot() == before


def test_a_review_may_name_any_revision():
    case, first = decided()
    (second,) = verdicts(case.on_review(reviewed("remove", of=first, at=10), after(10)))
    case = Case.restore(BALANCED, case.snapshot())
    (third,) = verdicts(case.on_review(reviewed("restrict", of=first, at=20), after(20)))
    (fourth,) = verdicts(case.on_review(reviewed("allow", of=second, at=30), after(30)))
    assert [one.revision for one in (second, third, fourth)] == [2, 3, 4]


def test_superseded_verdicts_are_kept_within_a_bound():
    case, first = decided()
    last = first
    for number in range(2 * MAX_EARLIER):
        action = "remove" if number % 2 else "restrict"
        review = reviewed(action, of=last, at=10 + number)
        (last,) = verdicts(case.on_review(review, after(10 + number)))
    assert not case.knows_verdict(first.id)
    assert len(case.snapshot()) < 10_000
    (effect,) = case.on_review(reviewed("allow", of=first, at=500), after(500))
    assert isinstance(effect, Discard)
    (verdict,) = verdicts(
        case.on_review(reviewed("allow", of=first, at=500), after(500), recorded=first)
    )
    assert verdict.action is Action.ALLOW, "the ledger knows the verdict"


def test_a_review_that_comes_before_the_verdict_that_it_names_waits_for_it():
    _, known = decided()
    case = opened()
    review, forged = reviewed("remove", of=known, at=2), reviewed("allow", of="x", at=3)
    assert case.on_review(review, after(2)) == ()
    assert case.on_review(forged, after(3)) == ()
    assert case.on_review(forged, after(3)) == ()
    case = Case.restore(BALANCED, case.snapshot())
    effects = []
    for prediction in CLEAN:
        effects += case.on_prediction(prediction, after(5))
    discarded = [effect.message for effect in effects if isinstance(effect, Discard)]
    assert discarded == [forged]
    assert [(one.action, one.revision, one.decided_by) for one in verdicts(effects)] == [
        (Action.ALLOW, 1, "policy"),
        (Action.REMOVE, 2, "reviewer"),
    ]
    assert verdicts(effects)[0].id == known.id


def test_a_review_waits_no_longer_than_the_deadline():
    case = opened()
    case.on_review(reviewed("allow", of="x"), after(2))
    effects = case.on_deadline(after(30))
    assert [type(effect) for effect in effects] == [Discard, Emit]
    assert verdicts(effects)[0].decided_by == "deadline"


def test_a_state_without_superseded_verdicts_is_written_without_a_place_for_them():
    case, _ = decided()
    head = json.loads(case.snapshot().partition(b"\n")[0])
    assert len(head[10]) == 6
    assert Case.restore(BALANCED, case.snapshot()).snapshot() == case.snapshot()
