"""Legal notices at the web service: taken, checked, answered, with a digital signature or none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select

from quorum.apps.web.endpoints import Endpoint
from quorum.apps.web.notice_desk import EVENT_TYPE, NoticeBody, NoticeDesk
from quorum.core.errors import ConfigurationError
from quorum.core.identity import SigningKey
from quorum.core.messages import now
from quorum.core.settings import NoticeSettings, load_settings
from quorum.store.ledger import Ledger
from quorum.store.ledger.schema import deliveries
from quorum.store.notices import changing
from quorum.store.notices.reading import events_of, find_notice
from quorum.store.notices.values import NoticeRules
from tests.apps.web.serving import event, serving
from tests.store.ledger.messages_for_ledger import upload, verdict


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db", create=True) as made:
        yield made


def notice(**more: Any) -> dict[str, Any]:
    return {
        "kind": "copyright",
        "reporter": "owner",
        "upload_id": "u1",
        "work": "The film Example (2020)",
        "name": "Ada Example",
        "email": "ada@example.org",
        "phone": "+1 202 555 0100",
        "address": "1 Main St",
        "signature": "Ada Example",
        "good_faith": True,
        "accurate": True,
        "jurisdiction": True,
    } | more


def change(ledger: Ledger, call: Any, *args: Any, **more: Any) -> None:
    ledger.transact(lambda c: call(c, *args, **more), writes=True)


def test_a_notice_goes_its_way(ledger: Ledger) -> None:
    with serving(ledger=ledger) as client:
        assert client.post("/v1/moderate", json=event(1)).status_code == 200
        early = client.post("/v1/notices", json=notice(kind="counter", reporter="by"))
        assert early.status_code == 422
        assert "nothing of this id is down" in early.json()["detail"]
        sent = client.post("/v1/notices", json=notice(reference="ticket-7"))
        assert sent.status_code == 201
        made = sent.json()
        assert (made["state"], made["known"], made["lacks"]) == ("received", True, [])
        again = client.post("/v1/notices", json=notice())
        assert (again.status_code, again.json()["address"]) == (200, None)
        assert client.get("/v1/notices/guess").status_code == 404
        row = ledger.transact(lambda c: find_notice(c, made["id"]))
        change(ledger, changing.decide_notice, row, action="remove", by="ana", at=now())
        told = client.get(made["address"]).json()
        assert told["state"] == "removed"
        assert [one["to"] for one in told["letters"]][-1] == "uploader"
        assert "512(g)(3)" in told["letters"][-1]["text"]
        counter = client.post("/v1/notices", json=notice(kind="counter", reporter="by")).json()
        no = client.post(f"{made['address']}/suit", json={"case": "1:26-cv-1"})
        assert "no counter-notice that waits" in no.json()["detail"]
        rules = NoticeRules()
        change(ledger, changing.accept_counter, counter["id"], rules, by="lea", at=now())
        waiting = client.get(counter["address"]).json()
        assert waiting["earliest_at"] < waiting["due_at"]
        assert client.post("/v1/notices/guess/suit", json={"case": "1"}).status_code == 404
        suit = client.post(f"{made['address']}/suit", json={"case": "1:26-cv-1"})
        assert suit.json()["state"] == "suit"
        assert client.get(counter["address"]).json()["state"] == "suit"
    with serving() as without:
        assert "--database" in without.post("/v1/notices", json=notice()).json()["detail"]


def test_a_forged_signature_is_told_and_the_notice_is_kept(ledger: Ledger) -> None:
    key, other = SigningKey.new("agent", "1"), SigningKey.new("agent", "1")
    text = json.dumps({"agent": {"keys": {"1": {"public": key.public}}, "streams": ["uploads"]}})
    publishers = _settings(text).publishers
    body = json.dumps(notice()).encode()
    names = {"ce-type": EVENT_TYPE, "ce-id": "n-1", "ce-time": "2026-01-31T12:00:00Z"}
    kind = {"content-type": "application/json"}
    with serving(ledger=ledger, publishers=publishers) as client:
        for headers in (
            other.sign(body, names),
            {**key.sign(body, names), "ce-id": "n-2"},
            {**key.sign(body, names), "quorum-publisher": "somebody"},
            key.sign(body, {**names, "ce-type": "quorum.review.v1"}),
        ):
            answer = client.post("/v1/notices", content=body, headers={**headers, **kind})
            assert answer.status_code == 201
            made = answer.json()
            assert (made["state"], made["lacks"]) == ("invalid", ["signature"])
            assert "type your name in `signature`" in made["asks"]
            first = ledger.transact(lambda c, m=made: events_of(c, m["id"]))[0]
            assert first.details["forged"]
        right = client.post(
            "/v1/notices", content=body, headers={**key.sign(body, names), **kind}
        ).json()
        assert (right["state"], right["lacks"]) == ("received", [])


def _settings(publishers: str):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "s.yaml")
        file.write_text(f"publishers: {publishers}\n")
        return load_settings(file)


def test_what_is_wrong_is_said(ledger: Ledger) -> None:
    with serving(ledger=ledger) as client:
        for body, words in (
            (notice(upload_id=None), "name the material"),
            (notice(kind="other"), "kind"),
            (notice(reporter=None), "reporter"),
            (notice(more=1), "more"),
        ):
            answer = client.post("/v1/notices", json=body)
            assert answer.status_code == 422, body
            assert words in answer.json()["detail"], answer.text
        empty = notice(work="", accurate=False, signature="")
        told = client.post("/v1/notices", json=empty).json()
        assert told["lacks"] == ["signature", "work", "accurate"]
        assert "penalty of perjury" in told["asks"]


def test_settings_of_notices_are_checked(tmp_path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("notices: {timezone: Europe/Berlin, holidays: [2026-11-27]}\n")
    rules = NoticeRules.of(load_settings(file).notices)
    assert rules.days.zone.key == "Europe/Berlin" and rules.days.closed
    for line, words in (
        ("timezone: Nowhere/Town", "time zone"),
        ("intimate_hours: 49", "48"),
        ("holidays: [soon]", "date"),
        ("per_minute: 1", "unknown setting"),
    ):
        file.write_text(f"policy: balanced\nnotices:\n  {line}\n")
        with pytest.raises(ConfigurationError, match=rf"s.yaml:3.*{words}"):
            load_settings(file)


def test_the_platform_is_told_by_webhook(ledger: Ledger) -> None:
    ledger.record([upload(1), verdict(1)])
    desk = NoticeDesk.of(ledger, NoticeSettings(), {})
    body = NoticeBody(**notice(upload_id="up-1", reference="ticket-7"))
    made = desk.take(body, b"", {}, "shop")
    secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
    hook = Endpoint("shop", "https://shop.example.org", secret, events=("notice",))
    silent = Endpoint("other", "https://other.example.org", secret)
    row = ledger.transact(lambda c: find_notice(c, made.id))
    change(ledger, changing.decide_notice, row, action="remove", by="ana", at=now())
    assert desk.tell((silent,)) == 0
    assert desk.tell((hook, silent)) == 2
    assert desk.tell((hook, silent)) == 0
    rows = ledger.transact(lambda c: c.execute(select(deliveries.c.body)).scalars().all())
    told = {one["data"]["event"]: one["data"] for one in map(json.loads, rows)}
    assert set(told) == {"received", "removed"}
    sides = [one["to"] for one in told["removed"]["letters"]]
    assert sides == ["complainant", "uploader"]
    assert told["removed"]["reference"] == "ticket-7"
    assert not any("Ada" in one for one in rows)
