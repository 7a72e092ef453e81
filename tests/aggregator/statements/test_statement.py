import json

import pytest
from pydantic import ValidationError

from quorum.aggregator.case.case import Case, Emit
from quorum.aggregator.policy.policy import Policy, load_policy
from quorum.aggregator.policy.territories import EEA
from quorum.aggregator.statements.record import TransparencyRecord
from quorum.aggregator.statements.statement import languages, make_statement, submissions
from quorum.core.messages import Review
from tests.aggregator.aggregator_cases import START, after, said, three_detectors, upload

BALANCED = three_detectors("balanced")
SECRET = {
    "title": "Call Zorbanax at 5550123",
    "description": "zorbanax@example.org",
    "uploader": "zorbanax",
}


def verdict_on(policy, scores, review=None, **facts):
    made = upload(**{**SECRET, "language": "en-GB", **facts})
    case = Case(policy)
    effects = [*case.on_upload(made, START)]
    for name, score in scores.items():
        effects += case.on_prediction(said(name, score), after(1))
    if review is not None:
        effects += case.on_deadline(after(40))
        seen = [one.verdict for one in effects if isinstance(one, Emit)][-1]
        told = Review(
            upload_id="u1",
            verdict_id=seen.id,
            action=review,
            reviewer="zorbanax",
            note="I know Zorbanax",
            at=after(50),
        )
        effects += case.on_review(told, after(50))
    return [one.verdict for one in effects if isinstance(one, Emit)][-1], made


def stated(policy, scores, language="en", **more):
    return make_statement(policy, *verdict_on(policy, scores, **more), language)


SPAM = {"spam": 0.99, "violence": 0.0, "copyright": 0.0}


def test_a_removal_by_software():
    made = stated(BALANCED, SPAM, media="https://media.example.org/a.mp4")
    record = made.record.to_json()
    assert record["decision_visibility"] == ["DECISION_VISIBILITY_CONTENT_REMOVED"]
    assert record["decision_ground"] == "DECISION_GROUND_INCOMPATIBLE_CONTENT"
    assert record["category"] == "STATEMENT_CATEGORY_OTHER_VIOLATION_TC"
    assert record["automated_detection"] == "Yes"
    assert record["automated_decision"] == "AUTOMATED_DECISION_FULLY"
    assert record["content_type"] == ["CONTENT_TYPE_VIDEO"]
    assert record["content_language"] == "EN"
    assert record["content_date"] == record["application_date"] == "2026-03-01"
    assert record["territorial_scope"] == sorted(EEA)
    assert "signs of spam (score 0.99 of 1)" in record["decision_facts"]
    assert made.text.startswith("We removed your upload.")
    assert "you can dispute it" in made.text


@pytest.mark.parametrize("review", [None, "remove", "restrict"])
def test_nothing_personal_is_stated(review):
    made = stated(BALANCED, {**SPAM, "spam": 0.9 if review else 0.99}, review=review)
    everything = (json.dumps(made.record.to_json()) + made.text).lower()
    for secret in ("zorbanax", "5550123"):
        assert secret not in everything


def test_a_reviewer_decided():
    made = stated(BALANCED, {**SPAM, "spam": 0.9}, review="remove")
    assert made.record.automated_decision == "AUTOMATED_DECISION_PARTIALLY"
    assert "a person decided" in made.text
    nothing = stated(BALANCED, {}, review="remove")
    assert nothing.record.automated_decision == "AUTOMATED_DECISION_NOT_AUTOMATED"
    assert nothing.record.automated_detection == "No"


def test_a_restriction_is_other_visibility():
    record = stated(BALANCED, {**SPAM, "spam": 0.6}).record
    assert record.decision_visibility == ("DECISION_VISIBILITY_OTHER",)
    assert record.content_type == ("CONTENT_TYPE_TEXT",)


@pytest.mark.parametrize("spam", [0.0, 0.9])
def test_what_restricts_nothing_is_not_stated(spam):
    assert stated(BALANCED, {**SPAM, "spam": spam}) is None


LOCAL = Policy.from_text(
    BALANCED.text
    + "  - {name: there, when: 'score(\"violence\") > 0.3', action: remove, category: forbidden,"
    " territories: [DE, US], reason: Forbidden there.}\n"
    "categories:\n  forbidden: {dsa: violence, ground: law, reference: Section 131,"
    " explanation: Such depictions are forbidden.}\n"
)
FIGHT = {"spam": 0.0, "violence": 0.4, "copyright": 0.0}


def test_a_removal_in_one_country_by_its_law():
    made = stated(LOCAL, FIGHT)
    assert made.record.territorial_scope == ("DE",)
    assert made.record.decision_ground == "DECISION_GROUND_ILLEGAL_CONTENT"
    assert made.record.illegal_content_legal_ground == "Section 131"
    assert made.record.decision_visibility == ("DECISION_VISIBILITY_CONTENT_DISABLED",)
    assert "not shown in: DE, US" in made.text


def test_outside_the_eea_only_the_uploader_is_told():
    made = stated(LOCAL, FIGHT, territories=("US",))
    assert made.record is None
    assert made.text.startswith("We removed your upload.")


def test_every_language_has_every_sentence():
    assert {"en", "de"} <= set(languages())
    for language in languages():
        for scores in (SPAM, {**SPAM, "spam": 0.6}):
            made = stated(BALANCED, scores, language)
            assert "{" not in made.text
    assert stated(BALANCED, SPAM, "de-AT").text.startswith("Wir haben")
    assert stated(BALANCED, SPAM, "xx").text == stated(BALANCED, SPAM, "../en").text


def test_each_harm_of_the_shipped_policies_has_plain_words():
    scores = {"spam": 0.0, "violence": 0.0, "copyright": 0.0, "nsfw": 0.85}
    made = stated(load_policy("balanced"), scores)
    assert "signs of sexual content (score 0.85 of 1)" in made.text
    assert made.record.to_json()["category"] == "STATEMENT_CATEGORY_OTHER_VIOLATION_TC"
    told = stated(load_policy("balanced"), scores, "de").text
    assert "Anzeichen für sexuelle Inhalte (Wert 0.85 von 1)" in told


@pytest.mark.parametrize(
    "change",
    [
        {"category": "STATEMENT_CATEGORY_SPAM"},
        {"territorial_scope": ["US"]},
        {"territorial_scope": []},
        {"puid": "a b"},
        {"decision_facts": "x" * 5001},
        {"illegal_content_explanation": "x"},
        {"decision_visibility_other": "x"},
        {"automated_decision": "Yes"},
        {"content_date": "2026-03-01T00"},
        {"nickname": "x"},
    ],
)
def test_what_the_database_would_refuse_is_refused(change):
    record = stated(BALANCED, SPAM).record.to_json()
    TransparencyRecord.model_validate(record)
    with pytest.raises(ValidationError):
        TransparencyRecord.model_validate(record | change)


def test_the_database_takes_a_hundred_at_once():
    record = stated(BALANCED, SPAM).record
    sizes = [len(body["statements"]) for body in submissions([record] * 230)]
    assert sizes == [100, 100, 30]
