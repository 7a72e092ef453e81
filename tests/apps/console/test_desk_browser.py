"""Accounts, queues, limits and preferences in a real browser."""

from __future__ import annotations

from typing import Any

import pytest

from quorum.apps.console.desk.routing import Desk
from quorum.core.messages import Action
from quorum.store.ledger import Ledger
from quorum.store.ledger.console_schema import exposures
from tests.apps.console.cases_for_console import record_case
from tests.apps.console.conftest import soon

pytestmark = pytest.mark.browser

DESK = Desk.model_validate(
    {
        "queues": [{"name": "harm", "when": {"category": ["violence"]}, "answer_within": "1 h"}],
        "exposure": {
            "limits": [
                {
                    "name": "violence",
                    "categories": ["violence"],
                    "minutes_a_day": 0.1,
                    "warn_at": 0.01,
                }
            ]
        },
    }
)


@pytest.fixture
def console_settings() -> dict[str, Any]:
    return {"desk": DESK}


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_an_account_is_banned_by_two_people_and_lifted(
    browse, cases: Ledger, width: int, scheme: str
) -> None:
    record_case(cases, 60, action=Action.REMOVE, uploader="bot", category="spam")
    look = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    ana, lea = browse("ana", **look), browse("lea", **look)
    ana.goto("/case?upload=up-60")
    ana.click(".facts a")
    ana.wait_for_selector("html[data-ready] #order")
    ana.select_option("#order [name=action]", "ban")
    ana.fill("#order [name=reason]", "Nothing but spam.")
    ana.click("text=Preview the statement")
    ana.wait_for_selector("#statement >> text=closed for good")
    ana.click("#order button.primary")
    ana.wait_for_selector("html[data-ready] [aria-label='Proposed ban']")
    assert ana.locator("#confirm").count() == 0
    lea.goto("/accounts")
    lea.click("text=bot")
    lea.wait_for_selector("html[data-ready] #confirm")
    lea.click("#confirm")
    lea.wait_for_selector("html[data-ready] [aria-label=History] >> text=confirmed by lea")

    def banned() -> bool:
        lea.goto("/account?uploader=bot")
        return "This account is banned" in str(lea.inner_text("#shut"))

    soon(banned)
    lea.click("[aria-label='Decisions on the account'] summary:has-text('Lift')")
    lea.fill("[aria-label='Decisions on the account'] [name=reason]", "It was an error.")
    lea.click("[aria-label='Decisions on the account'] button:has-text('Lift')")
    lea.wait_for_selector("html[data-ready] [aria-label=History] >> text=lifts")
    soon(lambda: not banned())
    assert ana.troubles == lea.troubles == []


def test_a_reviewer_is_told_of_the_limit_and_given_no_more(browse, cases: Ledger) -> None:
    page = browse("ana")
    page.goto("/queues")
    page.click("text=Take the next")
    page.wait_for_selector("html[data-ready] #decide")
    # The page reports by itself that it is open.
    page.wait_for_selector("#status >> text=You are given other cases until tomorrow")
    spent = cases.transact(lambda c: c.execute(exposures.select()).one())
    assert (spent.reviewer, spent.category) == ("ana", "violence")
    assert spent.seconds >= 6
    page.keyboard.press("a")
    page.wait_for_url("**/queue?*")
    page.wait_for_selector("text=You are given other cases until tomorrow")
    assert "No cases are waiting" in page.inner_text("#cases")
    assert page.troubles == []


def test_preferences_hold_on_every_computer(browse, cases: Ledger) -> None:
    first = browse("ben")
    first.goto("/preferences")
    first.check("[name=grey]")
    first.click("main button.primary")
    first.wait_for_selector("#saved")
    second = browse("ben")
    second.goto("/preferences")
    assert second.is_checked("[name=grey]")
    assert second.is_checked("[name=blur]")
    assert first.troubles == second.troubles == []
