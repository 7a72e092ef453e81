"""Groups and replies in a real browser: two reviewers, keyboard, undo, macros, previews."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.console.app import create_console
from quorum.apps.console.desk import decisions, tasks
from quorum.apps.console.desk.publishing import LedgerReviewPublisher
from quorum.apps.console.desk.replies import load_replies
from quorum.apps.console.settings import ConsoleSettings
from quorum.core.messages import Action
from quorum.store.ledger import Ledger
from tests.apps.console.cases_for_console import record_case
from tests.apps.console.conftest import PASSWORD, listening, soon
from tests.apps.console.test_groups import wave
from tests.apps.console.test_replies import FILE

pytestmark = pytest.mark.browser

HOSTILE = "<script>window.hit=1</script><img src=x onerror='window.hit=1'>{{7*7}} the same for all"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_wave_is_decided_by_keyboard_and_undone(browse, cases: Ledger, width: int, scheme: str):
    wave(cases, range(20, 32), language="en")
    page = browse("ana", color_scheme=scheme, viewport={"width": width, "height": 800})
    page.goto("/queue")
    page.wait_for_selector(".groups >> text=with the same text")
    page.goto("/case?upload=up-22")
    page.wait_for_selector("#alike")
    page.keyboard.press("w")
    page.wait_for_selector("html[data-ready] #decide >> text=12 of 12")
    page.uncheck("tbody tr:first-child [name=task]")
    page.wait_for_selector("#decide >> text=11 of 12")
    page.keyboard.press("x")
    page.wait_for_selector("html[data-ready] h1:has-text('11 cases decided together')")
    page.wait_for_selector("#toast >> text=Removed: 11 cases")
    page.keyboard.press("u")
    page.wait_for_selector("text=undone")
    page.goto("/group?by=text&of=up-22")
    page.wait_for_selector("#decide >> text=12 of 12")
    assert page.troubles == []


def test_two_reviewers_decide_one_group_and_the_second_is_told(browse, cases: Ledger):
    for n in range(20, 26):
        record_case(cases, n, category="spam", title=HOSTILE, description="x" * 40, uploader="bot")
    tasks.sync(cases)
    ana, ben = browse("ana"), browse("ben")
    for page in (ana, ben):
        page.goto("/group?by=uploader&of=bot")
        page.wait_for_selector("html[data-ready] #decide")
        assert page.evaluate("window.hit") is None
        assert HOSTILE[:30] in page.inner_text("main")
    # Ben leaves out all but one; ana decides all.
    ana.uncheck("#all")
    ana.wait_for_selector("#decide >> text=0 of 6")
    ana.check("tbody tr:first-child [name=task]")
    ana.click(".act.remove")
    ana.wait_for_selector("html[data-ready] h1:has-text('1 cases decided together')")
    ben.click(".act.remove")
    ben.wait_for_selector("html[data-ready] h1:has-text('5 cases decided together')")
    assert "was decided by ana (remove)" in ben.inner_text("[aria-label='Left out']")
    soon(
        lambda: all(
            cases.get_case(f"up-{n}").verdict.action is Action.REMOVE for n in range(20, 26)
        ),
        60,
    )
    assert all(len(cases.get_case(f"up-{n}").reviews) == 1 for n in range(20, 26))
    ben.goto("/group?by=uploader&of=bot")
    ben.wait_for_selector("text=No cases of this group are waiting.")
    assert ana.troubles == ben.troubles == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_a_macro_fills_the_form_and_the_reply_is_previewed(
    chromium, cases: Ledger, tmp_path: Path, width: int, scheme: str
):
    (tmp_path / "replies.yaml").write_text(FILE)
    policy = load_policy("balanced")
    settings = ConsoleSettings(
        undo=timedelta(seconds=5),
        golden_rate=0,
        double_rate=0,
        replies=load_replies(tmp_path / "replies.yaml", policy.categories),
    )
    app = create_console(cases, policy, LedgerReviewPublisher(cases, policy), settings)
    with listening(app) as url:
        page = chromium.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
        page.goto(f"{url}/login")
        page.fill("[name=name]", "ana")
        page.fill("[name=password]", PASSWORD)
        page.click("button.primary")
        page.goto(f"{url}/case?upload=up-4")
        page.click("#claim")
        page.wait_for_selector("html[data-ready] #decide")
        page.click("text=Spam wave")
        page.wait_for_selector('#preview >> text=Hello by-1, "Title 4" is spam')
        assert "{{ 7*7 }} <b>{title.__class__}</b>" in page.inner_text("#preview")
        assert page.input_value("#note") == "A wave."
        assert page.evaluate("document.activeElement.value") == "remove"
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0
        page.keyboard.press("Enter")
        page.wait_for_selector("html[data-ready] #toast")
        page.goto(f"{url}/mine")
        page.wait_for_selector("text=Reply: Hello by-1")
        page.close()
    (made,) = cases.transact(lambda c: decisions.of_case(c, "up-4"))
    assert (made.action, made.category, made.note) == (Action.REMOVE, "spam", "A wave.")
