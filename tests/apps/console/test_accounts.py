"""Accounts in the console: strikes, decisions on accounts, two people for a ban, appeals."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.console.accounts import audit
from quorum.apps.console.accounts.access import Role, User
from quorum.apps.console.app import create_console
from quorum.apps.console.desk import account_appeals, account_orders, accounts
from quorum.apps.console.desk.account_outbox import publish_orders
from quorum.apps.console.desk.alarms import Alarm, Bounds, measure
from quorum.apps.console.desk.appeals import AppealRefused
from quorum.apps.console.desk.decisions import Conflict
from quorum.apps.console.desk.publishing import LedgerReviewPublisher
from quorum.apps.console.settings import ConsoleSettings
from quorum.apps.http.keys import Keyring, new_key, read_keys
from quorum.core.errors import EngineUnavailable
from quorum.core.messages import AccountVerdict, Action, now
from quorum.store.ledger import Ledger, TimeRange
from quorum.store.ledger.accounts_schema import account_orders as table
from quorum.store.ledger.accounts_schema import account_verdicts
from quorum.store.transparency.figures import count
from quorum.store.transparency.values import Asked
from tests.apps.console.cases_for_console import XSS, record_case
from tests.apps.console.conftest import soon

POLICY = load_policy("balanced")
ANA, BEN = User("ana", Role.REVIEWER), User("ben", Role.REVIEWER)
LEA, MAX = User("lea", Role.LEAD), User("max", Role.LEAD)
AT_ONCE = timedelta(0)


@pytest.fixture
def struck(cases: Ledger) -> Ledger:
    """An account with two removals and a restriction."""
    for number, action in ((60, Action.REMOVE), (61, Action.REMOVE), (62, Action.RESTRICT)):
        record_case(cases, number, action=action, uploader="bot", category="spam", rule="spam")
    return cases


def publish(ledger: Ledger) -> int:
    return publish_orders(ledger, LedgerReviewPublisher(ledger, POLICY).publish)


def current(ledger: Ledger, number: int) -> AccountVerdict | None:
    found = ledger.get_case(f"up-{number}")
    assert found is not None
    assert found.verdict is not None
    return found.verdict.account


def file_of(ledger: Ledger) -> accounts.AccountFile:
    found = ledger.transact(lambda c: accounts.load_account(c, POLICY, "bot"))
    assert found is not None
    return found


def place(ledger: Ledger, action: str, who: User = ANA, number: int = 60, **more: Any) -> Any:
    reason = more.pop("reason", "Spam again and again.")
    return account_orders.place(ledger, f"up-{number}", who, action, reason, AT_ONCE, **more)


def test_strikes_and_their_decay_are_shown(
    console, struck: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = file_of(struck)
    weights = POLICY.strikes.weights
    whole = 2 * weights[Action.REMOVE] + weights[Action.RESTRICT]
    assert found.total == pytest.approx(whole, rel=0.01)
    assert {one.upload_id for one in found.strikes} == {"up-60", "up-61", "up-62"}
    assert found.forecast[90] < found.forecast[30] < found.total
    page = console("eve").get("/account?uploader=bot").text
    assert f">{found.total:.2f}<" in page
    assert str(found.strikes[0].fades_at.date()) in page
    assert "Decide on the account" not in page
    assert "Decide on the account" in console("ana").get("/account?uploader=bot").text
    assert console("ana").get("/account?uploader=nobody").status_code == 404
    assert found.by_action == {"restrict": 1, "remove": 2}
    monkeypatch.setattr(accounts, "COUNTED", 1)
    assert "1+" in console("eve").get("/account?uploader=bot").text


def test_decisions_on_accounts_are_told_where_the_stream_or_the_publisher_is_behind(
    struck: Ledger,
) -> None:
    def told(**later: float) -> dict[str, Alarm]:
        at = now() + timedelta(**later)
        found = struck.transact(lambda c: measure(c, POLICY, Bounds(), {}, at))
        return {one.name: one for one in found if one.grave}

    def away(_: object) -> None:
        msg = "the broker is away"
        raise EngineUnavailable(msg)

    made = place(struck, "warn")
    publish_orders(struck, away)
    assert told(seconds=9) == {}
    alarm = told(seconds=11)["publisher"]
    assert (alarm.what, alarm.since) == ("1 decision could not be published.", made.due_at)
    publish_orders(struck, lambda _: None)
    assert told(seconds=59) == {}
    alarm = told(seconds=61)["verdicts"]
    assert (alarm.what, alarm.since) == (
        "1 published decision led to no verdict yet.",
        made.due_at,
    )
    assert told(days=8) == {}
    # The stream is back: the verdict carries the decision.
    review = made.review(struck.get_case("up-60").verdict)
    LedgerReviewPublisher(struck, POLICY).publish([review])
    assert current(struck, 60).action == "warn"
    assert told(seconds=61) == {}


def test_a_warning_and_a_suspension_are_published_and_lifted(struck: Ledger) -> None:
    place(struck, "warn")
    assert publish(struck) == 1
    warned = current(struck, 60)
    assert warned is not None
    assert (warned.action, warned.state) == ("warn", "holds")
    assert file_of(struck).shut(now()) is None
    until = now() + timedelta(days=7)
    place(struck, "suspend", number=61, until=until)
    assert current(struck, 61) is None
    publish(struck)
    held = current(struck, 61)
    assert held is not None
    assert held.until == until
    assert until.date().isoformat() in (held.statement or "")
    assert "Spam again and again." in (held.statement or "")
    case = struck.get_case("up-61")
    assert case is not None
    assert case.verdict is not None
    assert (case.verdict.action, case.verdict.category) == (Action.REMOVE, "spam")
    shut = file_of(struck).shut(now())
    assert shut is not None
    assert shut.upload_id == "up-61"
    assert file_of(struck).shut(until + timedelta(seconds=1)) is None
    with pytest.raises(Conflict, match="a lead can lift"):
        place(struck, "none", BEN, 61)
    place(struck, "none", ANA, 61, reason="It was an error.")
    publish(struck)
    assert current(struck, 61) is None
    assert struck.get_case("up-61").verdict.reply == "It was an error."  # type: ignore[union-attr]
    assert file_of(struck).shut(now()) is None
    assert audit.verify(struck).broken is None


def test_a_ban_takes_two_people(struck: Ledger) -> None:
    made = place(struck, "ban")
    assert publish(struck) == 0
    assert current(struck, 60) is None
    with pytest.raises(Conflict, match="proposed a ban"):
        place(struck, "warn", BEN, 61)
    with pytest.raises(Conflict, match="second person"):
        account_orders.confirm(struck, made.id, User("Ana", Role.LEAD), AT_ONCE)
    with pytest.raises(Conflict, match="lead refuses"):
        account_orders.refuse(struck, made.id, BEN)
    account_orders.confirm(struck, made.id, LEA, timedelta(minutes=5))
    assert publish(struck) == 0
    account_orders.undo(struck, made.id, LEA)
    account_orders.confirm(struck, made.id, MAX, AT_ONCE)
    publish(struck)
    banned = current(struck, 60)
    assert banned is not None
    assert (banned.action, banned.until) == ("ban", None)
    assert "closed" in (banned.statement or "")
    refused = place(struck, "ban", BEN, 61)
    account_orders.refuse(struck, refused.id, LEA)
    publish(struck)
    assert current(struck, 61) is None
    with pytest.raises(Conflict, match="not proposed any more"):
        account_orders.confirm(struck, refused.id, MAX, AT_ONCE)
    assert audit.verify(struck).broken is None
    events = [one.event for one in audit.newest(struck)]
    assert {"account.proposed", "account.confirmed", "account.refused"} <= set(events)
    assert all("Spam" not in one.details for one in audit.newest(struck))
    changed = update(table).where(table.c.id == made.id).values(second="ben")
    struck.transact(lambda c: c.execute(changed), writes=True)
    assert "was changed" in str(audit.verify(struck).broken)
    struck.transact(lambda c: c.execute(table.delete()), writes=True)
    assert "was deleted" in str(audit.verify(struck).broken)


def test_a_ban_rests_on_the_verdict_that_its_author_saw(struck: Ledger) -> None:
    made = place(struck, "ban")
    record_case(struck, 60, action=Action.ALLOW, uploader="bot", category=None, revision=2)
    with pytest.raises(Conflict, match="newer verdict"):
        account_orders.confirm(struck, made.id, LEA, AT_ONCE)
    account_orders.refuse(struck, made.id, LEA)
    place(struck, "warn", number=61)
    record_case(struck, 61, action=Action.ALLOW, uploader="bot", category=None, revision=2)
    publish(struck)
    case = struck.get_case("up-61")
    assert case is not None
    assert case.verdict is not None
    assert (case.verdict.action, case.verdict.account, case.reviews) == (Action.ALLOW, None, ())
    assert "newer verdict" in str(file_of(struck).orders[0].error)


@pytest.mark.parametrize(
    ("number", "action", "reason", "days", "told"),
    [
        (1, "warn", "x", 0, "waits for a reviewer"),
        (60, "shout", "x", 0, "Choose what happens"),
        (60, "warn", " ", 0, "State the reason"),
        (60, "warn", "x" * 2001, 0, "State the reason"),
        (60, "warn", "x", 3, "Only a suspension ends"),
        (60, "suspend", "x", -3, "Only a suspension ends"),
        (60, "none", "x", 0, "decides nothing on the account"),
        (999, "warn", "x", 0, "no decided upload"),
    ],
    ids=["waits", "unknown", "blank", "long", "a warning ends", "past", "nothing", "no upload"],
)
def test_what_cannot_be_decided_is_told(
    struck: Ledger, number: int, action: str, reason: str, days: int, told: str
) -> None:
    until = now() + timedelta(days=days) if days else None
    with pytest.raises(Conflict, match=told):
        place(struck, action, number=number, reason=reason, until=until)
    assert struck.transact(lambda c: c.execute(select(table)).all()) == []


def test_what_cannot_be_published_waits_with_the_error(struck: Ledger) -> None:
    def refuse(_reviews: Any) -> None:
        raise EngineUnavailable("the topic is gone")

    place(struck, "warn")
    publish_orders(struck, refuse)
    (one,) = file_of(struck).orders
    assert (one.state, one.error) == ("waiting", "the topic is gone")
    publish(struck)
    assert current(struck, 60) is not None
    assert file_of(struck).orders[0].error is None


def test_an_appeal_is_decided_by_a_third_person(struck: Ledger) -> None:
    made = place(struck, "ban")
    account_orders.confirm(struck, made.id, LEA, AT_ONCE)
    publish(struck)
    banned = struck.get_case("up-60").verdict  # type: ignore[union-attr]
    assert banned is not None
    appeal_id, new = account_appeals.appeal_account(struck, "up-60", banned.id, "Not me.", "shop")
    again = account_appeals.appeal_account(struck, "up-60", banned.id, "Not me.", "shop")
    assert (new, again) == (True, (appeal_id, False))
    for who in (ANA, LEA):
        with pytest.raises(Conflict, match="Another person"):
            account_appeals.decide_appeal(struck, appeal_id, who, "No.", AT_ONCE, lift=True)
    undo = timedelta(minutes=5)
    account_appeals.decide_appeal(struck, appeal_id, BEN, "You are right.", undo, lift=True)
    lifting = file_of(struck).orders[0]
    account_orders.undo(struck, lifting.id, BEN)
    assert account_appeals.find_account_appeal(struck, appeal_id).state == "open"
    account_appeals.decide_appeal(struck, appeal_id, BEN, "You are right.", AT_ONCE, lift=True)
    publish(struck)
    assert current(struck, 60) is None
    row = account_appeals.find_account_appeal(struck, appeal_id)
    assert (row.state, row.statement) == ("reversed", "You are right.")
    place(struck, "warn", number=61)
    publish(struck)
    earlier = struck.get_case("up-61").verdict.id  # type: ignore[union-attr]
    place(struck, "none", number=61)
    publish(struck)
    with pytest.raises(AppealRefused, match="lifted"):
        account_appeals.appeal_account(struck, "up-61", earlier, "x", "shop")
    assert audit.verify(struck).broken is None


def test_platforms_send_appeals_on_accounts(struck: Ledger, tmp_path: Any) -> None:
    place(struck, "warn")
    publish(struck)
    verdict = struck.get_case("up-60").verdict  # type: ignore[union-attr]
    assert verdict is not None
    key, line = new_key("shop", frozenset({"moderate"}))
    (tmp_path / "keys").write_text(f"{line}\n")
    app = create_console(
        struck,
        POLICY,
        LedgerReviewPublisher(struck, POLICY),
        ConsoleSettings(hosts=("localhost",)),
        keyring=Keyring(read_keys(tmp_path / "keys")),
    )
    client = TestClient(
        app, base_url="http://localhost", headers={"authorization": f"Bearer {key}"}
    )
    body = {"upload_id": "up-60", "verdict_id": verdict.id, "text": "No.", "about": "account"}
    made = client.post("/api/appeals", json=body)
    assert made.status_code == 201, made.text
    assert client.post("/api/appeals", json=body).status_code == 200
    assert client.get(f"/api/appeals/{made.json()['id']}").json()["state"] == "open"
    wrong = client.post("/api/appeals", json={**body, "verdict_id": "other"})
    assert wrong.status_code == 422


def test_retention_keeps_what_shuts_an_account_and_erasure_does_not(struck: Ledger) -> None:
    place(struck, "suspend", number=60)
    place_after = publish(struck)
    assert place_after == 1
    place(struck, "warn", number=61)
    publish(struck)
    later = now() + timedelta(days=1)
    struck.prune(later, dry_run=False)
    assert struck.get_case("up-61") is None
    assert current(struck, 60) is not None
    struck.forget("bot", dry_run=False)
    assert struck.get_case("up-60") is None
    left = struck.transact(lambda c: c.execute(select(account_verdicts)).all())
    assert left == []
    assert struck.transact(lambda c: c.execute(select(table)).all()) == []
    assert audit.verify(struck).broken is None


def test_the_pages_from_warning_to_lifting(console, struck: Ledger) -> None:
    ana, lea, eve = console("ana"), console("lea"), console("eve")
    given = {"uploader": "bot", "upload": "up-60", "reason": XSS[0]}
    assert eve.post("/account/decide", action="warn", **given).status_code == 403
    shown = ana.post("/account/preview", action="suspend", days="7", **given).text
    assert (now() + timedelta(days=7)).date().isoformat() in shown
    assert "&lt;script&gt;" in shown
    wrong = ana.post("/account/decide", action="suspend", days="x", **given)
    assert wrong.status_code == 409
    assert "1 to 3650 days" in wrong.text
    assert "&lt;script&gt;" in wrong.text
    assert ana.post("/account/decide", action="ban", **given).status_code == 200
    assert "Confirm the ban" not in ana.get("/account?uploader=bot").text
    page = lea.get("/account?uploader=bot").text
    assert "Confirm the ban" in page
    assert "proposed by ana" in lea.get("/accounts").text
    made = file_of(struck).orders[0].id
    assert ana.post("/account/confirm", order=made).status_code == 403
    assert lea.post("/account/confirm", order=made).status_code == 200
    soon(lambda: current(struck, 60))
    page = eve.get("/account?uploader=bot").text
    assert "This account is banned" in page
    assert "<script>alert" not in page
    assert "banned" in eve.get("/accounts").text
    assert "milder decision" in eve.get("/case?upload=up-60").text
    assert lea.post("/account/decide", action="none", **given).status_code == 200
    soon(lambda: current(struck, 60) is None)
    assert "may upload" in eve.get("/account?uploader=bot").text


def test_the_transparency_report_counts_what_people_decided_once(struck: Ledger) -> None:
    place(struck, "suspend", number=61, until=now() + timedelta(days=7))
    publish(struck)
    made = place(struck, "ban")
    account_orders.confirm(struck, made.id, LEA, AT_ONCE)
    publish(struck)
    ban = current(struck, 60)
    assert ban is not None
    # A later revision repeats the ban.
    verdict = struck.get_case("up-60").verdict  # type: ignore[union-attr]
    assert verdict is not None
    again = {"id": "later", "revision": verdict.revision + 1, "at": now(), "account": ban}
    struck.record([verdict.model_copy(update=again)])
    day = timedelta(days=1)
    for period, wanted in (
        (TimeRange(now() - day, now() + day), (1, 1)),
        (TimeRange(now() + day, now() + 2 * day), (0, 0)),
    ):
        asked = Asked(period)
        found = struck.transact(partial(count, asked=asked, categories=POLICY.categories))
        assert (found.all_measures.suspended, found.all_measures.ended) == wanted
