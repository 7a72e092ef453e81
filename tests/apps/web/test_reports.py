"""Users' reports at the web service: taken, deduplicated, throttled, answered, told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from quorum.apps.http.keys import _parse as parse_key
from quorum.apps.http.keys import new_key
from quorum.apps.web import report_desk
from quorum.apps.web.endpoints import Endpoint
from quorum.apps.web.report_desk import ReportDesk, desk_of
from quorum.core.errors import ConfigurationError
from quorum.core.messages import Action, now
from quorum.core.settings import ReportSettings, load_settings
from quorum.store.ledger import Ledger
from quorum.store.ledger.reports_schema import report_cases
from quorum.store.ledger.schema import deliveries
from quorum.store.reports.settling import close_case
from tests.apps.web.serving import event, serving


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as made:
        yield made


def report(**more: Any) -> dict[str, Any]:
    return {"upload_id": "u1", "reporter": "r1", "category": "scams-and-fraud"} | more


def test_a_report_is_taken_once_and_answered_at_its_own_address(ledger: Ledger) -> None:
    with serving(ledger=ledger) as client:
        assert client.post("/v1/moderate", json=event(1)).status_code == 200
        first = client.post("/v1/reports", json=report())
        assert first.status_code == 201
        made = first.json()
        assert (made["state"], made["known"], made["reports"]) == ("open", True, 1)
        again = client.post("/v1/reports", json=report())
        assert (again.status_code, again.json()["id"]) == (200, made["id"])
        assert again.json()["address"] is None
        other = client.post("/v1/reports", json=report(reporter="r2")).json()
        assert other["reports"] == 2
        assert other["id"] != made["id"]
        asked = client.get(made["address"])
        assert asked.json()["state"] == "open"
        assert client.get("/v1/reports/guess").status_code == 404
        (case_id,) = ledger.transact(lambda c: c.execute(select(report_cases.c.id)).scalars().all())
        ledger.transact(
            lambda c: close_case(c, case_id, upheld=True, action="remove", at=now(), by="ana"),
            writes=True,
        )
        told = client.get(made["address"]).json()
        assert (told["state"], told["action"]) == ("upheld", "remove")
        assert "removed" in told["outcome"]


def test_what_is_wrong_is_said(ledger: Ledger) -> None:
    with serving(ledger=ledger) as client:
        for body, words in (
            ({"reporter": "r"}, "names? what|name what"),
            (report(reporter=None), "your own id"),
            (report(category="nonsense"), "scams-and-fraud"),
            (report(more=1), "more"),
            (report(text="x" * 5000), "text"),
        ):
            answer = client.post("/v1/reports", json=body)
            assert answer.status_code == 422, body
            assert any(word in answer.json()["detail"] for word in words.split("|")), answer.text
        told = client.post("/v1/reports", json=report(upload_id="never-seen", law=True)).json()
        assert told["known"] is False
        assert told["lacks"] == ["explanation", "name", "email", "good_faith"]
    with serving() as without:
        assert "--database" in without.post("/v1/reports", json=report()).json()["detail"]


def test_one_who_sends_without_end_is_throttled_and_costs_nobody_else(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quorum.store.reports import intake

    desk = ReportDesk(ledger, ReportSettings(per_hour=10))
    clock = [now()]
    monkeypatch.setattr(intake, "now", lambda: clock[0])
    queries: list[int] = []
    run = ledger.transact
    monkeypatch.setattr(
        ledger, "transact", lambda work, **more: (queries.append(1), run(work, **more))[1]
    )
    taken = refused = 0
    for number in range(100_000):
        try:
            desk.take(report_desk.ReportBody(**report(upload_id=f"u{number}")), "shop", ())
            taken += 1
        except intake.ReporterRefused as error:
            refused += 1
            assert 0 < error.seconds <= 361
    assert (taken, refused) == (10, 99_990)
    assert len(queries) == 11
    desk.take(report_desk.ReportBody(**report(reporter="another")), "shop", ())
    clock[0] += timedelta(hours=1)
    desk.take(report_desk.ReportBody(**report(upload_id="later")), "shop", ())


def test_a_trusted_flagger_comes_first_by_its_key(ledger: Ledger) -> None:
    secret, line = new_key("hotline", frozenset({"report"}))
    keys = (parse_key(line, "test"),)
    settings = ReportSettings(trusted_flaggers=("hotline",))
    with serving(ledger=ledger, keys=keys, report_settings=settings) as client:
        headers = {"x-api-key": secret}
        assert client.post("/v1/reports", json=report()).status_code == 401
        made = client.post("/v1/reports", json=report(reporter=None), headers=headers)
        assert made.status_code == 201
        assert client.get(made.json()["address"]).status_code == 200  # without the key
        assert client.post("/v1/moderate", json=event(1), headers=headers).status_code == 403
    row = ledger.transact(lambda c: c.execute(select(report_cases)).one())
    assert row.trusted
    with pytest.raises(ConfigurationError, match="--new-key other"):
        desk_of(ledger, keys, ReportSettings(trusted_flaggers=("other",)))


def test_the_platform_is_told_by_webhook(ledger: Ledger) -> None:
    desk = ReportDesk(ledger, ReportSettings())
    desk.take(report_desk.ReportBody(**report(reference="ticket-7")), "shop", ())
    secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
    hook = Endpoint("shop", "https://shop.example.org", secret, events=("report",))
    silent = Endpoint("other", "https://other.example.org", secret, (Action.REMOVE,))
    assert desk.tell((hook, silent)) == 0
    (case_id,) = ledger.transact(lambda c: c.execute(select(report_cases.c.id)).scalars().all())
    ledger.transact(
        lambda c: close_case(c, case_id, upheld=False, action="allow", at=now(), by="ana"),
        writes=True,
    )
    assert desk.tell((silent,)) == 0
    assert desk.tell((hook, silent)) == 1
    assert desk.tell((hook, silent)) == 0
    (row,) = ledger.transact(lambda c: c.execute(select(deliveries)).all())
    assert row.endpoint == "shop"
    assert '"reference":"ticket-7"' in row.body
    assert '"state":"rejected"' in row.body


def test_settings_of_reports_are_checked(tmp_path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("reports: {trusted_flaggers: [hotline], per_hour: 5}\n")
    assert load_settings(file).reports.trusted_flaggers == ("hotline",)
    file.write_text("policy: balanced\nreports:\n  per_minute: 5\n")
    with pytest.raises(ConfigurationError, match=r"s.yaml:3.*per_hour"):
        load_settings(file)
