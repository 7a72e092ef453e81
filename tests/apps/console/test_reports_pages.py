"""Reports in the console: their queue, a decision that answers them, the public form."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from quorum.apps.console.accounts import audit
from quorum.apps.console.desk import outbox, reported
from quorum.core.messages import Action, now
from quorum.store.ledger import Ledger
from quorum.store.reports import intake as intake_module
from quorum.store.reports.intake import Intake
from quorum.store.reports.values import Notice, Reporter
from tests.apps.console.cases_for_console import XSS, record_case
from tests.apps.console.conftest import soon


def send(ledger: Ledger, upload: str, who: str = "r1", kind: str = "user", **more: object):
    given = {"category": "violence", **more}
    return Intake(ledger).take(
        Notice(reporter=Reporter(kind, who, "shop"), upload_id=upload, **given)
    )


def test_a_report_becomes_a_task_and_a_decision_answers_it(ledger: Ledger, serve) -> None:
    record_case(ledger, 50, action=Action.ALLOW)
    record_case(ledger, 51, action=Action.ALLOW)
    for number in range(3):
        send(ledger, "up-50", f"r{number}", text=XSS[0])
    send(ledger, "up-51", "hotline", "trusted", category="spam")
    console = serve()
    ana = console("ana")
    soon(lambda: "up-50" in ana.get("/queue?kind=report").text)
    page = ana.get("/reports").text
    assert page.index("up-51") < page.index("up-50")  # trusted flaggers first
    assert "trusted flagger" in page
    assert "left" in page
    shown = ana.get("/case/reports?upload=up-50").text
    assert shown.count("<blockquote>") == 3
    assert "<script>" not in shown
    first = ana.post("/next", queue_kind="report")
    assert "up-51" in first.url.query.decode()
    task = re.search(r'name="task" value="([^"]+)"', first.text)[1]
    fields = {"task": task, "upload": "up-51", "category": "spam", "note": "no"}
    refused = ana.post("/decide", action="review", **fields)
    assert "A report is answered" in refused.text
    ana.post("/decide", action="allow", **fields)
    soon(lambda: "up-51" not in ana.get("/reports").text)
    closed = ana.get("/reports?show=closed").text
    assert "rejected" in closed
    assert "by ana" in closed
    assert audit.verify(ledger).broken is None
    lea = console("lea")
    assert ana.get("/reports.csv").status_code == 403
    lines = lea.get("/reports.csv").text.splitlines()
    assert len(lines) == 5
    page = (Path(__file__).parents[3] / "docs" / "reports.md").read_text()
    documented = page.split("The columns are ")[1].split(".\n")[0]
    assert lines[0].lstrip("\ufeff").split(",") == re.findall(r"`(\w+)`", documented)
    assert "<script>" not in lea.get("/reports.csv").text  # no words of reporters


def test_a_decision_of_any_queue_answers_the_reports(cases: Ledger) -> None:
    send(cases, "up-3")
    assert reported.sync(cases) == (1, 0)
    from tests.apps.console.cases_for_console import choose, take

    task = take(cases, 3, "ana")
    choose(cases, task, "ana", Action.REMOVE)
    outbox.publish_due(cases, lambda reviews: None, double_rate=0.0)
    assert reported.sync(cases) == (0, 1)
    assert reported.sync(cases) == (0, 0)


def test_an_unknown_upload_is_named_or_answered_by_a_lead(cases: Ledger, serve) -> None:
    console = serve()
    where = Notice(reporter=Reporter("public", "net"), location="https://x.example/7")
    Intake(cases).take(where)
    send(cases, "never-seen")
    lea, ana = console("lea"), console("ana")
    page = lea.get("/reports?show=unknown").text
    assert page.count("does not know this upload") == 2
    ids = re.findall(r"/reports/case\?case=([0-9a-f]+)", page)
    for case_id in dict.fromkeys(ids):
        shown = lea.get(f"/reports/case?case={case_id}").text
        if "x.example" in shown:
            assert ana.post("/reports/case", case=case_id, what="reject").status_code == 403
            wrong = lea.post("/reports/case", case=case_id, what="link", named="nothing")
            assert wrong.status_code == 422
            lea.post("/reports/case", case=case_id, what="link", named="up-4")
        else:
            lea.post("/reports/case", case=case_id, what="reject")
    assert "does not know" not in lea.get("/reports?show=unknown").text
    soon(lambda: "Title 4" in ana.get("/queue?kind=report").text)


def test_a_lead_suspends_a_reporter(cases: Ledger, serve) -> None:
    send(cases, "up-1", "r<b>1")
    lea = serve()("lea")
    page = lea.get("/reports/reporters").text
    assert "r&lt;b&gt;1" in page
    reporter = re.search(r'name="reporter" value="([^"]+)"', page)[1]
    assert lea.post("/reports/reporters", reporter=reporter, days="x").status_code == 422
    page = lea.post("/reports/reporters", reporter=reporter, days="30").text
    assert "suspended until" in page
    assert "reporter.suspended" in [one.event for one in audit.newest(cases)]


def test_the_public_form_needs_no_account_and_is_throttled(
    cases: Ledger, serve, monkeypatch
) -> None:
    assert serve()(None).get("/report").status_code == 404
    nobody = serve(public_reports=2)(None)
    assert "Report content" in nobody.get("/report?upload=up-1").text
    assert nobody.client.post("/report", data={}).status_code == 422
    fields = {"upload": "up-1", "category": "violence", "law": "yes", "text": "=cmd"}
    taken = nobody.client.post("/report", data=fields)
    assert taken.status_code == 201
    assert "name, email, good faith" in taken.text
    address = re.search(r'href="(/report/status/[^"]+)"', taken.text)[1]
    assert "waits for a person" in nobody.get(address).text
    assert nobody.get("/report/status/guess").status_code == 404
    assert (
        "not know this content"
        in nobody.client.post("/report", data={**fields, "upload": "nothing"}).text
    )
    refused = nobody.client.post("/report", data={**fields, "upload": "up-2"})
    assert refused.status_code == 429
    assert refused.headers["retry-after"]
    later = now() + timedelta(hours=1)
    monkeypatch.setattr(intake_module, "now", lambda: later)
    assert nobody.client.post("/report", data={**fields, "upload": "up-2"}).status_code == 201
    foreign = nobody.client.post("/report", data=fields, headers={"origin": "https://evil.example"})
    assert foreign.status_code == 403
