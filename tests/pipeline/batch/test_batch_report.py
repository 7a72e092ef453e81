from __future__ import annotations

import json
import random
from pathlib import Path

from pipeline.batch_report import drift, page
from pipeline.tally import Tally
from quorum.ledger import Ledger, Run
from quorum.messages import now
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
    ledger.record_uploads([upload(n) for n in range(100)])
    report = tmp_path / "r.html"
    run("--until", "2026-01-31T12:50:00Z", "--report", str(report))
    assert "no run before" in report.read_text()
    run("--report", str(report))
    assert "since 20" in report.read_text()
    last = ledger.last_run()
    assert last is not None
    assert last.summary["read"] == 100
