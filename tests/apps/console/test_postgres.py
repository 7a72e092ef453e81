"""The console's statements on a real PostgreSQL."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.console.accounts import audit, sessions
from quorum.apps.console.accounts.access import Role, User, create_user, set_skills
from quorum.apps.console.desk import (
    account_appeals,
    account_orders,
    accounts,
    appeals,
    bulk,
    claims,
    drafts,
    exposure,
    filing,
    golden,
    groups,
    likeness,
    outbox,
    quality,
    queues,
    tasks,
    trials,
)
from quorum.apps.console.desk.account_outbox import publish_orders
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.groups import Group, LargestGroups
from quorum.apps.console.desk.overview import OverviewCache
from quorum.apps.console.desk.policy_history import past_releases
from quorum.apps.console.desk.publishing import LedgerReviewPublisher
from quorum.apps.console.desk.queues import Queue
from quorum.apps.console.desk.routing import Desk
from quorum.apps.console.desk.shift import Shift, shift_of
from quorum.core.messages import Action, Review, now
from quorum.store.ledger import Ledger, LedgerUnavailable
from tests.apps.console.cases_for_console import choose, record_case, take
from tests.apps.console.conftest import PASSWORD
from tests.apps.console.test_groups import decide, wave
from tests.store.ledger.postgres_server import running

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def postgres_ledger() -> Iterator[Ledger]:
    with running() as server, Ledger(server.url(), create=True) as made:
        for number in range(12):
            record_case(made, number, territories=("DE",))
        tasks.sync(made)
        yield made


def test_reviewers_race_for_cases_and_each_case_has_one(postgres_ledger: Ledger):
    ledger, won = postgres_ledger, []

    def race(name: str) -> None:
        for _ in range(2):
            task = claims.claim_next(ledger, Queue(territory="DE"), name)
            if task is not None:
                won.append((name, task.upload_id))
                choose(ledger, task.id, name, Action.REMOVE)

    threads = [threading.Thread(target=race, args=(f"r{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cases = [upload_id for _, upload_id in won]
    assert len(cases) == len(set(cases)) >= 4
    assert audit.verify(ledger).broken is None
    published: list[Review] = []
    outbox.publish_due(ledger, published.extend, double_rate=1.0)
    assert len(published) == len(cases)


def test_the_other_statements(postgres_ledger: Ledger):
    ledger = postgres_ledger
    create_user(ledger, "ana", Role.LEAD, PASSWORD, "test")
    cookie = sessions.log_in(ledger, "ana", PASSWORD, "here").cookie
    assert cookie is not None
    assert sessions.find_session(ledger, cookie) is not None
    assert sessions.log_in(ledger, "ana", "wrong", "here") is None
    removed = record_case(ledger, 50, action=Action.REMOVE)
    assert appeals.appeal(ledger, "up-50", removed.id, "please", "shop")[1]
    assert golden.set_answer(ledger, "up-50", Action.REMOVE, None, "ana")
    choose(ledger, take(ledger, 50, "ben"), "ben", Action.ALLOW)
    outbox.publish_due(ledger, lambda _: None, double_rate=0)
    assert appeals.newest(ledger)[0].state == "reversed"
    assert quality.measure(ledger).speed
    assert OverviewCache(ledger, lambda: ["violence"]).current().cases == 13
    assert queues.open_counts(ledger)


def test_a_draft_is_tried_on_a_sample(postgres_ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    ledger, policy = postgres_ledger, load_policy("balanced")
    monkeypatch.setattr(trials, "MOST_CASES", 10)
    draft = drafts.save(ledger, "n", policy.text.replace("0.75", "0.55"), "lea", "r")
    runner = trials.TrialRunner(ledger, lambda: policy)
    assert runner.step() is False
    trials.ask_for_trial(ledger, draft, "lea")
    assert runner.step() is True
    row = drafts.get(ledger, draft)
    assert (row.trial, row.trial_error) == ("done", None)
    radius = json.loads(row.report)["radius"]
    assert radius["sampled"] is True
    assert radius["of"]["uploads"] >= 12
    assert 0 < radius["read"] <= 10
    drafts.propose(ledger, draft, "lea")
    drafts.activate(ledger, draft, "max", None)
    assert [one.author for one in past_releases(ledger)] == ["lea"]


def test_two_reviewers_race_for_one_group(postgres_ledger: Ledger):
    ledger, made = postgres_ledger, {}
    wave(ledger, range(60, 100))
    group = Group("text", "up-60")
    found = ledger.transact(lambda c: groups.members_of(c, group, "ana"))
    chosen = [one.id for one in found.tasks]
    assert len(chosen) == 40
    assert any(one.group.by == "text" for one in LargestGroups(ledger).current())
    assert ledger.transact(likeness.fill, writes=True) is None

    def race(name: str) -> None:
        order = chosen if name == "r0" else list(reversed(chosen))
        try:
            made[name] = bulk.load(ledger, decide(ledger, order, name, undo=60))
        except Conflict as error:
            made[name] = str(error)

    threads = [threading.Thread(target=race, args=(f"r{n}",)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [name for name, one in made.items() if not isinstance(one, str)]
    assert len(made[winner].decisions) == 40
    assert bulk.undo_many(ledger, made[winner].id, winner) == 40
    assert audit.verify(ledger).broken is None


def test_the_audit_log_only_grows(postgres_ledger: Ledger):
    for statement in (
        "UPDATE audit_log SET actor = 'x'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
    ):
        with pytest.raises(LedgerUnavailable, match="only grows"):
            postgres_ledger.transact(lambda c, s=statement: c.execute(text(s)), writes=True)
    assert audit.verify(postgres_ledger).broken is None


def test_accounts(postgres_ledger: Ledger):
    """Strikes, a ban by two people, its appeal, the audit log over all of it, retention."""
    ledger, ana, lea = postgres_ledger, User("ana", Role.LEAD), User("lea", Role.LEAD)
    for number in (90, 91):
        record_case(ledger, number, action=Action.REMOVE, uploader="bot")
    made = account_orders.place(ledger, "up-90", ana, "ban", "Spam.", timedelta(0))
    account_orders.confirm(ledger, made.id, lea, timedelta(0))
    publisher = LedgerReviewPublisher(ledger, load_policy("balanced"))
    assert publish_orders(ledger, publisher.publish) == 1
    policy = load_policy("balanced")
    found = ledger.transact(lambda c: accounts.load_account(c, policy, "bot"))
    assert found is not None
    assert found.total == pytest.approx(2 * policy.strikes.weights[Action.REMOVE], rel=0.01)
    shut = found.shut(now())
    assert shut is not None
    assert shut.account.action == "ban"
    appeal_id, _ = account_appeals.appeal_account(ledger, "up-90", shut.verdict_id, "No.", "shop")
    assert ledger.transact(account_appeals.counts) == {"open": 1}
    ben = User("ben", Role.REVIEWER)
    ledger.prune(now() + timedelta(days=1), dry_run=True)
    account_appeals.decide_appeal(ledger, appeal_id, ben, "Yes.", timedelta(0), lift=True)
    publish_orders(ledger, publisher.publish)
    found = ledger.transact(lambda c: accounts.load_account(c, policy, "bot"))
    assert found is not None
    assert found.shut(now()) is None
    mark = (now(), "z")
    assert len(ledger.transact(lambda c: account_appeals.newest(c, before=mark))) == 1
    assert audit.verify(ledger).broken is None


def test_the_desk(postgres_ledger: Ledger):
    """Queues, rights, clocks, assignment and exposure, as test_desk and test_exposure have them."""
    ledger = postgres_ledger
    create_user(ledger, "rita", Role.REVIEWER, PASSWORD, "test")
    for number, more in ((70, {"language": "de-AT", "territories": ("AT",)}), (71, {})):
        record_case(ledger, number, id=f"desk-{number}", category="violence", views=7, **more)
    tasks.sync(ledger)
    desk = Desk.model_validate(
        {
            "queues": [
                {
                    "name": "german",
                    "when": {
                        "language": ["de"], "territory": ["AT"], "severity": 4, "reach": 7,
                        "category": ["violence", "none"], "older_than": "1 min",
                        "kind": ["review"],
                    },
                    "skills": ["german"],
                    "answer_within": "30 min",
                }
            ],
            "exposure": {
                "limits": [{"name": "v", "categories": ["violence"], "minutes_a_day": 0.01}]
            },
            "breaks": {"after": "1 h", "rest": "1 min"},
        }
    )  # fmt: skip
    named = Queue(name="german")
    (task,) = queues.queue_page(ledger, named, None, shift=Shift(desk, now()))
    assert claims.claim(ledger, task.id, "rita", desk) is None
    assert filing.file_tasks(ledger, desk, all_of_them=True) > 0
    assert filing.file_tasks(ledger, desk, all_of_them=True) == 0
    (task,) = queues.queue_page(ledger, named, None, shift=Shift(desk, now()))
    assert (task.upload_id, task.queue) == ("desk-70", "german")
    assert task.due_at - task.opened_at == timedelta(minutes=30)
    assert claims.claim(ledger, task.id, "rita", desk) is None
    set_skills(ledger, "rita", ["german"], "root")
    filing.assign_to(ledger, desk, task.id, "rita", timedelta(hours=1), "lea")
    first = claims.claim_next(ledger, Queue(), "rita", desk)
    assert first is not None
    assert first.id == task.id
    states = {one.name: one for one in ledger.transact(lambda c: filing.queue_states(c, desk))}
    assert states["german"].open == 1
    assert states["german"].oldest == task.opened_at
    at = now()
    for second in range(3):
        exposure.note(ledger, desk, "rita", "desk-70", at + timedelta(seconds=second))
    shift = ledger.transact(lambda c: shift_of(c, desk, "rita", at))
    assert shift.hidden == ("violence",)
    chosen = exposure.Preferences(blur=False, grey=True)
    for _ in range(2):
        ledger.transact(lambda c: exposure.save_preferences(c, "rita", chosen), writes=True)
    assert ledger.transact(lambda c: exposure.preferences_of(c, "rita")) == chosen
    with pytest.raises(Conflict, match="None of the selected"):
        bulk.decide_many(
            ledger, [task.id], "ana", Action.ALLOW, None, "", timedelta(0), "x", desk=desk
        )
