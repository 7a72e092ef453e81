"""Legal notices in a real browser: sent, taken down, countered, each page by axe."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from quorum.apps.console.desk import noticed
from quorum.core.messages import Action
from quorum.store.ledger import Ledger
from quorum.store.notices.intake import NoticeIntake
from quorum.store.notices.reading import find_notice
from quorum.store.reports.values import Reporter
from tests.apps.console.cases_for_console import record_case
from tests.apps.console.conftest import soon
from tests.apps.console.test_accessible import Checked
from tests.store.notices.test_validity import WHOLE

pytestmark = pytest.mark.browser


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("console_settings", [{"public_reports": 5}], ids=["public"])
def test_a_notice_from_the_form_to_the_put_back(
    chromium: Any, url: str, browse: Any, cases: Ledger
) -> None:
    check = Checked()
    record_case(cases, 80, action=Action.ALLOW)
    context = chromium.new_context(base_url=url)
    context.set_default_timeout(60_000)
    owner = context.new_page()
    owner.goto("/notice?kind=copyright&upload=up-80")
    check(owner)
    owner.fill("[name=work]", "The film Example")
    owner.fill("[name=name]", "Ada Example")
    owner.fill("[name=signature]", "Somebody Else")
    owner.fill("[name=email]", "ada@example.org")
    owner.select_option("[name=good_faith]", "yes")
    owner.select_option("[name=accurate]", "yes")
    owner.click("button.primary")
    owner.wait_for_selector("[role=alert]")
    check(owner)
    owner.go_back()
    owner.fill("[name=signature]", "Ada Example")
    owner.click("button.primary")
    address = owner.get_attribute("main a[href^='/notice/status/']", "href")
    ana = browse("ana")
    ana.set_default_timeout(60_000)

    def waits() -> bool:
        ana.goto("/queue?kind=notice")
        return bool(ana.locator("text=Title 80").count())

    soon(waits)
    ana.goto("/notices?kind=copyright")
    check(ana)
    ana.click("#next button")
    ana.wait_for_selector("html[data-ready] #decide")
    ana.wait_for_selector("section[aria-label='Legal notices']")
    check(ana)
    ana.wait_for_timeout(800)  # the guard against a second press
    ana.click("text=intellectual-property")
    ana.click("button.act.remove")
    notice = _newest(cases, "copyright")
    soon(lambda: cases.transact(lambda c: find_notice(c, notice)).state == "removed")
    counter = NoticeIntake(cases).take(
        replace(WHOLE, kind="counter", upload_id="up-80", reporter=Reporter("notice", "by-2", "s"))
    )
    soon(lambda: _logged(cases))
    lea = browse("lea")
    lea.set_default_timeout(60_000)
    lea.goto(f"/notices/one?notice={counter.id}")
    check(lea)
    lea.click("text=Accept the counter-notice")
    lea.wait_for_selector("text=put back from")
    lea.click("text=Show who sent it")
    lea.wait_for_selector("section[aria-label='Sender']")
    check(lea)
    for page in ("/notices?kind=counter", "/notices?kind=copyright&show=invalid"):
        lea.goto(page)
        check(lea)
    lea.goto("/notices/infringers")
    check(lea)
    owner.goto(address)
    check(owner)
    owner.fill("[name=case]", "S.D.N.Y. 1:26-cv-1")
    owner.click("button.primary")
    owner.wait_for_selector("text=Because you sue")
    assert ana.troubles == [] and lea.troubles == []
    context.close()


def _newest(ledger: Ledger, kind: Any) -> str:
    from quorum.store.notices.reading import notices_of

    rows = ledger.transact(lambda c: c.execute(notices_of(kind, open_only=True)).all())
    return str(rows[-1].id)


def _logged(ledger: Ledger) -> bool:
    return ledger.transact(noticed.log_events, writes=True) == 0
