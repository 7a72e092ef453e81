"""What the state of a case holds, and what it refuses to read."""

import pytest

from quorum.aggregator.decider import Decider, Emit
from quorum.aggregator.policy.policy import Policy
from quorum.core.errors import InputError
from quorum.core.messages import Action
from tests.aggregator.aggregator_cases import START, after, reviewed, said, three_detectors, upload

BALANCED = three_detectors("balanced")
CLEAN = [said("spam", 0.01), said("violence", 0.01), said("copyright", 0.0)]
BY_VIEWS = Policy.from_text(
    BALANCED.text + '  - {name: seen, when: \'score("violence") > 0.3 && has(upload.views)'
    " && upload.views > 1000', action: review, reason: Much seen., category: violence}\n"
    "fields: {views: number}\n"
)
SECRET = "words that no rule reads"


def verdicts(effects):
    return [effect.verdict for effect in effects if isinstance(effect, Emit)]


def arrived(policy, **fields):
    case = Decider(policy).case()
    event = upload(title=SECRET, **fields)
    (verdict,) = verdicts(case.on_arrival(event, CLEAN, after(1), upload_json=event.to_bytes()))
    assert verdict.action is Action.ALLOW
    return case


def test_a_decided_case_keeps_only_what_the_policy_reads():
    assert SECRET.encode() not in arrived(BALANCED).snapshot()
    case = Decider(BY_VIEWS).restore(arrived(BY_VIEWS, views=5000, language="de").snapshot())
    assert SECRET.encode() not in case.snapshot()
    (verdict,) = verdicts(case.on_prediction(said("violence", 0.4, at=5), after(5)))
    assert (verdict.rule, verdict.revision) == ("seen", 2)
    assert case.snapshot() == Decider(BY_VIEWS).restore(case.snapshot()).snapshot()


def test_an_undecided_case_keeps_the_upload_as_it_arrived():
    case = Decider(BY_VIEWS).case()
    event = upload(title=SECRET, views=5000)
    text = event.to_bytes().replace(b'":', b'" : ')
    assert case.on_arrival(event, CLEAN[:1], after(1), upload_json=text) == ()
    assert text in case.snapshot()
    case = Decider(BY_VIEWS).restore(case.snapshot())
    found = case.on_prediction(said("violence", 0.4), after(2))
    assert verdicts([*found, *case.on_prediction(CLEAN[2], after(2))])[0].rule == "seen"


def test_a_policy_that_reads_what_was_not_kept_leaves_the_verdict_to_humans():
    case = Decider(BY_VIEWS).restore(arrived(BALANCED, views=5000).snapshot())
    assert case.on_prediction(said("violence", 0.99, at=5), after(5)) == ()
    assert case.notify_at() == after(1 + 3600)
    event = upload(title=SECRET, views=5000)
    seen = Decider(BALANCED).first(event, CLEAN, arrived=after(1), at=after(1)).verdict
    (verdict,) = verdicts(case.on_review(reviewed("remove", of=seen), after(9)))
    assert (verdict.action, verdict.revision) == (Action.REMOVE, 2)


def test_an_upload_that_arrives_again_changes_nothing():
    case = arrived(BALANCED)
    before = case.snapshot()
    assert case.on_arrival(upload(title=SECRET), CLEAN[::-1], after(3)) == ()
    assert case.snapshot() == before


def test_predictions_of_others_that_came_first_count():
    case = Decider(BALANCED).case()
    assert case.on_prediction(said("extra", 0.9), START) == ()
    (verdict,) = verdicts(case.on_arrival(upload(), CLEAN, after(1)))
    assert {one.detector for one in verdict.predictions} >= {"extra", "spam"}


#: As version 0.2 wrote it, of an upload that waits for predictions.
FORMAT_2 = (
    b"[2,1772366400000000,1772366430000000,null,null,null,[],[],null,null]\n"
    b'{"id":"u1","uploader":"ann","published_at":"2026-03-01T12:00:00Z"}'
)


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (b'["{}",0,[0.0,0,0,true],[],[],null,null,5]', "format 1"),
        (FORMAT_2, "format 2"),
        (b"[99,1,2]\n", "format 99"),
    ],
)
def test_the_state_of_another_version_is_refused(state, found):
    with pytest.raises(InputError, match=found) as refused:
        Decider(BALANCED).restore(state)
    assert "drain" in str(refused.value)
