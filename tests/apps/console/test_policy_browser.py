"""The editor of policies in a real browser, by keyboard, at a desk and on a phone."""

from __future__ import annotations

from typing import Any

import pytest

from quorum.apps.console.desk import drafts, trials
from quorum.store.ledger import Ledger
from tests.apps.console.test_accessible import Checked
from tests.apps.console.test_policy_pages import DRAFT, POLICY

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

_MINUTE = 60_000


def editor(browse: Any) -> Any:
    page = browse("lea")
    page.set_default_timeout(_MINUTE)
    page.goto("/policy/edit")
    page.wait_for_selector("#policy-form[data-ready]")
    return page


def put_caret(page: Any, after: str) -> None:
    page.evaluate(
        """(after) => { const area = document.querySelector("#policy-text");
        const at = area.value.indexOf(after) + after.length;
        area.focus(); area.setSelectionRange(at, at); }""",
        after,
    )


def test_words_and_mistakes_by_keyboard(browse):
    page = editor(browse)
    put_caret(page, 'score("')
    page.keyboard.press("Control+Space")
    page.wait_for_selector("#words:not([hidden]) [role=option]")
    page.wait_for_selector("#policy-text[aria-activedescendant=word-0]")
    page.keyboard.press("ArrowDown")
    assert page.get_attribute("#policy-text", "aria-activedescendant") == "word-1"
    page.keyboard.press("Escape")
    page.wait_for_selector("#words", state="hidden")
    assert page.evaluate("document.activeElement.id") == "policy-text", "the field is not left"
    page.keyboard.type("no-")
    page.wait_for_selector(".told-here.error")
    page.wait_for_selector("#mistakes >> text=is unknown")
    assert page.get_attribute("#policy-text", "aria-invalid") == "true"
    line = page.get_attribute("#mistakes [data-line]", "data-line")
    put_caret(page, "name: balanced")
    page.keyboard.press("F8")
    here = "document.querySelector('#policy-text')"
    count = f"{here}.value.slice(0, {here}.selectionStart).split('\\n').length"
    assert str(page.evaluate(count)) == line
    put_caret(page, 'score("no-')
    for _ in range(3):
        page.keyboard.press("Backspace")
    page.wait_for_selector(".told-here.error", state="detached")
    page.wait_for_selector("#checked >> text=balanced@")
    # A key is written by a choice; what changes and what a golden case says follow.
    put_caret(page, "\nquorum: ")
    page.keyboard.press("Delete")
    page.keyboard.type("3")
    page.wait_for_selector("#changes >> text=quorum 1 -> 3")
    page.wait_for_selector("#golden .bad >> text=fails")
    put_caret(page, "quorum: 3")
    page.keyboard.press("Enter")
    page.keyboard.type("gro")
    page.keyboard.press("Control+Space")
    page.wait_for_selector("#word-0[aria-selected=true] >> text=groups:")
    page.keyboard.press("Enter")
    page.wait_for_selector("#words", state="hidden")
    assert "quorum: 3\ngroups: " in page.input_value("#policy-text")
    assert page.troubles == []


def test_the_pages_of_the_policy_meet_wcag_aa(browse, cases: Ledger):
    check = Checked()
    page = editor(browse)
    put_caret(page, 'score("')
    page.keyboard.type("no-")
    page.wait_for_selector(".told-here.error")
    page.keyboard.press("Control+Space")
    page.keyboard.press("Escape")
    check(page)
    draft = drafts.save(cases, "axe", DRAFT, "lea", "Why not")
    trials.run_backtest(cases, draft, "lea", POLICY)
    drafts.propose(cases, draft, "lea")
    drafts.activate(cases, draft, "max", None)
    for address in ("/policy", f"/policy/draft?id={draft}", "/policy/history"):
        page.goto(address)
        page.wait_for_selector("html[data-ready] h1")
        check(page)
    assert page.troubles == []
