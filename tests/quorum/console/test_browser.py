"""The console in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from aggregator.policy import load_policy
from quorum.console import tasks
from quorum.console.app import create_console
from quorum.console.publishing import LedgerReviews
from quorum.console.settings import ConsoleSettings
from quorum.ledger import Ledger
from quorum.messages import Action, Evidence
from tests.quorum.console.cases_for_console import record_case
from tests.quorum.console.conftest import PASSWORD, listening, soon

pytestmark = pytest.mark.browser

HOSTILE = "<script>window.hit=1</script><img src=x onerror='window.hit=1'>{{7*7}}"


@pytest.fixture
def url(chromium: Any, cases: Ledger) -> Iterator[str]:
    policy = load_policy("balanced")
    settings = ConsoleSettings(undo=timedelta(seconds=5), golden_rate=0, double_rate=0)
    app = create_console(cases, policy, LedgerReviews(cases, policy), settings)
    with listening(app) as found:
        yield found


@pytest.fixture
def browse(chromium: Any, url: str) -> Iterator[Callable[..., Any]]:
    contexts = []

    def make(name: str, **options: Any) -> Any:
        context = chromium.new_context(base_url=url, **options)
        contexts.append(context)
        page = context.new_page()
        page.troubles = []
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.on("dialog", lambda dialog: page.troubles.append(dialog.message))
        page.on(
            "console",
            lambda told: page.troubles.append(told.text) if told.type == "error" else None,
        )
        page.goto("/login")
        page.fill("[name=name]", name)
        page.fill("[name=password]", PASSWORD)
        page.click("button.primary")
        page.wait_for_selector("html[data-ready] nav")
        return page

    yield make
    for context in contexts:
        context.close()


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
    ana.wait_for_selector("html[data-ready] #decide")
    assert ana.url.split("upload=")[1] == first.split("upload=")[1].split("&")[0]
    ana.keyboard.press("a")
    ana.wait_for_selector("html[data-ready] #toast")
    upload_id = first.split("upload=")[1].split("&")[0]
    ana.goto(f"/case?upload={upload_id}")
    ana.wait_for_selector("text=New verdict", timeout=30_000)
    case = cases.get_case(upload_id)
    assert case is not None and case.verdict is not None
    assert case.verdict.action is Action.ALLOW
    assert ana.troubles == []


def test_hostile_words_are_only_words(browse, cases: Ledger):
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


def test_a_phone_needs_no_sideways_scrolling(browse):
    page = browse("ana", viewport={"width": 390, "height": 800})
    for url in ("/queue", "/case?upload=up-1"):
        page.goto(url)
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, url


def test_what_the_worker_publishes(browse, cases: Ledger):
    page = browse("ana")
    page.goto("/case?upload=up-3")
    page.keyboard.press("n")
    page.wait_for_selector("html[data-ready] #decide")
    page.select_option("#category", "violence")
    page.keyboard.press("Escape")
    page.click(".act.restrict")
    page.wait_for_selector("html[data-ready] #toast")
    soon(lambda: len(cases.get_case("up-3").verdicts) == 2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_meet_wcag_aa(browse, cases: Ledger, scheme: str):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    record_case(
        cases,
        70,
        title="some violent words",
        tags=("a",),
        evidence=(
            Evidence(kind="text", what="violent", field="title", start=5, end=12),
            Evidence(kind="video", what="blood", start=1, end=3),
        ),
    )
    tasks.sync(cases)
    page = browse("root", color_scheme=scheme)
    page.goto("/case?upload=up-70")
    page.keyboard.press("n")
    page.wait_for_selector("html[data-ready] #decide")
    page.goto("/queue")
    urls = ("/case?upload=up-70", "/queue", "/overview", "/search", "/quality", "/policy")
    for url in (*urls, "/audit", "/users"):
        page.goto(url)
        options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
        found = axe.run(page, options=options).response["violations"]
        told = [(one["id"], [node["target"] for node in one["nodes"][:3]]) for one in found]
        assert told == [], url
    assert page.troubles == []


def test_the_live_stream_tells_a_new_verdict(browse, cases: Ledger):
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
    lea.fill("[name=name]", "Stricter")
    lea.click("text=Save as a draft")
    lea.click("text=Try it on")
    lea.wait_for_selector("text=actions change")
    lea.click("button:has-text('Propose it')")
    lea.wait_for_selector("text=A second person activates it.")
    assert lea.is_disabled("button:has-text('Activate it')")
    other.goto(lea.url)
    other.click("button:has-text('Activate it')")
    other.wait_for_selector("text=activated by max")
