"""What a reviewer typed is kept, and no key decides a case that nobody can have seen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from quorum.apps.console.accounts import sessions as session_module
from quorum.apps.console.desk import claims, decisions, tasks
from quorum.apps.console.desk.decisions import Conflict
from quorum.core.messages import Action, now
from quorum.core.settings import MediaAccess
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import decisions as decision_table
from quorum.store.ledger.console_schema import sessions
from tests.apps.console.cases_for_console import record_case, take, upload_of
from tests.apps.console.conftest import PASSWORD

SPAM = "Unwanted or misleading bulk promotion is not allowed."


def end_sessions(ledger: Ledger) -> None:
    ledger.transact(lambda c: c.execute(delete(sessions)), writes=True)


def made_decisions(ledger: Ledger) -> list[Any]:
    return list(ledger.transact(lambda c: c.execute(select(decision_table)).all()))


def on_a_case(browse: Callable[..., Any], name: str = "ana", **options: Any) -> Any:
    page = browse(name, **options)
    page.keyboard.press("n")
    page.wait_for_selector("html[data-ready] #decide")
    return page


def test_an_unknown_category_is_not_guessed(serve: Any, ledger: Ledger):
    record_case(ledger, 1, category=None)
    tasks.sync(ledger)
    ana = serve()("ana")
    given = {"task": take(ledger, 1, "ana"), "upload": "up-1", "note": "my reason"}
    page = ana.get("/case?upload=up-1").text
    assert "checked" not in page
    assert SPAM in page
    for more in ({}, {"category": ""}):
        answer = ana.post("/decide", **given, action="remove", **more)
        assert answer.status_code == 409
        assert "Choose a category" in answer.text
        assert "my reason" in answer.text
    assert made_decisions(ledger) == []
    ana.post("/decide", **given, action="remove", category="spam")
    assert [one.category for one in made_decisions(ledger)] == ["spam"]


def test_a_verdict_with_a_category_keeps_it_and_an_allowed_case_has_none(
    console: Any, cases: Ledger
):
    ana = console("ana")
    ana.post("/decide", task=take(cases, 1, "ana"), upload="up-1", action="remove")
    ana.post("/decide", task=take(cases, 2, "ana"), upload="up-2", action="allow", category="spam")
    chosen = {one.upload_id: one.category for one in made_decisions(cases)}
    assert chosen == {"up-1": "violence", "up-2": None}


def test_seconds_count_from_the_opening_and_not_from_the_last_renewal(
    cases: Ledger, monkeypatch: pytest.MonkeyPatch
):
    task_id = take(cases, 1, "ana")
    later = now() + timedelta(minutes=7)
    monkeypatch.setattr(claims, "now", lambda: later)
    assert claims.claim(cases, task_id, "ana") is not None
    monkeypatch.setattr(decisions, "now", lambda: later + timedelta(seconds=20))
    made = decisions.decide(
        cases, task_id, "ana", Action.REMOVE, "violence", "", timedelta(0), categories={"violence"}
    )
    assert made.seconds == pytest.approx(440, abs=15)
    with pytest.raises(Conflict):
        decisions.decide(cases, task_id, "ana", Action.REMOVE, None, "", timedelta(0))


def test_a_session_slides_with_what_its_user_does_and_ends_after_a_day(
    cases: Ledger, console: Any, monkeypatch: pytest.MonkeyPatch
):
    ana = console("ana")
    start = now()

    def at(**later: float) -> None:
        monkeypatch.setattr(session_module, "now", lambda: start + timedelta(**later))

    at(hours=9)
    assert ana.get("/queue/rows", headers={"hx-request": "true"}).status_code == 200
    assert 3500 < ana.get("/session", headers={"hx-request": "true"}).json()["left"] <= 3600
    assert ana.get("/session").json()["left"] > 35_000
    at(hours=18)
    assert ana.get("/queue").url.path == "/queue"
    at(hours=23, minutes=55)
    assert ana.get("/session").json()["left"] <= 300
    at(hours=24, minutes=1)
    assert ana.get("/session").status_code == 401
    assert ana.get("/queue").url.path == "/login"


def test_a_form_after_the_session_leads_back_to_its_page(console: Any, cases: Ledger):
    ana = console("ana")
    csrf = ana.csrf()
    end_sessions(cases)
    page = "http://localhost/case?upload=up-1"
    answer = ana.client.post("/decide", data={"csrf": csrf}, headers={"referer": page})
    assert answer.url.path == "/login"
    assert answer.url.params["next"] == "/case?upload=up-1"
    answer = ana.client.post(
        "/decide", data={"csrf": csrf}, headers={"referer": "http://elsewhere.test/x"}
    )
    assert answer.url.params["next"] == "/"
    polled = ana.client.get("/case/status?upload=up-1", headers={"hx-request": "true"})
    assert polled.status_code == 401
    assert "hx-redirect" not in polled.headers


def test_logging_in_again_checks_the_password(console: Any, cases: Ledger):
    ana = console("ana")
    end_sessions(cases)
    wrong = ana.client.post("/login/again", data={"name": "ana", "password": "wrong"})
    assert (wrong.status_code, wrong.json()["message"]) == (
        401,
        "The name or the password is wrong.",
    )
    assert ana.get("/session").status_code == 401
    right = ana.client.post("/login/again", data={"name": "ana", "password": PASSWORD})
    assert right.json()["name"] == "ana"
    assert ana.get("/session").json()["csrf"] == right.json()["csrf"]


@pytest.mark.browser
@pytest.mark.parametrize("console_settings", [{"dwell": timedelta(hours=1)}], ids=["slow"])
def test_no_key_and_no_click_decides_a_case_that_just_opened(browse: Any, cases: Ledger):
    page = browse("ana")
    page.keyboard.press("n")
    page.wait_for_selector("#decide.early")
    case = page.url
    for key in ("x", "a", "p", "1"):
        page.keyboard.press(key)
    page.click(".act.remove")
    page.focus("#category input")
    page.keyboard.press("Enter")
    # The keys that decide nothing work, and the press before them was handled.
    page.keyboard.press("m")
    assert page.evaluate("document.activeElement.id") == "note"
    page.wait_for_timeout(300)
    assert page.url == case
    assert made_decisions(cases) == []
    assert page.troubles == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_a_category_is_chosen_by_its_number(browse: Any, cases: Ledger, width: int):
    record_case(cases, 90, category=None, views=10**9)
    tasks.sync(cases)
    page = browse("ana", viewport={"width": width, "height": 800})
    page.goto("/case?upload=up-90")
    page.keyboard.press("n")
    page.wait_for_selector("html[data-ready] #decide")
    assert page.locator("#category :checked").count() == 0
    page.keyboard.press("x")
    page.wait_for_selector("#uncategorised:has-text('Choose a category')")
    assert made_decisions(cases) == []
    spam = page.get_attribute("#category [value=spam]", "data-key")
    assert SPAM in page.inner_text("label:has([value=spam])")
    page.keyboard.press(spam)
    assert page.is_checked("#category [value=spam]")
    # A choice does not take the keys away.
    page.keyboard.press("x")
    page.wait_for_selector("#toast")
    assert [(one.upload_id, one.category) for one in made_decisions(cases)] == [("up-90", "spam")]
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert page.troubles == []


@pytest.mark.browser
def test_a_draft_survives_a_closed_page_and_is_gone_with_the_decision(browse: Any, cases: Ledger):
    page = on_a_case(browse)
    case = page.url
    page.fill("#note", "A long thought about it")
    page.goto("/queue")
    page.goto(case)
    page.wait_for_selector("html[data-ready] #decide")
    assert page.input_value("#note") == "A long thought about it"
    assert "restored" in page.inner_text("#draft")
    page.keyboard.press("x")
    page.wait_for_selector("html[data-ready] #toast")
    # An undo brings the note back; so would a conflict.
    page.keyboard.press("u")
    page.wait_for_url(lambda url: upload_of(url) == upload_of(case))
    page.wait_for_selector("html[data-ready] #decide")
    assert page.input_value("#note") == "A long thought about it"
    page.click("text=Discard it")
    assert page.input_value("#note") == ""
    page.fill("#note", "another")
    page.click("text=Log out")
    page.wait_for_selector("[name=password]")
    assert (
        page.evaluate("Object.keys(localStorage).filter((one) => one.startsWith('draft:'))") == []
    )


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_logging_in_again_in_place_sends_what_was_decided(browse: Any, cases: Ledger, width: int):
    page = on_a_case(browse, viewport={"width": width, "height": 800})
    case = page.url
    page.fill("#note", "Typed before the session ended")
    end_sessions(cases)
    page.click(".act.remove")
    page.wait_for_selector("#again[open]")
    assert page.url == case
    page.fill("#again [name=password]", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#again [role=alert]:has-text('The name or the password is wrong.')")
    page.fill("#again [name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#toast")
    (made,) = made_decisions(cases)
    assert (made.note, made.reviewer) == ("Typed before the session ended", "ana")


@pytest.mark.browser
def test_the_end_of_a_session_is_told_before_and_can_be_moved(browse: Any, cases: Ledger):
    page = browse("ana")
    soon = update(sessions).values(expires_at=now() + timedelta(minutes=5))
    cases.transact(lambda c: c.execute(soon), writes=True)
    # The page itself is a sign of life, which moves the end: read it as one that only waits.
    page.set_extra_http_headers({"hx-request": "true"})
    page.goto("/queue")
    page.wait_for_selector("#ending:has-text('Your session ends in 5 min.')")
    page.set_extra_http_headers({})
    page.click("#ending button")
    page.wait_for_selector("#ending", state="hidden")
    rows = cases.transact(lambda c: c.execute(select(sessions.c.expires_at)).scalars().all())
    assert max(rows) > now() + timedelta(hours=9)


@pytest.mark.browser
def test_the_focus_survives_the_queues_refresh(browse: Any, cases: Ledger):
    page = browse("ana")
    page.goto("/queue")
    link = page.locator("#rows td a").nth(3)
    name = link.get_attribute("href")
    link.focus()
    record_case(cases, 60, title="It came later", views=10**9)
    page.wait_for_selector("text=It came later", timeout=60_000)
    assert page.evaluate("document.activeElement.getAttribute('href')") == name
    assert page.troubles == []


@pytest.mark.browser
class TestMedia:
    @pytest.fixture
    def console_settings(self, tmp_path: Path) -> dict[str, Any]:
        return {"media": MediaAccess(folders=(str(tmp_path),))}

    def test_damaged_media_says_so(self, browse: Any, cases: Ledger, tmp_path: Path):
        (tmp_path / "broken.mp4").write_bytes(b"not a film" * 50)
        record_case(cases, 70, media=f"file://{tmp_path}/broken.mp4")
        page = browse("ana")
        page.goto("/case?upload=up-70")
        page.wait_for_selector("#damaged:has-text('The media is damaged')")
        assert not page.is_visible(".veilbox")
        (tmp_path / "broken.mp4").unlink()
        page.goto("/case?upload=up-70")
        page.wait_for_selector("text=The media no longer exists")
