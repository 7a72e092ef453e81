"""Each page by axe, light and dark, at a desk and on a phone, in a real browser."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from quorum.apps.console.accounts.access import Role, User, create_user
from quorum.apps.console.demo.reviews import seed_reviews
from quorum.apps.console.desk import appeals, drafts, tasks, trials
from quorum.apps.console.desk.account_appeals import appeal_account
from quorum.apps.console.desk.account_orders import place
from quorum.apps.console.desk.account_outbox import publish_orders
from quorum.apps.console.desk.publishing import LedgerReviewPublisher
from quorum.core.messages import Action, Evidence, now
from quorum.models.known import records
from quorum.store.ledger import Ledger
from tests.apps.console import test_notices_pages as notes
from tests.apps.console.cases_for_console import record_case
from tests.apps.console.conftest import PASSWORD
from tests.apps.console.test_policy_pages import DRAFT, POLICY
from tests.apps.console.test_reports_pages import send as report
from tests.apps.console.test_sealed_pages import MD5, match

pytestmark = pytest.mark.browser

_RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"],
    # What passes is not listed node by node.
    "resultTypes": ["violations"],
}
_LOOKS = tuple(product((1280, 390), ("light", "dark")))
_PAGES = (
    "/case?upload=up-70",
    "/case?upload=up-71",
    "/queue",
    "/overview",
    "/search?text=title&label=violence",
    "/appeals",
    "/queues",
    "/preferences",
    "/accounts",
    "/account?uploader=bot",
    "/quality",
    "/policy",
    "/policy/rollouts",
    "/holds",
    "/transparency?first=2020-01-01",
    "/reports",
    "/reports?show=unknown",
    "/reports/reporters",
    "/notices/letters",
    "/report",
    "/audit",
    "/users",
    "/group?by=text&of=up-101",
    "/group?by=queue&category=violence",
    "/mine",
    "/like?text=title",
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
    _accounts(cases)
    _sealed(cases)
    return cases


def _sealed(ledger: Ledger) -> None:
    """Sealed cases for a specialist: one with a notice and a report, one whose hash floods."""
    create_user(ledger, "sam", Role.SPECIALIST, PASSWORD, "test")
    record_case(ledger, 72, action=Action.REMOVE)
    notes.send(ledger, 72)
    report(ledger, "up-73", text="Look at this.")
    for number, label in ((72, "exact"), (73, "flooded")):
        match(ledger, number, label=label)
    ledger.transact(
        lambda c: records.set_standing(
            c, "md5", MD5, "flooded", by="clock", at=now(), why="it matched 20 uploads in 60 min"
        ),
        writes=True,
    )


def _accounts(ledger: Ledger) -> None:
    """A warning, a ban that waits for a second person, and an appeal."""
    ana = User("ana", Role.REVIEWER)
    for number in (80, 81):
        record_case(ledger, number, action=Action.REMOVE, uploader="bot")
    place(ledger, "up-80", ana, "warn", "Spam.", timedelta(0))
    publish_orders(ledger, LedgerReviewPublisher(ledger, POLICY).publish)
    warned = ledger.get_case("up-80")
    assert warned is not None
    assert warned.verdict is not None
    appeal_account(ledger, "up-80", warned.verdict.id, "It is a game.", "letter")
    place(ledger, "up-81", ana, "ban", "More spam.", timedelta(0))


class Checked:
    """Checks a loaded page by axe in each theme and width.

    Args:
        looks: The widths and themes.
    """

    def __init__(self, looks: Sequence[tuple[int, str]] = _LOOKS) -> None:
        self._looks = looks
        self._axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def __call__(self, page: Any) -> None:
        page.evaluate(self._axe.axe_script)
        for width, scheme in self._looks:
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)
            shown = page.evaluate(
                "[innerWidth, matchMedia('(prefers-color-scheme: dark)').matches,"
                " document.documentElement.dataset.theme ?? '']"
            )
            assert shown == [width, scheme == "dark", ""]
            found = page.evaluate("rules => axe.run(rules).then((all) => all.violations)", _RULES)
            violations = [
                (one["id"], [node["target"] for node in one["nodes"][:3]]) for one in found
            ]
            assert violations == [], (page.url, scheme, width)
            wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 0, (page.url, scheme, width)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_pages_meet_wcag_aa(chromium, url, browse, busy: Ledger):
    check = Checked()
    context = chromium.new_context(base_url=url)
    context.set_default_timeout(60_000)
    nobody = context.new_page()
    nobody.goto("/login")
    check(nobody)
    nobody.fill("[name=name]", "ana")
    nobody.fill("[name=password]", "wrong")
    nobody.click("button.primary")
    nobody.wait_for_selector("[role=alert]")
    check(nobody)
    context.close()
    page = browse("root")
    page.set_default_timeout(60_000)
    page.goto("/case?upload=up-70")
    page.keyboard.press("n")
    page.wait_for_selector("html[data-ready] #decide")
    draft = drafts.save(busy, "axe", DRAFT, "lea", "Why not")
    trials.run_backtest(busy, draft, "lea")
    for address in (*_PAGES, f"/policy/draft?id={draft}"):
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        check(page)
    page.keyboard.press("?")
    check(page)
    assert [one for one in page.troubles if "404" not in one] == []
    sam = browse("sam")
    sam.set_default_timeout(60_000)
    for address in ("/sealed", "/sealed?show=flooded", "/case?upload=up-72"):
        sam.goto(address)
        sam.wait_for_selector("html[data-ready]")
        check(sam)
    assert sam.locator("text=Copyright notice").count()
    sam.select_option("[name=viewed]", "no")
    sam.click("button[value=confirm]")
    sam.wait_for_selector("text=It was reported")
    assert not sam.locator("text=Copyright notice").count()
    assert sam.troubles == []
