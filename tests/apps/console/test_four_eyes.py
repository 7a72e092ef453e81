"""Two accounts are two people only if nobody holds the passwords of both."""

from __future__ import annotations

from datetime import timedelta

import pytest

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.console.accounts import access, separation
from quorum.apps.console.accounts.access import Role
from quorum.apps.console.accounts.separation import one_person
from quorum.apps.console.desk import drafts, trials
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.tasks import open_task
from quorum.core.errors import ConfigurationError
from quorum.core.messages import now
from quorum.store.ledger import Ledger
from tests.apps.console.conftest import PASSWORD


def why(ledger: Ledger, first: str, second: str) -> str | None:
    return ledger.transact(lambda c: one_person(c, first, second))


def proposed(ledger: Ledger, author: str) -> str:
    draft = drafts.save(ledger, "mine", load_policy("balanced").text, author, "Why not")
    trials.run_backtest(ledger, draft, author)
    drafts.propose(ledger, draft, author)
    return draft


def reset(ledger: Ledger, name: str, by: str) -> None:
    access.create_user(ledger, name, Role.LEAD, PASSWORD, by)


def change(ledger: Ledger, name: str) -> None:
    assert access.change_password(ledger, access.User(name, Role.LEAD), PASSWORD, PASSWORD)


def test_who_resets_a_password_is_no_second_person_to_that_account(ledger):
    draft = proposed(ledger, "root")
    reset(ledger, "lea", "root")
    for _ in range(2):
        with pytest.raises(Conflict, match="root has set the password of lea"):
            drafts.activate(ledger, draft, "lea", None)
        change(ledger, "lea")  # which whoever knows the password that was set can do
    other = proposed(ledger, "lea")
    with pytest.raises(Conflict, match="root has set the password of lea"):
        drafts.activate(ledger, other, "root", None)
    drafts.activate(ledger, draft, "max", None)


def test_who_holds_two_passwords_is_not_two_people(ledger, monkeypatch):
    reset(ledger, "lea", "root")
    assert why(ledger, "lea", "max") is None
    reset(ledger, "max", "root")
    draft = proposed(ledger, "lea")
    with pytest.raises(Conflict, match="root has set the passwords of both"):
        drafts.activate(ledger, draft, "max", None)
    change(ledger, "lea")
    assert "both" in why(ledger, "lea", "max")  # whoever reset it may have changed it, too
    change(ledger, "max")
    assert "both" in why(ledger, "lea", "max")
    later = now() + separation.COOLING + timedelta(seconds=1)
    monkeypatch.setattr(separation, "now", lambda: later)
    assert why(ledger, "lea", "max") is None


def test_a_password_that_was_never_changed_stays_known(ledger, monkeypatch):
    reset(ledger, "lea", "root")
    reset(ledger, "max", "root")
    later = now() + timedelta(days=400)
    monkeypatch.setattr(separation, "now", lambda: later)
    assert "each must change their own" in why(ledger, "lea", "max")


def test_names_differ_in_more_than_case(ledger):
    with pytest.raises(ConfigurationError, match="there is a user lea"):
        access.create_user(ledger, "LEA", Role.LEAD, PASSWORD, "root")
    assert why(ledger, "lea", "LEA")
    assert why(ledger, "lea", "\uff2c\uff25\uff21")
    assert access.authenticate(ledger, "Lea", PASSWORD).name == "lea"


def test_an_appeal_does_not_go_to_its_first_reviewer_under_another_spelling(cases, console):
    case = cases.get_cases(["up-1"])[0]

    def work(connection):
        return open_task(connection, "appeal", case.upload, case.verdict, not_for="ANA")

    task = cases.transact(work, writes=True)
    assert "You hold" not in console("ana").post("/claim", task=task).text
    row = cases.transact(lambda c: _task(c, task))
    assert row.claimed_by is None
    console("ben").post("/claim", task=task)
    assert cases.transact(lambda c: _task(c, task)).claimed_by == "ben"


def test_an_appeal_does_not_go_to_who_took_over_another_account(cases, console):
    case = cases.get_cases(["up-1"])[0]

    def work(connection):
        return open_task(connection, "appeal", case.upload, case.verdict, not_for="root")

    task = cases.transact(work, writes=True)
    reset(cases, "ben", "root")
    console("ben").post("/claim", task=task)
    assert cases.transact(lambda c: _task(c, task)).claimed_by is None


def _task(connection, task_id):
    from quorum.apps.console.desk.tasks import get_task

    return get_task(connection, task_id)


def test_users_change_their_own_password(console, ledger):
    ana = console("ana")
    fields = {"old": PASSWORD, "new": "another long one", "again": "another long one"}
    assert ana.post("/password", **{**fields, "old": "wrong"}).status_code == 422
    assert ana.post("/password", **{**fields, "again": "x"}).status_code == 422
    assert ana.post("/password", **fields).url.path == "/login"
    assert access.authenticate(ledger, "ana", "another long one")
    assert not access.authenticate(ledger, "ana", PASSWORD)
