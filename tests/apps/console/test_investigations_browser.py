"""Legal holds, the transparency report and search by meaning, as a person uses them."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quorum.aggregator.policy.policy import load_policy
from quorum.apps.console.accounts import audit
from quorum.apps.console.app import create_console
from quorum.apps.console.desk import tasks
from quorum.apps.console.desk.publishing import LedgerReviewPublisher
from quorum.apps.console.settings import ConsoleSettings
from quorum.core.messages import Action
from quorum.store.ledger import Ledger
from tests.apps.console.cases_for_console import record_case
from tests.apps.console.conftest import PASSWORD, listening, soon
from tests.apps.console.test_accessible import Checked

pytestmark = pytest.mark.browser

LOOKS = [(1280, "light"), (390, "dark")]
PILLS = "Cheap pills without a prescription, delivered tonight"
TABLETS = "Günstige Tabletten ohne Rezept, noch heute geliefert"


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[Ledger]:
    """A ledger for all walks of this module."""
    path = tmp_path_factory.mktemp("investigations") / "console.db"
    shutil.copy(template, path)
    with Ledger(f"sqlite:///{path}") as made:
        for number, title in ((1, PILLS), (2, TABLETS), (3, "Three easy chords on the guitar")):
            record_case(made, number, title=title, uploader=f"seller-{number}")
        record_case(made, 4, action=Action.REMOVE, category="spam", uploader="seller-4")
        tasks.sync(made)
        yield made


@pytest.fixture(scope="module")
def desk(chromium: Any, held: Ledger) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A console on it with embeddings, and the cookies of a lead."""
    policy = load_policy("balanced")
    settings = ConsoleSettings(golden_rate=0, double_rate=0, meanings=100)
    app = create_console(held, policy, LedgerReviewPublisher(held, policy), settings)
    with listening(app) as url:
        context = chromium.new_context(base_url=url)
        page = context.new_page()
        page.goto("/login")
        page.fill("[name=name]", "lea")
        page.fill("[name=password]", PASSWORD)
        page.click("button.primary")
        page.wait_for_selector("html[data-ready] nav")
        cookies = context.cookies()
        context.close()
        soon(lambda: app.state.meanings.size == 4, 100)
        yield url, cookies


@pytest.fixture(params=LOOKS, ids=lambda look: f"{look[0]}-{look[1]}")
def page(request: Any, chromium: Any, desk: Any) -> Iterator[Any]:
    """The lead's page in one width and theme."""
    url, cookies = desk
    width, scheme = request.param
    context = chromium.new_context(
        base_url=url, color_scheme=scheme, viewport={"width": width, "height": 800}
    )
    context.add_cookies(cookies)
    made = context.new_page()
    troubles: list[str] = []
    made.on("pageerror", lambda error: troubles.append(str(error)))
    made.on("dialog", lambda dialog: troubles.append(dialog.message))
    made.check = Checked((request.param,))
    yield made
    context.close()
    assert troubles == []


def test_a_hold_is_placed_seen_at_the_case_and_released(page: Any, held: Ledger) -> None:
    page.goto("/case?upload=up-1")
    page.wait_for_selector("html[data-ready]")
    page.click("summary:has-text('For leads')")
    page.click("text=Place a legal hold")
    page.wait_for_selector("html[data-ready] h1 >> text=Legal holds")
    assert page.input_value("[name=subject]") == "up-1"
    page.fill("[name=until]", "2020-01-31")
    page.fill("[name=why]", "court of Berlin, 12 O 34/26")
    page.click("text=Place the hold")
    page.wait_for_selector("[role=alert] >> text=which is past")
    assert page.input_value("[name=why]") == "court of Berlin, 12 O 34/26"
    page.check(page)
    page.fill("[name=until]", "2999-01-31")
    page.click("text=Place the hold")
    page.wait_for_selector("table >> text=in force")
    page.check(page)
    page.click("td a >> text=up-1")
    page.wait_for_selector("[role=note] >> text=court of Berlin, 12 O 34/26")
    assert held.forget("seller-1").rows.held == ("up-1",)
    page.click("[role=note] a")
    page.click("summary:has-text('Release')")
    page.fill("td [name=why]", "the court closed the file")
    page.check(page)
    page.click("td button")
    # The width before left a hold that is released in the same ledger.
    page.wait_for_selector("table >> text=in force", state="detached")
    page.wait_for_selector("table >> text=released by lea")
    assert held.forget("seller-1").rows.held == ()
    page.goto("/case?upload=up-1")
    page.wait_for_selector("html[data-ready]")
    assert page.locator("text=Legal hold on").count() == 0
    assert audit.verify(held).broken is None


def test_a_report_is_shown_for_a_period_and_its_parts_are_saved(page: Any, held: Ledger) -> None:
    page.goto("/transparency")
    page.fill("[name=first]", "2020-01-01")
    page.fill("[name=territory]", "Q1")
    page.click("button.primary")
    page.wait_for_selector("[role=alert] >> text=two letters")
    page.fill("[name=territory]", "")
    page.click("button.primary")
    page.wait_for_selector("text=cells need a person")
    row = page.locator("[aria-label='Measures at own initiative'] tr", has_text="terms").first
    assert row.locator("td").nth(2).inner_text() == "1"
    page.check(page)
    with page.expect_download() as saving:
        page.click("text=CSV parts")
    assert saving.value.suggested_filename.startswith("transparency-2020-01-01-")
    with zipfile.ZipFile(io.BytesIO(Path(saving.value.path()).read_bytes())) as archive:
        assert "needs-a-person.csv" in archive.namelist()
    newest = audit.newest(held)[0]
    assert (newest.actor, newest.event) == ("lea", "transparency.exported")


def test_a_case_alike_in_meaning_is_found_from_a_case_and_by_a_sentence(page: Any) -> None:
    page.goto("/case?upload=up-1")
    page.wait_for_selector("html[data-ready]")
    page.click("a[href^='/like?upload=up-1']")
    page.wait_for_selector("text=Nearest to")
    cases = page.locator("[aria-label='Cases found'] tbody tr")
    assert TABLETS in cases.first.inner_text()
    page.check(page)
    page.click("text=Clear")
    page.fill("#text", "music lessons")
    page.keyboard.press("Enter")
    page.wait_for_selector("[aria-label='Cases found']")
    assert "guitar" in cases.first.inner_text()
    page.select_option("[name=action]", "remove")
    page.click("button.primary")
    page.wait_for_selector("[aria-label='Cases found'] >> text=Title 4")
    assert cases.count() == 1
    page.click("tbody td a >> nth=0")
    page.wait_for_selector("html[data-ready] h1 >> text=Title 4")
