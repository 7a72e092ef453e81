from __future__ import annotations

import json
import random
from pathlib import Path

from quorum.core.messages import now
from quorum.pipeline.batch.report import drift, page
from quorum.pipeline.batch.tally import Tally
from quorum.store.ledger import Ledger, Run
from tests.pipeline.batch.runs import run, upload


def test_the_report_escapes_and_tells_drift() -> None:
    tally = Tally(read=10)
    tally.dead_letter("<script>alert(1)</script>")
    chance = random.Random(3)
    for _ in range(400):
        tally.scores[f"spam {min(19, int(chance.betavariate(2, 8) * 20))}"] += 1
    tally.versions["spam v1"] = 400
    other = Tally()
    for _ in range(400):
        other.scores[f"spam {min(19, int(chance.betavariate(8, 2) * 20))}"] += 1
    at = now()
    before = Run("a", at, at, "p", other.as_json())
    made = page(Run("b", at, at, "<p>", tally.as_json()), tally, before, title="<t>")
    assert "<script>alert" not in made
    assert "&lt;script&gt;" in made
    assert "large (" in made
    assert drift(tally.scores, tally.scores, "spam") == 0.0
    assert drift(tally.scores, Tally().scores, "spam") is None
    assert Tally.from_json(json.loads(json.dumps(tally.as_json()))) == tally


def test_runs_are_kept_for_the_next_report(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record([upload(n) for n in range(100)])
    report = tmp_path / "r.html"
    run("--until", "2026-01-31T12:50:00Z", "--report", str(report))
    assert "no run before" in report.read_text()
    run("--report", str(report))
    assert "since 20" in report.read_text()
    last = ledger.last_run()
    assert last is not None
    assert last.summary["read"] == 100


def test_the_page_of_a_backfill_tells_all_windows_and_shows_gaps(
    ledger: Ledger, tmp_path: Path
) -> None:
    days = {0: "bad", 24 * 60: "bad", 4 * 24 * 60: "fine"}
    ledger.record([upload(minute, title) for minute, title in days.items()])
    report = tmp_path / "r.html"
    run(
        *("--window", "daily", "--backfill", "--since", "2026-01-30T00:00:00Z"),
        *("--until", "2026-02-06T00:00:00Z", "--report", str(report)),
    )
    made = report.read_text()
    assert "from 2026-01-30 00:00 UTC to 2026-02-06 00:00 UTC" in made
    assert "3 uploads read" in made and "3 decided" in made
    assert "2026-02-01: 1 remove" in made
    assert "2026-02-03: 0 remove" in made and "2026-02-04: 1 allow" in made


def test_a_range_without_a_whole_window_is_told(ledger: Ledger) -> None:
    told = run(
        *("--window", "daily", "--backfill", "--since", "2026-01-30T00:00:00Z"),
        *("--until", "2026-01-30T20:00:00Z"),
    )
    assert "no whole window is over" in told
