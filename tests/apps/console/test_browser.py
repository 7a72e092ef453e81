"""The console in a real browser."""

from __future__ import annotations

import pytest

from quorum.apps.console.desk import appeals, tasks
from quorum.core.messages import Action, Evidence
from quorum.store.ledger import Ledger
from tests.apps.console.cases_for_console import record_case, upload_of
from tests.apps.console.conftest import soon

pytestmark = pytest.mark.browser

HOSTILE = "<script>window.hit=1</script><img src=x onerror='window.hit=1'>{{7*7}}"


def test_two_reviewers_decide_by_keyboard_and_never_meet(browse, cases: Ledger):
    ana, ben = browse("ana"), browse("ben")
    for page in (ana, ben):
        page.keyboard.press("n")
        page.wait_for_selector("html[data-ready] #decide")
    assert ana.url != ben.url
    first = ana.url
    ana.keyboard.press("x")
    ana.wait_for_url(lambda url: url != first)
    ana.wait_for_selector("html[data-ready] #toast")
    ana.keyboard.press("u")
    ana.wait_for_url(lambda url: upload_of(url) == upload_of(first))
    ana.wait_for_selector("html[data-ready] #decide")
    upload_id = upload_of(first)
    assert upload_id
    ana.keyboard.press("a")
    ana.wait_for_url(lambda url: upload_of(url) != upload_id)
    ana.goto(f"/case?upload={upload_id}")
    ana.wait_for_selector("text=New verdict", timeout=30_000)
    case = cases.get_case(upload_id)
    assert case is not None and case.verdict is not None
    assert case.verdict.action is Action.ALLOW
    assert ana.troubles == []


def test_hostile_text_is_shown_as_text(browse, cases: Ledger):
    record_case(
        cases,
        50,
        title=HOSTILE,
        description=HOSTILE,
        uploader="<b>u</b>",
        tags=(HOSTILE,),
        comments=(HOSTILE,),
        evidence=(
            Evidence(kind="text", what=HOSTILE, field="title", start=0, end=20),
            Evidence(kind="match", what=HOSTILE, work=HOSTILE, start=1, end=4),
        ),
    )
    tasks.sync(cases)
    page = browse("ana")
    for url in ("/queue", "/case?upload=up-50"):
        page.goto(url)
        page.wait_for_timeout(300)
        assert page.evaluate("window.hit") is None
        assert HOSTILE[:30] in page.inner_text("main")
    assert page.troubles == []


def test_the_queue_updates_itself(browse, cases: Ledger):
    page = browse("ana")
    page.goto("/queue")
    record_case(cases, 60, title="It came later")
    page.wait_for_selector("text=It came later", timeout=30_000)


def test_the_worker_publishes_decisions(browse, cases: Ledger):
    page = browse("ana")
    page.goto("/case?upload=up-3")
    page.keyboard.press("n")
    page.wait_for_selector("html[data-ready] #decide")
    page.check("[name=category][value=violence]")
    page.click(".act.restrict")
    page.wait_for_selector("html[data-ready] #toast")
    soon(lambda: len(cases.get_case("up-3").verdicts) == 2)


def test_the_live_stream_shows_a_new_verdict(browse, cases: Ledger):
    page = browse("eve")
    page.goto("/overview")
    page.wait_for_timeout(1500)
    record_case(cases, 80, title=HOSTILE, revision=2, rule="fresh")
    page.wait_for_selector("#live >> text=fresh", timeout=30_000)
    assert page.evaluate("window.hit") is None
    assert page.troubles == []


def test_four_eyes_in_the_browser(browse):
    lea, other = browse("lea"), browse("max")
    lea.goto("/policy")
    lea.click("text=Edit the policy")
    lea.fill("[name=name]", "Stricter")
    lea.fill("[name=reason]", "Too much spam")
    lea.click("text=Save as draft")
    lea.click("text=Try on last week's cases")
    lea.wait_for_selector("text=actions change")
    lea.click("button:has-text('Ask for approval')")
    lea.wait_for_selector("text=A second person must activate it.")
    assert lea.is_disabled("button:has-text('Activate')")
    other.goto(lea.url)
    other.click("button:has-text('Activate')")
    other.wait_for_selector("text=activated by max")


def test_an_appeal_by_letter_is_decided_by_another_reviewer(browse, cases: Ledger):
    record_case(cases, 40, action=Action.REMOVE, title="Stopped")
    lea, ana = browse("lea"), browse("ana")
    lea.goto("/case?upload=up-40")
    lea.click("text=For leads")
    lea.fill("[name=text]", HOSTILE + " It is a game.")
    lea.click("text=Record the appeal")
    lea.wait_for_selector("section.appeal >> text=It is a game.")
    ana.goto("/appeals")
    assert HOSTILE[:30] in ana.inner_text("main")
    ana.keyboard.press("n")
    ana.wait_for_selector("html[data-ready] #decide >> text=The uploader appeals")
    ana.keyboard.press("a")
    ana.wait_for_selector("html[data-ready] #toast")
    soon(lambda: cases.get_case("up-40").verdict.action is Action.ALLOW)
    # The appeal is settled in the transaction after the verdict.
    soon(lambda: appeals.newest(cases)[0].state == "reversed")
    ana.goto("/appeals?state=reversed")
    assert "agreed with you" in ana.inner_text("main")
    assert ana.evaluate("window.hit") is None
    assert ana.troubles == lea.troubles == []


def test_shortcuts_are_shown_and_a_skip_requires_a_reason(browse):
    page = browse("ana")
    page.keyboard.press("?")
    page.wait_for_selector("#help[open] >> text=Skip with a reason")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.wait_for_selector("html[data-ready] #decide")
    first = page.url
    page.keyboard.press("s")
    page.keyboard.press("Enter")
    assert page.url == first
    page.keyboard.type("Not my language")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: url != first)
    assert page.troubles == []
