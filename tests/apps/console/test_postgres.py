"""The console's statements on a real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.console.accounts import audit, sessions
from quorum.apps.console.accounts.access import Role, User, create_user
from quorum.apps.console.desk import (
    account_appeals,
    account_orders,
    accounts,
    appeals,
    bulk,
    claims,
    golden,
    groups,
    likeness,
    outbox,
    quality,
    queues,
    tasks,
)
from quorum.apps.console.desk.account_outbox import publish_orders
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.groups import Group, LargestGroups
from quorum.apps.console.desk.overview import OverviewCache
from quorum.apps.console.desk.publishing import LedgerReviewPublisher
from quorum.apps.console.desk.queues import Queue
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
