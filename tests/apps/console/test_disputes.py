"""Disputes: the reviewer sees both sides, and a decision for the uploader is recorded."""

from __future__ import annotations

import json

import pytest

from quorum.apps.console.accounts import audit
from quorum.apps.console.desk import disputes
from quorum.apps.console.desk.appeals import AppealRefused
from quorum.core.messages import Action, Evidence, Prediction, Status, now, prediction_id
from quorum.models.copyright.catalogue.catalogue import Catalogue
from quorum.models.copyright.catalogue.works import OwnerRule
from quorum.store.ledger import Ledger
from tests.apps.console.cases_for_console import record_case
from tests.apps.console.conftest import soon
from tests.models.copyright.prints import made_up


@pytest.fixture
def matched(ledger: Ledger) -> Catalogue:
    """An upload that was removed because it matches a work, and one without a match."""
    catalogue = Catalogue(None, ledger.name)
    work, found = made_up("film-1")
    rule = OwnerRule(action=Action.REMOVE, min_seconds=5)
    catalogue.add(
        work.model_copy(update={"rule": rule, "territories": ("DE", "FR"), "licence": "CC-BY"}),
        found,
    )
    for number in (1, 2):
        record_case(
            ledger, number, action=Action.REMOVE, category="intellectual-property",
            rule="copyright-match",
        )  # fmt: skip
    evidence = Evidence(
        kind="match", what="the picture of 'Title of film-1' by Studio; the owner's rule is remove",
        start=3.0, end=9.5, weight=0.99, work="film-1", work_start=60.0, work_end=66.5,
    )  # fmt: skip
    prediction = Prediction(
        id=prediction_id("up-1", "copyright", "v1"), upload_id="up-1", detector="copyright",
        version="v1", status=Status.SCORED, score=0.99, at=now(), evidence=(evidence,),
    )  # fmt: skip
    ledger.record([prediction])
    return catalogue


def test_both_sides_are_shown_and_an_exception_is_recorded(serve, ledger, matched):
    person = serve()
    made, new = disputes.dispute(ledger, "up-1", "I have a <licence>.", "platform")
    assert new
    assert disputes.dispute(ledger, "up-1", "again", "platform") == (made, False)
    ana = person("ana")
    page = ana.get("/case?upload=up-1").text
    for expected in (
        "The owner&#39;s claim", "Title of film-1", "Studio", "Requests <b>remove</b> from 5 s",
        "in DE, FR", "CC-BY", "0:03", "No uploader has permission to use it",
        "I have a &lt;licence&gt;.",
        "6.5 s of the upload match",
    ):  # fmt: skip
        assert expected.replace("&#39;", "'") in page.replace("&#39;", "'"), expected
    queue = ana.get("/queue?kind=appeal").text
    assert "Title 1" in queue
    (task,) = set(_tasks(ledger))
    assert ana.post("/claim", task=task).status_code == 200
    ana.post("/decide", task=task, upload="up-1", action="allow", note="a licence was shown")
    soon(lambda: matched.get("film-1")[0].exceptions)
    assert matched.get("film-1")[0].exceptions == ("by-1",)
    (line,) = [one for one in audit.newest(ledger, limit=50) if one.event == "exception.recorded"]
    assert (line.actor, line.subject) == ("ana", "up-1")
    assert json.loads(line.details) == {"work": "film-1"}
    assert list(disputes.won(ledger)) == [("film-1", "by-1")]
    assert "This uploader may use it" in ana.get("/case?upload=up-1").text


def test_a_dispute_that_is_lost_records_nothing(serve, ledger, matched):
    person = serve()
    disputes.dispute(ledger, "up-1", "It is mine.", "platform")
    ben = person("ben")
    (task,) = set(_tasks(ledger))
    ben.post("/claim", task=task)
    ben.post("/decide", task=task, upload="up-1", action="remove", note="no licence")
    soon(lambda: "upheld" in ben.get("/case?upload=up-1").text)
    assert matched.get("film-1")[0].exceptions == ()
    assert list(disputes.won(ledger)) == []


def test_invalid_disputes_are_rejected_with_the_reason(ledger, matched):
    with pytest.raises(AppealRefused, match="no match with a registered work"):
        disputes.dispute(ledger, "up-2", "mine", "platform")
    with pytest.raises(AppealRefused, match="has no verdict on up-9"):
        disputes.dispute(ledger, "up-9", "mine", "platform")


def test_a_work_outside_the_ledger_is_shown_by_its_evidence(serve, ledger, matched):
    matched.remove("film-1")
    page = serve()("ana").get("/case?upload=up-1").text
    assert "is not in this ledger" in page
    assert "the picture of" in page


def _tasks(ledger: Ledger) -> list[str]:
    from sqlalchemy import select

    from quorum.store.ledger.console_schema import tasks

    query = select(tasks.c.id).where(tasks.c.kind == "appeal", tasks.c.state == "open")
    return ledger.transact(lambda connection: list(connection.execute(query).scalars()))
