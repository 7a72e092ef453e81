from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta

from sqlalchemy import event, insert

from quorum.aggregator.study.drift import EDGES
from quorum.core.alert_settings import AlertSettings
from quorum.store.alerts.counting import Counts
from quorum.store.alerts.values import Share, Signal
from quorum.store.ledger import Ledger
from quorum.store.ledger.schema import predictions, reviews, verdicts

AT = datetime(2026, 11, 26, 12, 1, 30, tzinfo=UTC)
WEEK = timedelta(days=7)


def add_verdicts(ledger: Ledger, at: datetime, rule: str, action: str, count: int, **more) -> None:
    given = {
        "upload_id": "u",
        "revision": 1,
        "action": action,
        "category": None,
        "rule": rule,
        "policy_version": "p",
        "decided_by": "policy",
        "at": at,
        "latency": 1.0,
        "body": "{}",
        **more,
    }
    name = f"{at.isoformat()}-{rule}-{action}-{sorted(more)}"
    rows = [{**given, "id": f"{name}-{number}"} for number in range(count)]
    ledger.transact(lambda c: c.execute(insert(verdicts), rows), writes=True)


def readings(ledger: Ledger, **settings) -> dict[Signal, object]:
    chosen = AlertSettings(weeks=2, **settings)
    return {one.signal: one for one in Counts(ledger, chosen).readings(AT)}


def test_first_verdicts_are_counted_in_the_same_hours(ledger: Ledger):
    for week, (removed, allowed) in enumerate([(3, 7), (1, 9), (2, 8)]):
        at = AT - WEEK * week - timedelta(minutes=20)
        add_verdicts(ledger, at, "spam", "remove", removed)
        add_verdicts(ledger, at, "rest", "allow", allowed)
    # Other hours, other revisions, people's verdicts, and what may not be recorded yet.
    add_verdicts(ledger, AT - timedelta(minutes=62), "spam", "remove", 50)
    add_verdicts(ledger, AT - timedelta(minutes=10), "spam", "remove", 50, revision=2)
    add_verdicts(ledger, AT - timedelta(minutes=11), "spam", "remove", 50, decided_by="reviewer")
    add_verdicts(ledger, AT - timedelta(seconds=10), "spam", "remove", 50)
    found = readings(ledger)
    removals = found[Signal("removals")]
    assert removals.now == Share(3, 10)
    assert removals.weeks == (Share(1, 10), Share(2, 10))
    assert found[Signal("rule", "spam")].now == Share(3, 10)
    assert found[Signal("rule", "rest")].weeks == (Share(9, 10), Share(8, 10))


def test_a_rule_that_fell_silent_is_still_watched(ledger: Ledger):
    at = AT - timedelta(minutes=30)
    add_verdicts(ledger, at, "rest", "allow", 10)
    add_verdicts(ledger, at - WEEK, "spam", "remove", 5)
    assert readings(ledger)[Signal("rule", "spam")].now == Share(0, 10)


def test_predictions_are_counted_by_detector_status_and_score(ledger: Ledger):
    at = AT - timedelta(minutes=30)
    given = [
        ("scored", 0.0),
        ("scored", 0.5),
        ("scored", 1.0),
        ("failed", None),
        ("abstained", None),
    ]
    rows = [
        {
            "id": f"{detector}-{number}",
            "upload_id": "u",
            "detector": detector,
            "version": "1",
            "status": status,
            "score": score,
            "shadow": False,
            "at": at,
            "body": "{}",
        }
        for detector in ("spam", "nsfw")
        for number, (status, score) in enumerate(given)
    ]
    ledger.transact(lambda c: c.execute(insert(predictions), rows), writes=True)
    found = readings(ledger)
    assert found[Signal("failures", "spam")].now == Share(1, 5)
    bins = found[Signal("drift", "nsfw")].now.bins
    places = [bisect_right(EDGES, score) for score in (0.0, 0.5, 1.0)]
    assert [bins[place] for place in places] == [1, 1, 1]
    assert sum(bins) == 3


def test_what_reviewers_allow_is_overturned(ledger: Ledger):
    at = AT - timedelta(hours=5)
    add_verdicts(ledger, at, "spam", "remove", 2)
    add_verdicts(ledger, at, "rest", "allow", 1)
    stopped = f"{at.isoformat()}-spam-remove-[]-0"
    allowed = f"{at.isoformat()}-rest-allow-[]-0"
    rows = [
        {
            "id": f"r-{number}",
            "upload_id": "u",
            "verdict_id": verdict,
            "action": action,
            "reviewer": "ana",
            "at": at,
            "body": "{}",
        }
        for number, (verdict, action) in enumerate(
            [(stopped, "allow"), (stopped, "remove"), (allowed, "remove")]
        )
    ]
    ledger.transact(lambda c: c.execute(insert(reviews), rows), writes=True)
    assert readings(ledger)[Signal("overturned")].now == Share(1, 2)


def test_only_what_is_watched_is_read(ledger: Ledger):
    assert set(readings(ledger, watch=["removals"])) == {Signal("removals")}
    assert set(readings(ledger, watch=["overturned"])) == {Signal("overturned")}


def test_a_window_that_slides_reads_what_is_new(ledger: Ledger):
    counts = Counts(ledger, AlertSettings(weeks=2, watch=["removals"]))
    asked = []
    engine = ledger._transactions._engine
    event.listen(
        engine,
        "before_cursor_execute",
        lambda *args: asked.append(args[2]) if "FROM verdicts" in args[2] else None,
    )
    first = counts.readings(AT)
    assert len(asked) == 36
    asked.clear()
    later = counts.readings(AT + timedelta(minutes=5))
    # One new part in each week, and those of the last half hour, which may have grown.
    assert len(asked) <= 3 + 7
    assert first[0].now == later[0].now == Share(0, 0)
    assert len(counts._kept) <= 36
