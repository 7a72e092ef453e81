"""Legal notices in the console: queues, takedown and put-back by a clock that the test moves."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.console.accounts import audit
from quorum.apps.console.desk import noticed, outbox
from quorum.apps.console.desk.publishing import LedgerReviewPublisher
from quorum.apps.console.pages import notice_form, rendering
from quorum.apps.console.pages import notices as pages
from quorum.core.errors import InputError
from quorum.core.messages import Action, now
from quorum.store.ledger import Ledger
from quorum.store.ledger.notices_schema import notice_events
from quorum.store.notices import intake as intake_module
from quorum.store.notices.copies import add_copy
from quorum.store.notices.intake import NoticeIntake
from quorum.store.notices.reading import COLUMNS, events_of, find_notice
from quorum.store.notices.values import NoticeRules, TakenNotice
from quorum.store.reports.values import Reporter
from tests.apps.console.cases_for_console import XSS, choose, record_case, take
from tests.apps.console.conftest import soon
from tests.store.notices.test_validity import WHOLE

RULES = NoticeRules()


class Clock:
    """A clock that the test moves; it goes on from there."""

    def __init__(self) -> None:
        self._moved = timedelta(0)

    def __call__(self) -> datetime:
        return now() + self._moved

    def to(self, moment: datetime) -> None:
        self._moved = moment - now()

    def by(self, span: timedelta) -> None:
        self._moved += span


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of all that has to do with notices; publishing follows it."""
    made = Clock()
    for module in (intake_module, noticed, outbox, pages, notice_form, rendering):
        monkeypatch.setattr(module, "now", made)
    return made


def send(ledger: Ledger, number: int, who: str = "owner", **more: Any) -> TakenNotice:
    given = {"upload_id": f"up-{number}", "reporter": Reporter("notice", who, "shop")}
    return NoticeIntake(ledger, RULES).take(replace(WHOLE, **given | more))


def state(ledger: Ledger, made: TakenNotice) -> str:
    return ledger.transact(lambda c: find_notice(c, made.id)).state


def publish(ledger: Ledger) -> None:
    publisher = LedgerReviewPublisher(ledger, load_policy("balanced"))
    outbox.publish_due(ledger, publisher.publish, double_rate=0.0)
    noticed.sync(ledger, RULES)


def take_down(
    ledger: Ledger, number: int, who: str = "ana", action: Action = Action.REMOVE
) -> None:
    noticed.sync(ledger, RULES)
    choose(ledger, take(ledger, number, who), who, action)
    publish(ledger)


def test_a_takedown_and_its_put_back_by_the_clock(ledger: Ledger, clock: Clock) -> None:
    record_case(ledger, 50, action=Action.ALLOW)
    made = send(ledger, 50)
    take_down(ledger, 50)
    assert state(ledger, made) == "removed"
    assert ledger.get_case("up-50").verdict.action is Action.REMOVE
    counter = send(ledger, 50, "by-2", kind="counter")
    with pytest.raises(InputError, match="second person"):
        noticed.accept(ledger, counter.id, RULES, "ana")
    noticed.accept(ledger, counter.id, RULES, "lea")
    row = ledger.transact(lambda c: find_notice(c, counter.id))
    assert (row.earliest_at, row.due_at) == RULES.days.window(row.at, 10, 14)
    clock.to(row.earliest_at - timedelta(hours=1))
    publish(ledger)
    assert ledger.get_case("up-50").verdict.action is Action.REMOVE
    clock.to(row.earliest_at)
    publish(ledger)
    publish(ledger)
    publish(ledger)
    verdict = ledger.get_case("up-50").verdict
    assert (verdict.action, verdict.decided_by) == (Action.ALLOW, "reviewer")
    assert (state(ledger, counter), state(ledger, made)) == ("restored", "restored")
    last = ledger.transact(lambda c: events_of(c, counter.id))[-1]
    assert (last.actor, last.details["in_time"]) == ("lea", True)
    assert audit.verify(ledger).broken is None
    told = [one.event for one in audit.newest(ledger)]
    assert {"notice.received", "notice.removed", "notice.accepted", "notice.restored"} <= set(told)
    # The log of a notice is held against the audit log.
    change = update(notice_events).where(notice_events.c.event == "removed")
    ledger.transact(lambda c: c.execute(change.values(details="{}")), writes=True)
    assert "of the notice" in (audit.verify(ledger).broken or "")


def test_a_suit_keeps_it_down(ledger: Ledger, serve, clock: Clock) -> None:
    record_case(ledger, 51, action=Action.ALLOW)
    made = send(ledger, 51)
    take_down(ledger, 51)
    counter = send(ledger, 51, "by-0", kind="counter", text="It is mine.")
    noticed.accept(ledger, counter.id, RULES, "lea")
    console = serve(public_reports=5)
    nobody = console(None)
    page = nobody.get(f"/notice/status/{made.token}").text
    # The complainant gets a copy of the counter-notice, with who sent it.
    assert "It is mine." in page and "Ada Lovelace" in page
    empty = nobody.client.post(f"/notice/status/{made.token}", data={"case": ""})
    assert empty.status_code == 422
    told = nobody.client.post(f"/notice/status/{made.token}", data={"case": "N.D. Cal. 3:26"})
    assert "Because you sue" in told.text
    row = ledger.transact(lambda c: find_notice(c, counter.id))
    assert row.state == "suit"
    clock.by(timedelta(days=40))
    publish(ledger)
    assert ledger.get_case("up-51").verdict.action is Action.REMOVE
    assert "N.D. Cal" not in str([one.details for one in audit.newest(ledger)])
    assert audit.verify(ledger).broken is None


def test_what_was_decided_for_another_reason_is_not_put_back_by_the_clock(
    ledger: Ledger, serve, clock: Clock
) -> None:
    record_case(ledger, 52, action=Action.ALLOW)
    send(ledger, 52)
    take_down(ledger, 52)
    counter = send(ledger, 52, "by-1", kind="counter")
    noticed.accept(ledger, counter.id, RULES, "lea")
    other = send(ledger, 52, "victim", kind="intimate")
    take_down(ledger, 52, "ben")
    assert state(ledger, other) == "removed"
    clock.by(timedelta(days=25))
    publish(ledger)
    publish(ledger)
    assert ledger.get_case("up-52").verdict.action is Action.REMOVE
    assert state(ledger, counter) == "waiting"
    events = [one.event for one in ledger.transact(lambda c: events_of(c, counter.id))]
    assert events == ["received", "accepted", "held-back"]
    page = serve()("lea").get(f"/notices/one?notice={counter.id}").text
    assert "decided for another reason" in page
    assert 'class="late"' in page


def test_the_queue_of_each_kind_shows_its_clock(ledger: Ledger, serve, clock: Clock) -> None:
    for number in (53, 54, 55):
        record_case(ledger, number, action=Action.ALLOW)
    image = send(ledger, 53, "victim", kind="intimate", text=XSS[0])
    send(ledger, 54, work=XSS[0])
    invalid = send(ledger, 55, accurate=False)
    console = serve()
    ana = console("ana")
    soon(lambda: "up-53" in ana.get("/queue?kind=notice").text)
    page = ana.get("/notices?kind=intimate").text
    assert "2 d left" in page and 'class="late"' not in page
    clock.by(timedelta(hours=37))
    rows = ana.get("/notices?kind=copyright").text
    assert "1 overdue" in rows and "13 h overdue" in rows
    assert 'class="late">11 h left' in ana.get("/notices?kind=intimate").text
    clock.by(-timedelta(hours=37))
    shown = ana.get("/case/notices?upload=up-53").text
    assert "intimate" in shown and "<script>" not in shown
    first = ana.post("/next", queue_kind="notice")
    assert "up-53" in first.url.query.decode()  # intimate images before all others
    task = re.search(r'name="task" value="([^"]+)"', first.text)[1]
    fields = {"task": task, "upload": "up-53", "category": "cyber-violence", "note": ""}
    assert "A notice is answered" in ana.post("/decide", action="review", **fields).text
    ana.post("/decide", action="remove", **fields)
    soon(lambda: state(ledger, image) == "removed")
    assert ana.post("/notices/one", notice=invalid.id, what="admit").status_code == 403
    lea = console("lea")
    told = lea.get(f"/notices/one?notice={invalid.id}").text
    assert "under penalty of perjury" in told
    assert lea.post("/notices/one", notice=invalid.id, what="reject", why="").status_code == 422
    assert "rejected" in lea.post("/notices/one", notice=invalid.id, what="reject", why="no").text
    assert lea.post("/notices/one", notice=invalid.id, what="admit").status_code == 422
    assert audit.verify(ledger).broken is None


def test_who_sent_it_is_seen_by_those_with_the_right_and_logged(
    ledger: Ledger, serve, clock: Clock
) -> None:
    record_case(ledger, 56, action=Action.ALLOW)
    made = send(ledger, 56, "victim", kind="intimate")
    console = serve()
    ana, lea = console("ana"), console("lea")
    for address in (
        f"/notices/one?notice={made.id}",
        "/notices?kind=intimate",
        "/case/notices?upload=up-56",
        "/case?upload=up-56",
    ):
        for person in (ana, lea):
            assert "Lovelace" not in person.get(address).text, address
    assert ana.post("/notices/identity", notice=made.id).status_code == 403
    assert "ada@example.org" in lea.post("/notices/identity", notice=made.id).text
    assert "sender.read" in [one.event for one in audit.newest(ledger)]
    assert ana.get("/notices.csv").status_code == 403
    lines = lea.get("/notices.csv?kind=intimate").text.splitlines()
    assert lines[0].lstrip("\ufeff").split(",") == list(COLUMNS)
    (line,) = lea.get("/notices.json").text.splitlines()
    given = json.loads(line)
    assert given["log"][0]["event"] == "received"
    assert "Lovelace" not in lines[1] + line
    assert lea.get("/notices/infringers").status_code == 200


def test_the_public_form_tells_what_is_missing(ledger: Ledger, serve) -> None:
    record_case(ledger, 57, action=Action.ALLOW)
    assert serve()(None).get("/notice").status_code == 404
    nobody = serve(public_reports=5, notices_per_hour=3)(None)
    assert "48 hours" in nobody.get("/notice").text
    assert "penalty of perjury" in nobody.get("/notice?kind=copyright").text
    fields = {"kind": "copyright", "upload": "up-57", "work": "A film", "good_faith": "yes"}
    fields |= {"accurate": "yes", "name": "Ada Lovelace", "email": "a@example.org"}
    forged = nobody.client.post("/notice", data={**fields, "signature": "Charles Babbage"})
    assert forged.status_code == 201
    assert "type your name in" in forged.text
    right = nobody.client.post("/notice", data={**fields, "signature": "Ada Lovelace"})
    address = re.search(r'href="(/notice/status/[^"]+)"', right.text)[1]
    assert "A person answers it" in nobody.get(address).text
    assert nobody.get("/notice/status/guess").status_code == 404
    assert nobody.client.post("/notice", data={"kind": "intimate"}).status_code == 422
    nobody.client.post("/notice", data={**fields, "upload": "up-58"})
    assert nobody.client.post("/notice", data=fields).status_code == 429
    foreign = {"origin": "https://evil.example"}
    assert nobody.client.post("/notice", data=fields, headers=foreign).status_code == 403
    assert audit.verify(ledger).broken is None


def test_identical_copies_go_by_the_same_decision_and_similar_ones_to_a_person(
    ledger: Ledger, serve, clock: Clock
) -> None:
    for number in (60, 61, 62, 63):
        record_case(ledger, number, action=Action.ALLOW)
    made = send(ledger, 60, "victim", kind="intimate")
    take_down(ledger, 60)
    row = ledger.transact(lambda c: find_notice(c, made.id))
    clock.by(timedelta(days=3))

    def add(connection: Any) -> None:
        for number, how in ((61, "identical"), (62, "similar"), (63, "similar")):
            add_copy(connection, row, f"up-{number}", how, 0.9, RULES, clock())

    ledger.transact(add, writes=True)
    noticed.sync(ledger, RULES)
    publish(ledger)
    publish(ledger)
    verdict = ledger.get_case("up-61").verdict
    assert (verdict.action, verdict.category) == (Action.REMOVE, "violence")
    assert ledger.get_case("up-61").reviews[-1].reviewer == "ana"
    assert ledger.get_case("up-62").verdict.action is Action.ALLOW
    page = serve()("ben").get(f"/notices/one?notice={made.id}").text
    assert "identical, removed" in page and "similar, found" in page and "2 d left" in page
    choose(ledger, take(ledger, 62, "ben"), "ben", Action.REMOVE)
    choose(ledger, take(ledger, 63, "ben"), "ben", Action.ALLOW)
    publish(ledger)
    events = {e.details["upload"]: e for e in _log(ledger, made.id) if e.event != "copy-found"}
    assert (events["up-62"].event, events["up-62"].actor) == ("copy-removed", "ben")
    assert (events["up-63"].event, events["up-61"].details["in_time"]) == ("copy-kept", True)
    assert ledger.get_case("up-63").verdict.action is Action.ALLOW
    assert audit.verify(ledger).broken is None


def _log(ledger: Ledger, notice_id: str) -> list[Any]:
    found = ledger.transact(lambda c: events_of(c, notice_id))
    return [one for one in found if "upload" in one.details]
