"""One id, two contents: the ledger keeps the verdicts on both, and knows which one holds."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine, text

from quorum.core.messages import Action, Prediction, Upload, Verdict
from quorum.store.ledger import CaseFilter, Ledger, Owner
from quorum.store.ledger import revisions as revisions_of_the_schema
from tests.store.ledger.messages_for_ledger import at, prediction, review, upload, verdict

FIRST = upload(1)
EDIT = upload(1, title="Edited", published_at=at(60))


def of(content: Upload, action: Action, revision: int, minutes: float, **more: object) -> Verdict:
    return verdict(
        1,
        revision,
        minutes,
        action=action,
        digest=content.digest,
        published_at=content.published_at,
        **more,
    )


def said(content: Upload, score: float) -> Prediction:
    return prediction(1, score=score).of_content(content.digest)


#: The stream forgot the case before the edit came: the count of revisions began again.
VERDICTS = [
    of(FIRST, Action.REVIEW, 1, 2),
    of(FIRST, Action.REMOVE, 3, 90),
    of(EDIT, Action.ALLOW, 1, 61),
]
PREDICTIONS = [said(FIRST, 0.9), said(EDIT, 0.1)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_content_published_last_holds_in_any_order(ledger: Ledger, order: tuple[int]) -> None:
    for message in (EDIT, FIRST, *PREDICTIONS, *(VERDICTS[one] for one in order)):
        ledger.record([message])
    case = ledger.get_case("up-1")
    assert case is not None and case.upload == EDIT and case.verdict == VERDICTS[2]
    assert case.verdicts == tuple(VERDICTS)
    assert {one.id for one in case.predictions} == {one.id for one in PREDICTIONS}
    assert case.current_predictions == (PREDICTIONS[1],)
    (row,) = ledger.find(CaseFilter(upload="up-1"))
    assert (row.action, row.verdict_id, row.title) == (Action.ALLOW, VERDICTS[2].id, "Edited")
    past = ledger.verdicts_before(FIRST.uploader, {Action.ALLOW, Action.REMOVE}, at(100))
    assert [action for _, action, _ in past.chosen] == [Action.ALLOW]


def test_a_review_is_of_the_content_of_its_verdict(ledger: Ledger) -> None:
    one, two = (review(1, made) for made in (VERDICTS[1], VERDICTS[2]))
    ledger.record([EDIT, *VERDICTS, one, two])
    case = ledger.get_case("up-1")
    assert case is not None
    assert case.current_reviews == (two,)
    assert len(case.counted_reviews) == 2


def test_of_two_contents_of_one_time_the_last_that_is_recorded_holds(ledger: Ledger) -> None:
    other = upload(1, title="Another")
    ledger.record([FIRST])
    ledger.record([other])
    assert ledger.get_cases(["up-1"])[0].upload == other


def test_an_edit_without_a_verdict_awaits_one(ledger: Ledger) -> None:
    ledger.record([FIRST, VERDICTS[0]])
    assert not ledger.get_cases(["up-1"])[0].awaits_decision
    ledger.record([EDIT])
    assert ledger.get_cases(["up-1"])[0].awaits_decision
    ledger.record([VERDICTS[2]])
    assert not ledger.get_cases(["up-1"])[0].awaits_decision


def test_verdicts_of_version_0_2_are_compared_by_revision(ledger: Ledger) -> None:
    nameless = [verdict(1, number, number) for number in (1, 2)]
    ledger.record([FIRST, nameless[1], nameless[0]])
    assert ledger.get_cases(["up-1"])[0].verdict == nameless[1]
    again = of(FIRST, Action.ALLOW, 1, 5)
    ledger.record([again])
    (row,) = ledger.find(CaseFilter(upload="up-1"))
    assert row.verdict_id == nameless[1].id
    assert ledger.get_cases(["up-1"])[0].verdict == nameless[1]
    ledger.record([EDIT, VERDICTS[2]])
    assert ledger.get_cases(["up-1"])[0].verdict == VERDICTS[2]
    (row,) = ledger.find(CaseFilter(upload="up-1"))
    assert row.verdict_id == VERDICTS[2].id


def test_the_first_client_stays_and_is_erased_with_its_upload(ledger: Ledger) -> None:
    ledger.record([FIRST, Owner("up-1", "shop")])
    ledger.record([Owner("up-1", "thief"), Owner("up-2", "thief")])
    assert ledger.owners(["up-1", "up-2", "up-3"]) == {"up-1": "shop", "up-2": "thief"}
    ledger.forget(FIRST.uploader, dry_run=False)
    assert ledger.owners(["up-1"]) == {}


def test_a_ledger_of_version_0_2_is_migrated(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/old.db"
    old = verdict(1, 3, 2, action=Action.REMOVE)
    stale = verdict(2, 1, 3)
    with Ledger(url, create=True) as made:
        # The second upload was published again after its verdict.
        made.record([FIRST, old, upload(2, published_at=at(60)), stale])
    engine = create_engine(url)
    with engine.begin() as connection:
        config = revisions_of_the_schema._config()
        config.attributes["connection"] = connection
        command.downgrade(config, "0006")
    with Ledger(url, create=True) as migrated:
        migrated.record([of(FIRST, Action.ALLOW, 1, 5)])
        (row,) = migrated.find(CaseFilter(upload="up-1"))
        assert (row.action, row.verdict_id) == (Action.REMOVE, old.id)
        assert [case.awaits_decision for case in migrated.get_cases(["up-1", "up-2"])] == [
            False,
            True,
        ]
    with engine.connect() as connection:
        found = connection.execute(text("SELECT content_at FROM cases ORDER BY upload_id"))
        assert [one is None for one in found.scalars()] == [False, True]
    engine.dispose()
