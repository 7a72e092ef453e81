"""Each page by axe, light and dark, at a desk and on a phone, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest

from quorum.apps.console.demo.reviews import seed_reviews
from quorum.apps.console.desk import appeals, drafts, tasks
from quorum.core.messages import Action, Evidence
from quorum.store.ledger import Ledger
from tests.apps.console.cases_for_console import record_case
from tests.apps.console.test_policy_pages import DRAFT, POLICY

pytestmark = pytest.mark.browser

_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
_PAGES = (
    "/case?upload=up-70",
    "/case?upload=up-71",
    "/queue",
    "/overview",
    "/search?text=title&label=violence",
    "/appeals",
    "/quality",
    "/policy",
    "/holds",
    "/transparency?first=2020-01-01",
    "/reports",
    "/reports?show=unknown",
    "/reports/reporters",
    "/report",
    "/audit",
    "/users",
    "/group?by=text&of=up-101",
    "/group?by=queue&category=violence",
    "/mine",
    "/case?upload=nothing",
)


@pytest.fixture
def busy(cases: Ledger) -> Ledger:
    """Something on every page."""
    for number in range(100, 140):
        record_case(cases, number)
    tasks.sync(cases)
    seed_reviews(cases, POLICY)
    record_case(
        cases,
        70,
        title="some violent words",
        tags=("a",),
        evidence=(
            Evidence(kind="text", what="violent", field="title", start=5, end=12),
            Evidence(kind="video", what="blood", start=1, end=3),
            Evidence(kind="match", what="the same", work="w-1", start=0, end=2),
        ),
    )
    tasks.sync(cases)
    removed = record_case(cases, 71, action=Action.REMOVE)
    appeals.appeal(cases, "up-71", removed.id, "It is a game.", "letter")
    return cases


def _check(axe: Any, page: Any) -> None:
    found = axe.run(page, options=_RULES).response["violations"]
    violations = [(one["id"], [node["target"] for node in one["nodes"][:3]]) for one in found]
    assert violations == [], page.url
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, page.url


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_meet_wcag_aa(chromium, url, browse, busy: Ledger, scheme: str, width: int):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    context = chromium.new_context(base_url=url, **options)
    nobody = context.new_page()
    nobody.goto("/login")
    _check(axe, nobody)
    nobody.fill("[name=name]", "ana")
    nobody.fill("[name=password]", "wrong")
    nobody.click("button.primary")
    nobody.wait_for_selector("[role=alert]")
    _check(axe, nobody)
    context.close()
    page = browse("root", **options)
    page.goto("/case?upload=up-70")
    page.keyboard.press("n")
    page.wait_for_selector("html[data-ready] #decide")
    draft = drafts.save(busy, "axe", DRAFT, "lea")
    drafts.run_backtest(busy, draft, "lea")
    for address in (*_PAGES, f"/policy/draft?id={draft}"):
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        _check(axe, page)
    page.keyboard.press("?")
    _check(axe, page)
    assert [one for one in page.troubles if "404" not in one] == []
