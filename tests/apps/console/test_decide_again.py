"""A wrong decision is corrected by whoever may, from wherever they find it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.access import Role, User
from quorum.apps.console.desk import again, claims, queues, tasks
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.queues import Queue
from quorum.core.messages import Action, Review, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import tasks as task_table
from tests.apps.console.cases_for_console import choose, record_case
from tests.apps.console.conftest import soon

ANA, BEN = User("ana", Role.REVIEWER, disabled=False), User("ben", Role.REVIEWER, disabled=False)
LEA, EVE = User("lea", Role.LEAD, disabled=False), User("eve", Role.READ_ONLY, disabled=False)


def reviewed(ledger: Ledger, number: int, reviewer: str, action: Action) -> None:
    """A case that a reviewer decided."""
    # The last one first: no task is ever opened for a verdict that does not hold.
    record_case(ledger, number, action=action, revision=2, decided_by="reviewer", rule="review")
    first = record_case(ledger, number)
    review = Review(
        upload_id=first.upload_id,
        verdict_id=first.id,
        action=action,
        reviewer=reviewer,
        at=now(),
    )
    ledger.record([review])


def test_rights_by_role(ledger: Ledger):
    reviewed(ledger, 1, "ana", Action.ALLOW)
    record_case(ledger, 2, action=Action.ALLOW)
    by_ana, by_policy = ledger.get_cases(["up-1", "up-2"])
    assert again.refusal(by_ana, ANA) is None
    assert again.refusal(by_ana, LEA) is None
    assert again.refusal(by_ana, BEN) == "ana decided this case; a lead can decide it again."
    assert [again.refusal(by_policy, one) for one in (ANA, BEN, LEA)] == [None] * 3
    assert "does not decide" in again.refusal(by_policy, EVE)
    with pytest.raises(Conflict, match="a lead can"):
        again.begin(ledger, "up-1", BEN)
    with pytest.raises(Conflict, match="no verdict"):
        again.begin(ledger, "nothing", ANA)


def test_a_correction_needs_another_action_and_a_reason(ledger: Ledger):
    record_case(ledger, 1, action=Action.ALLOW)
    task = again.begin(ledger, "up-1", ANA)
    assert (task.kind, task.held(now())) == ("again", "ana")
    assert again.begin(ledger, "up-1", ANA).id == task.id
    with pytest.raises(Conflict, match="allow already"):
        choose(ledger, task.id, "ana", Action.ALLOW, note="a reason")
    with pytest.raises(Conflict, match="why the decision changes"):
        choose(ledger, task.id, "ana", Action.REMOVE, note=" ")
    with pytest.raises(Conflict, match="decided again: choose"):
        choose(ledger, task.id, "ana", Action.REVIEW, note="a reason")
    made = choose(ledger, task.id, "ana", Action.REMOVE, undo=8, note="I overlooked the knife")
    assert made.kind == "again"
    with pytest.raises(Conflict, match="about to be published"):
        again.begin(ledger, "up-1", LEA)
    assert audit.verify(ledger, []).broken is None


def test_a_case_that_waits_for_a_reviewer_is_taken_as_usual(cases: Ledger):
    with pytest.raises(Conflict, match="waits for a reviewer"):
        again.begin(cases, "up-1", ANA)


def test_a_correction_is_its_authors_and_does_not_stay(ledger: Ledger):
    record_case(ledger, 1, action=Action.ALLOW)
    task = again.begin(ledger, "up-1", ANA)
    assert queues.queue_page(ledger, Queue(), "ben") == []
    assert claims.claim(ledger, task.id, "ben") is None
    ledger.transact(lambda c: claims.release(c, task.id, "ana"), writes=True)

    def outcomes() -> set[str | None]:
        return set(ledger.transact(lambda c: c.execute(select(task_table.c.outcome)).scalars()))

    assert outcomes() == {"given up"}
    task = again.begin(ledger, "up-1", LEA)
    lapsed = update(task_table).where(task_table.c.id == task.id)
    ledger.transact(
        lambda c: c.execute(lapsed.values(claimed_until=now() - timedelta(seconds=1))), writes=True
    )
    assert tasks.sync(ledger) == (0, 1)
    task = again.begin(ledger, "up-1", ANA)
    record_case(ledger, 1, action=Action.RESTRICT, revision=2)
    assert tasks.sync(ledger) == (0, 1)


def test_a_wrong_allow_becomes_a_new_revision(console: Any, ledger: Ledger):
    reviewed(ledger, 31, "ana", Action.ALLOW)
    ana, ben, eve = console("ana"), console("ben"), console("eve")
    assert "a lead can decide it again" in ben.get("/case?upload=up-31").text
    assert ben.post("/again", upload="up-31").status_code == 409
    assert eve.post("/again", upload="up-31").status_code == 403
    assert 'id="redo"' not in eve.get("/case?upload=up-31").text
    assert "#redo" in ana.get("/search?upload=up-31").text
    page = ana.post("/again", upload="up-31")
    assert "You decide this case again" in page.text
    task = ledger.transact(lambda c: tasks.held_by(c, "ana", "up-31"))
    ana.post(
        "/decide",
        task=task.id,
        upload="up-31",
        action="remove",
        category="violence",
        note="A knife",
    )
    found = soon(
        lambda: (case := ledger.get_case("up-31")).verdict.action is Action.REMOVE and case, 60
    )
    assert found.verdict.revision == 3
    assert found.verdict.supersedes == found.verdicts[1].id
    assert found.verdict.category == "violence"
    mine = ana.get("/mine").text
    assert "A knife" in mine
    assert "decide again" in mine
    assert "A knife" not in console("lea").get("/mine").text


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_deciding_again_by_keyboard(browse: Any, cases: Ledger, width: int):
    reviewed(cases, 30, "ana", Action.ALLOW)
    page = browse("ana", viewport={"width": width, "height": 800})
    page.goto("/search?upload=up-30")
    page.click("text=decide again")
    page.wait_for_selector("html[data-ready] #redo")
    assert page.evaluate("document.activeElement.id") == "redo"
    page.keyboard.press("d")
    page.wait_for_selector("html[data-ready] #decide:has-text('You decide this case again')")
    page.fill("#note", "There is a knife in it")
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    page.wait_for_selector("#toast")
    soon(lambda: cases.get_case("up-30").verdict.action is Action.REMOVE, 60)
    page.goto("/mine")
    assert "There is a knife in it" in page.inner_text("main")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.troubles == []
