"""Minutes of graphic material, breaks, and how a user sees media at first; the tests move time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import select

from quorum.apps.console.desk import claims, exposure
from quorum.apps.console.desk.exposure import Preferences
from quorum.apps.console.desk.queues import Queue
from quorum.apps.console.desk.routing import Desk
from quorum.apps.console.desk.shift import shift_of
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import exposures
from tests.apps.console.cases_for_console import record_case

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
DESK = Desk.model_validate(
    {
        "exposure": {
            "time_zone": "Europe/Berlin",
            "limits": [
                {"name": "violence", "categories": ["violence"], "minutes_a_day": 2, "warn_at": 0.5}
            ],
        },
        "breaks": {"after": "50 min", "rest": "10 min"},
    }
)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def watch(ledger: Ledger, seconds: range, upload: str = "up-1", name: str = "ana") -> None:
    for second in seconds:
        exposure.note(ledger, DESK, name, upload, after(second))


def seen(ledger: Ledger, at: datetime, name: str = "ana") -> float:
    (one,) = ledger.transact(lambda c: exposure.spent(c, DESK.exposure, name, at))
    return one.seconds


def test_a_case_counts_while_its_page_is_open(cases: Ledger) -> None:
    watch(cases, range(0, 41, 2))
    assert seen(cases, after(40)) == 40
    # Two tabs are two cases, and one pair of eyes.
    for second in range(42, 61, 2):
        watch(cases, range(second, second + 1), "up-1")
        watch(cases, range(second, second + 1), "up-2")
    assert seen(cases, after(60)) == 60
    # A page that was closed counts no further; the next one begins anew.
    watch(cases, range(600, 611, 2))
    assert seen(cases, after(610)) == 70
    # A browser that reports nothing: the decision tells that the case was open until then.
    exposure.note(cases, DESK, "ana", "up-1", after(730), ends=True)
    assert seen(cases, after(730)) == 190
    exposure.note(cases, DESK, "ana", "up-1", after(730) + timedelta(hours=1), ends=True)
    assert seen(cases, after(730)) == 190
    assert seen(cases, after(730), "ben") == 0


def test_other_categories_do_not_count(cases: Ledger) -> None:
    record_case(cases, 40, category="spam")
    from quorum.apps.console.desk import tasks

    tasks.sync(cases)
    watch(cases, range(0, 100, 2), "up-40")
    assert cases.transact(lambda c: c.execute(select(exposures)).all()) == []


def test_over_the_limit_such_cases_are_not_given_until_the_next_day_there(
    cases: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quorum.apps.console.desk import tasks

    record_case(cases, 40, category="spam")
    tasks.sync(cases)
    task = claims.claim_next(cases, Queue(category="violence"), "ana", DESK)
    assert task is not None
    watch(cases, range(0, 62, 2), task.upload_id)
    shift = cases.transact(lambda c: shift_of(c, DESK, "ana", after(61)))
    assert (shift.spent[0].near, shift.spent[0].over, shift.hidden) == (True, False, ())
    watch(cases, range(62, 122, 2), task.upload_id)
    for module in (claims,):
        monkeypatch.setattr(module, "now", lambda: after(125))
    assert claims.claim_next(cases, Queue(category="violence"), "ana", DESK) is None
    spam = claims.claim_next(cases, Queue(), "ana", DESK)
    assert spam is not None
    assert spam.category == "spam"
    other = claims.claim_next(cases, Queue(category="violence"), "ben", DESK)
    assert other is not None
    why = str(claims.why_not(cases, task.id, "ana", DESK))
    assert "seen 2 minutes of violence today; the limit is 2" in why
    # 22:59 in UTC is still the same day in Berlin; 23:00 is not.
    for hour, minute, hidden in ((22, 59, ("violence",)), (23, 0, ())):
        at = START.replace(hour=hour, minute=minute)
        found = cases.transact(partial(shift_of, desk=DESK, name="ana", at=at))
        assert found.hidden == hidden


def test_a_break_is_due_after_work_and_ends(cases: Ledger) -> None:
    rest = lambda at: cases.transact(lambda c: shift_of(c, DESK, "ana", at)).rest_until  # noqa: E731
    watch(cases, range(0, 3000, 500), "up-none")
    assert rest(after(2999)) is None
    watch(cases, range(3000, 3011, 10), "up-none")
    assert rest(after(3010)) == after(3600)
    # Who goes on looking rests no longer, and no shorter.
    watch(cases, range(3012, 3599, 300), "up-none")
    assert rest(after(3599)) == after(3600)
    assert rest(after(3600)) is None
    watch(cases, range(3601, 3603), "up-none")
    assert rest(after(3603)) is None
    # Ten minutes without a case are a break by themselves.
    watch(cases, range(3603, 6300, 500), "up-none")
    watch(cases, range(6900, 6911, 10), "up-none")
    assert rest(after(6910)) is None


def test_preferences_are_kept_for_each_user(cases: Ledger, serve) -> None:
    console = serve(desk=DESK)
    ana, ben = console("ana"), console("ben")
    assert "checked" in ana.get("/preferences").text
    assert "Saved" in ana.post("/preferences", grey="yes").text
    assert cases.transact(lambda c: exposure.preferences_of(c, "ana")) == Preferences(False, True)
    assert cases.transact(lambda c: exposure.preferences_of(c, "ben")) == Preferences()
    assert ana.post("/preferences", blur="yes").status_code == 200
    assert cases.transact(lambda c: exposure.preferences_of(c, "ana")) == Preferences(True, False)
    assert ben.get("/preferences").status_code == 200


def test_the_pages_count_and_tell(cases: Ledger, serve, monkeypatch: pytest.MonkeyPatch) -> None:
    import quorum.apps.console.pages.case as case_module
    import quorum.apps.console.pages.queue as queue_module

    console = serve(desk=DESK)
    ana = console("ana")
    moved = [START]
    for module in (case_module, queue_module):
        monkeypatch.setattr(module, "now", lambda: moved[0])
    ana.get("/case?upload=up-1")
    for _ in range(16):
        moved[0] += timedelta(seconds=5)
        assert ana.get("/case/status?upload=up-1").status_code == 200
    told = ana.get("/case/status?upload=up-1").text
    assert "You have seen 1 of 2 minutes of violence today" in told
    for _ in range(16):
        moved[0] += timedelta(seconds=5)
        ana.get("/case/status?upload=up-1")
    assert "You are given other cases until tomorrow" in ana.get("/queue").text
    assert "up-1" not in ana.get("/queue/rows").text
    assert "up-1" in console("ben").get("/queue/rows").text
    assert "You have seen" not in console("eve").get("/queue").text
