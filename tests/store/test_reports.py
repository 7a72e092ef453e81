"""Reports: one case for each content, weighed by track record, with a clock that the test moves."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from quorum.core.intervals import wilson
from quorum.core.messages import Action, Review
from quorum.store.ledger import Ledger
from quorum.store.ledger.reports_schema import report_cases, reports
from quorum.store.reports import intake as module
from quorum.store.reports.intake import Intake, ReporterRefused
from quorum.store.reports.reading import answer_of, case_counts, case_page, suspend, worst_reporters
from quorum.store.reports.settling import close_case, link_uploads, settle
from quorum.store.reports.values import Notice, Reporter, ReportLimits, Taken, Track
from tests.store.ledger.messages_for_ledger import at, upload, verdict


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    times = [at(10_000)]
    monkeypatch.setattr(module, "now", lambda: times[0])
    return times


def send(ledger: Ledger, number: int, who: str = "r1", kind: Any = "user", **more: Any) -> Taken:
    given = {"upload_id": f"up-{number}", "category": "violence"}
    return Intake(ledger).take(Notice(reporter=Reporter(kind, who, "shop"), **given | more))


def decide(ledger: Ledger, number: int, action: Action, when: datetime) -> None:
    review = Review(
        upload_id=f"up-{number}",
        verdict_id=verdict(number).id,
        action=action,
        reviewer="ana",
        labels=("violence",),
        note="",
        at=when,
    )
    ledger.record([review])
    ledger.transact(settle, writes=True)


def rows(ledger: Ledger, table: Any) -> list[Any]:
    return ledger.transact(lambda c: c.execute(select(table)).all())


def test_many_reporters_of_one_content_are_one_case(ledger: Ledger, clock) -> None:
    ledger.record([upload(1), verdict(1)])
    for number in range(20):
        made = send(ledger, 1, f"r{number}")
    assert made.reports == 20
    again = send(ledger, 1, "r3")
    assert (again.new, again.token, again.reports) == (False, None, 20)
    (case,) = rows(ledger, report_cases)
    assert (case.reports, case.known, case.due_at - case.opened_at) == (
        20,
        True,
        timedelta(hours=4),
    )
    ledger.record([upload(1, title="edited", published_at=at(20_000)), verdict(1, 2)])
    clock[0] += timedelta(minutes=1)
    send(ledger, 1, "r99")
    assert len(rows(ledger, report_cases)) == 2  # another content
    decide(ledger, 1, Action.REMOVE, clock[0] + timedelta(minutes=1))
    assert {row.state for row in rows(ledger, reports)} == {"upheld"}


def test_the_track_record_weighs_the_order_and_finds_bad_faith(ledger: Ledger, clock) -> None:
    ledger.record([one for n in range(30) for one in (upload(n), verdict(n))])
    for number in range(8):
        send(ledger, number, "good")
        decide(ledger, number, Action.REMOVE, clock[0] + timedelta(minutes=1))
        send(ledger, 10 + number, "bad")
        decide(ledger, 10 + number, Action.ALLOW, clock[0] + timedelta(minutes=1))
    send(ledger, 20, "bad")
    send(ledger, 21, "good")
    send(ledger, 22, "new")
    send(ledger, 23, "hotline", "trusted", category="spam")
    page = ledger.transact(lambda c: case_page(c, "open", 10))
    assert [row.upload_id for row in page] == ["up-23", "up-21", "up-22", "up-20"]
    assert [round(1 - row.doubt, 2) for row in page] == [0.5, 0.9, 0.5, 0.1]
    worst = ledger.transact(worst_reporters)
    assert [(one.name, one.track.bad_faith) for one in worst][:1] == [("bad", True)]
    assert not any(one.track.bad_faith for one in worst[1:])
    decide(ledger, 21, Action.ALLOW, clock[0] + timedelta(minutes=2))
    assert Track(8, 1).weight == pytest.approx(9 / 11)
    clock[0] += timedelta(hours=30)
    counts = ledger.transact(lambda c: case_counts(c, clock[0]))
    assert counts == {"open": 3, "trusted": 1, "unknown": 0, "overdue": 3, "closed": 17}


def test_the_reporter_is_told_by_the_secret_address(ledger: Ledger, clock) -> None:
    ledger.record([upload(1), verdict(1)])
    made = send(ledger, 1)

    def asked() -> Any:
        return ledger.transact(lambda c: answer_of(c, made.token or ""))

    assert asked().state == "open"
    assert all(made.token not in str(row) for row in rows(ledger, reports))
    decide(ledger, 1, Action.ALLOW, clock[0] + timedelta(minutes=5))
    assert (asked().state, "stays" in asked().sentence) == ("rejected", True)
    # The next reporter of the same content and category has that answer at once, for 30 days.
    clock[0] += timedelta(days=29)
    other = send(ledger, 1, "r2")
    assert (other.state, other.due_at) == ("rejected", None)
    assert send(ledger, 1, "r3", category="scams-and-fraud").state == "open"
    assert send(ledger, 1, "hotline", "trusted").state == "open"
    worst = {one.name: one.track for one in ledger.transact(worst_reporters)}
    assert (worst["r1"], worst["r2"]) == (Track(0, 1), Track(0, 0))


def test_a_report_on_what_is_removed_is_answered_at_once(ledger: Ledger, clock) -> None:
    ledger.record([upload(1), verdict(1, action=Action.REMOVE)])
    assert send(ledger, 1).state == "moot"
    ledger.record([upload(2), verdict(2)])
    assert send(ledger, 2).state == "open"
    gone = verdict(2, 2, action=Action.REMOVE)
    late = gone.model_copy(update={"at": clock[0] + timedelta(minutes=1), "category": "spam"})
    ledger.record([late])
    assert len(ledger.transact(settle, writes=True)) == 1
    assert [row.state for row in rows(ledger, reports)] == ["moot", "upheld"]


def test_a_notice_on_an_unknown_upload_is_kept_and_linked_when_it_comes(
    ledger: Ledger, clock
) -> None:
    made = send(ledger, 7, law=True, text="It is a threat.", good_faith=True)
    assert (made.known, made.lacks) == (False, ("name", "email"))
    assert send(ledger, 7, "r2").reports == 2
    where = Notice(reporter=Reporter("public", "net"), location="https://x.example/7")
    assert not Intake(ledger).take(where).known
    assert ledger.transact(lambda c: case_counts(c, at(0)))["unknown"] == 2
    ledger.record([upload(7), verdict(7)])
    assert ledger.transact(link_uploads, writes=True) == 1
    send(ledger, 7, "r3")
    assert len(rows(ledger, report_cases)) == 2
    done = ledger.forget("by-1", dry_run=False)
    assert done.rows.uploads == 1
    assert [row.upload_id for row in rows(ledger, reports)] == [None]


def test_retention_takes_answered_reports_on_uploads_that_never_came(ledger: Ledger, clock) -> None:
    for number in (70, 71):
        send(ledger, number, email="a@example.org")
    case_id = rows(ledger, report_cases)[0].id
    ledger.transact(
        lambda c: close_case(c, case_id, upheld=False, action=None, at=at(10_001), by="lea"),
        writes=True,
    )
    ledger.prune(at(10_000), dry_run=False)
    assert len(rows(ledger, reports)) == 2
    ledger.prune(at(20_000), dry_run=False)
    assert [row.state for row in rows(ledger, reports)] == ["open"]
    assert len(rows(ledger, report_cases)) == 1


def test_a_reporter_is_throttled_and_suspended_by_the_clock(ledger: Ledger, clock) -> None:
    desk = Intake(ledger, ReportLimits(user=6))

    def one(number: int) -> Taken:
        return desk.take(Notice(reporter=Reporter("user", "r", "shop"), upload_id=f"u{number}"))

    for number in range(6):
        one(number)
    with pytest.raises(ReporterRefused) as refused:
        one(6)
    assert refused.value.seconds == 601
    clock[0] += timedelta(minutes=9, seconds=59)
    with pytest.raises(ReporterRefused):
        one(6)
    clock[0] += timedelta(seconds=2)
    one(6)
    (who,) = ledger.transact(worst_reporters)
    ledger.transact(lambda c: suspend(c, who.id, days=3, by="lea", at=clock[0]), writes=True)
    clock[0] += timedelta(days=2)
    with pytest.raises(ReporterRefused, match="Article 23"):
        one(7)
    clock[0] += timedelta(days=1, seconds=1)
    one(7)


def test_the_interval_of_a_share() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(5, 10)
    assert (round(low, 3), round(high, 3)) == (0.237, 0.763)
    assert not Track(0, 4).bad_faith
    assert Track(0, 5).bad_faith
