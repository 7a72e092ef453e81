from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest

from quorum.apps.console.desk import outbox
from quorum.apps.console.desk.overview import OverviewCache
from quorum.core.messages import Action, Prediction, Status, now, prediction_id
from quorum.core.report.plots import bars, line
from quorum.store.ledger import Ledger
from tests.apps.console.cases_for_console import XSS, choose, record_case, take


def test_the_figures_match_the_ledger(cases: Ledger):
    record_case(cases, 20, action=Action.REMOVE, score=0.99)
    for number, action in ((1, Action.ALLOW), (2, Action.REMOVE), (3, Action.ALLOW)):
        choose(cases, take(cases, number, "ana"), "ana", action)
    outbox.publish_due(cases, lambda _: None, double_rate=0)
    cache = OverviewCache(cases, lambda: ["violence", "spam"])
    found, trend = cache.current(), cache.trends.trend("24h")
    assert sum(trend.by_action["review"]) == 10
    assert sum(trend.by_action["remove"]) == 1
    assert (found.cases, found.open, found.p50) == (11, 7, 1.0)
    assert {one.detector: one.state for one in found.detectors} == {
        "violence": "quiet",
        "spam": "silent",
    }
    (rule,) = found.rules
    assert (rule.name, rule.decided, rule.allowed) == ("violence-unclear", 3, 2)
    assert found.by_detector[0].rate == pytest.approx(2 / 3)


def test_no_refresh_while_nobody_reads(cases: Ledger, monkeypatch: pytest.MonkeyPatch):
    clock = [1000.0]
    monkeypatch.setattr("quorum.apps.console.desk.overview.time.monotonic", lambda: clock[0])
    kept = OverviewCache(cases, list)
    kept.refresh(force=False)
    assert kept.current().cases == 10
    record_case(cases, 30)
    clock[0] += 6
    kept.refresh(force=False)
    assert kept.current().cases == 11
    record_case(cases, 31)
    clock[0] += 31
    kept.refresh(force=False)
    assert kept._found is not None
    assert kept._found.cases == 11
    assert kept.current().cases == 12


def test_the_health_of_every_detector_with_predictions(cases: Ledger):
    at = now()

    def predict(detector: str, number: int, status: Status, **more):
        score = 0.5 if status is Status.SCORED else None
        reason = None if status is Status.SCORED else "No frames."
        prediction = Prediction(
            id=prediction_id(f"up-{number}", detector, "v7"),
            upload_id=f"up-{number}",
            detector=detector,
            version="v7",
            status=status,
            score=score,
            reason=reason,
            **{"at": at, **more},
        )
        cases.record([prediction])

    for number in range(10):
        predict("faces", number, Status.FAILED if number < 3 else Status.ABSTAINED)
        predict("trial", number, Status.SCORED, shadow=True)
    predict("gone", 0, Status.SCORED, at=at - timedelta(days=40))
    predict("stopped", 0, Status.SCORED, at=at - timedelta(hours=5))
    found = {
        one.detector: one for one in OverviewCache(cases, lambda: ["nsfw"]).current().detectors
    }
    assert list(found) == ["nsfw", "faces", "stopped", "trial", "violence"]
    assert {name: one.state for name, one in found.items()} == {
        "nsfw": "silent",
        "faces": "failing",
        "stopped": "silent",
        "trial": "healthy",
        "violence": "silent",
    }
    assert (found["faces"].failed, found["faces"].abstained) == (0.3, 0.7)
    assert [name for name, one in found.items() if one.shadow] == ["trial"]
    assert [name for name, one in found.items() if one.named] == ["nsfw"]
    assert found["trial"].version == "v7"


def test_an_empty_ledger_has_an_overview(serve):
    page = serve()("eve").get("/")
    assert page.url.path == "/overview"
    assert page.status_code == 200


def test_plots_of_little_data():
    times = [now() + timedelta(hours=n) for n in range(3)]
    assert bars(times, {"allow": [0, 0, 0]}).bars == ()
    assert [one.count for one in bars(times, {"allow": [1, 0, 2]}).bars] == [1, 2]
    assert len(line(times, [1.0, None, 2.0]).paths) == 2
    assert line([], []).paths == ()


def test_search_finds_by_each_field(console, cases: Ledger):
    record_case(cases, 30, title="Rare Words", uploader="zoe", action=Action.ALLOW, category=None)
    ana = console("ana")

    def found(**asked: str) -> bool:
        page = ana.get("/search", params=asked)
        assert page.status_code == 200
        return "Rare Words" in page.text

    assert found(text="rare wor*")
    assert found(upload="up-30")
    assert found(uploader="zoe")
    assert found(action="allow")
    assert found(since="2026-01-01", until="2099-01-01T10:00")
    assert not found(text="r%e")
    assert not found(uploader="zo")
    assert not found(action="remove")
    assert not found(since="2099-01-01")
    assert not found(label="violence/fight")
    page = ana.get("/search", params={"since": "yesterday"})
    assert "Write a time as 2026-01-31" in page.text


def test_pages_of_a_search(console, cases: Ledger):
    for number in range(100, 170):
        record_case(cases, number)
    ana, seen, url = console("ana"), 0, "/search?text=Title"
    while url:
        page = ana.get(url).text
        seen += page.count('class="wide"')
        marked = page.split('class="pages"')
        url = marked[1].split('href="')[1].split('"')[0].replace("&amp;", "&") if marked[1:] else ""
    assert seen == 80


@pytest.mark.parametrize("text", [*XSS, "=1+1", "@SUM(A1)", "\t=1"])
def test_results_are_escaped(serve, ledger: Ledger, text: str):
    record_case(ledger, 1, title=text)
    lea = serve()("lea")
    names = ("text", "uploader", "rule", "category", "label", "since", "until", "action")
    for page in (lea.get("/search"), lea.get("/search", params=dict.fromkeys(names, text))):
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
    rows = list(csv.DictReader(io.StringIO(lea.get("/search.csv").text)))
    assert len(rows) == 1
    assert rows[0]["title"][:1] not in ("=", "+", "-", "@", "\t")


def test_an_export_has_the_mark_of_utf8_and_who_decided_why_and_when(console, cases: Ledger):
    made = choose(cases, take(cases, 1, "ana"), "ana", Action.REMOVE, note="=a knife")
    outbox.publish_due(cases, lambda _: None, double_rate=0)
    answer = console("lea").get("/search.csv?upload=up-1")
    assert answer.content[:3] == b"\xef\xbb\xbf"
    (row,) = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert (row["upload_id"], row["reviewer"], row["review_action"]) == ("up-1", "ana", "remove")
    assert row["review_note"] == "'=a knife"
    assert row["review_at"] == made.at.isoformat()
    assert float(row["review_seconds"]) >= 0
    assert row["published_at"] < row["at"] < row["review_at"]
    (row,) = csv.DictReader(io.StringIO(console("lea").get("/search.csv?upload=up-2").text[1:]))
    assert (row["upload_id"], row["reviewer"], row["review_note"]) == ("up-2", "", "")


def test_an_empty_ledger_is_not_a_queue_that_is_done(serve, ledger: Ledger):
    ana = serve()("ana")
    for page in ("/queue", "/queue/rows", "/overview"):
        assert "This ledger is empty" in ana.get(page).text
    record_case(ledger, 1, action=Action.ALLOW)
    for page in ("/queue", "/queue/rows"):
        assert "No cases are waiting." in ana.get(page).text
        assert "This ledger is empty" not in ana.get(page).text


def test_exports_are_for_leads_and_are_logged(console, cases: Ledger):
    assert console("ana").get("/search.csv").status_code == 403
    assert len(console("lea").get("/search.csv?text=Title").text.splitlines()) == 11
    assert "cases.exported" in console("aud").get("/audit").text
