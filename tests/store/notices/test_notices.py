"""Notices in the ledger: taken, answered, put back, kept and erased, by a clock the test moves."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from quorum.core.errors import InputError
from quorum.store.ledger import Ledger
from quorum.store.ledger.holds import end_hold, insert_hold
from quorum.store.ledger.notices_schema import notice_events, notice_people, notices
from quorum.store.notices import changing
from quorum.store.notices import intake as module
from quorum.store.notices.intake import NoticeIntake
from quorum.store.notices.reading import (
    COLUMNS,
    clock_of,
    counts,
    events_of,
    exported,
    find_notice,
    infringers,
    notice_page,
    person_of,
    standing_against,
)
from quorum.store.notices.values import KINDS, STATES, NoticeRules, Person, TakenNotice, moved
from quorum.store.reports.throttle import ReporterRefused
from quorum.store.reports.values import Reporter, ReportLimits
from tests.store.ledger.messages_for_ledger import at, upload, verdict
from tests.store.notices.test_validity import WHOLE

RULES = NoticeRules()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    times = [at(10_000)]
    monkeypatch.setattr(module, "now", lambda: times[0])
    return times


def send(ledger: Ledger, number: int = 1, who: str = "owner", **more: Any) -> TakenNotice:
    given = {"upload_id": f"up-{number}", "reporter": Reporter("notice", who, "shop")}
    return NoticeIntake(ledger, RULES).take(replace(WHOLE, **given | more))


def change(ledger: Ledger, call: Any, *args: Any, **more: Any) -> Any:
    return ledger.transact(lambda c: call(c, *args, **more), writes=True)


def row_of(ledger: Ledger, notice_id: str) -> Any:
    return ledger.transact(lambda c: find_notice(c, notice_id))


def take_down(ledger: Ledger, notice_id: str, when: datetime, action: str = "remove") -> None:
    row = row_of(ledger, notice_id)
    change(ledger, changing.decide_notice, row, action=action, by="ana", at=when)


def log(ledger: Ledger, notice_id: str) -> list[str]:
    return [one.event for one in ledger.transact(lambda c: events_of(c, notice_id))]


def test_a_valid_notice_has_a_clock_and_an_invalid_one_removes_nothing(
    ledger: Ledger, clock: list[datetime]
) -> None:
    ledger.record([upload(1), verdict(1)])
    made = send(ledger, kind="intimate")
    assert (made.state, made.known, made.due_at) == (
        "received",
        True,
        clock[0] + timedelta(hours=48),
    )
    again = send(ledger, kind="intimate")
    assert (again.new, again.id, again.token) == (False, made.id, None)
    running = clock_of(row_of(ledger, made.id))
    tones = [running.tone(clock[0] + timedelta(hours=h)) for h in (0, 35, 36, 47.9, 48, 99)]
    assert tones == ["well", "well", "near", "near", "late", "late"]
    bad = send(ledger, who="other", accurate=False, work="")
    assert (bad.state, bad.due_at, bad.lacks) == ("invalid", None, ("work", "accurate"))
    counted = ledger.transact(lambda c: counts(c, clock[0] + timedelta(hours=48)))
    assert counted["intimate"]["overdue"] == 1
    assert counted["copyright"] == {"open": 0, "invalid": 1, "closed": 0, "overdue": 0}
    clock[0] += timedelta(hours=5)
    change(ledger, changing.admit, bad.id, RULES, by="lea", at=clock[0])
    assert row_of(ledger, bad.id).due_at == at(10_000) + timedelta(hours=24)
    assert log(ledger, bad.id) == ["received", "admitted"]
    take_down(ledger, made.id, at(10_000) + timedelta(hours=49))
    (_, last) = ledger.transact(lambda c: events_of(c, made.id))
    assert (last.event, last.details["in_time"]) == ("removed", False)


def test_a_forged_signature_is_told_and_nothing_is_lost(ledger: Ledger, clock: Any) -> None:
    ledger.record([upload(1), verdict(1)])
    wrong = send(ledger, person=replace(WHOLE.person, signature="Somebody Else"))
    assert (wrong.state, wrong.lacks) == ("invalid", ("signature",))
    forged = send(ledger, forged="its signature is not that of the key 1 of the publisher shop")
    assert (forged.state, forged.lacks) == ("invalid", ("signature",))
    first = ledger.transact(lambda c: events_of(c, forged.id))[0]
    assert "not that of the key" in first.details["forged"]
    assert row_of(ledger, forged.id).text == WHOLE.text
    # The right one is taken all the same, and is not taken for the forged one.
    right = send(ledger)
    assert (right.new, right.state) == (True, "received")


def test_a_counter_notice_puts_back_after_its_term_unless_they_sue(
    ledger: Ledger, clock: list[datetime]
) -> None:
    ledger.record([one for n in (1, 2) for one in (upload(n), verdict(n))])
    with pytest.raises(InputError, match="nothing of this id is down"):
        send(ledger, kind="counter", who="by-1")
    made = {number: send(ledger, number) for number in (1, 2)}
    for one in made.values():
        take_down(ledger, one.id, clock[0])
    assert ledger.transact(lambda c: standing_against(c, "by-1")) == 1
    with pytest.raises(InputError, match="comes from the uploader"):
        send(ledger, kind="counter", who="somebody")
    counters = {n: send(ledger, n, kind="counter", who=f"by-{n}") for n in (1, 2)}
    for number, one in counters.items():
        change(ledger, changing.accept_counter, one.id, RULES, by="lea", at=clock[0])
        assert row_of(ledger, made[number].id).state == "countered"
    row = row_of(ledger, counters[1].id)
    assert (row.state, row.answers) == ("waiting", made[1].id)
    assert (row.earliest_at, row.due_at) == RULES.days.window(clock[0], 10, 14)
    # A notice that was countered is no strike.
    assert ledger.transact(lambda c: standing_against(c, "by-1")) == 0
    change(ledger, changing.restored, row, by="lea", at=row.earliest_at, review="r")
    assert row_of(ledger, made[1].id).state == "restored"
    token = made[2].token
    with pytest.raises(InputError, match="no copyright notice"):
        change(ledger, changing.sued_by_token, "guess", case="1", at=clock[0])
    with pytest.raises(InputError, match="state why"):
        change(ledger, changing.sued_by_token, token, case=" ", at=clock[0])
    change(ledger, changing.sued_by_token, token, case="S.D.N.Y. 1:26-cv-1", at=clock[0])
    assert row_of(ledger, counters[2].id).state == "suit"
    assert row_of(ledger, made[2].id).due_at is None
    assert ledger.transact(lambda c: standing_against(c, "by-2")) == 1
    with pytest.raises(InputError, match="no counter-notice that waits"):
        change(ledger, changing.sued_by_token, token, case="again", at=clock[0])


def test_repeat_infringers_are_counted_by_uploads(ledger: Ledger, clock: list[datetime]) -> None:
    messages = [upload(n, uploader="again") for n in range(4)] + [upload(9, uploader="once")]
    ledger.record([*messages, *(verdict(n) for n in (0, 1, 2, 3, 9))])
    for number in (0, 1, 2, 9):
        for who in ("owner", "label"):
            take_down(ledger, send(ledger, number, who).id, clock[0])
    take_down(ledger, send(ledger, 3).id, clock[0], "allow")
    found = ledger.transact(lambda c: infringers(c, 1))
    assert [(one.uploader, one.standing) for one in found] == [("again", 3), ("once", 1)]
    assert len(ledger.transact(lambda c: infringers(c, 3))) == 1


def test_who_sent_it_is_kept_apart_and_erased_apart(ledger: Ledger, clock: Any) -> None:
    ledger.record([upload(1), verdict(1)])
    made = send(ledger, kind="intimate")
    row = row_of(ledger, made.id)
    every = [*row, *(str(one) for one in ledger.transact(lambda c: events_of(c, made.id)))]
    everything = " ".join(map(str, every))
    assert all(part not in everything for part in ("Lovelace", "ada@", "555 0100", "Main St"))
    (given,) = ledger.transact(lambda c: exported(c, None, None, 10))
    assert set(COLUMNS) | {"log", "copies"} == set(given)
    assert "Lovelace" not in str(given) and WHOLE.text not in str(given)
    assert ledger.transact(lambda c: person_of(c, made.id)) == WHOLE.person
    held = ledger.transact(
        lambda c: insert_hold(c, "upload", "up-1", why="file 7", by="lea", at=clock[0]), writes=True
    )
    with pytest.raises(InputError, match="up-1 of this notice is held"):
        change(ledger, changing.forget_person, made.id, by="lea", at=clock[0])
    assert ledger.transact(lambda c: person_of(c, made.id)) == WHOLE.person
    ledger.transact(
        lambda c: end_hold(c, held.id, why="closed", by="lea", at=clock[0]), writes=True
    )
    assert change(ledger, changing.forget_person, made.id, by="lea", at=clock[0])
    assert ledger.transact(lambda c: person_of(c, made.id)) is None
    assert row_of(ledger, made.id).text == ""
    assert not change(ledger, changing.forget_person, made.id, by="lea", at=clock[0])
    assert log(ledger, made.id) == ["received", "person-erased"]


def test_erasure_takes_notices_and_retention_keeps_those_that_wait(
    ledger: Ledger, clock: list[datetime]
) -> None:
    ledger.record([one for n in (1, 2, 3) for one in (upload(n), verdict(n))])
    made = {number: send(ledger, number) for number in (1, 2, 3)}
    take_down(ledger, made[1].id, clock[0])
    done = ledger.prune(at(20_000), dry_run=False)
    assert done.uploads == 1  # the others wait for an answer
    assert row_of(ledger, made[1].id) is None
    ledger.forget("by-2", dry_run=False)
    left = ledger.transact(lambda c: c.execute(select(notices.c.upload_id)).scalars().all())
    assert left == ["up-3"]
    for table in (notice_people, notice_events):
        query = select(func.count()).select_from(table)
        assert ledger.transact(lambda c, q=query: c.execute(q).scalar_one()) == 1


def test_a_notice_on_what_is_not_known_waits_for_it(ledger: Ledger, clock: Any) -> None:
    made = send(ledger, 7)
    assert not made.known
    place = send(ledger, upload_id=None, location="https://x.example/7")
    ledger.record([upload(7), verdict(7)])
    assert ledger.transact(changing.link_known, writes=True) == 1
    assert row_of(ledger, made.id).uploader == "by-1"
    with pytest.raises(InputError, match="knows no upload"):
        change(ledger, changing.name_upload, place.id, "nothing", by="lea", at=clock[0])
    change(ledger, changing.name_upload, place.id, "up-7", by="lea", at=clock[0])
    page = ledger.transact(lambda c: notice_page(c, "copyright", "open", 10))
    assert [row.known for row in page] == [True, True]


def test_a_sender_without_end_is_throttled(ledger: Ledger, clock: list[datetime]) -> None:
    desk = NoticeIntake(ledger, RULES, ReportLimits(notice=2))
    for number in range(2):
        desk.take(replace(WHOLE, upload_id=f"u{number}"))
    with pytest.raises(ReporterRefused) as refused:
        desk.take(replace(WHOLE, upload_id="u3"))
    clock[0] += timedelta(seconds=refused.value.seconds)
    desk.take(replace(WHOLE, upload_id="u3"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"upload_id": None}, "name the material"),
        ({"upload_id": "x" * 257}, "upload_id has"),
        ({"work": "x" * 4001}, "work has more than 4,000"),
        ({"person": Person(address="x" * 1001)}, "address has more than 1,000"),
    ],
)
def test_what_cannot_be_taken_is_told(ledger: Ledger, more: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        send(ledger, **more)


def test_only_the_moves_of_the_law_are_possible() -> None:
    events = ("admitted", "removed", "rejected", "countered", "accepted", "suit", "restored")
    possible = set()
    for kind in KINDS:
        for state in STATES:
            for event in events:
                try:
                    possible.add((kind, state, moved(kind, state, event)))
                except InputError as error:
                    assert state in str(error)
    ends = {"rejected", "suit", "restored"}
    assert not {one for one in possible if one[1] in ends}
    assert ("counter", "received", "restored") not in possible
    assert ("copyright", "removed", "restored") not in possible
    assert len(possible) == 18
